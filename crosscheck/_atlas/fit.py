"""Fit regions to measurements: the reason of each disagreement, the intervals, and the anchors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from math import inf, isfinite, isinf, nan

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, BoolArray, Float64Array, IntArray, is_number, widen
from crosscheck._atlas.bounds import FAR, MARGIN, bounded
from crosscheck._atlas.intervals import Points, drawn, refitted, widened
from crosscheck._atlas.matching import Measured, Unexplained, Wanted, marked, matched, open_points, unexplained
from crosscheck._records.deviations import Anchor, Deviation, Region
from crosscheck._records.implementations import USUAL_MODES
from crosscheck._records.names import DTYPES, budget
from crosscheck._verdict.causes import NOT_JUDGED
from crosscheck._verdict.coverage import SCATTERED, covers, lie_in, regions_of
from crosscheck._verdict.examination import (
    LONG,
    Showing,
    missed_at,
    showing,
    stale,
    too_large,
    too_wide,
)
from crosscheck._verdict.judged import ALONE, Judged

MEASURED = ("definition", "inaccurate", "layout")
"""The causes whose errors have a size."""
TRIED = 16
"""The most inputs that are tried as the anchor of a region."""


def borne_out(measured: Measured, found: Mapping[str, Sequence[Region]]) -> bool:
    """Whether regions that were drawn around other samples cover what these samples show, including the bounds."""
    return not any(open_points(measured, found)) and not any(
        _refuted(measured, measured.alone(deviation, region), region)
        for deviation in measured.activation.deviations
        for region in found.get(deviation.id, ())
    )


def _refuted(measured: Measured, alone: Deviation, region: Region) -> list[str]:
    """The findings of a run against a region whose inputs were all tried."""
    shows = showing(alone, region, measured.judged)
    missed = (said for anchor in region.anchors for said in missed_at(anchor, alone, region, shows))
    return [*too_large(region, shows), *stale(region, shows), *too_wide(alone, region, shows), *missed]


def fit(measured: Measured) -> tuple[dict[str, tuple[Region, ...]], list[Unexplained]]:
    """The regions of each deviation here, and the disagreements that match none.

    What is on record of this environment is measured again. A point that it does not cover goes to a region, of any
    environment, with the same cause, implementations, order and dtype: to one around it, or else to the nearest. Regions of
    rows of its length come first.
    """
    deviations = measured.activation.deviations
    found = {
        deviation.id: [
            new
            for region in measured.on_record[deviation.id]
            for part in _by_length(region)
            for new in _again(measured, deviation, part)
        ]
        for deviation in deviations
    }
    for deviation in deviations:
        if deviation.cause == "error" and not found[deviation.id]:
            found[deviation.id] = _raised(measured, deviation)
    left = [*open_points(measured, found)]
    for of_lengths, near, deviation in product((True, False), (False, True), deviations):
        for template, wanted in matched(measured, left, deviation, of_lengths=of_lengths, near=near):
            for part in _by_length(template):
                of_part = [pair for pair in wanted if not part.lengths or pair[0].key.length in part.lengths]
                new = _new(measured, deviation, part, of_part) if of_part else []
                found[deviation.id] += new
                left = [*open_points(measured, {deviation.id: new}, left)] if new else left
    return {id_: tuple(regions) for id_, regions in found.items() if regions}, list(unexplained(measured, found))


def _by_length(region: Region) -> list[Region]:
    """One region for each length of the longest rows, since few runs have all of these, and one for the other lengths."""
    others = tuple(length for length in region.lengths if length < LONG)
    parts = [*([others] if others else []), *((length,) for length in region.lengths if length >= LONG)]
    return [replace(region, lengths=lengths) for lengths in parts] or [region]


def _again(measured: Measured, deviation: Deviation, region: Region) -> list[Region]:
    """A region on record as it is today; none if nothing shows it."""
    alone = measured.alone(deviation, region)
    there = [one for one in measured.judged if regions_of(alone, one)]
    if not region.anchors:
        return [_of_few(region, showing(alone, region, there))]
    error = deviation.cause == "error"
    shown = [(one, marked(one, covers(deviation, region, one))) for one in there]
    seen = [one.key for one, at in shown if (one.message is not None if error else at.any())]
    region = replace(
        region,
        capability=None,
        dtypes=tuple(dtype for dtype in region.dtypes if any(key.dtype == dtype for key in seen)) or region.dtypes,
        modes=tuple(mode for mode in region.modes if any(key.mode == mode for key in seen)),
    )
    if error or not seen:
        return [region] * bool(seen)
    return _within(measured, deviation, region, shown) or _drawn(measured, deviation, region, shown)


def _of_few(region: Region, shows: Sequence[Showing]) -> Region:
    """A region on record that few samples show: it stays, since that these do not show it says nothing."""
    region = replace(region, capability=None)
    if all(one.largest(region) <= region.bound(one.one.key.mode) for one in shows):
        return region
    largest = max(one.largest(region) for one in shows)
    return replace(region, max_ulp=float(f"{MARGIN * largest:.3g}"), max_ulp_in={})


def _raised(measured: Measured, deviation: Deviation) -> list[Region]:
    """The regions, of any environment, of an error that is not on record of this one, where it is raised."""
    found: list[Region] = []
    for region in deviation.regions:
        found += [one for one in _again(measured, deviation, replace(region, seen=())) if one not in found]
    return found


def _within(measured: Measured, deviation: Deviation, region: Region, shown: Wanted) -> list[Region]:
    """The region in its own intervals, as far as they show it; none if it would not hold."""
    points = _points(measured, deviation, region, shown)
    intervals = refitted(region.intervals, points, scattered=_scattered(measured, deviation, region, shown))
    narrow = _finished(measured, deviation, region, intervals)
    return [narrow] if narrow else []


def _new(measured: Measured, deviation: Deviation, template: Region, wanted: Wanted) -> list[Region]:
    """Regions for points that no region on record covers: one for all, or for each case, or for each mode, or for both."""
    dtypes = tuple(dict.fromkeys(one.key.dtype for one, _ in wanted))
    anchors = template.anchors or (Anchor(template.intervals[0][0], {}),)  # a region without a bound must have one
    template = replace(template, seen=(), capability=None, dtypes=dtypes, anchors=anchors, max_ulp=inf, max_ulp_in={})
    if made := _in_modes(measured, deviation, template, wanted):
        return made
    of_cases = [_in_modes(measured, deviation, *of_case) for of_case in _by_case(template, wanted)]
    if all(of_cases):
        return [region for regions in of_cases for region in regions]
    result = []
    modes = tuple(dict.fromkeys(one.key.mode for one, _ in wanted))
    for mode in modes:
        alone = replace(template, modes=(mode,))
        some = [pair for pair in wanted if pair[0].key.mode == mode]
        made = _drawn(measured, deviation, alone, some)
        result += made or [region for part in _by_case(alone, some) for region in _drawn(measured, deviation, *part)]
    return result or _rare(measured, deviation, replace(template, modes=modes), wanted)


def _in_modes(measured: Measured, deviation: Deviation, template: Region, wanted: Wanted) -> list[Region]:
    """A region for points of several modes, for all modes of the deviation if it holds; none if none holds."""
    modes = tuple(dict.fromkeys(one.key.mode for one, _ in wanted))
    usual = tuple(mode for mode in modes if mode in USUAL_MODES)
    choices = [choice for choice in dict.fromkeys(((), usual, modes)) if set(modes) <= set(choice or deviation.modes)]
    inside = all(lie_in(widen(one.x)[at], template.intervals).all() for one, at in wanted)
    for fitted, choice in product((_within, _drawn) if inside else (_drawn,), choices):
        if made := fitted(measured, deviation, replace(template, modes=choice), wanted):
            return made
    return []


def _by_case(template: Region, wanted: Wanted) -> list[tuple[Region, Wanted]]:
    """The template and the points of each case, which is a choice of parameters."""
    cases = dict.fromkeys(one.key.case for one, _ in wanted)
    parts = [[pair for pair in wanted if pair[0].key.case == case] for case in cases]
    return [(replace(template, parameters=dict(part[0][0].parameters)), part) for part in parts]


def _rare(measured: Measured, deviation: Deviation, template: Region, wanted: Wanted) -> list[Region]:
    """A region without anchors for a small error that few samples show, in which no input shows it each time.

    So few points say nothing of where it ends: the region is as large as the template, or as they make it.
    """
    x = np.concatenate([widen(one.x)[at] for one, at in wanted])
    if not np.isfinite(x).all():
        return []
    region = _bounded(measured, deviation, replace(template, intervals=tuple(widened(template.intervals, x))))
    return [replace(region, anchors=())] if not region.max_ulp_in and region.max_ulp <= _small(region) else []


def _points(measured: Measured, deviation: Deviation, region: Region, shown: Wanted) -> Points:
    """The inputs that were tried in a region's setting, and which of them are ``shown``."""
    alone = measured.alone(deviation, region)
    at = {id(one): where for one, where in shown}
    samples: list[list[tuple[Float64Array, BoolArray]]] = [[] for _ in measured.runs]
    for run, parts in zip(measured.runs, samples, strict=True):
        for one in run:
            if regions_of(alone, one) and (one.key.against == ALONE) == (deviation.cause == "layout"):
                tried = one.codes != NOT_JUDGED
                parts.append((widen(one.x)[tried], at.get(id(one), np.zeros(one.x.shape, bool))[tried]))
    whole = not measured.activation.rows and all(FORMATS[dtype].bits == 16 for dtype in region.dtypes)
    return Points.of(samples, whole=whole)


