"""Which results of torch's operations JAX has on the way to a landmark, by itself or where they replaced its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Array
from crosscheck._models.cut.landmarks import Landmark
from crosscheck._models.judge.forcing import FLOOR, ForcedRun, Forcing
from crosscheck._models.judge.tolerances import CONSTANTS
from crosscheck._models.run.interpreter import ModelRun, Perturbation
from crosscheck._models.values.distances import distance, holds
from crosscheck._models.values.uses import DATA
from crosscheck._shadow.base import Noise

FOUND = 1e-7
"""JAX has the result of an operation if it has all of its numbers, in any order, up to this relative difference."""
MOST_FOUND = 1e-5
"""The same limit where rounded constants, such as tables of positions, explain larger differences."""


class HeldResults:
    """What a search for faults knows of both sides' values so far.

    Attributes:
        right: Operations of torch whose results JAX has, by itself or by a replacement.
        misplaced: Operations of torch whose numbers JAX has, in a wrong order.
        changed: Operations whose results JAX has, and changes before it uses them.
    """

    def __init__(self, forcing: Forcing) -> None:
        self._forcing, self._torch, self._flat = forcing, forcing.torch, forcing.flat
        self.right: set[int] = set()
        self.misplaced: set[int] = set()
        self.changed: set[int] = set()
        self._settled: set[int] = set()
        """Steps of JAX whose results torch has."""
        self._sizes = {value.wide.size for value in forcing.torch.values.values()}
        self._sorted: dict[int, Array] = {}
        self._moves: dict[int, float] | None = None

    def settle(self, landmark: Landmark) -> None:
        """Mark as known what leads to a landmark that is right, or whose value was replaced."""
        if landmark.operation is not None:
            self.right.update((landmark.operation, *landmark.beside))
        step = self._flat.steps[landmark.step]
        if landmark.known is not None:
            return  # features that torch does not have here are still to be searched
        if landmark.place < 0:
            self._settled.add(landmark.step)
        else:
            self.settle_value(step.inputs[landmark.place])

    def settle_value(self, number: Any) -> None:
        """Mark as known a value that was replaced, and the values from which it was moved."""
        makers = (self._flat.maker.get(source) for source in self._flat.moved_from(number))
        self._settled.update(maker for maker in makers if maker is not None)

    def lacking(
        self, number: int, jax_values: Mapping[int, list[tuple[int, Array]]], given: int | None = None
    ) -> tuple[int, set[int]]:
        """The first operation on the way to a landmark whose result JAX does not have, and all such operations."""
        landmark = self._forcing.landmarks[number]
        assert landmark.operation is not None
        stretch = self.stretch(landmark.operation, *landmark.beside)
        missing = {
            operation for operation in stretch if operation != given and not self._is_there(operation, jax_values, number)
        }
        # JAX computed in another order what it has later on: it scaled, for example, before the product and not after it.
        reached = set(stretch) - missing
        for operation in reversed(stretch):
            if operation in reached:
                reached.update(self._torch.operations[operation].inputs)
        wrong = missing - reached
        return next((operation for operation in stretch if operation in wrong), landmark.operation), missing

    def stretch(self, *operations: int) -> list[int]:
        """The operations on data between the known values and these operations, in order."""
        indices: set[int] = set()
        left = list(operations)
        while left:
            index = left.pop()
            if index in indices or (index in self.right and index not in operations):
                continue
            if self._torch.operations[index].kind != DATA or index not in self._torch.values:
                continue
            indices.add(index)
            left += self._torch.operations[index].inputs
        return sorted(indices)

    def jax_values(
        self, at: int, run: ModelRun, here: Mapping[int, Any] = MappingProxyType({})
    ) -> dict[int, list[tuple[int, Array]]]:
        """JAX's values between the known values and a landmark, sorted, by size; those in ``here`` replace its own."""
        jax_values: dict[int, list[tuple[int, Array]]] = {}
        for number in self.numbers(self._forcing.landmarks[at]):
            value = here.get(number, run.values.get(number))
            fits = self._flat.kinds[number] == DATA or np.size(value) in self._sizes  # a large weight takes long to sort
            if value is not None and value.dtype == np.float64 and fits:
                jax_values.setdefault(int(value.size), []).append((number, np.sort(np.asarray(value), axis=None)))
        return jax_values

    def numbers(self, landmark: Landmark) -> set[int]:
        """JAX's values between the known values and this landmark: of data, and what is computed from weights alone."""
        flat, step = self._flat, self._flat.steps[landmark.step]
        if landmark.place >= 0:
            data = flat.ancestors([step.inputs[landmark.place]], self._settled)
        else:
            data = {step.outputs[0]} | flat.ancestors(step.inputs, self._settled)
        makers = [
            flat.steps[flat.maker[number]]
            for number in data
            if number in flat.maker and flat.maker[number] not in self._settled
        ]
        return data | {
            number for maker in makers for number in maker.inputs if isinstance(number, int) and number in flat.maker
        }

    def _is_there(self, operation: int, jax_values: Mapping[int, list[tuple[int, Array]]], number: int) -> bool:
        """Whether JAX has the result of an operation on the way to a landmark."""
        if operation in self.misplaced | self.changed:
            return False
        value = self._torch.values[operation].wide
        if value.dtype != np.float64:
            return True
        if operation not in self._sorted:
            self._sorted[operation] = np.sort(value, axis=None)
        torch_numbers = self._sorted[operation]
        limit = self.limit(number)
        picks = self._picks(operation, torch_numbers, limit)
        count = torch_numbers.size
        sizes = [count] if picks else [size for size in jax_values if size and not size % max(count, 1)]
        values = [pair for size in sizes for pair in jax_values.get(size, [])]
        if any(holds(array, torch_numbers, limit) for _, array in values):
            return True
        nearly = [(number, array) for number, array in values if holds(array, torch_numbers, MOST_FOUND)]
        return any(holds(array, torch_numbers, self._constants_move(number)) for number, array in nearly)

    def _picks(self, operation: int, numbers: Array, limit: float) -> bool:
        """Whether an operation gives some of the numbers of its operand, as a pooling does, or moves what such a one gives.

        JAX's operand has them too; only JAX's result has as many.
        """
        for operand in self._torch.operations[operation].inputs:
            if operand not in self._torch.values or (array := self._torch.values[operand].wide).size < numbers.size:
                continue
            if holds(np.sort(array, axis=None), numbers, limit):
                return array.size > numbers.size or self._picks(operand, numbers, limit)
        return False

    def has(self, operation: int, number: int, run: ModelRun) -> bool:
        """Whether JAX has the result of an operation on the way to a landmark, and not as a part of more numbers."""
        value = self._torch.values[operation].wide
        there = {value.size: self.jax_values(number, run).get(value.size, [])}
        return value.dtype == np.float64 and self._is_there(operation, there, number)

    def _constants_move(self, number: int) -> float:
        """How far rounded constants may move a value of JAX, even if what follows does not depend on them."""
        if self._moves is None:
            setup = ForcedRun(wide=True, keep=True, mended=False)
            unit = 2.0 ** -FORMATS[self._flat.dtype].precision
            clean = self._forcing.replaced(set(), setup).run
            perturbation = Perturbation(Noise(0, unit), constants_only=True)
            noisy = self._forcing.replaced(set(), replace(setup, perturbation=perturbation)).run
            assert clean is not None
            assert noisy is not None
            floats = ((n, np.asarray(value)) for n, value in clean.values.each() if value.dtype == np.float64)
            moved = {n: distance(np.asarray(noisy.values[n]), array, in_parts=False) for n, array in floats}
            self._moves = {n: min(CONSTANTS * move, MOST_FOUND) for n, move in moved.items() if FLOOR < move < np.inf}
        return self._moves.get(number, 0.0)

    def limit(self, number: int) -> float:
        """The largest difference of numbers that count as the same at a landmark."""
        return min(max(FOUND, self._forcing.tolerances[number]), MOST_FOUND)
