"""The third step of a record: each region has the reason of a deviation, and what matches no reason is listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf, nan

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, IntArray, widen
from crosscheck._atlas.regions import Fitting
from crosscheck._atlas.seen import MeasuredActivation, Wanted, grouped
from crosscheck._records.deviations import Deviation, Region
from crosscheck._records.names import CAUSES, budget
from crosscheck._verdict.causes import CODE
from crosscheck._verdict.coverage import NEAR_ERROR, factor_outside, regions_of
from crosscheck._verdict.examination import LONG
from crosscheck._verdict.judged import ComparisonCauses

NEAR = 2.0
"""A point within this factor of a region may have its reason, since few inputs are tried in several layouts."""


@dataclass(frozen=True)
class Unexplained:
    """A disagreement without a reason, which a person must find.

    ``worst`` is the worst of its ``inputs``. If an implementation raises, ``message`` is what it says, and there are none.
    """

    function: str
    implementations: tuple[str, ...]
    cause: str
    order: int
    dtype: str
    mode: str
    inputs: int
    worst: float
    max_ulp: float
    message: str | None = None


def fit(measured: MeasuredActivation) -> tuple[dict[str, tuple[Region, ...]], list[Unexplained]]:
    """The regions of each deviation here, and the disagreements that match none.

    What is on record of this environment is measured again. A point that it does not cover goes to a region, of any
    environment, with the same cause, implementations, order and dtype: to one around it, or else to the nearest. Regions of
    rows of its length come first. An error that is not on record here is looked for wherever it is raised elsewhere.
    """
    fittings = [Fitting(measured, deviation) for deviation in measured.activation.deviations]
    fitted: dict[str, list[Region]] = {}
    for fitting in fittings:
        deviation = fitting.deviation
        parts = [part for region in measured.on_record[deviation.id] for part in _by_length(region)]
        fitted[deviation.id] = [new for part in parts for new in fitting.again(part)]
        if deviation.cause == "error" and not fitted[deviation.id]:
            raised = [new for region in deviation.regions for new in fitting.again(replace(region, seen=()))]
            fitted[deviation.id] = [*{repr(region): region for region in raised}.values()]  # a NaN is not equal to another
    left = [*measured.open_points(fitted)]
    for of_lengths, near, fitting in product((True, False), (False, True), fittings):
        for template, wanted in _matched(measured, left, fitting.deviation, of_lengths=of_lengths, near=near):
            for part in _by_length(template):
                of_part = [pair for pair in wanted if not part.lengths or pair[0].key.length in part.lengths]
                new = fitting.new(part, of_part) if of_part else []
                fitted[fitting.deviation.id] += new
                left = [*measured.open_points({fitting.deviation.id: new}, left)] if new else left
    return {id_: tuple(regions) for id_, regions in fitted.items() if regions}, list(_unexplained(measured, fitted))


def borne_out(measured: MeasuredActivation, fitted: Mapping[str, Sequence[Region]]) -> bool:
    """Whether regions that were drawn around other samples cover what these samples show, including the bounds."""
    return not any(measured.open_points(fitted)) and not any(
        Fitting(measured, deviation).refuted(region)
        for deviation in measured.activation.deviations
        for region in fitted.get(deviation.id, ())
    )


def _by_length(region: Region) -> list[Region]:
    """One region for each length of the longest rows, since few runs have all of these, and one for the other lengths."""
    others = tuple(length for length in region.lengths if length < LONG)
    parts = [*([others] if others else []), *((length,) for length in region.lengths if length >= LONG)]
    return [replace(region, lengths=lengths) for lengths in parts] or [region]


def _matched(
    measured: MeasuredActivation, left: Wanted, deviation: Deviation, *, of_lengths: bool, near: bool
) -> Iterator[tuple[Region, Wanted]]:
    """The points ``left`` that may have this deviation's reason, by its nearest region ``of_lengths`` or any.

    They lie in that region, or also ``near`` it.
    """
    by_region: dict[int, list[tuple[ComparisonCauses, BoolArray]]] = {}
    for comparison, open_ in left:
        x = widen(comparison.x)
        templates = [
            number
            for number, region in enumerate(deviation.regions)
            if set(comparison.key.implementations) <= set(deviation.implementations)
            and region.order == comparison.key.order
            and comparison.key.dtype in region.dtypes
            and comparison.key.mode in deviation.modes
            and (comparison.key.length in region.lengths if of_lengths else not region.lengths)
            and all(comparison.parameters[name] == value for name, value in region.parameters.items())
        ]
        if not templates:
            continue
        apart = np.stack([factor_outside(x, deviation.regions[number].intervals) for number in templates])
        far = 1.0 if not near else inf if deviation.cause == "layout" else NEAR
        close = apart.min(axis=0) <= far
        if near and measured.activation.rows:  # the other entries of a row matter as much as the number
            close[comparison.failing] |= comparison.ulp <= NEAR_ERROR * budget(comparison.key.dtype, comparison.key.order)
        close &= open_ & (comparison.codes == CODE[deviation.cause])
        nearest = np.array(templates)[apart.argmin(axis=0)]
        for number in templates:
            if (at := close & (nearest == number)).any():
                by_region.setdefault(number, []).append((comparison, at))
    for number, wanted in by_region.items():
        for of_dtype in grouped(wanted, lambda comparison: comparison.key.dtype).values():
            yield deviation.regions[number], of_dtype


def _unexplained(measured: MeasuredActivation, fitted: Mapping[str, Sequence[Region]]) -> Iterator[Unexplained]:
    """The errors and points without a region; for a pair of implementations, only points at which neither is wrong alone."""
    name = measured.activation.name
    raising = (
        deviation for deviation in measured.activation.deviations if deviation.cause == "error" and fitted[deviation.id]
    )
    settled = [measured.alone(deviation, *fitted[deviation.id]) for deviation in raising]
    for comparison in measured.judged:
        who, key = comparison.key.implementations, comparison.key
        if (
            comparison.message is not None
            and len(who) == 1
            and not any(regions_of(deviation, comparison) for deviation in settled)
        ):
            yield Unexplained(name, who, "error", key.order, key.dtype, key.mode, 0, nan, nan, comparison.message)
    groups: dict[tuple[tuple[str, ...], str, int, str, str], list[tuple[ComparisonCauses, IntArray]]] = {}
    for comparison, open_ in measured.open_points(fitted):
        key = comparison.key
        for code in np.unique(comparison.codes[open_]):
            at = np.flatnonzero(open_[comparison.failing] & (comparison.codes[comparison.failing] == code))
            setting = key.implementations, CAUSES[code], key.order, key.dtype, key.mode
            groups.setdefault(setting, []).append((comparison, at))
    alone = {setting[:3] for setting in groups}
    for setting, some in groups.items():
        who, cause, order, dtype, mode = setting
        if len(who) == 2 and any(((implementation,), cause, order) in alone for implementation in who):
            continue
        errors = [np.nan_to_num(comparison.ulp[at], nan=-1.0) for comparison, at in some]
        comparison, at = some[int(np.argmax([error.max() for error in errors]))]
        worst = int(at[np.nan_to_num(comparison.ulp[at], nan=-1.0).argmax()])
        inputs, x = sum(error.size for error in errors), float(widen(comparison.x[comparison.failing[worst : worst + 1]])[0])
        yield Unexplained(name, who, cause, order, dtype, mode, inputs, x, float(comparison.ulp[worst]))
