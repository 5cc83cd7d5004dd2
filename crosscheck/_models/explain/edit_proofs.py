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
LOOSEST = 1e-4
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

    def fits(self, result: Any, jax_values: Array) -> bool:
        """Whether a result of torch is what JAX has."""
        if result.numel() != self.size or not result.is_floating_point():
            return False
        here, jax_values = result.detach().numpy().ravel(), jax_values.ravel()
        torch_values = here[self.places[self.certain]]
        if distance(torch_values[:, None], jax_values[self.certain][:, None], in_parts=False) > self.limit:
            return False
        return self.size != jax_values.size or same_numbers(here, jax_values, self.limit)


def there(results: ModelResults, at: int, own: Array) -> There | None:
    """What JAX has at a landmark, where torch has ``own``; None if it does not tell enough."""
    landmark = results.landmarks[at]
    jax_values = results.located.values.get(at)
    if jax_values is None or not own.size or landmark.expected.wide.dtype != np.float64 or not np.isfinite(jax_values).all():
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
        places = next((layout for layout in usual if np.array_equal(own[layout], expected)), places)
        certain = np.full(places.size, np.array_equal(own[places], expected))
    fewest = 1 if landmark.fixed and expected.size == 1 else FEWEST  # a loss is one number
    if not np.array_equal(own[places], expected) or certain.sum() < fewest:
        return None
    limit = max(FLOOR, min(LOOSEST, results.tolerances[at]))
    return There(own.size, places, certain, min(limit, results.located.errors[at] / CLEARLY))


class Proof:
    """Runs both programs between two landmarks with other numbers at the first ones."""

    def __init__(
        self,
        results: ModelResults,
        at: int,
        fits: There,
        run: Callable[[Mapping[int, Any], Edits], Any],
        known: Mapping[int, Any],
        nodes: Mapping[int, int],
    ) -> None:
        """``run`` gives torch's result for values of nodes and edits, and ``known`` are these values.

        ``nodes`` are the nodes of torch's operations.
        """
        self._results, self._at, self._fits, self._run, self._known, self._nodes = results, at, fits, run, known, nodes

    def __call__(self, edits: Edits) -> bool:
        """Whether torch gives JAX's numbers after an edit, for other numbers too, as far as both can be run so."""
        for phase, jax_values in zip(PHASES, self._jax_values, strict=False):
            try:
                result = self._run(self._other(phase), edits)
            except Exception:  # torch may refuse some numbers in any way
                return True
            if not self._fits.fits(result, jax_values):
                return False
        return True

    def _other(self, phase: float) -> dict[int, Any]:
        sizes = {self._nodes[operation]: size for operation, size in self._sizes.items() if operation in self._nodes}
        sizes |= dict(zip(self._results.torch.graph.inputs, self._input_sizes, strict=True))
        return {
            node: torch.from_numpy(other_numbers(value.numpy(), phase, size=sizes[node]))
            if node in sizes and value.is_floating_point()
            else value
            for node, value in self._known.items()
        }

    @cached_property
    def _sizes(self) -> dict[int, float]:
        """For each operation of torch at an earlier landmark, the size of its numbers."""
        marks, values = self._results.landmarks, self._results.torch.values
        operations = {landmark.operation for landmark in marks[: self._at]} - {None, marks[self._at].operation}
        return {
            operation: _size(values[operation].wide)
            for operation in operations
            if operation is not None and operation in values
        }

    @cached_property
    def _input_sizes(self) -> list[float]:
        return [_size(leaf) if leaf.dtype.kind == "f" else 0.0 for leaf in self._results.inputs.leaves]

    @cached_property
    def _jax_values(self) -> Sequence[Array]:
        """What JAX has at the landmark, for each of the other numbers; none if it cannot be run with them."""
        try:
            return [self._of_jax(phase) for phase in PHASES]
        except Exception:  # a step may refuse some numbers in any way
            return []

    def _of_jax(self, phase: float) -> Array:
        results, flat = self._results, self._results.flat
        run, landmark = results.located.run, results.landmarks[self._at]
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

        last = flat.steps[landmark.step]
        target = last.outputs[0] if landmark.place < 0 else last.inputs[landmark.place]
        if target in sizes:  # JAX has the result of another landmark there
            return other_numbers(results.located.values[self._at], phase, size=sizes[target])
        steps = steps_before(results, self._at)
        mended = {mend.value for number, mend in results.forcing.mends.items() if number < self._at}
        if not mended.isdisjoint(number for step in steps for number in step.outputs):
            raise RuntimeError("torch's values replace others there too")
        with jax.enable_x64(True), np.errstate(all="ignore"):
            for step in steps:
                here.update(zip(step.outputs, run.results(step, [read(number) for number in step.inputs]), strict=True))
            return landmark.compared(landmark.view.matrix(np.asarray(here[target]), results.forcing.orders[self._at]))

    def _sizes_in_jax(self) -> dict[int, float]:
        """The size of the numbers of each value of JAX that torch's replaces, or that is an input; 0 if they stay."""
        results, flat = self._results, self._results.flat
        sizes: dict[int, float] = {}
        for k, landmark in enumerate(results.landmarks[: self._at]):
            step = flat.steps[landmark.step]
            number = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
            if (
                k not in results.located.left
                and landmark.operation in self._sizes
                and landmark.known is None
                and not landmark.beside
            ):
                sizes[number] = self._sizes[landmark.operation]
        for number, leaf, size in zip(flat.inputs, results.forcing.inputs, self._input_sizes, strict=True):
            if leaf.dtype.kind != "f" or abs(_size(leaf) - size) <= FLOOR * size:
                sizes.setdefault(number, size)
        return sizes


def _size(array: Array) -> float:
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return float(np.sqrt(np.mean(np.square(np.asarray(finite, np.float64))))) if finite.size else 0.0