def _drawn(measured: Measured, deviation: Deviation, region: Region, wanted: Wanted) -> list[Region]:
    """A region for points that show almost everywhere in its intervals; if there is none, for scattered points."""
    points = _points(measured, deviation, region, wanted)
    anywhere = replace(region, intervals=((-inf, inf), (-0.0, -0.0), (nan, nan)), max_ulp=inf, max_ulp_in={})
    every = [(one, marked(one, covers(deviation, anywhere, one))) for one in measured.judged]
    shown = _points(measured, deviation, region, every)
    apart = [(value, value) for value in (0.0, -0.0, nan) if points.shows_at(value)]
    few, small = deviation.cause == "layout", _scattered(measured, deviation, region, wanted)
    for scattered in (small, not small):
        made = _finished(measured, deviation, region, [*apart, *drawn(points.shown, shown, scattered=scattered, few=few)])
        if made:
            return [made]
    return []


def _scattered(measured: Measured, deviation: Deviation, region: Region, wanted: Wanted) -> bool:
    """Whether points may show at few of the inputs around them: rounding; and rows, whose other entries matter too."""
    errors = [one.ulp[where[one.failing]] for one, where in wanted]
    largest = max((float(np.nan_to_num(some, nan=0.0).max(initial=0.0)) for some in errors), default=0.0)
    return bool(measured.activation.rows) or deviation.cause == "layout" or largest <= _small(region)


