"""The second step of a record: the regions of a deviation around the points at which it was seen, as later runs see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from math import inf, isfinite, isinf, nan

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, BoolArray, Float64Array, IntArray, is_number, widen
from crosscheck._atlas.bounds import FAR, MARGIN, bounded
from crosscheck._atlas.intervals import Interval, Points, drawn, refitted, widened
from crosscheck._atlas.seen import MeasuredActivation, Wanted, grouped, marked
from crosscheck._records.deviations import Anchor, Deviation, Region
from crosscheck._records.implementations import USUAL_MODES
from crosscheck._records.names import DTYPES, budget
from crosscheck._verdict.causes import NOT_JUDGED
from crosscheck._verdict.coverage import SCATTERED, covers, lie_in, regions_of
from crosscheck._verdict.examination import Showing, missed_at, showing, stale, too_large, too_wide
from crosscheck._verdict.judged import ALONE, ComparisonCauses

MEASURED = ("definition", "inaccurate", "layout")
"""The causes whose errors have a size."""
TRIED = 16
"""The most inputs that are tried as the anchor of a region."""


@dataclass(frozen=True)
class Fitting:
    """What makes the regions of one deviation from what was measured."""

    measured: MeasuredActivation
    deviation: Deviation

    def showing(self, region: Region, judged: Iterable[ComparisonCauses] | None = None) -> list[Showing]:
        """The comparisons in which the region must show, among these or among all."""
        alone = self.measured.alone(self.deviation, region)
        return showing(alone, region, self.measured.judged if judged is None else judged)

    def refuted(self, region: Region) -> bool:
        """Whether a run contradicts a region whose inputs were all tried."""
        shows = self.showing(region)
        findings = *too_large(region, shows), *stale(region, shows), *too_wide(self.deviation, region, shows)
        return bool(findings) or any(missed_at(anchor, self.deviation, region, shows) for anchor in region.anchors)

    def again(self, region: Region) -> list[Region]:
        """A region on record as it is today; none if nothing shows it."""
        region = replace(region, capability=None)
        if not region.anchors:
            return [_of_few(region, self.showing(region))]
        alone = self.measured.alone(self.deviation, region)
        there = [comparison for comparison in self.measured.judged if regions_of(alone, comparison)]
        shown = [(comparison, marked(comparison, covers(self.deviation, region, comparison))) for comparison in there]
        error = self.deviation.cause == "error"
        seen = [comparison.key for comparison, at in shown if (comparison.message is not None if error else at.any())]
        region = replace(
            region,
            dtypes=tuple(dtype for dtype in region.dtypes if any(key.dtype == dtype for key in seen)) or region.dtypes,
            modes=tuple(mode for mode in region.modes if any(key.mode == mode for key in seen)),
        )
        if error or not seen:
            return [region] * bool(seen)
        return self._within(region, shown) or self._drawn(region, shown)

    def new(self, template: Region, wanted: Wanted) -> list[Region]:
        """Regions for points that no region covers: one for all, or for each case, or for each mode, or for both."""
        dtypes, of_modes = (
            tuple(grouped(wanted, lambda comparison: comparison.key.dtype)),
            grouped(wanted, lambda comparison: comparison.key.mode),
        )
        anchors = template.anchors or (Anchor(template.intervals[0][0], {}),)  # a region without a bound must have one
        template = replace(template, seen=(), capability=None, dtypes=dtypes, anchors=anchors, max_ulp=inf, max_ulp_in={})
        if made := self._in_modes(template, wanted):
            return made
        of_cases = [self._in_modes(*of_case) for of_case in _by_case(template, wanted)]
        if all(of_cases):
            return [region for regions in of_cases for region in regions]
        result = []
        for mode, some in of_modes.items():
            alone = replace(template, modes=(mode,))
            made = self._drawn(alone, some)
            result += made or [region for of_case in _by_case(alone, some) for region in self._drawn(*of_case)]
        return result or self._rare(replace(template, modes=tuple(of_modes)), wanted)

    def _in_modes(self, template: Region, wanted: Wanted) -> list[Region]:
        """A region for points of several modes, for all modes of the deviation if it holds; none if none holds."""
        modes = tuple(grouped(wanted, lambda comparison: comparison.key.mode))
        usual = tuple(mode for mode in modes if mode in USUAL_MODES)
        choices = [
            choice for choice in dict.fromkeys(((), usual, modes)) if set(modes) <= set(choice or self.deviation.modes)
        ]
        inside = all(lie_in(widen(comparison.x)[at], template.intervals).all() for comparison, at in wanted)
        for fitted, choice in product((self._within, self._drawn) if inside else (self._drawn,), choices):
            if made := fitted(replace(template, modes=choice), wanted):
                return made
        return []

    def _within(self, region: Region, shown: Wanted) -> list[Region]:
        """The region in its own intervals, as far as they show it; none if it would not hold."""
        scattered = self._scattered(region, shown)
        return self._finished(region, refitted(region.intervals, self._points(region, shown), scattered=scattered))

    def _drawn(self, region: Region, wanted: Wanted) -> list[Region]:
        """A region for points that show almost everywhere in its intervals; if there is none, for scattered points."""
        points = self._points(region, wanted)
        anywhere = replace(region, intervals=((-inf, inf), (-0.0, -0.0), (nan, nan)), max_ulp=inf, max_ulp_in={})
        shown = [
            (comparison, marked(comparison, covers(self.deviation, anywhere, comparison)))
            for comparison in self.measured.judged
        ]
        every = self._points(region, shown)
        apart = [(value, value) for value in (0.0, -0.0, nan) if points.shows_at(value)]
        few, likely = self.deviation.cause == "layout", self._scattered(region, wanted)
        for scattered in (likely, not likely):
            if made := self._finished(region, [*apart, *drawn(points.shown, every, scattered=scattered, few=few)]):
                return made
        return []

    def _rare(self, template: Region, wanted: Wanted) -> list[Region]:
        """A region without anchors for a small error that few samples show, in which no input shows it each time.

        So few points say nothing of where it ends: the region is as large as the template, or as they make it.
        """
        x = np.concatenate([widen(comparison.x)[at] for comparison, at in wanted])
        if not np.isfinite(x).all():
            return []
        region = self._bounded(replace(template, intervals=tuple(widened(template.intervals, x))))
        return [replace(region, anchors=())] if not region.max_ulp_in and region.max_ulp <= _small(region) else []

    def _points(self, region: Region, shown: Wanted) -> Points:
        """The inputs that were tried in a region's setting, and which of them are ``shown``."""
        alone = self.measured.alone(self.deviation, region)
        at = {id(comparison): where for comparison, where in shown}
        samples: list[list[tuple[Float64Array, BoolArray]]] = []
        for run in self.measured.runs:
            samples.append([])
            for comparison in run:
                if regions_of(alone, comparison) and (comparison.key.against == ALONE) == (self.deviation.cause == "layout"):
                    tried = comparison.codes != NOT_JUDGED
                    samples[-1].append(
                        (widen(comparison.x)[tried], at.get(id(comparison), np.zeros(comparison.x.shape, bool))[tried])
                    )
        whole = not self.measured.activation.rows and all(FORMATS[dtype].bits == 16 for dtype in region.dtypes)
        return Points.of(samples, whole=whole)

    def _scattered(self, region: Region, wanted: Wanted) -> bool:
        """Whether points may show at few of the inputs around them: rounding; and rows, whose other entries matter too."""
        errors = np.concatenate([np.zeros(1), *(comparison.ulp[where[comparison.failing]] for comparison, where in wanted)])
        rounding = np.nan_to_num(errors, nan=0.0).max() <= _small(region)
        return bool(self.measured.activation.rows or self.deviation.cause == "layout" or rounding)

    def _finished(self, region: Region, intervals: Sequence[Interval]) -> list[Region]:
        """The region with these intervals, its anchors and its bound as measured; none if it would not hold."""
        if not intervals:
            return []
        held = [anchor for anchor in region.anchors if lie_in(np.array([anchor.input]), intervals).any()]
        region = self._bounded(replace(region, intervals=tuple(intervals), anchors=(Anchor(intervals[0][0], {}),)))
        shows = self.showing(region)
        strict = [show for show in shows if show.strict]
        if not strict or any(too_wide(self.deviation, region, shows)):
            return []
        rows, layout = self.measured.activation.rows, self.deviation.cause == "layout"
        runs = [[show for show in self.showing(region, run) if show.strict] for run in self.measured.runs]
        # another row with the same number may round otherwise, so a second sample must confirm it
        least = min(2, sum(map(bool, runs))) if rows and region.max_ulp <= _small(region) else 1

        def shown(anchor: Anchor) -> bool:
            tried = [some for some in runs if any(_tries(show.comparison, anchor) for show in some)]
            return len(tried) >= least and not any(missed_at(anchor, self.deviation, region, some) for some in tried)

        def chosen(inputs: Iterable[float], results: Mapping[str, float | None]) -> list[Anchor]:
            return [Anchor(at, dict(_results(at, results, strict, shown))) for at in inputs]

        # the result of a layout depends on where the input lies, and with several threads on their number
        names = {} if layout or rows else dict.fromkeys(self.deviation.implementations)
        confirmed = [anchor for anchor in held if shown(Anchor(anchor.input, {}))]
        anchors = [new for anchor in confirmed for new in chosen([anchor.input], {} if layout else anchor.results)]
        anchors = anchors or chosen(_candidates(strict, shown), names)
        if not anchors:
            return []
        if isinf(region.max_ulp) and not rows:
            # an input that each run tries confirms a bound; far from the largest error, where the cause may differ
            enough = max(show.largest(region) for show in strict) * MARGIN / FAR
            more = chosen(_candidates(strict, shown, enough), names)
            region = self._bounded(region, more)
            anchors += more if isfinite(region.max_ulp) else []
        region = replace(region, anchors=tuple({repr(anchor.input): anchor for anchor in anchors}.values()))
        # points of another cause may show at the anchors, but the bound is about those of its own
        return [] if any(stale(region, self.showing(region))) else [region]

    def _bounded(self, region: Region, anchors: Sequence[Anchor] = ()) -> Region:
        """The region with the bounds of its errors; every run has those at the anchors."""
        if self.deviation.cause not in MEASURED:
            return replace(region, max_ulp=inf, max_ulp_in={})
        runs = [self.showing(region, run) for run in self.measured.runs]
        strict = [here for shows in runs for here in shows if here.strict]
        at_anchors: dict[tuple[str, str], float] = {}
        for here, anchor in product(strict, anchors):
            at = is_number(here.comparison.x[here.comparison.failing], anchor.input) & here.shown[here.comparison.failing]
            setting = here.comparison.key.mode, here.comparison.key.dtype
            at_anchors[setting] = max([at_anchors.get(setting, 0.0), *here.comparison.ulp[at].tolist()])
        by_mode: dict[str, dict[tuple[int, str], float]] = {}
        for seed, shows in enumerate(runs):
            for here in shows:
                mode, dtype = here.comparison.key.mode, here.comparison.key.dtype
                if (largest := max(here.largest(region), at_anchors.get((mode, dtype), 0.0) * here.strict)) > 0:
                    of_mode = by_mode.setdefault(mode, {})
                    of_mode[seed, dtype] = max(largest, of_mode.get((seed, dtype), 0.0))
        required = {here.comparison.key.mode for here in strict}
        errors = {mode: [*of_mode.values()] for mode, of_mode in by_mode.items()}
        of_strict, of_others = (
            {mode: some for mode, some in errors.items() if (mode in required) == wanted} for wanted in (True, False)
        )
        return bounded(region, of_strict, of_others, _small(region))


