"""Functions of very many independent elements or rows: all are compared, and a part is diagnosed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, floats_widened
from crosscheck._compare.judge.comparisons import Excerpt, Judged, Request
from crosscheck._compare.judge.evidence import independent
from crosscheck._compare.judge.furthest import furthest, near, picked
from crosscheck._compare.judge.in_place import InPlace, alike
from crosscheck._compare.judge.judging import Lifting, judge_results, lift
from crosscheck._compare.judge.results import (
    SUBSET,
    Comparisons,
    SideResults,
    directions,
    first_runs,
    independent_outputs,
    programs,
    results_of,
)
from crosscheck._compare.judge.verdict import VISIBLE_ULPS
from crosscheck._compare.work import at_any_number, measures
from crosscheck._frameworks.programs import Array, Directions, Outputs
from crosscheck._frameworks.torch_program import TorchProgram

LARGE = 2**17
"""A function of more elements is diagnosed on a subset of them, if its results at these do not depend on the others."""
LEAST_ROWS = 8


def large(request: Request, at: int) -> Comparisons | None:
    """Compare functions of very many elements: all with each other, and a part thoroughly.

    The part consists of the elements that differ most and a sample of all; or of rows, along the first axis, if each result
    depends on one row. None if results depend on several.
    """
    whole = request.inputs.leaves[at]
    outcome = None
    if whole.ndim == 1 or _takes_elements(request, at):
        outcome = _of_items(request, at, whole.ravel())
    if outcome is None and whole.ndim > 1 and len(whole) > 2 * LEAST_ROWS and request.exact is None:
        outcome = _of_items(request, at, whole)
    return outcome


def _takes_elements(request: Request, at: int) -> bool:
    """Whether the functions may be elementwise, so that they can be given the elements as an array of one axis."""
    both = measures(request.torch, request.jax, request.device)
    return all(at_any_number(measure, request.inputs, at, SUBSET) for measure in both)


def _of_items(request: Request, at: int, whole: Array) -> Comparisons | None:
    """The same for the items along the first axis: elements of an array with one axis, or rows."""
    rows = whole.ndim > 1
    count = max(SUBSET // 2 // (whole.size // len(whole)), LEAST_ROWS)
    sample = np.unique(np.linspace(0, len(whole) - 1, count).astype(np.int64))
    part = replace(request, inputs=request.inputs.with_leaf(at, whole[sample]))
    first = first_runs(part, programs(part), Comparisons())
    if first is None:
        return None
    outputs, values = first
    elementwise = independent_outputs(programs(part)[0], part.inputs, values, rows=rows)
    if elementwise is None or not elementwise.all():
        return None
    alone = None if rows else elementwise

    outcome = Comparisons()
    mode = "jit" if "jit" in request.modes else request.modes[0]
    everything = replace(request, inputs=request.inputs.with_leaf(at, whole), modes=(mode,))
    every_output = replace(outputs, shapes=tuple((len(whole), *shape[1:]) for shape in outputs.shapes))
    along = directions(every_output, everything.inputs, alone, everything)
    ran = results_of(everything, programs(everything), along, outcome)
    if ran is None:
        return outcome
    if mode not in ran.jax:
        return None
    chosen, equal = furthest(ran.torch, ran.jax[mode], request.inputs.fmt, count)
    chosen = np.union1d(chosen, sample)
    shape = whole.shape[:1] if rows else request.inputs.leaves[at].shape
    excerpt = Excerpt(chosen, np.isin(chosen, sample), shape, equal)
    given = replace(everything, modes=request.modes)
    return _judged(_Part(given, at, outputs, along, alone, excerpt), ran, mode, outcome)


@dataclass(frozen=True)
class _Part:
    """The chosen items of a whole; ``along`` are the directions of the whole."""

    whole: Request
    at: int
    outputs: Outputs
    along: Directions
    alone: BoolArray | None
    excerpt: Excerpt

    @cached_property
    def request(self) -> Request:
        leaf = self.whole.inputs.leaves[self.at][self.excerpt.chosen]
        return replace(self.whole, inputs=self.whole.inputs.with_leaf(self.at, leaf))

    @cached_property
    def own_along(self) -> Directions:
        chosen = self.excerpt.chosen
        return Directions(
            [cotangent[chosen] for cotangent in self.along.cotangents], [tangent[chosen] for tangent in self.along.tangents]
        )

    @cached_property
    def lifted(self) -> Lifting:
        """The functions of the part alone, in float64."""
        return lift(programs(self.request), self.whole.order, self.own_along)

    @cached_property
    def lifted_in_place(self) -> Lifting:
        """The functions of the whole, in float64, as functions of the part."""
        arguments = [*self.whole.inputs.leaves, *self.along.arrays]
        torch, jax = lift(programs(self.whole), self.whole.order, self.along)
        return InPlace(torch, arguments, self.excerpt.chosen), InPlace(jax, arguments, self.excerpt.chosen)

    def depends_on_position(self) -> bool:
        """Whether a function gives, in float64, something else for the part alone than for the part in its place."""
        arguments = [floats_widened(argument) for argument in (*self.request.inputs.leaves, *self.own_along.arrays)]
        pairs = zip(self.lifted, self.lifted_in_place, strict=True)
        return not all(
            alike(alone.run(arguments), in_place.run(arguments), self.request.inputs.fmt) for alone, in_place in pairs
        )

    def independent(self, values: list[Array]) -> bool:
        """Whether each item of PyTorch's results depends on that of the input alone, where it is."""
        inputs, rows = self.whole.inputs, self.alone is None

        def function(other: Array) -> list[Array]:
            given = inputs.with_leaf(self.at, other)
            return TorchProgram(self.whole.torch, given, self.whole.device).outputs()[1]

        alone = independent(function, inputs.leaves[self.at], values, rows=rows)
        return alone is not None and bool(alone.all())

    def judged(self, ran: SideResults, *, in_place: bool) -> list[Judged]:
        excerpt = replace(self.excerpt, in_place=in_place)
        lifted = self.lifted_in_place if in_place else self.lifted
        sides = programs(self.request)
        return list(judge_results(self.request, sides, self.outputs, self.own_along, ran, self.alone, excerpt, lifted))


def _judged(part: _Part, ran: SideResults, mode: str, outcome: Comparisons) -> Comparisons | None:
    """Judge the part alone, which is cheap. Where it gives something else than in its place, judge it there."""
    chosen, fmt = part.excerpt.chosen, part.request.inputs.fmt
    torch, jax = (picked(results, chosen) for results in (ran.torch, ran.jax[mode]))
    again = results_of(part.request, programs(part.request), part.own_along, Comparisons())
    if again is not None and mode in again.jax and near(torch, again.torch, fmt):
        alone = [*again.torch, *again.jax[mode]]
        judged = part.judged(SideResults(torch, {**again.jax, mode: jax}), in_place=False)
        passed = all(result.record.passed for result in judged) and near([*torch, *jax], alone, fmt, VISIBLE_ULPS)
        if passed or not part.depends_on_position():
            outcome.request = part.request
            outcome.add(judged)
            return outcome
    elif not part.independent([result for result in ran.torch[: len(part.outputs.names)] if result is not None]):
        return None
    every = results_of(part.whole, programs(part.whole), part.along, outcome) if len(part.whole.modes) > 1 else ran
    if every is not None:
        picked_results = SideResults(torch, {name: picked(results, chosen) for name, results in every.jax.items()})
        outcome.add(part.judged(picked_results, in_place=True))
    return outcome