def _small(region: Region) -> float:
    """The largest size of errors that may show at few points."""
    return SCATTERED * min(budget(dtype, region.order) for dtype in region.dtypes)


def _finished(
    measured: Measured, deviation: Deviation, region: Region, intervals: Sequence[tuple[float, float]]
) -> Region | None:
    """The region with these intervals, its anchors and its bound as measured; None if it would not hold."""
    if not intervals:
        return None
    held = [one for one in region.anchors if lie_in(np.array([one.input]), intervals).any()]
    region = replace(region, intervals=tuple(intervals), anchors=(Anchor(intervals[0][0], {}),))
    region = _bounded(measured, deviation, region)
    alone = measured.alone(deviation, region)
    shows = showing(alone, region, measured.judged)
    strict = [one for one in shows if one.strict]
    if not strict or any(too_wide(alone, region, shows)):
        return None
    runs = [[one for one in showing(alone, region, run) if one.strict] for run in measured.runs]
    # another row with the same number may round otherwise, so a second sample must confirm it
    least = min(2, sum(map(bool, runs))) if measured.activation.rows and region.max_ulp <= _small(region) else 1

    def shown(anchor: Anchor) -> bool:
        tried = [some for some in runs if any(_tries(one.one, anchor) for one in some)]
        return len(tried) >= least and not any(missed_at(anchor, alone, region, some) for some in tried)

    # the result of a layout depends on where the input lies, and with several threads on their number
    layout = deviation.cause == "layout"
    names = {} if layout or measured.activation.rows else dict.fromkeys(deviation.implementations)
    anchors = [
        Anchor(one.input, dict(_results(one.input, {} if layout else one.results, strict, shown)))
        for one in held
        if shown(Anchor(one.input, {}))
    ]
    if not anchors:
        anchors = [Anchor(at, dict(_results(at, names, strict, shown))) for at in _candidates(strict, shown)]
    if not anchors:
        return None
    if isinf(region.max_ulp) and not measured.activation.rows:
        # an input that each run tries confirms a bound; far from the largest error, where the cause may differ
        enough = max(one.largest(region) for one in strict) * MARGIN / FAR
        more = [Anchor(at, dict(_results(at, names, strict, shown))) for at in _candidates(strict, shown, enough)]
        region = _bounded(measured, deviation, region, more)
        anchors += more if isfinite(region.max_ulp) else []
    region = replace(region, anchors=tuple({repr(one.input): one for one in anchors}.values()))
    # points of another cause may show at the anchors, but the bound is about those of its own
    shows = showing(measured.alone(deviation, region), region, measured.judged)
    return None if any(stale(region, shows)) else region


