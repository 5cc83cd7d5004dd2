"""A JAX function, its gradients and second derivatives, as one program over flat arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck._frameworks import jax_backend
from crosscheck._frameworks.jax_modules import JaxModule
from crosscheck._frameworks.jax_shardings import as_held
from crosscheck._frameworks.programs import Array, Directions, Inputs, Outputs, Result, describe, watching

UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
"""The exceptions that JAX raises when a function needs the value of what JAX traces."""


def untraceable(error: BaseException | None) -> str:
    """Why a function runs only eagerly, from the exception of its tracing."""
    return f"{type(error).__name__}: {''.join(str(error).splitlines()[:1])}"


class JaxProgram:
    """A JAX function, or a module of flax or equinox. It runs eagerly, and compiled if it can be traced."""

    name = "jax"

    def __init__(self, function: Callable[..., Any], inputs: Inputs, device: str, modes: tuple[str, ...]) -> None:
        self.function, self.inputs, self.device, self.modes = function, inputs, device, modes
        self.untraceable: str | None = None
        self.draws = self.uneven = False
        self.changed: tuple[str, ...] = ()

    def scope(self) -> Any:
        return jax_backend.scope(self.inputs.fmt.name, self.device)

    @cached_property
    def _module(self) -> JaxModule | None:
        """The module; made at the first call, so that an exception then counts as the function's."""
        with self.scope(), jax.ensure_compile_time_eval():
            return JaxModule.of(self.function, self.inputs.fmt)

    def _call(self, leaves: Sequence[Any]) -> Any:
        return (self._module or self.function)(*self.inputs.tree.build(as_held(leaves, self.inputs.shardings)))

    def outputs(self) -> tuple[Outputs, list[Array], list[str]]:
        with self.scope(), watching(self):
            arguments = self._arrays(self.inputs.leaves)
            if "eager" in self.modes or self.untraceable:
                described, leaves = describe(self._call(arguments), "JAX")
            else:
                try:
                    described, leaves = self._compiled_outputs(arguments)
                except UNTRACEABLE as error:
                    self.refuses_tracing(error)
                    described, leaves = describe(self._call(arguments), "JAX")
            values = [np.asarray(leaf) for leaf in leaves]
        if self._module is not None:
            self.draws |= self._module.draws
            self.changed = self._module.changed
        return described, values, []

    def _compiled_outputs(self, arguments: list[Any]) -> tuple[Outputs, list[Any]]:
        kept: list[Outputs] = []

        def traced(*leaves: Any) -> list[Any]:
            described, outputs = describe(self._call(leaves), "JAX")
            kept.append(described)
            return [jnp.asarray(leaf) for leaf in outputs]

        leaves = jax.jit(traced)(*arguments)
        return kept[-1], leaves

    def _arrays(self, leaves: Sequence[Array]) -> list[Any]:
        return [jax.device_put(leaf) for leaf in leaves]

    def flat(self, order: int) -> Callable[..., list[Any]]:
        """(inputs, cotangents, tangents) -> results."""
        count, wrt = len(self.inputs.leaves), self.inputs.wrt

        def values(by: list[Any], leaves: list[Any]) -> tuple[list[Any], list[Any]]:
            """The float outputs, and all of them."""
            for i, leaf in zip(wrt, by, strict=True):
                leaves[i] = leaf
            _, outputs = describe(self._call(leaves), "JAX")
            outputs = [leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf) for leaf in outputs]
            return [leaf for leaf in outputs if jnp.issubdtype(leaf.dtype, jnp.floating)], outputs

        def gradients(by: list[Any], leaves: list[Any], cotangents: Sequence[Any]) -> tuple[list[list[Any]], list[Any]]:
            """The gradients for each float output, and all outputs."""
            _, pull_back, outputs = jax.vjp(lambda by: values(by, list(leaves)), by, has_aux=True)
            rows = []
            for k, cotangent in enumerate(cotangents):
                zeros = [jnp.zeros_like(other) for other in cotangents]
                rows.append(pull_back([*zeros[:k], cotangent, *zeros[k + 1 :]])[0])
            return rows, outputs

        def program(*arguments: Any) -> list[Any]:
            leaves = list(arguments[:count])
            by = [leaves[i] for i in wrt]
            if order == 0:
                return values(by, leaves)[1]
            split = len(arguments) - (len(wrt) if order > 1 else 0)
            cotangents, tangents = arguments[count:split], arguments[split:]
            if order == 1:
                rows, outputs = gradients(by, leaves, cotangents)
                return [*outputs, *(gradient for row in rows for gradient in row)]
            firsts: list[Any] = []
            seconds: list[Any] = []
            outputs = []
            for k in range(len(cotangents)):

                def first(by: list[Any], k: int = k) -> tuple[list[Any], list[Any]]:
                    rows, outputs = gradients(by, leaves, cotangents)
                    return rows[k], outputs

                row, pull_back, outputs = jax.vjp(first, by, has_aux=True)
                firsts += row
                seconds += pull_back(list(tangents))[0]
            return [*(outputs or values(by, leaves)[1]), *firsts, *seconds]

        return program

    def results(self, order: int, along: Directions, mode: str) -> list[Result]:
        with self.scope():
            program = self.flat(order)
            run = jax.jit(program) if mode == "jit" else program
            results = run(*self._arrays([*self.inputs.leaves, *along.arrays]))
            return [np.asarray(result) for result in results]

    def refuses_tracing(self, error: Exception) -> bool:
        """Whether an exception says so; it is then kept as the reason why the function runs only eagerly."""
        if isinstance(error, UNTRACEABLE):
            self.untraceable = untraceable(error)
        return isinstance(error, UNTRACEABLE)
