"""The search for faults: which operation of torch each wrong stretch gets wrong.

A wrong stretch is traced to the first operation of torch in it whose result JAX does not have. If the stretch of another
landmark contains that operation, it is wrong for the same reason, and is not a second fault.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._models.cut.landmarks import orders_of, reordered
from crosscheck._models.cut.reordered_modules import crossings, is_in
from crosscheck._models.judge.forced import Forced, LocatedFault, Replacement
from crosscheck._models.judge.forcing import Forcing
from crosscheck._models.judge.held_results import FOUND, HeldResults
from crosscheck._models.run.interpreter import ModelRun
from crosscheck._models.values.distances import are_proportional, distance, holds, same_numbers
from crosscheck._models.values.uses import DATA

CLEARLY = 16.0
"""A difference is this many times larger than that of the same numbers, sorted, if only their order is wrong."""
NEAR = 16
"""So many operations before a wrong one are looked at."""
MOST_TRIED = 40
"""The most values of JAX that are replaced by one result of torch."""


def locate(forcing: Forcing, other: Container[int] = ()) -> Forced:
    """A clean run in float64 that names each fault; JAX has ``other`` quantities at some landmarks, and keeps them."""
    forcing.mends, forcing.local = {}, set()
    if all(error <= forcing.tolerances[number] for number, error in forcing.everywhere.errors.items()):
        return forcing.everywhere
    search = FaultSearch(forcing, other)
    forced = forcing.watched(search.seen)
    search.end(forced)
    return forced


class FaultSearch:
    """Decides for each landmark what is replaced, and which operation causes an error."""

    def __init__(self, forcing: Forcing, other: Container[int] = ()) -> None:
        self.forcing, self._other = forcing, other
        self.torch, self.flat = forcing.torch, forcing.flat
        self._held = HeldResults(forcing)
        self._faults: dict[tuple[int, str], LocatedFault] = {}
        """Faults by operation, and by how it is wrong."""
        self._crossings = crossings(forcing.torch, forcing.flat, forcing.landmarks)
        self._moved = {crossing.operation: crossing for crossing in self._crossings.values()}
        """Modules in another order in JAX, by their first operation."""

    def seen(self, forced: Forced, number: int, matrix: Array, expected: Array, run: ModelRun) -> bool:
        landmark = self.forcing.landmarks[number]
        error = forced.errors[number] = distance(matrix, expected)
        forced.values[number] = matrix
        if error <= self.forcing.tolerances[number]:
            if landmark.operation is not None and landmark.known is None:
                # what leads here is right, such as a mask that later layers use too
                self._held.right.update(self._held.stretch(landmark.operation, *landmark.beside))
            self._held.settle(landmark)
            return True
        if number in self._other:
            return False
        own = landmark.operation
        if own is not None and self.torch.operations[own].kind == DATA:
            if same_numbers(matrix, expected, min(FOUND, error / CLEARLY)):
                first = self._first_misplaced(own, number, run)
                self._held.misplaced.add(first)
                self._held.right.discard(first)
            elif error > CLEARLY * FOUND and not landmark.beside and self._held.has(own, number, run):
                self._held.changed.add(own)
                self._held.right.discard(own)
        with np.errstate(invalid="ignore"):  # infinity minus infinity, where a mask hides numbers
            apart = matrix - expected if matrix.dtype == np.float64 else expected
        operation = self._cause(number, own, apart, run)
        if (operation, self._how(operation)) in self._faults or landmark.strong:
            self._blame(operation, self._how(operation), number)
            known = operation in self._moved or own in self._held.changed
            if operation >= 0 and not known and (hidden := self._hidden(number, operation, expected, run)):
                self._blame(*hidden, number)
            if landmark.place >= 0 and self._needed(own, matrix):
                self.forcing.local.add(number)  # the value is not settled: it is another one than torch's
                self._held.right.update((own,) if own is not None else ())
                return True
            self._mend(number, operation, expected, run)
            self._held.settle(landmark)
            return True
        return False  # in another order, or visible at the next landmark that both sides must have

    def _cause(self, number: int, own: int | None, apart: Array, run: ModelRun) -> int:
        """The operation of torch that is wrong; a negative number if no other landmark can share its fault."""
        if (crossing := self._crossings.get(number)) is not None:
            return crossing.operation
        if own is not None and own in self._held.changed:
            later = self._added_later(own, apart)
            return own if later is None else later
        operation = self.first_missing(number, run)
        if operation is None:  # an input or running statistics
            return -1 - number
        return self._moved_with(operation)

    def _first_misplaced(self, own: int, number: int, run: ModelRun) -> int:
        """The first operation on the way to a landmark whose numbers JAX uses in another order."""
        jax_values, stretch = self._held.jax_values(number, run), self._held.stretch(own)
        before = {operand for operation in stretch for operand in self.torch.operations[operation].inputs}
        for operation in sorted({*stretch, *before} - {own}):
            value = self.torch.values.get(operation)
            if value is None or value.wide.dtype != np.float64 or value.wide.ndim < 2:
                continue
            torch_numbers = np.sort(value.wide, axis=None)
            there = [n for n, array in jax_values.get(torch_numbers.size, []) if holds(array, torch_numbers, FOUND)]
            last = np.asarray(run.values[max(there)]) if there else np.empty(0)
            moved = (reordered(value.wide, last.shape, order) for order in orders_of(last.shape, value.wide.shape))
            # of joined or split axes, the order is not known
            if last.ndim == value.wide.ndim and all(distance(last, array) > FOUND for array in moved):
                return operation
        return own

    def _moved_with(self, index: int) -> int:
        """The first operation of modules in another order, for their results and the sums in them; else the operation."""
        operation = self.torch.operations[index]
        for first, crossing in self._moved.items():
            module = next((name for name in crossing.inside if is_in(operation.path, name)), None)
            after = [other for other in self.torch.operations if index in other.inputs]
            if module is not None and (operation.name == "add" or not any(is_in(other.path, module) for other in after)):
                return first
        return index

    def _added_later(self, own: int, apart: Array) -> int | None:
        """A sum that JAX lacks, if JAX adds the same numbers later, to the result of an operation that follows the sum."""
        for fault in self._faults.values():
            inputs = self.torch.operations[fault.operation].inputs if fault.operation >= 0 else ()
            added = [self.torch.values[operand].wide for operand in inputs if operand in self.torch.values]
            is_sum = fault.operation >= 0 and self.torch.operations[fault.operation].name == "add"
            if is_sum and any(array.size == apart.size and same_numbers(apart, array, FOUND) for array in added):
                later = self.torch.operations[own]
                fault.relation = Fact("later", jax=later.path.rpartition(".")[2] or later.name)
                fault.later = True
                return fault.operation
        return None

    def _needed(self, own: int | None, matrix: Array) -> bool:
        """Whether JAX has an earlier result of torch in place of this one, and needs it for more, as torch does.

        JAX may have forgotten an activation or a norm before a layer, for example, but not in the layers beside it.
        """
        operations = self.torch.operations
        given = (array for array, number in zip(self.forcing.inputs, self.flat.inputs, strict=True) if self._often(number))
        if own is not None and any(array.size == matrix.size and same_numbers(array, matrix, FOUND) for array in given):
            return True
        left = list(operations[own].inputs) if own is not None and operations[own].kind == DATA else []
        for _ in range(NEAR):
            if not left:
                return False
            earlier = left.pop(0)
            left += operations[earlier].inputs
            value = self.torch.values.get(earlier)
            if value is None or value.wide.size != matrix.size or value.wide.dtype != np.float64:
                continue
            if sum(earlier in reader.inputs for reader in operations) > 1 and same_numbers(value.wide, matrix, FOUND):
                return True
        return False

    def _often(self, number: int) -> bool:
        """Whether JAX uses a value more than once."""
        return sum(number in step.inputs for step in self.flat.steps) > 1

    def end(self, forced: Forced) -> None:
        forced.faults = sorted(self._faults.values(), key=lambda fault: fault.landmark)

    def _blame(self, operation: int, how: str, number: int) -> None:
        fault = self._faults.setdefault((operation, how), LocatedFault(operation, number, how))
        if crossing := self._moved.get(operation):
            fault.path, fault.relation = crossing.path, crossing.fact
        fault.shown.append(number)

    def _hidden(self, at: int, fault: int, expected: Array, run: ModelRun) -> tuple[int, str] | None:
        """A second fault behind the first one of a stretch: an operation that is wrong at right operands, and how.

        torch's result of the first fault replaces one value of JAX after the other. If one replacement makes the landmark
        right, there is no second fault. Otherwise the second fault is the last of the operations that are found.
        """
        landmark = self.forcing.landmarks[at]
        if landmark.beside:  # each of the parts that JAX has joined is searched by itself
            return None
        path = self.torch.operations[fault].path
        candidates: list[tuple[int, str]] = []
        always: set[int] | None = None
        for mend, here, matrix in self._trials(at, fault, run):
            if distance(matrix, expected) <= self._held.limit(at):
                return None
            assert landmark.operation is not None
            if len(self.flat.avals[mend.value].shape) != self.torch.values[fault].wide.ndim:
                continue  # the order of joined or split axes is not known
            if same_numbers(matrix, expected, FOUND):
                candidates.append((landmark.operation, "misplaced"))
                continue
            first, missing = self._held.lacking(at, self._held.jax_values(at, run, here), given=fault)
            always = missing if always is None else always & missing
            operation = self.torch.operations[first]
            behind = first != fault and fault in self._held.stretch(first)
            if behind and operation.path != path and not missing & set(operation.inputs):
                candidates.append((first, ""))
        # What is right after some replacement is not wrong, nor is what its operands correct after some replacement.
        left = [candidate for candidate in set(candidates) if candidate[1] or candidate[0] in (always or ())]
        return max((candidate for candidate in left if not self._explained(at, candidate, expected, run)), default=None)

    def _explained(self, at: int, fault: tuple[int, str], expected: Array, run: ModelRun) -> bool:
        operation, how = fault
        inputs = self.torch.operations[operation].inputs
        given = [operation] if how else [operand for operand in inputs if operand in self.torch.values]
        return any(self._mending(at, index, expected, run) for index in given)

    def _later(self, number: int, step: int) -> bool:
        """Whether JAX uses a value after a step."""
        return any(number in later.inputs for later in self.flat.steps[step + 1 :]) or number in self.flat.results

    def _mending(self, at: int, operation: int, expected: Array, run: ModelRun) -> Replacement | None:
        """A replacement of a value of JAX by torch's result of an operation that makes a landmark right."""
        return next(self._mendings(at, operation, expected, run), None)

    def _mendings(self, at: int, operation: int, expected: Array, run: ModelRun) -> Iterator[Replacement]:
        """All of them."""
        limit = self._held.limit(at)
        return (mend for mend, _, matrix in self._trials(at, operation, run) if distance(matrix, expected) <= limit)

    def _trials(self, at: int, operation: int, run: ModelRun) -> Iterator[tuple[Replacement, Mapping[int, Any], Array]]:
        """Replace one value of JAX after the other by torch's result of an operation, with its axes in all orders that fit.

        Yields each replacement, the values of JAX that it changes, and the value at the landmark after it.
        """
        landmark, order = self.forcing.landmarks[at], self.forcing.orders[at]
        step = self.flat.steps[landmark.step]
        target = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
        if operation not in self.torch.values:  # it depends on weights alone
            return
        like = self.torch.values[operation].wide
        dtype = np.complex128 if like.dtype.kind == "c" else np.float64
        for number in sorted(self._held.numbers(landmark), reverse=True)[:MOST_TRIED]:
            there = run.values.get(number) if number in self.flat.maker or number in self.flat.inputs else None
            if there is None or number == target or there.dtype != dtype or there.size != like.size:
                continue
            for axes in orders_of(tuple(there.shape), like.shape):
                mend = Replacement(number, operation, axes)
                here = run.again(number, self.forcing.mended(mend, wide=True), landmark.step)
                if target in here:
                    yield mend, here, landmark.compared(landmark.view.matrix(np.asarray(here[target]), order))

    def _mend(self, at: int, fault: int, expected: Array, run: ModelRun) -> None:
        """Give JAX torch's values between a fault and the landmark that shows it, if JAX uses them again later on.

        An example is the sum of residuals, which no weight marks: one fault would show in all layers that follow.
        """
        landmark = self.forcing.landmarks[at]
        if landmark.operation is None or fault < 0:
            return
        for operation in reversed(self._held.stretch(landmark.operation)):
            used = sum(operation in reader.inputs for reader in self.torch.operations)
            if operation == landmark.operation or used < 2 or operation < fault:
                continue
            mends = self._mendings(at, operation, expected, run)
            if mend := max(mends, key=lambda mend: self._later(mend.value, landmark.step), default=None):
                run.put(mend.value, self.forcing.mended(mend, wide=True))
                self.forcing.mends[at] = mend
                self._held.right.add(operation)
                self._held.settle_value(mend.value)
                return

    def _how(self, operation: int) -> str:
        if operation in self._moved:
            return "moved"
        return "misplaced" if operation in self._held.misplaced else "changed" if operation in self._held.changed else ""

    def first_missing(self, number: int, run: ModelRun) -> int | None:
        """The first operation of torch on the way to a landmark whose result JAX does not have."""
        landmark = self.forcing.landmarks[number]
        if landmark.operation is None:
            return None
        first, missing = self._held.lacking(number, self._held.jax_values(number, run))
        expected = landmark.compared(landmark.expected.wide)
        # JAX may lack others without a fault, such as torch's mask, or have a later one by chance: it is the one that
        # corrects all, if there is one whose operands JAX has
        begins = (operation for operation in sorted(missing) if not missing & set(self.torch.operations[operation].inputs))
        corrects = next((operation for operation in begins if self._mending(number, operation, expected, run)), None)
        if corrects is None:  # torch may scale both operands of a product, and JAX neither
            corrects = self._proportional(number, missing, expected, run)
        return first if corrects is None else corrects

    def _proportional(self, at: int, missing: set[int], expected: Array, run: ModelRun) -> int | None:
        """An operation of which JAX has the result times a constant, if that is all that is wrong."""
        values = [(n, run.values[n]) for n in self._held.numbers(self.forcing.landmarks[at]) if n in run.values]
        for operation in sorted(missing):
            like = self.torch.values[operation].wide
            there = [np.asarray(array) for _, array in values if array.size == like.size and array.dtype == np.float64]
            moved = (
                (array, reordered(like, array.shape, order))
                for array in there
                for order in orders_of(array.shape, like.shape)
            )
            proportional = any(are_proportional(array, torch_array) for array, torch_array in moved)
            if proportional and self._mending(at, operation, expected, run):
                return operation
        return None