def _of_few(region: Region, shows: Sequence[Showing]) -> Region:
    """A region on record that few samples show: it stays, since that these do not show it says nothing."""
    if all(show.largest(region) <= region.bound(show.comparison.key.mode) for show in shows):
        return region
    largest = max(show.largest(region) for show in shows)
    return replace(region, max_ulp=float(f"{MARGIN * largest:.3g}"), max_ulp_in={})


def _by_case(template: Region, wanted: Wanted) -> list[tuple[Region, Wanted]]:
    """The template and the points of each case, which is a choice of parameters."""
    parts = grouped(wanted, lambda comparison: comparison.key.case).values()
    return [(replace(template, parameters=dict(part[0][0].parameters)), part) for part in parts]


def _small(region: Region) -> float:
    """The largest size of errors that may show at few points."""
    return SCATTERED * min(budget(dtype, region.order) for dtype in region.dtypes)


def _tries(comparison: ComparisonCauses, anchor: Anchor) -> bool:
    return bool(is_number(comparison.x, float(np.float64(anchor.input).astype(comparison.x.dtype))).any())


def _candidates(strict: Iterable[Showing], shown: Callable[[Anchor], bool], enough: float = 0.0) -> list[float]:
    """The first input that can be an anchor: among those that most comparisons show, or those with ``enough`` error."""
    candidates: list[tuple[IntArray, Float64Array]] = []
    for here in strict:
        at = here.shown[here.comparison.failing]
        x = widen(here.comparison.x[here.comparison.failing[at]])
        bits = np.where(np.isnan(x), nan, x).view(np.int64)  # -0 and 0 differ, and all NaNs are equal
        every, where = np.unique(bits, return_inverse=True)
        errors = np.zeros(every.size)
        np.maximum.at(errors, where, np.nan_to_num(here.comparison.ulp[at], nan=0.0))
        candidates.append((every, errors))
    bits, where, counts = np.unique(
        np.concatenate([every for every, _ in candidates]), return_inverse=True, return_counts=True
    )
    largest = np.zeros(bits.size)
    np.maximum.at(largest, where, np.concatenate([errors for _, errors in candidates]))
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
    ordered = sorted((here.comparison for here in strict), key=lambda comparison: DTYPES.index(comparison.key.dtype))
    for name, before in on_record.items():
        got: dict[str, float] = {} if before is None else {repr(before): before}
        for comparison in ordered:
            here = is_number(comparison.x[comparison.failing], float(np.float64(at).astype(comparison.x.dtype)))
            for who, values in zip(comparison.key.implementations, (comparison.got, comparison.expected), strict=False):
                if who == name:
                    got |= {repr(value): value for value in widen(values[here]).tolist()}
        same = (value for value in [*got.values()][:TRIED] if shown(Anchor(at, {name: value})))
        yield from ((name, value) for value in islice(same, 1))
