"""JAX's program between torch's values and one landmark, run again with other operands or results."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.distances import distance
from crosscheck._models.engine import Found
from crosscheck._models.jax_recording import JaxProgramFlat, Step

RESULT = -1
Place = tuple[int, int]
"""A step, and the position of one of its operands or ``RESULT``."""
Change = Callable[[Any], Any]
"""A function from an operand or a result to what takes its place."""
MOST_NUMBERS = 2**22
"""A stretch whose results hold more numbers takes too long to be run again and again."""
RIGHT = 1e-7
"""The largest difference from torch's numbers that is left after the right change."""
CLEARLY = 1e3
"""The right change makes a difference smaller by this factor."""


def steps_before(found: Found, at: int) -> list[Step]:
    """The steps of JAX's program that lead to a landmark from the landmarks at which JAX gets torch's values."""
    landmark = found.landmarks[at]
    step = found.flat.steps[landmark.step]
    target = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
    return _steps(found.flat, target, _forced(found) - {target})


def _forced(found: Found) -> set[Any]:
    """The values of JAX that torch's replace."""
    given = [(one, found.flat.steps[one.step]) for k, one in enumerate(found.landmarks) if k not in found.located.left]
    return {step.outputs[0] if one.place < 0 else step.inputs[one.place] for one, step in given}


def _steps(flat: JaxProgramFlat, target: Any, forced: Container[Any]) -> list[Step]:
    found: set[int] = set()
    left = [target]
    while left:
        number = left.pop()
        if isinstance(number, int) and number in flat.maker and number not in forced:
            step = flat.steps[flat.maker[number]]
            if step.operation.index not in found:
                found.add(step.operation.index)
                left += step.inputs
    return [flat.steps[one] for one in sorted(found)]


class Stretch:
    """The part of JAX's program that leads to a landmark, given torch's values at the other landmarks.

    Attributes:
        steps: Its steps, in order.
        expected: torch's values at the landmark.
        limit: The largest error that counts as none, relative as ``distance`` is.
    """

    def __init__(self, found: Found, at: int) -> None:
        self.run, self._flat = found.kept, found.flat
        self._landmark, self._order = found.landmarks[at], found.forcing.orders[at]
        self._own = found.located.values[at]
        step = self._flat.steps[self._landmark.step]
        self._target = step.outputs[0] if self._landmark.place < 0 else step.inputs[self._landmark.place]
        mended = {mend.value for number, mend in found.forcing.mends.items() if number < at}
        self._forced = (_forced(found) | mended) - {self._target}
        self.expected = self._landmark.compared(self._landmark.expected.wide)
        self.limit = max(min(RIGHT, found.located.errors[at] / CLEARLY), found.tolerances[at])

    @cached_property
    def steps(self) -> list[Step]:
        return _steps(self._flat, self._target, self._forced)

    @property
    def is_small(self) -> bool:
        """Whether it may be run again and again."""
        return sum(int(np.size(self.run.values[one])) for step in self.steps for one in step.outputs) <= MOST_NUMBERS

    def values(self, size: int) -> Iterator[Array]:
        """The results of its steps that have so many numbers, the last one first: JAX's, where torch's have their place."""
        if self._own.size == size:
            yield self._own
        for step in reversed(self.steps):
            for value in (self.run.values[one] for one in step.outputs if one != self._target):
                if np.size(value) == size and value.dtype == np.float64:
                    yield np.asarray(value)

    def error(self, changes: Mapping[Place, Change]) -> float:
        """The error at the landmark after changes; infinite if it cannot be run with them, or gives NaN or infinity."""
        try:
            apart = self.apart(changes)
        except Exception:  # a step may refuse a value
            return float("inf")
        return distance(apart + self.expected, self.expected) if np.isfinite(apart).all() else float("inf")

    def apart(self, changes: Mapping[Place, Change]) -> Array:
        """The difference from torch's values at the landmark, after changes of operands and results."""
        here: dict[int, Any] = {}
        with jax.enable_x64(True), np.errstate(all="ignore"):
            for step in self.steps:
                changed = {place: change for (at, place), change in changes.items() if at == step.operation.index}
                if not changed and not any(isinstance(one, int) and one in here for one in step.inputs):
                    continue
                given = [here[one] if isinstance(one, int) and one in here else self.run.read(one) for one in step.inputs]
                given = [changed[place](one) if place in changed else one for place, one in enumerate(given)]
                results = self.run.results(step, given)
                results = [changed[RESULT](one) for one in results] if RESULT in changed else results
                here.update((n, one) for n, one in zip(step.outputs, results, strict=True) if n not in self._forced)
            matrix = self._landmark.view.matrix(np.asarray(here[self._target]), self._order)
            theirs = self._landmark.compared(matrix)
            equal = (theirs == self.expected) | (np.isnan(theirs) & np.isnan(self.expected))
            return np.where(equal, 0.0, theirs - self.expected)  # also where a mask makes both infinite
