"""Running one side of a pair: the function, its gradients and second derivatives, as one program over flat arrays."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import torch

from crosscheck._compare.inputs import Inputs
from crosscheck._compare.trees import Tree, flatten
from crosscheck._frameworks import jax_backend, torch_backend
from crosscheck._shadow import jax_lift, torch_lift
from crosscheck._shadow.base import Flushing, Lifted, Met, Noise

Array = np.ndarray[Any, Any]
Result = Array | None
"""A derivative that the framework finds no path for is None."""


@dataclass(frozen=True)
class Outputs:
    """What a function returned: structure, names, and for each leaf its shape, dtype and whether it is an array."""

    tree: Tree
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    arrays: tuple[bool, ...]

    @property
    def floats(self) -> tuple[int, ...]:
        return tuple(k for k, dtype in enumerate(self.dtypes) if dtype.startswith(("float", "bfloat")))


class NotAnArrayError(TypeError):
    """A function returned something that cannot be compared."""


@dataclass
class Directions:
    """What derivatives are taken along: a cotangent for each float output, a direction for each input of ``wrt``."""

    cotangents: list[Array] = field(default_factory=list)
    tangents: list[Array] = field(default_factory=list)

    @property
    def arrays(self) -> list[Array]:
        return [*self.cotangents, *self.tangents]


class Side(Protocol):
    """One framework's function at given inputs."""

    name: str
    modes: tuple[str, ...]
    draws: bool
    """Whether the last run moved a random state, of torch, numpy or Python."""
    uneven: bool
    """Whether runs on the same input were seen to differ in their last digits."""

    def outputs(self) -> tuple[Outputs, list[Array], list[str]]:
        """Run once, without derivatives: what it returned, as structure and as arrays; and the inputs it changed."""

    def results(self, order: int, along: Directions, mode: str) -> list[Result]:
        """The values, then per float output and ``wrt`` input the gradients, then the second derivatives."""

    def lift(self, order: int, along: Directions) -> Lifted:
        """The same in float64."""


def layout(outputs: Outputs, inputs: Inputs, order: int) -> list[tuple[int, int, int | None]]:
    """(order, output leaf, input leaf) of each result of a program."""
    by = [(k, i) for k in outputs.floats for i in inputs.wrt]
    return [
        *((0, k, None) for k in range(len(outputs.names))),
        *((o, k, i) for o in range(1, order + 1) for k, i in by),
    ]


def _described(value: Any, what: str) -> tuple[Outputs, list[Any]]:
    tree, leaves, names = flatten(value, "y")
    for leaf, name in zip(leaves, names, strict=True):
        if not (hasattr(leaf, "dtype") and hasattr(leaf, "shape")) and not isinstance(leaf, bool | int | float):
            raise NotAnArrayError(f"the {what} function returned {type(leaf).__name__} as {name}, expected an array")
    if not leaves:
        raise NotAnArrayError(f"the {what} function returned nothing that could be compared")
    arrays = tuple(hasattr(leaf, "dtype") for leaf in leaves)
    dtypes = tuple(
        str(leaf.dtype).removeprefix("torch.") if array else type(leaf).__name__
        for leaf, array in zip(leaves, arrays, strict=True)
    )
    for name, dtype in zip(names, dtypes, strict=True):
        if dtype.startswith("complex"):
            raise NotAnArrayError(f"the {what} function returned {name} of {dtype}; return real and imaginary part")
    shapes = tuple(tuple(leaf.shape) if array else () for leaf, array in zip(leaves, arrays, strict=True))
    return Outputs(tree, tuple(names), shapes, dtypes, arrays), leaves


