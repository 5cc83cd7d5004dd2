"""Teacher forcing: JAX runs with torch's values at the landmarks, so that each stretch between them is judged by itself."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.cut.landmarks import CLOSE, Landmark, reordered, row_order
from crosscheck._models.judge.forced import Forced, Replacement, packed, unpacked
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.run.compiling import repeated
from crosscheck._models.run.constant_folding import Fixed
from crosscheck._models.run.interpreter import (
    CLEAN,
    ModelRun,
    Perturbation,
    Schedule,
    Seen,
    Watch,
)
from crosscheck._models.run.kept_runs import KeptRuns
from crosscheck._models.values.distances import distance, distances
from crosscheck._shadow.base import Noise

FLOOR = 1e-9
"""The error of a stretch that is due to float64, relative to its result."""
AHEAD = 4
"""JAX computes so many landmarks ahead of the one that is measured: the two go on at the same time."""


Look = Callable[[Forced, int, Array, Array, ModelRun], bool]
"""A function of the run's results so far, and of a landmark: its number, JAX's value, and torch's. It may decide whether
JAX gets torch's value there."""
Progress = Callable[[str], None]
"""A function of what is running."""


@dataclass(frozen=True)
class Measuring:
    """Takes the error at each landmark.

    Attributes:
        values: Whether JAX's values at the landmarks are there afterwards.
        against: The run to whose values errors are relative; None for torch's.
        parts: Whether the error of each row and of each feature is taken, too.
        in_parts: Whether an error is that of the worst row or feature.
    """

    values: bool = False
    against: Forced | None = None
    parts: bool = False
    in_parts: bool = True

    def __call__(self, forced: Forced, number: int, matrix: Array, expected: Array, run: ModelRun) -> bool:
        if self.values:
            forced.values[number] = matrix
        other = expected if self.against is None else self.against.values[number]
        forced.errors[number] = distance(matrix, other, in_parts=self.in_parts)
        if self.parts:
            forced.parts[number] = distances(matrix, other)
        return False


@dataclass(frozen=True)
class ForcedRun:
    """How JAX runs with torch's values at landmarks.

    Attributes:
        wide: Whether it runs in float64; otherwise in the dtype of the model.
        narrow_values: Whether the values that it gets are those of torch in the dtype.
        perturbation: What makes its numbers inexact.
        keep: Whether every value is there afterwards, in ``run``.
        mended: Whether the corrections of the fault search are made, if all landmarks are judged.
        only: The landmarks that are judged; what they do not need is not computed. None for all.
    """

    wide: bool
    narrow_values: bool = False
    perturbation: Perturbation = CLEAN
    keep: bool = False
    mended: bool = True
    only: Collection[int] | None = None


def _order_of(order: list[int] | None) -> tuple[int, ...] | None:
    return None if order is None else tuple(order)


