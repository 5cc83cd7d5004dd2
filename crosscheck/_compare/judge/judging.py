"""The verdict on each result of a pair, from its measurements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, is_float, widen
from crosscheck._compare.judge import notes
from crosscheck._compare.judge.comparisons import EVALUATE, ComparisonPlace, Excerpt, Judged, Request, comparison
from crosscheck._compare.judge.contradict import Contradiction
from crosscheck._compare.judge.evidence import Measured, ProgramRuns
from crosscheck._compare.judge.known_truth import GivenTruth
from crosscheck._compare.judge.results import NAMES, SideResults
from crosscheck._compare.judge.verdict import JAX, NEITHER, TORCH, Question, judge
from crosscheck._compare.truth.jax_balls import enclose
from crosscheck._compare.truth.proven import proven
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Array, Directions, Inputs, Outputs, Result, layout
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._records.worded import Worded
from crosscheck._shadow.base import Flushing, Lifted
from crosscheck._shadow.programs import lift_jax, lift_torch
from crosscheck._verdict.causes import CODE, FIRST_PASSING

Lifting = tuple[Lifted, Flushing]
"""Both sides' programs in float64."""


def lift(sides: tuple[TorchProgram, JaxProgram], order: int, along: Directions) -> Lifting:
    """Both sides' programs in float64."""
    return lift_torch(sides[0], order), lift_jax(sides[1], order, along)


def judge_results(
    request: Request,
    sides: tuple[TorchProgram, JaxProgram],
    outputs: Outputs,
    along: Directions,
    ran: SideResults,
    alone: BoolArray | None,
    excerpt: Excerpt | None = None,
    lifted: Lifting | None = None,
) -> Iterator[Judged]:
    """The comparisons of both sides' results."""
    lifted = lifted or lift(sides, request.order, along)
    runs = ProgramRuns(request.inputs, along, lifted, request.seed)
    measured = runs.measure()
    places = layout(outputs, request.inputs, request.order)
    contradiction = Contradiction(runs, places, along, request.inputs, alone)
    exact = _exact(request, places, alone)
    in_place = excerpt is not None and excerpt.in_place
    enclosed, about_truth = _enclosed(request, sides[1], along) if not in_place else (None, [notes.BY_POSITION])
    factors = [_factor(place, outputs, request.inputs, along, alone) for place in places]
    remarks = [*about_truth, *_notes(sides, lifted)]
    lacking = _lacking(places, ran, measured, contradiction)
    jumps: set[int] = set()
    """The outputs whose values differ only at these very inputs."""
    for i, (order, k, by) in enumerate(places):
        torch = ran.torch[i]
        single = alone is not None and bool(alone[k])
        x = _input_of(request.inputs, k, by, alone)
        for mode, results in ran.jax.items():
            jax = results[i]
            assert jax is not None
            got = np.zeros_like(jax) if torch is None else torch
            ask = Question(
                neighbours=partial(runs.neighbours, i),
                tied=partial(runs.tied, i),
                largest=partial(runs.largest, i),
                without_nan=None if single or not runs.has_nan else partial(runs.without_nan, i),
                contradicted=partial(contradiction.sides, i) if order else None,
                jumps=k in jumps,
            )
            nan = np.isnan(widen(x)) if x is not None and single else None
            verdict = judge(
                got,
                jax,
                measured[i],
                request.inputs.fmt,
                ask,
                GivenTruth(
                    exact=exact[i] * factors[i] if i in exact else None,
                    enclosed=enclosed[i] if enclosed and is_float(enclosed[i]) else None,
                    not_judged=nan if order else None,
                    at_nan=None if order else nan,
                ),
                count=excerpt.total(jax.size) if excerpt else None,
                elementwise=single,
            )
            if verdict.jumps:
                jumps.add(k)
            if i in lacking:
                failing = (verdict.codes < FIRST_PASSING) & lacking[i].elements
                verdict.codes[failing], verdict.sides[failing] = CODE["missing"], lacking[i].side
            place = ComparisonPlace(request, outputs.names[k], order, by, mode, i)
            if order and single:  # it is reported without its factor
                got, jax = (widen(result) / factors[i] if is_float(result) else result for result in (got, jax))
                verdict.truth /= factors[i]
            yield comparison(place, (got, jax), verdict, x, alone is not None, remarks, excerpt)