class TorchSide:
    """A torch function or module."""

    name = "torch"
    modes = ("eager",)

    def __init__(self, function: Any, inputs: Inputs, device: str) -> None:
        self.inputs, self.device = inputs, device
        if isinstance(function, torch.nn.Module):
            # a copy, so that running statistics stay as they are; in the dtype of the comparison
            function = copy.deepcopy(function).to(getattr(torch, inputs.fmt.name))
            function = function.to("cuda") if device == "gpu" else function
        self.function = function
        self.draws = self.uneven = False

    def _call(self, leaves: Sequence[Any]) -> Any:
        return self.function(*self.inputs.tree.build(list(leaves)))

    def outputs(self) -> tuple[Outputs, list[Array], list[str]]:
        tensors = [_tensor(leaf, self.device) for leaf in self.inputs.leaves]
        with _watching(self), torch.no_grad():
            result = self._call(tensors)
        described, leaves = _described(result, "torch")
        values = [_array(leaf) for leaf in leaves]
        changed = [
            name
            for name, tensor, leaf in zip(self.inputs.names, tensors, self.inputs.leaves, strict=True)
            if _array(tensor).tobytes() != leaf.tobytes()
        ]
        return described, values, changed

    def program(self, order: int, absent: set[int] | None = None) -> Callable[..., list[Any]]:
        """(inputs, cotangents, tangents) -> results; a gradient that is not there is zeros, and noted in ``absent``."""
        count, wrt = len(self.inputs.leaves), self.inputs.wrt

        def program(*arguments: Any) -> list[Any]:
            leaves = [tensor.detach() for tensor in arguments[:count]]
            by = [leaves[i].requires_grad_() for i in wrt]
            with torch.set_grad_enabled(order > 0):
                _, values = _described(self._call(leaves), "torch")
            results = [value if hasattr(value, "dtype") else torch.as_tensor(value) for value in values]
            if order == 0:
                return results
            differentiable = [value for value in results if value.is_floating_point()]
            cotangents = arguments[count : count + len(differentiable)]
            tangents = arguments[count + len(differentiable) :]
            firsts: list[Any] = []
            seconds: list[Any] = []
            for value, cotangent in zip(differentiable, cotangents, strict=True):
                gradients = _gradients(value, by, cotangent, create_graph=order > 1)
                firsts += gradients
                if order > 1:
                    seconds += _second(gradients, by, tangents)
            found = [*results, *firsts, *seconds]
            for position, one in enumerate(found):
                if one is None:
                    if absent is not None:
                        absent.add(position)
                    found[position] = torch.zeros_like(by[(position - len(results)) % len(by)])
            return [one.detach() for one in found]

        return program

    def results(self, order: int, along: Directions, mode: str) -> list[Result]:
        absent: set[int] = set()
        arguments = [_tensor(leaf, self.device) for leaf in (*self.inputs.leaves, *along.arrays)]
        with _watching(self):
            found = self.program(order, absent)(*arguments)
        return [None if i in absent else _array(one) for i, one in enumerate(found)]

    def lift(self, order: int, along: Directions) -> Lifted:
        arguments = [*self.inputs.leaves, *along.arrays]
        return torch_lift.lift(self.program(order), arguments, self.inputs.fmt.name)


@contextmanager
def _watching(side: TorchSide | JaxSide) -> Iterator[None]:
    before = _random_states()
    yield
    side.draws = _random_states() != before


def _random_states() -> tuple[object, ...]:
    state: Any = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), state[1].tobytes(), state[2], random.getstate()


def _gradients(value: Any, by: list[Any], cotangent: Any, *, create_graph: bool) -> list[Any]:
    if not value.requires_grad:
        return [None] * len(by)
    return list(torch.autograd.grad(value, by, cotangent, create_graph=create_graph, retain_graph=True, allow_unused=True))


def _second(gradients: list[Any], by: list[Any], tangents: Sequence[Any]) -> list[Any]:
    """The gradient of the sum of <tangent, gradient>; zeros, not missing, where a gradient does not depend on an input."""
    pairs = [(g, v) for g, v in zip(gradients, tangents, strict=True) if g is not None and g.requires_grad]
    if not pairs:
        return [None if g is None else torch.zeros_like(x) for g, x in zip(gradients, by, strict=True)]
    outputs, cotangents = zip(*pairs, strict=True)
    found = torch.autograd.grad(outputs, by, cotangents, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if one is None else one for one, x in zip(found, by, strict=True)]


def _tensor(leaf: Array, device: str) -> Any:
    return torch_backend.to_tensor(leaf, device)


def _array(leaf: Any) -> Array:
    return torch_backend.to_array(leaf) if isinstance(leaf, torch.Tensor) else np.asarray(leaf)


UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
"""What JAX raises where a function asks for the value of what it traces."""