class Forcing:
    """Runs of a model of JAX with values of a model of torch."""

    def __init__(
        self,
        torch: TorchRecord,
        flat: JaxProgramFlat,
        landmarks: list[Landmark],
        fixed: Fixed,
        weights: Sequence[Array],
        inputs: Sequence[Array],
        loose: frozenset[str],
    ) -> None:
        self.torch, self.flat, self.landmarks, self.loose = torch, flat, landmarks, loose
        self.fixed, self.weights, self.inputs = fixed, weights, inputs
        self._every = frozenset(range(len(landmarks)))
        self.tolerances = dict.fromkeys(self._every, FLOOR)
        self.mends: dict[int, Replacement] = {}
        """For each landmark, the replacements that correct what follows it."""
        self.local: set[int] = set()
        """Landmarks whose value JAX needs elsewhere as it is: torch's replaces it for the step of the landmark alone."""
        self.orders: dict[int, tuple[int, ...] | None] = {}
        self.kept: KeptRuns | None = None
        """What keeps runs for another process."""
        self.progress: Progress = lambda what: None
        before, after = (
            {landmark.step for landmark in landmarks if (landmark.place < 0) == result} for result in (False, True)
        )
        self._stretches = repeated(flat, before, after)
        self._unfit = self._swapped = False
        """Whether some values do not show the order of their rows, and whether two axes of theirs are then swapped."""
        self._seen_orders: dict[tuple[str, tuple[int, ...]], tuple[int, ...] | None] = {}

    def free(self, *, wide: bool, noise: Noise | None = None, values: bool = False, against: Forced | None = None) -> Forced:
        """A run without replacements: the errors that have accumulated at each landmark, relative to all numbers there."""
        setup = ForcedRun(wide, perturbation=Perturbation(noise), mended=False)
        return self._run(Measuring(values, against, in_parts=False), setup, frozenset())

    def replaced(self, skipped: set[int], setup: ForcedRun, measuring: Measuring = Measuring()) -> Forced:
        """A run with torch's values at every landmark except these."""
        return self._run(measuring, setup, self._every - skipped)

    def watched(self, look: Look) -> Forced:
        """A clean run in float64 in which a function decides where JAX gets torch's values; every value is kept."""
        return self._run(look, ForcedRun(wide=True, keep=True, mended=False), None)

    @cached_property
    def everywhere(self) -> Forced:
        """A clean run with torch's values at every landmark."""
        # JAX mostly has torch's rows in their own order; to look for it before JAX goes on takes half as long as the run
        tried: list[tuple[int, Forced, dict[int, tuple[int, ...] | None]]] = []
        for orders, swapped in ((dict.fromkeys(self._every), False), ({}, False), ({}, True)):
            self.orders, self._seen_orders, self._swapped = dict(orders), {}, swapped
            forced = self._run(Measuring(), ForcedRun(wide=True, mended=False), self._every)
            wrong = sum(not error < CLOSE for error in forced.errors.values())
            if not wrong:
                return forced
            tried.append((wrong, forced, self.orders))
            if len(tried) == 2 and not self._unfit:
                break
        _, forced, self.orders = min(tried[1:], key=lambda attempt: attempt[0])
        return forced

    def _order(self, number: int, value: Any, expected: Array) -> tuple[int, ...] | None:
        """The order of torch's rows in JAX: found by the values, or if they differ, as earlier in the same module.

        If they differ before, it is their own, or with its first two axes swapped: torch may have sequences first.
        """
        if number not in self.orders:
            landmark = self.landmarks[number]
            like = (landmark.path, landmark.row_sizes)
            fits, order = row_order(landmark, np.asarray(value), expected)
            if fits:
                self._seen_orders[like] = order
            elif len(landmark.row_sizes) > 1:
                self._unfit = True
            swapped = (1, 0, *range(2, len(landmark.row_sizes))) if self._swapped and len(landmark.row_sizes) > 1 else None
            self.orders[number] = order if fits else self._seen_orders.get(like, swapped)
        return self.orders[number]

    def _run(self, seen: Look, setup: ForcedRun, put: frozenset[int] | None) -> Forced:
        """A run with torch's values at the landmarks ``put``; None if ``seen`` decides on the way.

        Or what a file keeps of the same run in an earlier process.
        """
        mends = self.mends if setup.mended and setup.only is None else {}
        if self.kept is None or not isinstance(seen, Measuring) or setup.keep or mends or setup.perturbation.rounded:
            return self._made(seen, setup, put, mends)
        against = "" if seen.against is None else seen.against.key
        if seen.against is not None and not against:  # it was not kept
            return self._made(seen, setup, put, mends)
        chosen = (sorted(put or ()), None if setup.only is None else sorted(setup.only))
        what = (replace(seen, against=None), against, chosen, replace(setup, mended=False, only=None))
        state = (sorted(self.orders.items()), self._swapped, sorted(self.local))
        key = hashlib.sha256(repr((what, state)).encode()).hexdigest()
        if (kept_run := self.kept.get(key)) is None:
            forced = self._made(seen, setup, put, mends)
            orders = [list(self.orders.items()), [[*like, order] for like, order in self._seen_orders.items()], self._unfit]
            self.kept.put(key, packed(forced), orders)
        else:
            arrays, (orders, seen_orders, self._unfit) = kept_run
            forced = unpacked(arrays)
            self.orders = {number: _order_of(order) for number, order in orders}
            self._seen_orders = {(path, tuple(sizes)): _order_of(order) for path, sizes, order in seen_orders}
        forced.key = key
        return forced

    def _made(self, seen: Look, setup: ForcedRun, put: frozenset[int] | None, mends: Mapping[int, Replacement]) -> Forced:
        wide, narrow_values, perturbation = setup.wide, setup.narrow_values, setup.perturbation
        noisy = perturbation.noise is not None
        how = f"in {self.flat.dtype}" if not wide else "under noise" if noisy else "in float64"
        judged = self._every if setup.only is None else frozenset(setup.only)
        given, needed = (self._every, None) if setup.only is None else self._needed(judged, put or frozenset())
        forced = Forced()
        later: deque[Callable[[], bool]] = deque()
        operands: dict[int, dict[int, Seen]] = {}
        results: dict[int, Seen] = {}

        def callback(number: int, landmark: Landmark) -> Seen:
            def call(run: ModelRun, value: Any) -> Any:
                self.progress(f"JAX {how}: {landmark.path}")
                expected = landmark.expected.narrow if narrow_values or not wide else landmark.expected.wide
                order = self._order(number, value, expected)

                def matrix() -> Array:  # waits for JAX
                    return landmark.view.matrix(np.asarray(value), order)

                def look() -> bool:
                    return seen(forced, number, landmark.compared(matrix()), landmark.compared(expected), run)

                if put is not None and number in judged:
                    later.append(look)
                    if len(later) > AHEAD:
                        later.popleft()()
                here = look() if put is None else number in put
                if number in mends:
                    run.put(mends[number].value, self.mended(mends[number], wide=wide and not narrow_values))
                if not here:
                    forced.left.add(number)
                    return None
                if number in self.local:
                    run.for_this_step()
                whole = expected if landmark.known is None else np.where(landmark.known, expected, matrix())
                return landmark.view.array(np.asarray(whole), order)

            return call

        for number in sorted(given):
            landmark = self.landmarks[number]
            if landmark.place < 0:
                results[landmark.step] = callback(number, landmark)
            else:
                operands.setdefault(landmark.step, {})[landmark.place] = callback(number, landmark)
        watched = {step: Watch(operands.get(step, {}), results.get(step)) for step in {*operands, *results}}
        # a search looks at every value, a mend replaces one anywhere or for one step, and constants alone seldom get noise
        single = setup.keep or mends or self.local or perturbation.constants_only or perturbation.rounded
        whole = self._stretches if wide and not single else ()
        # whoever looks at every value finds those too that no step on data needs
        known = self.fixed.values(wide=wide, every=setup.keep, noisy=noisy, loose=self.loose)
        run = ModelRun(
            self.flat,
            wide=wide,
            watched=watched,
            perturbation=replace(perturbation, loose=self.loose),
            keep=setup.keep,
            known=known,
            schedule=Schedule(
                [stretch for stretch in whole if needed is None or needed.issuperset(stretch.indices)], needed
            ),
        )
        forced.run = run if setup.keep else None
        run(self.weights, self.inputs)
        while later:
            later.popleft()()
        return forced

    def _needed(self, only: frozenset[int], put: frozenset[int]) -> tuple[set[int], set[int]]:
        """The landmarks at which values are judged or replaced, and the steps that run, if only some are judged."""
        flat, ends = self.flat, self._ends
        replaced = self._replaced(put)
        made = {flat.maker[ends[number]] for number in only if ends.get(number) in flat.maker}
        values = flat.ancestors((operand for step in made for operand in flat.steps[step].inputs), replaced)
        idle = replaced - made
        steps = made | {flat.maker[value] for value in values if value in flat.maker} - idle
        # a part of a value needs the rest of JAX's: it is not put where another landmark puts the whole value
        whole = {
            number for number in ends if self.landmarks[number].known is None or flat.maker.get(ends[number]) not in idle
        }
        seen = {number for number, value in ends.items() if number in only or not values.isdisjoint(flat.moved_from(value))}
        return seen & whole, steps

    def behind(self, left: set[int]) -> set[int]:
        """The landmarks that depend on the value that JAX keeps at one of these, with torch's values at all others."""
        flat, ends = self.flat, self._ends
        replaced, own = self._replaced(self._every - left), {ends[number] for number in left if number in ends}
        behind = set[int]()
        for step in flat.steps:
            if not own.isdisjoint(operand for operand in step.inputs if isinstance(operand, int)):
                behind.update(step.outputs)
                if step.operation.index not in replaced:
                    own.update(step.outputs)
        return {number for number, value in ends.items() if value in behind}

    @cached_property
    def _ends(self) -> dict[int, int]:
        """The value of JAX at each landmark."""
        steps = ((number, landmark, self.flat.steps[landmark.step]) for number, landmark in enumerate(self.landmarks))
        values = (
            (number, step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place])
            for number, landmark, step in steps
        )
        return {number: value for number, value in values if isinstance(value, int)}

    def _replaced(self, put: frozenset[int]) -> set[int]:
        """The steps whose results torch's values replace for every later step."""
        flat, replaced = self.flat, set[int]()
        first = {
            operand: step.operation.index
            for step in reversed(flat.steps)
            for operand in step.inputs
            if isinstance(operand, int)
        }
        for number, value in self._ends.items():
            landmark = self.landmarks[number]
            whole = number in put - self.local and number in self.orders and landmark.known is None
            # a step before the one whose operand is replaced needs JAX's own value
            if whole and value in flat.maker and (landmark.place < 0 or first[value] == landmark.step):
                replaced.update(maker for maker in (flat.maker[value],) if len(flat.steps[maker].outputs) == 1)
        return replaced

    def mended(self, mend: Replacement, *, wide: bool) -> Array:
        """The result of an operation of torch, with the axes of the value of JAX that it replaces."""
        values = self.torch.values[mend.operation]
        return reordered(values.wide if wide else values.narrow, tuple(self.flat.avals[mend.value].shape), mend.order)
