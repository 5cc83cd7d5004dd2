"""Make the rows of an atlas: the declared deviations as a run shows them, and the other disagreements."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, bits_of, widen
from crosscheck._arithmetic.ulp import round_once
from crosscheck._atlas.records import Area, AtlasRow, Beside, Input, Number, Outcome, Place
from crosscheck._frameworks.lacking import Lacking
from crosscheck._records.implementations import MATCHED, NATIVE, Implementation
from crosscheck._records.names import DTYPES, ORDER_NAMES
from crosscheck._records.records import Activation
from crosscheck._verdict.examination import LONG, Extent, extents
from crosscheck._verdict.judged import ComparisonCauses
from crosscheck._verdict.records import Finding
from crosscheck._verify.run.implementations import implementations_of
from crosscheck._verify.run.task import Plan, Runners
from crosscheck._verify.sightings.sight import SightedRow, Sighting, Sought, runnable_implementations, sight
from crosscheck._verify.sightings.uncovered import Uncovered, sight_uncovered

SHOWN_MODES = {"torch": ("eager",), "jax": ("eager", "jit")}
"""The modes in which an implementation is run at the inputs that a row shows."""
DIGITS = 17


def number(value: float, dtype: str) -> Number:
    fmt = FORMATS[dtype]
    held = np.array([value]).astype(fmt.dtype)
    wide = float(widen(held)[0])
    decimal = str(wide)
    if np.isfinite(wide):
        shorter = (f"{wide:.{digits}g}" for digits in range(1, DIGITS))
        decimal = next((text for text in shorter if widen(round_once(np.array([float(text)]), fmt))[0] == wide), decimal)
    return Number(decimal, bits_of(held))


def declared_rows(
    activation: Activation,
    judged: Sequence[ComparisonCauses],
    seen: Collection[str],
    findings: Iterable[Finding],
    plan: Plan,
    without: Collection[str] = (),
) -> list[AtlasRow]:
    """A row for each declared deviation that has a region in the dtypes and modes that were run here."""
    refuted = [finding for finding in findings if finding.failed]
    runners: Runners = {}
    rows = []
    for deviation in activation.deviations:
        run = {dtype: runnable_implementations(deviation, plan.lacking, dtype) for dtype in plan.dtypes}
        places = [
            (index, region, dtype)
            for index, region in enumerate(deviation.regions)
            for dtype in region.dtypes
            if run.get(dtype)
        ]
        observable = {*deviation.modes} & {*plan.modes} and (plan.layout or deviation.cause != "layout")
        if not places or not observable or deviation.id in without:
            continue
        examples = []
        for index, region, dtype in places:
            parameters, mode = {**activation.parameters, **region.parameters}, deviation.modes_of(region)[0]
            beside = _others(activation, parameters, run[dtype], mode, plan.lacking, dtype)
            for anchor in region.anchors:
                sought = Sought.at(activation, deviation, run[dtype], region, anchor, dtype)
                examples.append((index, sight(activation, sought, beside, runners)))
        areas = [
            Area(
                order=region.order,
                dtypes=region.dtypes,
                intervals=region.intervals,
                lengths=region.lengths,
                parameters=dict(region.parameters),
                modes=deviation.modes_of(region),
                max_ulp=region.bound(),
                measured=tuple(extents(deviation, region, judged)),
            )
            for region in deviation.regions
        ]
        row = _row(
            activation,
            runnable_implementations(deviation, plan.lacking),
            deviation.cause,
            areas,
            examples,
            id=deviation.id,
            declared=True,
            modes=deviation.modes,
            reason=deviation.reason,
            link=deviation.link,
            bug=deviation.bug,
            seen=deviation.id in seen,
            seen_in=deviation.seen,
            findings=tuple(finding.message for finding in refuted if finding.deviation == deviation.id),
        )
        rows.append(row)
    return rows


def undeclared_row(activation: Activation, disagreement: Uncovered, lacking: Lacking) -> AtlasRow:
    """A row for a disagreement that no deviation covers, sighted in the first of the comparisons that show it.

    Its regions are the worst inputs, one for each of the comparisons. There is no sighting if an implementation raised at
    every input.
    """
    first = disagreement.comparisons[0]
    beside = _others(activation, first.parameters, disagreement.implementations, first.mode, lacking, first.dtype)
    sighting = sight_uncovered(activation, disagreement, beside)
    areas = []
    for comparison in disagreement.comparisons:
        key = comparison.implementation, comparison.against, comparison.dtype, comparison.mode
        extent, interval = Extent(*key, comparison.points, comparison.points, 0.0), (-inf, inf)
        if count := comparison.uncovered.get(disagreement.cause):
            largest = float(np.nan_to_num(count.worst.ulp, nan=0.0, posinf=inf))
            extent, interval = Extent(*key, count.count, comparison.points, largest), (count.worst.input,) * 2
        areas.append(
            Area(
                order=disagreement.order,
                dtypes=(comparison.dtype,),
                intervals=(interval,),
                lengths=(),
                parameters=dict(comparison.parameters),
                modes=(comparison.mode,),
                max_ulp=inf,
                measured=(extent,),
            )
        )
    raised = [comparison.message for comparison in disagreement.comparisons if comparison.message][:1]
    return _row(
        activation,
        disagreement.implementations,
        disagreement.cause,
        areas,
        [(0, sighting)] if sighting else [],
        id="-".join(
            [
                "undeclared",
                activation.name,
                ORDER_NAMES[disagreement.order].replace(" ", "-"),
                disagreement.cause,
                *disagreement.implementations,
            ]
        ),
        declared=False,
        modes=tuple(dict.fromkeys(comparison.mode for comparison in disagreement.comparisons)),
        reason=". ".join([*raised, "No deviation of the catalogue covers it."]),
        link="",
        bug=False,
        seen=True,
    )


def _row(
    activation: Activation,
    implementations: tuple[str, ...],
    cause: str,
    areas: Sequence[Area],
    examples: Sequence[tuple[int, Sighting]],
    **more: Any,
) -> AtlasRow:
    """The row with these regions and with examples, each with the number of its region."""
    sides = {Implementation.of(implementation).side for implementation in implementations} - {"analytic"}
    return AtlasRow(
        function=activation.name,
        natives=_natives(activation),
        implementations=implementations,
        cause=cause,
        side="both" if len(sides) == 2 else next(iter(sides), None),
        dtypes=tuple(dtype for dtype in DTYPES if any(dtype in area.dtypes for area in areas)),
        orders=tuple(sorted({area.order for area in areas})),
        region=tuple(areas),
        inputs=tuple(_input(region, sighting) for region, sighting in examples),
        results=tuple(_outcomes(activation, sighting) for _, sighting in examples),
        truth=tuple(None if s.exact is None else number(s.exact, s.dtype) for _, s in examples),
        **more,
    )


def _natives(activation: Activation) -> Mapping[str, str]:
    calls = {}
    for side, native in activation.natives.items():
        calls[Implementation(side, NATIVE).name] = native.call or native.path
        if native.matched:
            arguments = ", ".join(f"{name}={value!r}" for name, value in native.matched.items())
            calls[Implementation(side, MATCHED).name] = f"{native.path}(x, {arguments})"
    return calls


def _others(
    activation: Activation,
    parameters: Mapping[str, float],
    implementations: Collection[str],
    mode: str,
    lacking: Lacking,
    dtype: str,
) -> list[tuple[str, str]]:
    """Every implementation and mode besides these implementations in that mode: a row shows the results of all that run."""
    return [
        (implementation.name, shown_mode)
        for implementation in implementations_of(activation, parameters)
        if lacking.runs(implementation.name, dtype)
        for shown_mode in SHOWN_MODES.get(implementation.side, ())
        if implementation.name not in implementations or shown_mode != (mode if mode in implementation.modes else "eager")
    ]


def _input(region: int, sighting: Sighting) -> Input:
    place = None if sighting.row is None else _place(sighting.row)
    x = replace(number(sighting.input, sighting.dtype), bits=sighting.input_bits)  # to distinguish NaNs
    return Input(region, sighting.order, sighting.dtype, dict(sighting.parameters), x, place)


def _place(row: SightedRow) -> Place:
    """Without the bits of a row as long as a vocabulary, which would fill the file: the lines that make it stay."""
    made = row.made if len(row.bits) >= LONG else ()
    bits, direction = ((), ()) if made else (row.bits, row.direction)
    return Place(bits, direction, row.position, row.sampled, len(row.bits), made)


def _outcomes(activation: Activation, sighting: Sighting) -> tuple[Outcome, ...]:
    """The results of the implementations that exist at these parameters."""
    there = {implementation.name for implementation in implementations_of(activation, sighting.parameters)}
    return tuple(
        Outcome(
            result.implementation,
            result.mode,
            None if result.got is None else number(result.got, sighting.dtype),
            result.ulp,
            result.message,
            "alone" if result.copies == 1 else result.view or "array",
        )
        for result in sighting.results
        if result.implementation in there
    )


def set_beside(rows: Sequence[AtlasRow]) -> tuple[AtlasRow, ...]:
    """The rows, each with the rows of the same function, order and cause, and how these differ."""
    return tuple(
        replace(row, beside=tuple(Beside(other.id, differences(row, other)) for other in rows if _alike(row, other)))
        for row in rows
    )


def distinct(rows: Iterable[AtlasRow]) -> list[AtlasRow]:
    """The rows without those that have the inputs and the mechanism of an earlier row."""
    kept: list[AtlasRow] = []
    for row in rows:
        if all(not _alike(row, other) or {"region", "mechanism"} & set(differences(row, other)) for other in kept):
            kept.append(row)
    return kept


def _alike(row: AtlasRow, other: AtlasRow) -> bool:
    same = (row.function, row.cause) == (other.function, other.cause)
    return same and row.id != other.id and bool(set(row.orders) & set(other.orders))


def differences(row: AtlasRow, other: AtlasRow) -> tuple[str, ...]:
    """How two rows differ in the orders that both have."""
    shared = set(row.orders) & set(other.orders)
    regions, other_regions = ([area for area in atlas_row.region if area.order in shared] for atlas_row in (row, other))

    def inputs(areas: Sequence[Area]) -> set[str]:  # as text: NaN equals itself, and -0 and 0 differ
        return {f"{a.order} {a.intervals} {a.lengths} {sorted(a.parameters.items())}" for a in areas}

    differ = {
        "implementations": row.implementations != other.implementations,
        "dtypes": {dtype for area in regions for dtype in area.dtypes}
        != {dtype for area in other_regions for dtype in area.dtypes},
        "region": inputs(regions) != inputs(other_regions),
        "mechanism": row.reason != other.reason,
    }
    return tuple(name for name, differs in differ.items() if differs)