class JaxSide:
    """A JAX function. It is run eagerly, and compiled where it can be traced."""

    name = "jax"

    def __init__(self, function: Callable[..., Any], inputs: Inputs, device: str, modes: tuple[str, ...]) -> None:
        self.function, self.inputs, self.device, self.modes = function, inputs, device, modes
        self.untraceable: str | None = None
        self.draws = self.uneven = False

    def scope(self) -> Any:
        return jax_backend.scope(self.inputs.fmt.name, self.device)

    def _call(self, leaves: Sequence[Any]) -> Any:
        return self.function(*self.inputs.tree.build(list(leaves)))

    def outputs(self) -> tuple[Outputs, list[Array], list[str]]:
        with self.scope(), _watching(self):
            arguments = self._arrays(self.inputs.leaves)
            if "eager" in self.modes or self.untraceable:
                described, leaves = _described(self._call(arguments), "JAX")
            else:
                try:
                    described, leaves = self._compiled_outputs(arguments)
                except UNTRACEABLE as error:
                    self.refuses_tracing(error)
                    described, leaves = _described(self._call(arguments), "JAX")
            return described, [np.asarray(leaf) for leaf in leaves], []

    def _compiled_outputs(self, arguments: list[Any]) -> tuple[Outputs, list[Any]]:
        kept: list[Outputs] = []

        def traced(*leaves: Any) -> list[Any]:
            described, found = _described(self._call(leaves), "JAX")
            kept.append(described)
            return [jnp.asarray(leaf) for leaf in found]

        leaves = jax.jit(traced)(*arguments)
        return kept[-1], leaves

    def _arrays(self, leaves: Sequence[Array]) -> list[Any]:
        return [jax.device_put(leaf) for leaf in leaves]

    def program(self, order: int) -> Callable[..., list[Any]]:
        """(inputs, cotangents, tangents) -> results."""
        count, wrt = len(self.inputs.leaves), self.inputs.wrt

        def values(by: list[Any], leaves: list[Any]) -> tuple[list[Any], list[Any]]:
            """The float outputs, and all of them."""
            for i, leaf in zip(wrt, by, strict=True):
                leaves[i] = leaf
            _, found = _described(self._call(leaves), "JAX")
            found = [leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf) for leaf in found]
            return [leaf for leaf in found if jnp.issubdtype(leaf.dtype, jnp.floating)], found

        def gradients(by: list[Any], leaves: list[Any], cotangents: Sequence[Any]) -> tuple[list[list[Any]], list[Any]]:
            """Per float output the gradients, and all the outputs."""
            _, pull_back, found = jax.vjp(lambda by: values(by, list(leaves)), by, has_aux=True)
            rows = []
            for k, cotangent in enumerate(cotangents):
                zeros = [jnp.zeros_like(other) for other in cotangents]
                rows.append(pull_back([*zeros[:k], cotangent, *zeros[k + 1 :]])[0])
            return rows, found

        def program(*arguments: Any) -> list[Any]:
            leaves = list(arguments[:count])
            by = [leaves[i] for i in wrt]
            if order == 0:
                return values(by, leaves)[1]
            split = len(arguments) - (len(wrt) if order > 1 else 0)
            cotangents, tangents = arguments[count:split], arguments[split:]
            if order == 1:
                rows, found = gradients(by, leaves, cotangents)
                return [*found, *(one for row in rows for one in row)]
            firsts: list[Any] = []
            seconds: list[Any] = []
            found = []
            for k in range(len(cotangents)):

                def first(by: list[Any], k: int = k) -> tuple[list[Any], list[Any]]:
                    rows, found = gradients(by, leaves, cotangents)
                    return rows[k], found

                row, pull_back, found = jax.vjp(first, by, has_aux=True)
                firsts += row
                seconds += pull_back(list(tangents))[0]
            return [*(found or values(by, leaves)[1]), *firsts, *seconds]

        return program

    def results(self, order: int, along: Directions, mode: str) -> list[Result]:
        with self.scope():
            program = self.program(order)
            run = jax.jit(program) if mode == "jit" else program
            found = run(*self._arrays([*self.inputs.leaves, *along.arrays]))
            return [np.asarray(one) for one in found]

    def lift(self, order: int, along: Directions) -> Flushing:
        arguments = [*self.inputs.leaves, *along.arrays]
        try:
            return jax_lift.lift(self.program(order), arguments, self.inputs.fmt.name)
        except UNTRACEABLE as error:
            self.refuses_tracing(error)
            return Eager(self, order)

    def refuses_tracing(self, error: Exception) -> bool:
        """Whether that is what an error says; then it is kept as the reason why the function runs eagerly only."""
        if isinstance(error, UNTRACEABLE):
            self.untraceable = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return isinstance(error, UNTRACEABLE)


class Eager:
    """A JAX program that cannot be traced, run eagerly in float64: no noise enters it, its inputs alone are moved."""

    def __init__(self, side: JaxSide, order: int) -> None:
        self.side, self.order = side, order

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        if noise is not None:
            rng = np.random.default_rng(noise.seed)
            moved = [1 + noise.unit * rng.uniform(-1, 1, a.shape) if a.dtype == np.float64 else 1 for a in arguments]
            arguments = [(a * m).astype(a.dtype) for a, m in zip(arguments, moved, strict=True)]
        with jax_backend.scope("float64", self.side.device):
            found = self.side.program(self.order)(*(jax.device_put(np.asarray(a)) for a in arguments))
            return [_wide(np.asarray(one)) for one in found]

    def run_flushed(self, arguments: Sequence[Array]) -> list[Array]:
        return self.run(arguments)

    @property
    def met(self) -> Met:
        return Met(frozenset(), frozenset({"everything: the JAX function cannot be traced"}))


def _wide(array: Array) -> Array:
    kind = array.dtype.kind
    return array.astype(np.float64) if kind == "f" or array.dtype.name == "bfloat16" else array