def _tries(one: Judged, anchor: Anchor) -> bool:
    return bool(is_number(one.x, float(np.float64(anchor.input).astype(one.x.dtype))).any())


def _bounded(measured: Measured, deviation: Deviation, region: Region, anchors: Sequence[Anchor] = ()) -> Region:
    """The region with the bounds of its errors; every run has those at the anchors."""
    if deviation.cause not in MEASURED:
        return replace(region, max_ulp=inf, max_ulp_in={})
    alone = measured.alone(deviation, region)
    runs = [showing(alone, region, run) for run in measured.runs]
    strict = [here for shows in runs for here in shows if here.strict]
    at_anchors: dict[tuple[str, str], float] = {}
    for here, anchor in product(strict, anchors):
        at = is_number(here.one.x[here.one.failing], anchor.input) & here.shown[here.one.failing]
        setting = here.one.key.mode, here.one.key.dtype
        at_anchors[setting] = max([at_anchors.get(setting, 0.0), *here.one.ulp[at].tolist()])
    found: dict[str, dict[tuple[int, str], float]] = {}
    for seed, shows in enumerate(runs):
        for here in shows:
            mode, dtype = here.one.key.mode, here.one.key.dtype
            if (largest := max(here.largest(region), at_anchors.get((mode, dtype), 0.0) * here.strict)) > 0:
                of_mode = found.setdefault(mode, {})
                of_mode[seed, dtype] = max(largest, of_mode.get((seed, dtype), 0.0))
    required = {here.one.key.mode for here in strict}
    errors = {mode: [*of_mode.values()] for mode, of_mode in found.items()}
    return bounded(
        region,
        {mode: some for mode, some in errors.items() if mode in required},
        {mode: some for mode, some in errors.items() if mode not in required},
        _small(region),
    )


def _candidates(strict: Iterable[Showing], shown: Callable[[Anchor], bool], enough: float = 0.0) -> list[float]:
    """The first input that can be an anchor: among those that most comparisons show, or those with ``enough`` error."""
    found: list[tuple[IntArray, Float64Array]] = []
    for here in strict:
        at = here.shown[here.one.failing]
        x = widen(here.one.x[here.one.failing[at]])
        bits = np.where(np.isnan(x), nan, x).view(np.int64)  # -0 and 0 differ, and all NaNs are equal
        every, where = np.unique(bits, return_inverse=True)
        errors = np.zeros(every.size)
        np.maximum.at(errors, where, np.nan_to_num(here.one.ulp[at], nan=0.0))
        found.append((every, errors))
    bits, where, counts = np.unique(np.concatenate([every for every, _ in found]), return_inverse=True, return_counts=True)
    largest = np.zeros(bits.size)
    np.maximum.at(largest, where, np.concatenate([errors for _, errors in found]))
    order = np.lexsort((np.abs(bits.view(np.float64)), *((largest,) if enough else (-largest, -counts))))
    order = order[largest[order] >= enough]
    tried = (float(value) for value in bits[order[:TRIED]].view(np.float64))
    return list(islice((value for value in tried if shown(Anchor(value, {}))), 1))


def _results(
    at: float, on_record: Mapping[str, float | None], strict: Sequence[Showing], shown: Callable[[Anchor], bool]
) -> Iterator[tuple[str, float]]:
    """The implementations' results at an input, to the bit, if they are the same in every comparison.

    ``on_record`` names the implementations. In functions of rows, several rows have the input: the result on record stays,
    as a snippet reproduces it.
    """
    ordered = sorted((here.one for here in strict), key=lambda one: DTYPES.index(one.key.dtype))
    for name, before in on_record.items():
        got: dict[str, float] = {} if before is None else {repr(before): before}
        for one in ordered:
            here = is_number(one.x[one.failing], float(np.float64(at).astype(one.x.dtype)))
            for who, values in zip(one.key.implementations, (one.got, one.expected), strict=False):
                if who == name:
                    got |= {repr(value): value for value in widen(values[here]).tolist()}
        same = (value for value in [*got.values()][:TRIED] if shown(Anchor(at, {name: value})))
        yield from ((name, value) for value in islice(same, 1))
