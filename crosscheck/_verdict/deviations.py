"""Apply declared deviations to a run: which points they cover, and whether the run confirms them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from crosscheck._arithmetic.formats import BoolArray
from crosscheck._arithmetic.sampling import COLUMNS, ROWS
from crosscheck._records.deviations import Deviation
from crosscheck._records.implementations import Implementation
from crosscheck._records.records import Activation
from crosscheck._records.worded import Worded
from crosscheck._verdict.causes import NOT_JUDGED
from crosscheck._verdict.coverage import NEAR_INPUTS, covers, excuses, lies_near, regions_of
from crosscheck._verdict.environments import Environment, regions_here
from crosscheck._verdict.examination import examine
from crosscheck._verdict.judged import ComparisonCauses, JudgedPoints
from crosscheck._verdict.records import Comparison, Finding


def settle(
    judged: Sequence[ComparisonCauses],
    activation: Activation,
    environment: Environment,
    *,
    without: Collection[str] = (),
    lenient: bool = False,
) -> tuple[list[Comparison], list[Finding]]:
    """The comparisons of one activation under its declared deviations, and the findings about these deviations.

    ``without`` names deviations that count as not declared. With ``lenient``, what the frameworks ship fails neither where
    no deviation covers it, which is then new, nor by a finding.
    """
    active = [
        replace(deviation, regions=regions)
        for deviation in activation.deviations
        if deviation.id not in without and (regions := regions_here(deviation, environment))
    ]
    # without a deviation, another one must not excuse what it covers
    declared = () if without else activation.deviations
    comparisons = [_compare(comparison, active, declared, lenient) for comparison in judged]
    lengths = {length for length in (*ROWS, *COLUMNS) if activation.takes(length)}
    findings = [
        finding for deviation in active for finding in _with_one_note(examine(deviation, judged, environment, lengths))
    ]
    return comparisons, [replace(finding, failed=False) for finding in findings] if lenient else findings


def _with_one_note(findings: Sequence[Finding]) -> list[Finding]:
    """All failures, and one note: a region that shrinks outside the recorded environments is not reported each time."""
    notes = [finding for finding in findings if not finding.failed]
    if len(notes) > 1:
        first = notes[0].message
        kind, about = (first.kind, first.about) if isinstance(first, Worded) else ("", ())
        notes = [replace(notes[0], message=Worded(f"{first}; and {len(notes) - 1} more", kind, *about))]
    return [finding for finding in findings if finding.failed] + notes


def _compare(
    judged: ComparisonCauses, active: Sequence[Deviation], declared: Sequence[Deviation], lenient: bool
) -> Comparison:
    covered, used = _covered(judged, active, declared)
    raises = [
        deviation.id
        for deviation in active
        if deviation.cause == "error" and judged.message and regions_of(deviation, judged)
    ]
    at = judged.failing
    failing = JudgedPoints(judged.x[at], judged.codes[at], judged.got, judged.expected, judged.ulp, judged.ulp_of_truth)
    uncovered = failing.among(~covered).causes()
    worst = next(iter(judged.causes), None)
    points = int((judged.codes != NOT_JUDGED).sum())
    key = judged.key
    passed = bool(raises) or (points > 0 and judged.message is None and not uncovered)
    natives = not any(Implementation.of(name).own for name in key.implementations)
    new = lenient and natives and bool(uncovered or (judged.message and not raises))
    return Comparison(
        function=key.function,
        parameters=judged.parameters,
        output="y",
        wrt=key.wrt,
        implementation=key.implementation,
        against=key.against,
        dtype=key.dtype,
        order=key.order,
        mode=key.mode,
        device=key.device,
        points=points,
        exhaustive=judged.x.dtype.itemsize == 2 and key.length is None,
        passed=passed or new,
        new=new,
        cause="error" if judged.message else worst,
        causes=judged.causes,
        side=judged.side,
        max_ulp=judged.max_ulp,
        max_ulp_of_truth=judged.max_ulp_of_truth,
        excepted=judged.excepted,
        max_abs=judged.max_abs,
        worst=judged.causes[worst].worst if worst else None,
        deviations=tuple(dict.fromkeys([*used, *raises])),
        uncovered=uncovered,
        undecided=judged.undecided,
        message=judged.message,
        notes=judged.notes,
        profile=judged.profile,
    )


def _covered(
    judged: ComparisonCauses, active: Sequence[Deviation], declared: Sequence[Deviation]
) -> tuple[BoolArray, list[str]]:
    """Which of the failing points a deviation covers, and the ids of those that cover one.

    ``active`` have the regions that apply here, ``declared`` those of every environment.
    """
    covered = np.zeros(judged.failing.shape, bool)
    used: list[str] = []
    for deviation in active:
        for region in regions_of(deviation, judged):
            if covers(deviation, region, judged).any():
                used.append(deviation.id)
            covered |= excuses(deviation, region, judged)
    for deviation in declared if 0 < (~covered).sum() <= NEAR_INPUTS else ():
        near = ~covered & lies_near(deviation, judged)
        if near.any():
            used.append(deviation.id)
        covered |= near
    return covered, used
