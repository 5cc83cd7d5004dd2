"""Whether a run confirms the regions of a deviation, and how often and how strongly it shows there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, IntArray, is_number, widen
from crosscheck._records.deviations import Anchor, Deviation, Region
from crosscheck._records.implementations import USUAL_MODES, on_screen
from crosscheck._records.names import ORDER_NAMES
from crosscheck._records.worded import Worded
from crosscheck._verdict.causes import CODE, NOT_JUDGED
from crosscheck._verdict.coverage import covers, lie_in, regions_of, small
from crosscheck._verdict.environments import Environment, examined_here, in_a_record, seen_here
from crosscheck._verdict.judged import ALONE, EXACT, ComparisonCauses, Key
from crosscheck._verdict.records import Finding

STALE = 10
"""A declared maximum is stale if it is more than this many times the measured one."""

LONG = 50_000
"""For rows with at least this many entries, a bound must hold only in regions that name their length."""

ROOM, SMALL_ROOM = 10.0, 2.0
"""So many times larger, or smaller, than in the samples of a recording may the largest error of another sample be.

The second number is for the errors of ``SCATTERED`` rounding, and for the share of a region's inputs that show it. Other
errors grow without end towards some input.
"""


@dataclass(frozen=True)
class Extent:
    """How often and how strongly a deviation was observed in one region: the points, of how many, and the largest error.

    ``max_ulp`` is in ULP, 0 if the cause has no error to measure. If an implementation raises, ``points`` and ``of`` count
    the runs.
    """

    implementation: str
    against: str
    dtype: str
    mode: str
    points: int
    of: int
    max_ulp: float


def strict_modes(deviation: Deviation, region: Region) -> set[str]:
    """The modes in which a deviation must show at a region's anchors, with the results declared there.

    They are the modes that run by default, if it is declared for any of these: in other modes the same fault may show
    elsewhere, or as a zero of the other sign. Its maximum holds in all of its modes.
    """
    modes = set(deviation.modes_of(region))
    return modes & set(USUAL_MODES) or modes


def examine(
    deviation: Deviation, judged: Sequence[ComparisonCauses], environment: Environment, every_length: Collection[int]
) -> list[Finding]:
    """Check each region: wide enough, not too wide, observed at its anchors, within its bound."""
    if deviation.cause == "error":
        return [
            Finding(deviation.id, seen_here(deviation, environment, region), _does_not_raise(comparison.key))
            for comparison in judged
            for region in regions_of(deviation, comparison)
            if comparison.key.mode in strict_modes(deviation, region) and bears_out(deviation, comparison)
        ]
    findings = []
    for region in (region for region in deviation.regions if examined_here(region, environment)):
        seen = seen_here(deviation, environment, region)
        recorded = in_a_record(region)
        lengths = [
            {comparison.key.length for comparison in judged if comparison.key.dtype == dtype} for dtype in region.dtypes
        ]
        # a run over some lengths of rows may lack those in which a deviation shows
        must_occur = seen and all(some <= {None} or some.issuperset(every_length) for some in lengths)
        shows = showing(deviation, region, judged)
        missed = (said for anchor in region.anchors for said in missed_at(anchor, deviation, region, shows))
        for failed, messages in (
            (seen, too_wide(deviation, region, shows, recorded=recorded)),
            (must_occur, missed),
            (True, too_large(region, shows, recorded=recorded)),
            (True, stale(region, shows, recorded=recorded) if must_occur else ()),
        ):
            findings += [Finding(deviation.id, failed, message) for message in messages]
    return list(dict.fromkeys(findings))


def _does_not_raise(key: Key) -> Worded:
    return Worded(f"it does not raise ({_where(key)})", "does not raise")


@dataclass(frozen=True)
class Showing:
    """A comparison in which a deviation must show: which points lie in the region, and which of these show it.

    ``measured`` are the points with the deviation's own cause, or if the bound is small, all that show it; the bound is
    about these. ``strict`` is whether the deviation must show at the region's anchors in this mode.
    """

    comparison: ComparisonCauses
    inside: BoolArray
    shown: BoolArray
    measured: BoolArray
    strict: bool

    def largest(self, region: Region, *, at_anchors: bool = False) -> float:
        """The largest measured error, and of any points ``at_anchors`` that it covers, in ULP; 0 if there are none.

        In a row as long as a vocabulary, the summed error differs from the one declared for any length.
        """
        if (self.comparison.key.length or 0) >= LONG and not region.lengths:
            return 0.0
        counted = self.measured.copy()
        for anchor in region.anchors if at_anchors else ():
            counted |= self.shown & _is_at(self.comparison, anchor)
        return _largest(self.comparison, counted)


def showing(deviation: Deviation, region: Region, judged: Iterable[ComparisonCauses]) -> list[Showing]:
    """The comparisons in which a deviation must show in a region, among those that were run."""
    strict = strict_modes(deviation, region)
    pairs = ((comparison, points) for comparison in judged if (points := _shown(deviation, region, comparison)) is not None)
    return [
        Showing(
            comparison,
            inside,
            shown,
            shown & ((comparison.codes == CODE[deviation.cause]) | small(region, comparison.key)),
            comparison.key.mode in strict,
        )
        for comparison, (inside, shown) in pairs
    ]


def too_wide(deviation: Deviation, region: Region, shows: Iterable[Showing], *, recorded: bool = False) -> Iterator[Worded]:
    """The comparisons in which too few of a region's inputs show the deviation; a ``recorded`` one is from other samples."""
    least = 0.5 / (SMALL_ROOM if recorded else 1.0)
    for here in shows:
        comparison, shown, inside = here.comparison, here.shown.sum(), here.inside.sum()
        scattered = comparison.key.length or small(region, comparison.key) or deviation.cause == "layout"
        if here.strict and 0 < shown < least * inside and not scattered:
            words = f"its region is too wide: only {shown} of {inside} inputs show it ({_where(comparison.key)})"
            yield Worded(words, "too wide")


