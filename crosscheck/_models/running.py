"""Run a flat program of JAX step by step, observe the values at chosen steps, and replace them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Literal

from crosscheck._frameworks.programs import Array
from crosscheck._models.jax_recording import JaxProgramFlat, Step
from crosscheck._models.uses import CONSTANT
from crosscheck._shadow.base import Noise
from crosscheck._shadow.jax_equations import is_float, wide_of, widened
from crosscheck._shadow.jax_lift import QUIET

Seen = Callable[["Run", Any], Any]
"""A function of the run and a value, which returns the replacement; None to keep the value."""


@dataclass(frozen=True)
class Watch:
    """What is called at a step: with the operand at a position before the step runs, and with its result afterwards."""

    operands: Mapping[int, Seen]
    result: Seen | None = None


class Run:
    """One run, in float64 or in the dtype of the model.

    Attributes:
        values: Every value, by number.
    """

    def __init__(
        self,
        flat: JaxProgramFlat,
        *,
        wide: bool,
        watched: Mapping[int, Watch] | None = None,
        noise: Noise | None = None,
        constants_only: bool = False,
        loose: frozenset[str] = frozenset(),
        keep: bool = True,
        known: Mapping[int, Any] = MappingProxyType({}),
    ) -> None:
        """``loose`` names weights that get noise too: torch does not hold them, and they were rounded for JAX.

        Without ``keep``, a value is dropped when no later step needs it. Values that are ``known`` are not computed.
        """
        self._known = known
        self._last = {} if keep else flat.last_uses()
        self.flat, self.wide, self._loose = flat, wide, loose
        self._watched = watched or {}
        self._noise, self._constants_only = noise, constants_only
        self.values: dict[int, Any] = {}
        self._interpreter = flat.interpreter.seeded(noise or QUIET)

    def __call__(self, weights: Sequence[Array], inputs: Sequence[Array], only: int | None = None) -> list[Array]:
        """The results. With ``only``, only steps whose values are at most of that kind are run."""
        with jax.enable_x64(self.wide or self.flat.dtype == "float64"), jax.default_device(jax.devices("cpu")[0]):
            return [np.asarray(one) for one in self.traced(weights, inputs, only)]

    def traced(self, weights: Sequence[Any], inputs: Sequence[Any], only: int | None = None) -> list[Any]:
        """The same, for a function that JAX may trace; the caller has set whether float64 exists."""
        flat = self.flat
        self.values.update(self._known)
        for number, value in flat.constants.items():
            if number not in self._known:
                self.values[number] = self._constant(value, flat.exact.get(id(value)))
        for number, array in zip([*flat.weights, *flat.inputs], [*weights, *inputs], strict=True):
            if number in self._known:
                continue
            dtype = flat.avals[number].dtype  # integers have the dtype in which they were traced
            value = jnp.asarray(array).astype(wide_of(dtype) if self.wide else dtype)
            disturbed = flat.origins.get(number, frozenset()) & self._loose
            self.values[number] = self._disturbed(value) if disturbed else value
        for step in flat.steps:
            if only is not None and step.operation.kind > only:
                continue
            if not self._is_known(step):
                self._step(step)
            for number in self._last.get(step.operation.index, ()):
                self.values.pop(number, None)
        return [] if only is not None else [self.values[number] for number in flat.results]

    def _is_known(self, step: Step) -> bool:
        """Whether nothing is left to do at a step: a watched one runs, since its value is looked at."""
        return step.operation.index not in self._watched and any(one in self._known for one in step.outputs)

    def _disturbed(self, constant: Any) -> Any:
        """A constant with noise on it."""
        if self._noise is None or not is_float(constant):
            return constant
        self._interpreter._silent = False
        return self._interpreter._noisy(jnp.asarray(constant), 1.0)

    def _constant(self, value: Any, exact: Any) -> Any:
        """A constant in the run's dtype: in float64, with noise if the dtype does not hold the number in the source.

        The number in the source is known only for scalars; an array may have been rounded before JAX received it.
        """
        if not self.wide or not is_float(value):
            return value
        wide = widened(value) if exact is None else exact
        return self._disturbed(wide) if np.ndim(value) and exact is None else self._rounded(wide, value.dtype)

    def _rounded(self, wide: Any, dtype: Any) -> Any:
        """The value with noise as large as rounding to a dtype: none on numbers that the dtype holds."""
        if self._noise is None or not is_float(wide):
            return wide
        wide = jnp.asarray(wide)
        return jnp.where(wide.astype(dtype).astype(wide.dtype) == wide, wide, self._disturbed(wide))

    def read(self, one: Any) -> Any:
        """A value, by its number, or a constant in an equation."""
        if not isinstance(one, Literal):
            return self.values[one]
        return self._constant(np.asarray(one.val, one.aval.dtype), self.flat.exact.get(id(one)))

    def _step(self, step: Step) -> None:
        watch = self._watched.get(step.operation.index)
        if watch is not None:
            for place, seen in watch.operands.items():
                self._replace(step.inputs[place], seen(self, self.values[step.inputs[place]]))
        given = [self.read(one) for one in step.inputs]
        for number, value in zip(step.outputs, self.results(step, given), strict=True):
            self.values[number] = value
        if watch is not None and watch.result is not None:
            self._replace(step.outputs[0], watch.result(self, self.values[step.outputs[0]]))

    def results(self, step: Step, given: list[Any]) -> Sequence[Any]:
        """The results of a step for its operands."""
        if not self.wide or step.equation is None:
            return as_it_is(step, given)
        constant = step.operation.kind == CONSTANT
        self._interpreter._silent = self._noise is None or constant or self._constants_only
        found = self._interpreter.run_equation(step.equation, given)
        if not constant:
            return found
        atoms = step.equation.outvars
        return [self._rounded(one, atom.aval.dtype) for one, atom in zip(found, atoms, strict=True)]

    def again(self, number: int, value: Any, last: int) -> dict[int, Any]:
        """The values that would change if the value ``number`` were ``value``; steps after ``last`` are not run."""
        here: dict[int, Any] = {number: jnp.asarray(value, self.values[number].dtype)}
        for step in self.flat.steps[self.flat.maker.get(number, -1) + 1 : last + 1]:
            if any(isinstance(one, int) and one in here for one in step.inputs):
                given = [here[one] if isinstance(one, int) and one in here else self.read(one) for one in step.inputs]
                here.update(zip(step.outputs, self.results(step, given), strict=True))
        return here

    def put(self, number: int, value: Any) -> None:
        """Replace a value for the steps that have not run yet, if any of them needs it."""
        if number in self.values:
            self._replace(number, value)

    def _replace(self, number: int, value: Any) -> None:
        """Replace a value, and also the values of which it is a reshape or a transpose."""
        if value is None:
            return
        like = self.values[number]
        self.values[number] = jnp.asarray(value, like.dtype)
        while number in self.flat.maker:
            step = self.flat.steps[self.flat.maker[number]]
            if not step.inputs or not isinstance(step.inputs[0], int) or step.equation is None:
                return
            source = step.inputs[0]
            before = _moved_back(step, self.values[number], self.flat.avals[source])
            if before is None:
                return
            self.values[source] = before
            number = source


def as_it_is(step: Step, given: Sequence[Any]) -> Sequence[Any]:
    """The results of a step for its operands in their own dtypes."""
    if step.equation is None:
        assert step.function is not None
        return [step.function(*given)]
    primitive = step.equation.primitive
    found = primitive.bind(*given, **primitive.get_bind_params(step.equation.params))
    return found if primitive.multiple_results else [found]


def _moved_back(step: Step, value: Any, aval: Any) -> Any:
    """The operand of a step that only moves all elements, from its result; None for another operation."""
    name, params = step.operation.name, step.equation.params
    if (
        name in ("reshape", "squeeze", "expand_dims", "copy", "copy_p") and params.get("dimensions") is None
    ) or name == "squeeze":
        return value.reshape(aval.shape)
    if name == "transpose":
        return lax.transpose(value, np.argsort(params["permutation"]))
    if name == "broadcast_in_dim" and int(np.prod(value.shape)) == int(np.prod(aval.shape)):
        return value.reshape(aval.shape)
    return None
