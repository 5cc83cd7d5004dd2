"""Whether an edit of PyTorch's program gives what JAX has at a landmark: at the given numbers, and at others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
import torch

from crosscheck._arithmetic.formats import BoolArray, IntArray
from crosscheck._frameworks.programs import Array
from crosscheck._graph.graph import Edits
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.reruns import steps_before
from crosscheck._models.judge.forcing import FLOOR
from crosscheck._models.judge.fresh import other_numbers
from crosscheck._models.values.distances import distance, same_numbers
from crosscheck._models.values.uses import DATA

FEWEST = 8
"""Fewer different numbers may be the same by chance."""
CLEARLY = 16.0
"""The fault must be so many times larger than what still counts as the same numbers."""
LOOSEST = 1e-6
"""Constants that were rounded to the dtype make larger differences, but so do small mistakes."""
PHASES = (0.5, 2.5)
"""Each gives other numbers."""


@dataclass(frozen=True)
class There:
    """What JAX has at a landmark, and which of torch's numbers these should be.

    Attributes:
        size: The number of torch's numbers.
        places: For each of JAX's numbers, the place of torch's.
        certain: Those whose place is known, as torch has no other number that is equal.
        limit: The largest difference of the same numbers, relative to all of them.
    """

    size: int
    places: IntArray
    certain: BoolArray
    limit: float

    def fits(self, result: Any, theirs: Array) -> bool:
        """Whether a result of torch is what JAX has."""
        if result.numel() != self.size or not result.is_floating_point():
            return False
        here, theirs = result.detach().numpy().ravel(), theirs.ravel()
        mine = here[self.places[self.certain]]
        if distance(mine[:, None], theirs[self.certain][:, None], in_parts=False) > self.limit:
            return False
        return self.size != theirs.size or same_numbers(here, theirs, self.limit)


def there(found: ModelResults, at: int, own: Array) -> There | None:
    """What JAX has at a landmark, where torch has ``own``; None if it does not tell enough."""
    landmark = found.landmarks[at]
    theirs = found.located.values.get(at)
    if theirs is None or not own.size or landmark.expected.wide.dtype != np.float64 or not np.isfinite(theirs).all():
        return None
    numbers = np.arange(own.size).reshape(own.shape)
    usual = [numbers.ravel(), *([np.moveaxis(numbers, 1, -1).ravel()] if own.ndim > 2 else [])]
    own, expected = own.ravel(), landmark.compared(landmark.expected.wide).ravel()
    order = np.argsort(own, kind="stable")
    ordered = own[order]
    ranks = np.searchsorted(ordered, expected).clip(max=own.size - 1)
    single = np.ones(own.size, bool)
    single[1:] &= ordered[1:] != ordered[:-1]
    single[:-1] &= ordered[1:] != ordered[:-1]
    places, certain = order[ranks], single[ranks]
    if not certain.any():  # a resize may repeat every number: its axes are in one of the usual orders
        places = next((one for one in usual if np.array_equal(own[one], expected)), places)
        certain = np.full(places.size, np.array_equal(own[places], expected))
    fewest = 1 if landmark.fixed and expected.size == 1 else FEWEST  # a loss is one number
    if not np.array_equal(own[places], expected) or certain.sum() < fewest:
        return None
    limit = max(FLOOR, min(LOOSEST, found.tolerances[at]))
    return There(own.size, places, certain, min(limit, found.located.errors[at] / CLEARLY))


class Proof:
    """Runs both programs between two landmarks with other numbers at the first ones."""

    def __init__(
        self,
        found: ModelResults,
        at: int,
        fits: There,
        run: Callable[[Mapping[int, Any], Edits], Any],
        known: Mapping[int, Any],
        nodes: Mapping[int, int],
    ) -> None:
        """``run`` gives torch's result for values of nodes and edits, and ``known`` are these values.

        ``nodes`` are the nodes of torch's operations.
        """
        self._found, self._at, self._fits, self._run, self._known, self._nodes = found, at, fits, run, known, nodes

    def __call__(self, edits: Edits) -> bool:
        """Whether torch gives JAX's numbers after an edit, for other numbers too, as far as both can be run so."""
        for phase, theirs in zip(PHASES, self._theirs, strict=False):
            try:
                result = self._run(self._other(phase), edits)
            except Exception:  # torch may refuse some numbers in any way
                return True
            if not self._fits.fits(result, theirs):
                return False
        return True

    def _other(self, phase: float) -> dict[int, Any]:
        sizes = {self._nodes[one]: size for one, size in self._sizes.items() if one in self._nodes}
        sizes |= dict(zip(self._found.torch.graph.inputs, self._input_sizes, strict=True))
        return {
            node: torch.from_numpy(other_numbers(value.numpy(), phase, size=sizes[node]))
            if node in sizes and value.is_floating_point()
            else value
            for node, value in self._known.items()
        }

    @cached_property
    def _sizes(self) -> dict[int, float]:
        """For each operation of torch at an earlier landmark, the size of its numbers."""
        marks, values = self._found.landmarks, self._found.torch.values
        operations = {one.operation for one in marks[: self._at]} - {None, marks[self._at].operation}
        return {one: _size(values[one].wide) for one in operations if one is not None and one in values}

    @cached_property
    def _input_sizes(self) -> list[float]:
        return [_size(leaf) if leaf.dtype.kind == "f" else 0.0 for leaf in self._found.inputs.leaves]

    @cached_property
    def _theirs(self) -> Sequence[Array]:
        """What JAX has at the landmark, for each of the other numbers; none if it cannot be run with them."""
        try:
            return [self._of_jax(phase) for phase in PHASES]
        except Exception:  # a step may refuse some numbers in any way
            return []

    def _of_jax(self, phase: float) -> Array:
        found, flat = self._found, self._found.flat
        run, landmark = found.located.run, found.landmarks[self._at]
        assert run is not None
        sizes = self._sizes_in_jax()
        here: dict[int, Any] = {}

        def read(number: Any) -> Any:
            if not isinstance(number, int) or (flat.kinds[number] != DATA and number not in sizes):
                return run.read(number)
            if number not in here:
                own = run.unmended.get(number, run.values[number])
                here[number] = other_numbers(np.asarray(own), phase, size=sizes[number])
            return here[number]

        step = flat.steps[landmark.step]
        target = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
        if target in sizes:  # JAX has the result of another landmark there
            return other_numbers(found.located.values[self._at], phase, size=sizes[target])
        steps = steps_before(found, self._at)
        mended = {mend.value for number, mend in found.forcing.mends.items() if number < self._at}
        if not mended.isdisjoint(number for one in steps for number in one.outputs):
            raise RuntimeError("torch's values replace others there too")
        with jax.enable_x64(True), np.errstate(all="ignore"):
            for one in steps:
                here.update(zip(one.outputs, run.results(one, [read(number) for number in one.inputs]), strict=True))
            return landmark.compared(landmark.view.matrix(np.asarray(here[target]), found.forcing.orders[self._at]))

    def _sizes_in_jax(self) -> dict[int, float]:
        """The size of the numbers of each value of JAX that torch's replaces, or that is an input; 0 if they stay."""
        found, flat = self._found, self._found.flat
        sizes: dict[int, float] = {}
        for k, one in enumerate(found.landmarks[: self._at]):
            step = flat.steps[one.step]
            number = step.outputs[0] if one.place < 0 else step.inputs[one.place]
            if k not in found.located.left and one.operation in self._sizes and one.known is None and not one.beside:
                sizes[number] = self._sizes[one.operation]
        for number, leaf, size in zip(flat.inputs, found.forcing.inputs, self._input_sizes, strict=True):
            if leaf.dtype.kind != "f" or abs(_size(leaf) - size) <= FLOOR * size:
                sizes.setdefault(number, size)
        return sizes


def _size(array: Array) -> float:
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return float(np.sqrt(np.mean(np.square(np.asarray(finite, np.float64))))) if finite.size else 0.0