def missed_at(anchor: Anchor, deviation: Deviation, region: Region, shows: Sequence[Showing]) -> list[Worded]:
    """How a deviation differs at an anchor from what is declared."""
    missed: dict[Key, list[Worded | None]] = {}
    for comparison in (here.comparison for here in shows if here.strict):
        if (at := _points_at(comparison, anchor)).size:
            # the number that identifies an entry may occur in several rows: it must show in one of them; if it is rounding
            # beyond the budget at few points, in one dtype and mode of them, as not all are run
            key = comparison.key if comparison.key.length is None else replace(comparison.key, length=None, case=0)
            key = replace(key, dtype="", mode="") if comparison.key.length and small(region, comparison.key) else key
            missed.setdefault(key, []).append(_missed(comparison, anchor, at, (deviation, region), _where(comparison.key)))
    if not missed and any(here.strict for here in shows):
        words = f"no row that was tried has its anchor {anchor.input!r} ({ORDER_NAMES[region.order]})"
        return [Worded(words, "not tried", anchor.input)]
    return [message for message, *others in missed.values() if message is not None and None not in others]


def too_large(region: Region, shows: Iterable[Showing], *, recorded: bool = False) -> Iterator[Worded]:
    """The comparisons with an error above the bound of their mode; a ``recorded`` bound is from other samples."""
    for show in shows:
        key = show.comparison.key
        room = (SMALL_ROOM if small(region, key) else ROOM) if recorded else 1.0
        if (largest := show.largest(region)) > room * (bound := region.bound(key.mode)):
            words = f"its error is {largest:.4g} ULP, more than the declared {bound:.4g} ({_where(key)})"
            yield Worded(words, "too large", key.mode)


def stale(region: Region, shows: Iterable[Showing], *, recorded: bool = False) -> Iterator[Worded]:
    """The bounds that are far above every error where the deviation must show; ``recorded`` ones are from other samples.

    An error at an anchor counts even if its cause is the other one that the region covers, which may change with the sample.
    If the deviation's own cause does not occur at all, no error counts. In a region without anchors, it need not occur;
    in one on record, which few samples show, no error is too small.
    """
    measured: dict[str | None, list[Showing]] = {}
    for show in shows:
        mode = show.comparison.key.mode
        if show.strict and isfinite(region.bound(mode)):
            measured.setdefault(mode if mode in region.max_ulp_in else None, []).append(show)
    for own, of_bound in measured.items():
        bound = region.max_ulp if own is None else region.bound(own)
        occurs = any(show.measured.any() for show in of_bound)
        largest = max(show.largest(region, at_anchors=occurs) for show in of_bound)
        room = STALE * (ROOM if recorded else 1.0)
        if largest * room < bound and (region.anchors or (largest > 0 and not recorded)):
            where = "" if own is None else f" ({own})"
            words = f"its declared maximum of {bound:.4g} ULP is stale: {largest:.4g} ULP is the largest measured{where}"
            yield Worded(words, "stale", own)


