"""What a program of JAX computes from weights and constants alone: the same in every run.

Weights stay in the dtype in which the model holds them. A value that is only moved from a weight is a view of it, which is
widened each time that a step needs it, so that no run holds all weights in float64. Other values are computed once.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import jax
import numpy as np
from jax import lax

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.run.interpreter import Widened
from crosscheck._models.run.places import is_moved, without_inputs
from crosscheck._models.run.step_arithmetic import as_it_is
from crosscheck._models.values.uses import DATA, WEIGHT
from crosscheck._shadow.base import BLOCK
from crosscheck._shadow.jax.large_weights import LARGE, large_weight
from crosscheck._shadow.jax_equations import wide_of
from crosscheck._shadow.jax_numpy import moved as moved_by_numpy


class Fixed:
    """The fixed values of the runs of a program with the same weights: of the runs in float64, and of those in the dtype."""

    def __init__(self, flat: JaxProgramFlat, weights: Sequence[Array]) -> None:
        self.flat, self._weights = flat, weights
        self._arrays = {number: np.asarray(weight) for number, weight in zip(flat.weights, weights, strict=True)}
        self._moved = moved(flat)
        self._computed: dict[bool, dict[int, Any]] = {}

    def values(
        self, *, wide: bool, every: bool = False, noisy: bool = False, loose: frozenset[str] = frozenset()
    ) -> Mapping[int, Any]:
        """The fixed values, by number; None for those that no step on data needs, which are left out of ``every``.

        Of a ``noisy`` run, these are the values that are the same in all noisy runs: the weights, without those that get
        noise, ``loose``, and what is only moved from them. All else is rounded.
        """
        flat = self.flat
        if noisy:
            return _FixedValues(self, {}, {number for number in self._moved if not flat.origins[number] & loose}, wide=wide)
        if wide not in self._computed:
            keep = needed_by(flat)
            known = _FixedValues(self, {}, self._moved, wide=wide)
            values = without_inputs(flat, self._weights, wide=wide, keep=keep, known=known)
            others = (number for number, kind in flat.kinds.items() if kind != DATA and number not in self._moved)
            self._computed[wide] = {number: self._held(number, values.get(number)) for number in others}
        computed = self._computed[wide]
        if every:
            computed = {number: value for number, value in computed.items() if value is not None}
        return _FixedValues(self, computed, self._moved, wide=wide)

    def _held(self, number: int, value: Any) -> Any:
        """What is kept of a value that was computed: of a number that fills a large array, only the number."""
        step = self.flat.steps[self.flat.maker[number]] if number in self.flat.maker else None
        if value is None or value.size <= BLOCK or step is None or step.operation.name != "broadcast_in_dim":
            return value
        first = np.asarray(value[(0,) * value.ndim])
        return np.broadcast_to(first, value.shape) if prod(step.equation.invars[0].aval.shape) == 1 else value

    def numbers(self, number: int) -> Array:
        """The numbers of a fixed value: those of a weight as the model holds them, others in float64."""
        if number in self._moved:
            array = self.moved(number, wide=True)
            return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
        return np.asarray(self.values(wide=True)[number])

    def moved(self, number: int, *, wide: bool, on_the_way: dict[int, Array] | None = None) -> Array:
        """A value that is moved from weights, in their dtype: mostly a view of one.

        A conversion to another dtype of floats is left out if the run is in float64. ``on_the_way`` are values that this
        one is moved from: blocks that go around a ring are all made of one another.
        """
        if number in self._arrays:
            return self._arrays[number]
        known = {} if on_the_way is None else on_the_way
        if number not in known:
            known[number] = self._by_its_step(number, known, wide=wide)
        return known[number]

    def _by_its_step(self, number: int, known: dict[int, Array], *, wide: bool) -> Array:
        step = self.flat.steps[self.flat.maker[number]]
        given = [self.moved(operand, wide=wide, on_the_way=known) for operand in step.inputs]
        if step.operation.name == "convert_element_type":
            return given[0] if wide else given[0].astype(self.flat.avals[number].dtype)
        result = None if step.equation is None else moved_by_numpy(step.equation, given)
        return np.asarray(as_it_is(step, given)[step.outputs.index(number)] if result is None else result)


class _FixedValues(Widened):
    """The values that were computed, and those that are moved from weights, which are widened at each access."""

    def __init__(self, fixed: Fixed, computed: Mapping[int, Any], moved: Container[int], *, wide: bool) -> None:
        self._fixed, self._computed, self._moved, self._wide = fixed, computed, moved, wide

    def __getitem__(self, number: int) -> Any:
        held = self.as_held(number)
        dtype = self._fixed.flat.avals[number].dtype
        dtype = wide_of(dtype) if self._wide else dtype
        is_filled = number not in self._moved and _is_filled(held)
        if number not in self._moved and not is_filled:
            return held
        if held.size <= LARGE:
            return held.astype(dtype, copy=False)
        with jax.enable_x64(True):  # whoever asks for it: else JAX would give float32
            if is_filled:
                return lax.broadcast(held.flat[0], held.shape)  # JAX would copy the view of one number twice
            if (weight := large_weight(held)) is None:
                return lax.convert_element_type(held, dtype)
            return weight.held() if held.dtype == dtype else weight.whole()

    def as_held(self, number: int) -> Any:
        """A value as it is held: what is only moved from a weight is in the weight's dtype."""
        return self._fixed.moved(number, wide=self._wide) if number in self._moved else self._computed[number]

    def __contains__(self, number: object) -> bool:
        return number in self._moved or number in self._computed

    def __iter__(self) -> Iterator[int]:
        return (number for number in self._fixed.flat.kinds if number in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _is_filled(held: Any) -> bool:
    """Whether a value is held as the one number that fills it."""
    return isinstance(held, np.ndarray) and held.size > BLOCK and not any(held.strides)


def moved(flat: JaxProgramFlat) -> set[int]:
    """The values that are moved from weights alone."""
    return {number for number, kind in flat.kinds.items() if kind == WEIGHT and is_moved(flat, number)}


def needed_by(flat: JaxProgramFlat) -> set[int]:
    """The values that steps need which do more than to move a weight."""
    only = moved(flat)
    # a step that joins weights runs again under noise if one of them gets noise
    steps = [step for step in flat.steps if len(step.inputs) > 1 or not only.issuperset(step.outputs)]
    return {number for step in steps for number in step.inputs if isinstance(number, int)} | set(flat.results)
