"""The search for faults: which operation of torch each wrong stretch gets wrong.

A wrong stretch is traced to the first operation of torch in it whose result JAX does not have. If the stretch of another
landmark contains that operation, it is wrong for the same reason, and is not a second fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.distances import distance, holds, same_numbers
from crosscheck._models.forcing import Fault, Forced, Forcing, Mend
from crosscheck._models.landmarks import Landmark, orders_of
from crosscheck._models.running import Run
from crosscheck._models.uses import DATA

FOUND = 1e-7
"""JAX has the result of an operation if it has all of its numbers, in any order, up to this relative difference."""
CLEARLY = 16.0
"""A difference is this many times larger than that of the same numbers, sorted, if only their order is wrong."""
MOST_FOUND = 1e-5
"""The same limit where rounded constants, such as tables of positions, explain larger differences."""
NEAR = 16
"""So many operations before a wrong one are looked at."""
MOST_TRIED = 40
"""The most values of JAX that are replaced by one result of torch."""


def locate(forcing: Forcing) -> Forced:
    """A clean run in float64 that names each fault."""
    forcing.mends, forcing.local = {}, set()
    if all(error <= forcing.tolerances[number] for number, error in forcing.everywhere.errors.items()):
        return forcing.everywhere
    search = Search(forcing)
    found = forcing.watched(search.seen)
    search.end(found)
    return found


class Search:
    """Decides for each landmark what is replaced, and which operation causes an error."""

    def __init__(self, forcing: Forcing) -> None:
        self.forcing = forcing
        self.torch, self.flat = forcing.torch, forcing.flat
        self._right: set[int] = set()
        """Operations of torch whose results JAX has, by itself or by a replacement."""
        self._settled: set[int] = set()
        """Steps of JAX whose results torch has."""
        self._faults: dict[tuple[int, str], Fault] = {}
        """Faults by operation, and by how it is wrong."""
        self._sorted: dict[int, Array] = {}
        self._misplaced: set[int] = set()
        """Operations of torch whose numbers JAX has, in a wrong order."""
        self._changed: set[int] = set()
        """Operations whose results JAX has, and changes before it uses them."""

    def seen(self, forced: Forced, number: int, matrix: Array, expected: Array, run: Run) -> bool:
        landmark = self.forcing.landmarks[number]
        error = forced.errors[number] = distance(matrix, expected)
        forced.values[number] = matrix
        if error <= self.forcing.tolerances[number]:
            if landmark.operation is not None and landmark.known is None:
                # what leads here is right, such as a mask that later layers use too
                self._right.update(self._stretch(landmark.operation, *landmark.beside))
            self._settle(landmark)
            return True
        own = landmark.operation
        if own is not None and self.torch.operations[own].kind == DATA:
            if same_numbers(matrix, expected, min(FOUND, error / CLEARLY)):
                self._misplaced.add(own)
                self._right.discard(own)
            elif error > CLEARLY * FOUND and not landmark.beside and self._found(own, self._theirs(number, run), number):
                self._changed.add(own)
                self._right.discard(own)
        operation = self.first_missing(number, run)
        if operation is None:  # an input or running statistics: no other landmark shares its fault
            operation = -1 - number
        if (operation, self._how(operation)) in self._faults or landmark.strong:
            self._blame(operation, self._how(operation), number)
            if operation >= 0 and (hidden := self._hidden(number, operation, expected, run)):
                self._blame(*hidden, number)
            if landmark.place >= 0 and self._needed(own, matrix):
                self.forcing.local.add(number)  # the value is not settled: it is another one than torch's
                self._right.update((own,) if own is not None else ())
                return True
            self._mend(number, operation, expected, run)
            self._settle(landmark)
            return True
        return False  # in another order, or visible at the next landmark that both sides must have

    def _needed(self, own: int | None, matrix: Array) -> bool:
        """Whether JAX has an earlier result of torch in place of this one, and needs it for more, as torch does.

        JAX may have forgotten an activation or a norm before a layer, for example, but not in the layers beside it.
        """
        operations = self.torch.operations
        left = list(operations[own].inputs) if own is not None and operations[own].kind == DATA else []
        for _ in range(NEAR):
            if not left:
                return False
            earlier = left.pop(0)
            left += operations[earlier].inputs
            value = self.torch.values.get(earlier)
            if value is None or value.wide.size != matrix.size or value.wide.dtype != np.float64:
                continue
            if sum(earlier in one.inputs for one in operations) > 1 and same_numbers(value.wide, matrix, FOUND):
                return True
        return False

    def end(self, forced: Forced) -> None:
        forced.faults = sorted(self._faults.values(), key=lambda fault: fault.landmark)

    def _blame(self, operation: int, how: str, number: int) -> None:
        fault = self._faults.setdefault((operation, how), Fault(operation, number, how))
        fault.shown.append(number)

    def _hidden(self, at: int, fault: int, expected: Array, run: Run) -> tuple[int, str] | None:
        """A second fault behind the first one of a stretch: an operation that is wrong at right operands, and how.

        torch's result of the first fault replaces one value of JAX after the other. If one replacement makes the landmark
        right, there is no second fault. Otherwise the second fault is the last of the operations that are found.
        """
        landmark = self.forcing.landmarks[at]
        if landmark.beside:  # each of the parts that JAX has joined is searched by itself
            return None
        path = self.torch.operations[fault].path
        found: list[tuple[int, str]] = []
        always: set[int] | None = None
        for mend, here, matrix in self._trials(at, fault, run):
            if distance(matrix, expected) <= self._limit(at):
                return None
            assert landmark.operation is not None
            if len(self.flat.avals[mend.value].shape) != self.torch.values[fault].wide.ndim:
                continue  # the order of joined or split axes is not known
            if same_numbers(matrix, expected, FOUND):
                found.append((landmark.operation, "misplaced"))
                continue
            first, missing = self._lacking(at, self._theirs(at, run, here), given=fault)
            always = missing if always is None else always & missing
            operation = self.torch.operations[first]
            behind = first != fault and fault in self._stretch(first)
            if behind and operation.path != path and not missing & set(operation.inputs):
                found.append((first, ""))
        # What is right after some replacement is not wrong, nor is what its operands correct after some replacement.
        left = [one for one in set(found) if one[1] or one[0] in (always or ())]
        return max((one for one in left if not self._explained(at, one, expected, run)), default=None)

    def _explained(self, at: int, fault: tuple[int, str], expected: Array, run: Run) -> bool:
        operation, how = fault
        given = [operation] if how else [one for one in self.torch.operations[operation].inputs if one in self.torch.values]
        trials = (matrix for one in given for *_, matrix in self._trials(at, one, run))
        return any(distance(matrix, expected) <= self._limit(at) for matrix in trials)

    def _trials(self, at: int, operation: int, run: Run) -> Iterator[tuple[Mend, Mapping[int, Any], Array]]:
        """Replace one value of JAX after the other by torch's result of an operation, with its axes in all orders that fit.

        Yields each replacement, the values of JAX that it changes, and the value at the landmark after it.
        """
        landmark, order = self.forcing.landmarks[at], self.forcing.orders[at]
        step = self.flat.steps[landmark.step]
        target = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
        if operation not in self.torch.values:  # it depends on weights alone
            return
        like = self.torch.values[operation].wide
        for number in sorted(self._numbers(landmark), reverse=True)[:MOST_TRIED]:
            there = run.values.get(number) if number in self.flat.maker or number in self.flat.inputs else None
            if there is None or number == target or there.dtype != np.float64 or there.size != like.size:
                continue
            for axes in orders_of(tuple(there.shape), like.shape):
                mend = Mend(number, operation, axes)
                here = run.again(number, self.forcing.mended(mend, wide=True), landmark.step)
                if target in here:
                    yield mend, here, landmark.compared(landmark.view.matrix(np.asarray(here[target]), order))

    def _mend(self, at: int, fault: int, expected: Array, run: Run) -> None:
        """Give JAX torch's values between a fault and the landmark that shows it, if JAX uses them again later on.

        An example is the sum of residuals, which no weight marks: one fault would show in all layers that follow.
        """
        landmark = self.forcing.landmarks[at]
        if landmark.operation is None or fault < 0:
            return
        for operation in reversed(self._stretch(landmark.operation)):
            used = sum(operation in one.inputs for one in self.torch.operations)
            if operation == landmark.operation or used < 2 or operation < fault:
                continue
            for mend, _, matrix in self._trials(at, operation, run):
                if distance(matrix, expected) <= self._limit(at):
                    run.put(mend.value, self.forcing.mended(mend, wide=True))
                    self.forcing.mends[at] = mend
                    self._right.add(operation)
                    self._settle_value(mend.value)
                    return

    def _how(self, operation: int) -> str:
        return "misplaced" if operation in self._misplaced else "changed" if operation in self._changed else ""

    def _settle(self, landmark: Landmark) -> None:
        if landmark.operation is not None:
            self._right.update((landmark.operation, *landmark.beside))
        step = self.flat.steps[landmark.step]
        if landmark.known is not None:
            return  # features that torch does not have here are still to be searched
        if landmark.place < 0:
            self._settled.add(landmark.step)
        else:
            self._settle_value(step.inputs[landmark.place])

    def _settle_value(self, number: Any) -> None:
        """Mark as known a value that was replaced, and the values from which it was moved."""
        while number in self.flat.maker:
            step = self.flat.steps[self.flat.maker[number]]
            self._settled.add(step.operation.index)
            if step.operation.name not in ("reshape", "squeeze", "transpose", "broadcast_in_dim", "expand_dims"):
                return
            if not step.inputs or not isinstance(step.inputs[0], int):
                return
            number = step.inputs[0]

    def first_missing(self, number: int, run: Run) -> int | None:
        """The first operation of torch on the way to a landmark whose result JAX does not have."""
        known = self.forcing.landmarks[number].operation is not None
        return self._lacking(number, self._theirs(number, run))[0] if known else None

    def _lacking(self, number: int, theirs: Mapping[int, list[Array]], given: int | None = None) -> tuple[int, set[int]]:
        """The first operation on the way to a landmark whose result JAX does not have, and all such operations."""
        landmark = self.forcing.landmarks[number]
        assert landmark.operation is not None
        stretch = self._stretch(landmark.operation, *landmark.beside)
        missing = {one for one in stretch if one != given and not self._found(one, theirs, number)}
        # JAX computed in another order what it has later on: it scaled, for example, before the product and not after it.
        reached = set(stretch) - missing
        for one in reversed(stretch):
            if one in reached:
                reached.update(self.torch.operations[one].inputs)
        wrong = missing - reached
        return next((one for one in stretch if one in wrong), landmark.operation), missing

    def _stretch(self, *operations: int) -> list[int]:
        """The operations on data between the known values and these operations, in order."""
        found: set[int] = set()
        left = list(operations)
        while left:
            index = left.pop()
            if index in found or (index in self._right and index not in operations):
                continue
            if self.torch.operations[index].kind != DATA or index not in self.torch.values:
                continue
            found.add(index)
            left += self.torch.operations[index].inputs
        return sorted(found)

    def _theirs(self, at: int, run: Run, here: Mapping[int, Any] = MappingProxyType({})) -> dict[int, list[Array]]:
        """JAX's values between the known values and a landmark, sorted, by size; those in ``here`` replace its own."""
        found: dict[int, list[Array]] = {}
        for number in self._numbers(self.forcing.landmarks[at]):
            value = here.get(number, run.values.get(number))
            if value is not None and value.dtype == np.float64:
                found.setdefault(int(value.size), []).append(np.sort(np.asarray(value), axis=None))
        return found

    def _numbers(self, landmark: Landmark) -> set[int]:
        """JAX's values of data between the known values and this landmark."""
        step = self.flat.steps[landmark.step]
        if landmark.place >= 0:
            return self.flat.ancestors([step.inputs[landmark.place]], self._settled)
        return {step.outputs[0]} | self.flat.ancestors(step.inputs, self._settled)

    def _found(self, operation: int, theirs: Mapping[int, list[Array]], number: int) -> bool:
        """Whether JAX has the result of an operation on the way to a landmark."""
        if operation in self._misplaced | self._changed:
            return False
        value = self.torch.values[operation].wide
        if value.dtype != np.float64:
            return True
        if operation not in self._sorted:
            self._sorted[operation] = np.sort(value, axis=None)
        mine = self._sorted[operation]
        limit = self._limit(number)
        before = (self.torch.values[one].wide for one in self.torch.operations[operation].inputs if one in self.torch.values)
        # A pooling gives some of the numbers of its operand. JAX's operand has them too; only JAX's result has as many.
        picks = any(one.size > mine.size and holds(np.sort(one, axis=None), mine, limit) for one in before)
        sizes = [mine.size] if picks else [size for size in theirs if size and not size % max(mine.size, 1)]
        return any(holds(one, mine, limit) for size in sizes for one in theirs.get(size, []))

    def _limit(self, number: int) -> float:
        """The largest difference of numbers that count as the same at a landmark."""
        return min(max(FOUND, self.forcing.tolerances[number]), MOST_FOUND)