def _factor(
    place: tuple[int, int, int | None], outputs: Outputs, inputs: Inputs, along: Directions, alone: BoolArray | None
) -> Float64Array:
    """The factor of the derivative of an elementwise output at each element; 1 for any other result."""
    order, k, by = place
    factor = np.ones(())
    if order and alone is not None and alone[k]:
        factor = np.asarray(along.cotangents[outputs.floats.index(k)], np.float64)
        if order > 1 and by is not None:
            factor = factor * np.asarray(along.tangents[inputs.wrt.index(by)], np.float64)
    return factor


def _input_of(inputs: Inputs, k: int, by: int | None, alone: BoolArray | None) -> Array | None:
    """The input whose elements correspond to the elements of a result, if there is one."""
    if by is not None:
        return inputs.leaves[by]
    return inputs.leaves[inputs.floats[0]] if alone is not None and alone[k] else None


def _exact(
    request: Request, places: Sequence[tuple[int, int, int | None]], alone: BoolArray | None
) -> dict[int, Float64Array]:
    """The proven truth per result, for the elementwise outputs."""
    if request.exact is None or alone is None:
        return {}
    x = request.inputs.leaves[request.inputs.floats[0]]
    truths = proven(request.exact, x, range(request.order + 1))
    return {i: truths[order] for i, (order, k, _) in enumerate(places) if alone[k]}


def _enclosed(request: Request, side: JaxProgram, along: Directions) -> tuple[list[Array] | None, list[Worded]]:
    """In float64, which has no wider dtype: JAX's program in ball arithmetic, and notes about the truth."""
    if request.inputs.fmt.precision < 53 or request.exact is not None or side.untraceable:
        return None, []
    try:
        enclosures = enclose(side.flat(request.order), [*request.inputs.leaves, *along.arrays])
        why = "has no counterpart in ball arithmetic"
    except Exception as error:  # the program may raise anything; a note says that this evidence is missing
        enclosures, why = None, f"could not be followed in ball arithmetic ({type(error).__name__})"
    if enclosures is None:
        return None, [notes.no_truth(why)]
    return enclosures, [notes.TRUTH_OF_BALLS]


@dataclass(frozen=True)
class _Lacking:
    """The elements of a gradient that one side lacks, and that side; ``NEITHER`` if the other lacks some of it too."""

    elements: BoolArray
    side: int


def _lacking(
    places: Sequence[tuple[int, int, int | None]],
    ran: SideResults,
    measured: Sequence[Measured],
    contradiction: Contradiction,
) -> dict[int, _Lacking]:
    """The gradients that one side lacks: they are None or zero everywhere, although its values change with the input.

    A gradient may be left out on purpose. So if each side lacks one that the other has, or a part of one, nobody knows
    which side is meant, and none is named.
    """
    lacking: dict[int, _Lacking] = {}
    jax = next(iter(ran.jax.values()))
    for i, (order, _, _) in enumerate(places):
        wide = measured[i].torch_wide, measured[i].jax_wide
        zero = [_is_zero(result, wide_result) for result, wide_result in zip((ran.torch[i], jax[i]), wide, strict=True)]
        if not order or zero[0] == zero[1]:
            continue
        own = 0 if zero[0] else 1
        elements = np.abs(np.nan_to_num(wide[1 - own])) > 0
        contradicted = contradiction.sides(i, elements)
        if contradicted[own].any():
            lacking[i] = _Lacking(elements, NEITHER if contradicted[1 - own].any() else (TORCH, JAX)[own])
    if len({gap.side for gap in lacking.values()} - {NEITHER}) > 1:
        return {i: replace(gap, side=NEITHER) for i, gap in lacking.items()}
    return lacking


def _is_zero(result: Result, wide: Float64Array) -> bool:
    """Whether a gradient is missing, or zero everywhere, in both precisions."""
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        return (result is None or not np.any(widen(result))) and not np.any(np.nan_to_num(wide, nan=1.0))


def _notes(sides: tuple[TorchProgram, JaxProgram], lifted: Sequence[Lifted]) -> list[Worded]:
    named = list(zip(NAMES.values(), lifted, strict=True))
    remarks = [notes.uneven(NAMES[side.name]) for side in sides if side.uneven]
    remarks += [notes.changed(NAMES[side.name], side.changed, EVALUATE[side.name]) for side in sides if side.changed]
    remarks += [notes.narrow(name, sorted(program.met.narrow)) for name, program in named if program.met.narrow]
    if sides[1].untraceable:
        return [*remarks, notes.untraceable(sides[1].untraceable)]
    return remarks + [notes.opaque(name, sorted(program.met.opaque)) for name, program in named if program.met.opaque]