def _shown(deviation: Deviation, region: Region, comparison: ComparisonCauses) -> tuple[BoolArray, BoolArray] | None:
    """The points that lie in the region, and those of them that show the deviation; None if it need not show."""
    if region not in regions_of(deviation, comparison) or not bears_out(deviation, comparison):
        return None
    inside = lie_in(widen(comparison.x), region.intervals) & (comparison.codes != NOT_JUDGED)
    shown = np.zeros(inside.shape, bool)
    shown[comparison.failing] = covers(deviation, region, comparison)
    return (inside, inside & shown) if inside.any() else None


def _largest(comparison: ComparisonCauses, shown: BoolArray) -> float:
    errors = comparison.ulp[shown[comparison.failing]]
    return float(errors[~np.isnan(errors)].max(initial=0.0))


def extents(deviation: Deviation, region: Region, judged: Sequence[ComparisonCauses]) -> list[Extent]:
    """How often a deviation was observed in a region: for each implementation, dtype and mode that was run."""
    by_key: dict[tuple[str, str, str, str], list[tuple[int, int, float]]] = {}
    for comparison in judged:
        key = (comparison.key.implementation, comparison.key.against, comparison.key.dtype, comparison.key.mode)
        if deviation.cause == "error" and region in regions_of(deviation, comparison):
            by_key.setdefault(key, []).append((int(comparison.message is not None), 1, 0.0))
        for here in showing(deviation, region, [comparison]):
            by_key.setdefault(key, []).append(
                (int(here.shown.sum()), int(here.inside.sum()), _largest(here.comparison, here.measured))
            )
    return [
        Extent(*key, sum(shown for shown, _, _ in some), sum(of for _, of, _ in some), max(ulp for _, _, ulp in some))
        for key, some in by_key.items()
    ]


def _where(key: Key) -> str:
    who = f"{on_screen(key.implementation)} against {on_screen(key.against)}"
    return f"{who}, {key.dtype}, {ORDER_NAMES[key.order]}, {key.mode}"


def bears_out(deviation: Deviation, comparison: ComparisonCauses) -> bool:
    """Whether a deviation must show in this comparison.

    It must in each comparison of an implementation with the exact results, unless it is about the layout or a convention
    between two implementations, which only the comparison of the two shows.
    """
    if comparison.message is not None:
        return False
    if deviation.cause == "convention" and len(deviation.implementations) == 2:
        return set(comparison.key.implementations) == set(deviation.implementations)
    return comparison.key.against == (ALONE if deviation.cause == "layout" else EXACT)


def _points_at(comparison: ComparisonCauses, anchor: Anchor) -> IntArray:
    """The indices of the judged points at an anchor."""
    return np.flatnonzero(_is_at(comparison, anchor) & (comparison.codes != NOT_JUDGED)).astype(np.int64)


def _is_at(comparison: ComparisonCauses, anchor: Anchor) -> BoolArray:
    return is_number(comparison.x, float(np.float64(anchor.input).astype(comparison.x.dtype)))


def _missed(
    comparison: ComparisonCauses, anchor: Anchor, at: IntArray, what: tuple[Deviation, Region], where: str
) -> Worded | None:
    """Why a deviation is not as declared at an anchor; None if it is."""
    here = np.zeros(comparison.x.shape, bool)
    here[at] = True
    failing = np.flatnonzero(here[comparison.failing] & covers(*what, comparison))
    if not failing.size:
        return Worded(f"it does not occur at its anchor {anchor.input!r} ({where})", "not at its anchor", anchor.input)
    declared_results = [anchor.results.get(implementation) for implementation in comparison.key.implementations]
    for values, result in zip((comparison.got, comparison.expected), declared_results, strict=False):
        if result is None:
            continue
        got = widen(values[failing])
        expected = np.float64(result).astype(comparison.x.dtype).astype(np.float64)
        same = (got == expected) & (np.signbit(got) == np.signbit(expected)) | np.isnan(got) & np.isnan(expected)
        if not same.any():
            words = f"its result at {anchor.input!r} is {float(got[0])!r}, not the declared {result!r} ({where})"
            return Worded(words, "another result", anchor.input)
    return None
