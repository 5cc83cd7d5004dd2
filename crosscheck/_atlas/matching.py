"""Match disagreements to reasons: which points each deviation's regions may explain, and what is left without a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite, nan

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, IntArray, widen
from crosscheck._records.deviations import Deviation, Region, Seen
from crosscheck._records.names import CAUSES, budget
from crosscheck._records.records import Activation
from crosscheck._verdict.causes import CODE
from crosscheck._verdict.coverage import NEAR_ERROR, excuses, lie_in, regions_of
from crosscheck._verdict.judged import Judged

NEAR = 2.0
"""A point within this factor of a region may have its reason, since few inputs are tried in several layouts."""

Wanted = Sequence[tuple[Judged, BoolArray]]
"""Comparisons, and the points in each that a region is to cover."""


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


@dataclass(frozen=True)
class Measured:
    """The results of an activation's natives in an environment, with several seeds, and the record of them there."""

    activation: Activation
    runs: Sequence[Sequence[Judged]]
    seen: Seen
    on_record: Mapping[str, Sequence[Region]]

    @cached_property
    def judged(self) -> list[Judged]:
        """The comparisons of all seeds."""
        return [one for run in self.runs for one in run]

    def alone(self, deviation: Deviation, *regions: Region) -> Deviation:
        """The deviation with only these regions, as regions of this environment."""
        return replace(deviation, regions=regions, seen=(self.seen,))


def marked(one: Judged, failing: BoolArray) -> BoolArray:
    """These failing points, marked among all points."""
    result = np.zeros(one.x.shape, bool)
    result[one.failing] = failing
    return result


def open_points(
    measured: Measured, found: Mapping[str, Sequence[Region]], among: Wanted | None = None
) -> Iterator[tuple[Judged, BoolArray]]:
    """For each comparison, the points that no region covers, ``among`` these or among all."""
    settled = [
        measured.alone(deviation, *found[deviation.id])
        for deviation in measured.activation.deviations
        if found.get(deviation.id)
    ]
    for one, at in among if among is not None else ((one, np.ones(one.x.shape, bool)) for one in measured.judged):
        left = at[one.failing]
        for deviation in settled:
            for region in regions_of(deviation, one) if left.any() else ():
                left &= ~excuses(deviation, region, one)
        if left.any():
            yield one, marked(one, left)


def matched(
    measured: Measured, left: Wanted, deviation: Deviation, *, of_lengths: bool, near: bool
) -> Iterator[tuple[Region, Wanted]]:
    """The points ``left`` that may have this deviation's reason, by its nearest region ``of_lengths`` or any.

    They lie in that region, or also ``near`` it.
    """
    groups: dict[int, list[tuple[Judged, BoolArray]]] = {}
    for one, open_ in left:
        x = widen(one.x)
        templates = [
            region
            for region in deviation.regions
            if set(one.key.implementations) <= set(deviation.implementations)
            and region.order == one.key.order
            and one.key.dtype in region.dtypes
            and one.key.mode in deviation.modes
            and (one.key.length in region.lengths if of_lengths else not region.lengths)
            and all(one.parameters[name] == value for name, value in region.parameters.items())
        ]
        if not templates:
            continue
        apart = np.stack([_apart(x, region) for region in templates])
        nearest = apart.argmin(axis=0)
        far = 1.0 if not near else inf if deviation.cause == "layout" else NEAR
        close = apart.min(axis=0) <= far
        if near and measured.activation.rows:  # the other entries of a row matter as much as the number
            close[one.failing] |= one.ulp <= NEAR_ERROR * budget(one.key.dtype, one.key.order)
        mine = open_ & (one.codes == CODE[deviation.cause]) & close
        for number, region in enumerate(templates):
            if (at := mine & (nearest == number)).any():
                groups.setdefault(deviation.regions.index(region), []).append((one, at))
    for number, wanted in groups.items():
        for dtype in dict.fromkeys(one.key.dtype for one, _ in wanted):
            yield deviation.regions[number], [pair for pair in wanted if pair[0].key.dtype == dtype]


def _apart(x: Float64Array, region: Region) -> Float64Array:
    """The factor by which each number lies outside a region; 1 inside, infinity on the other side of 0."""
    result = np.where(lie_in(x, region.intervals), 1.0, inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for end in (end for pair in region.intervals for end in pair if end != 0 and isfinite(end)):
            ratio = x / end
            result = np.fmin(result, np.where(ratio > 0, np.maximum(ratio, 1 / ratio), inf))
    return result


def unexplained(measured: Measured, found: Mapping[str, Sequence[Region]]) -> Iterator[Unexplained]:
    """The errors and points without a region; for a pair of implementations, only points at which neither is wrong alone."""
    raising = (one for one in measured.activation.deviations if one.cause == "error" and found[one.id])
    settled = [measured.alone(one, *found[one.id]) for one in raising]
    for one in measured.judged:
        name, who, key = measured.activation.name, one.key.implementations, one.key
        if one.message is not None and len(who) == 1 and not any(regions_of(deviation, one) for deviation in settled):
            yield Unexplained(name, who, "error", key.order, key.dtype, key.mode, 0, nan, nan, one.message)
    groups: dict[tuple[tuple[str, ...], str, int, str, str], list[tuple[Judged, IntArray]]] = {}
    for one, open_ in open_points(measured, found):
        key = one.key
        for code in np.unique(one.codes[open_]):
            at = np.flatnonzero(open_[one.failing] & (one.codes[one.failing] == code))
            setting = key.implementations, CAUSES[code], key.order, key.dtype, key.mode
            groups.setdefault(setting, []).append((one, at))
    alone = {(implementations, cause, order) for implementations, cause, order, _, _ in groups if len(implementations) == 1}
    for (implementations, cause, order, dtype, mode), some in groups.items():
        if len(implementations) == 2 and any(((name,), cause, order) in alone for name in implementations):
            continue
        errors = [np.nan_to_num(one.ulp[at], nan=-1.0) for one, at in some]
        one, at = some[int(np.argmax([error.max() for error in errors]))]
        worst = int(at[np.nan_to_num(one.ulp[at], nan=-1.0).argmax()])
        yield Unexplained(
            measured.activation.name,
            implementations,
            cause,
            order,
            dtype,
            mode,
            sum(error.size for error in errors),
            float(widen(one.x[one.failing[worst : worst + 1]])[0]),
            float(one.ulp[worst]),
        )
