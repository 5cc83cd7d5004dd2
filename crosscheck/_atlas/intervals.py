"""Intervals around the inputs at which a deviation shows, with margins for those that another seed may try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isnan, log, log1p

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, IntArray
from crosscheck._verdict.coverage import lie_in

Interval = tuple[float, float]

CHANCE = 0.01
"""Beyond an end, so many inputs are included that all of them miss the deviation with only this chance."""
SPREAD = 3
"""Beyond an end, also this many times the number of inputs between the ends of several seeds' samples are included."""
OUTERMOST = 5
"""The number of inputs next to an end from which it is estimated how often it shows there."""
FURTHER = 2.0
"""Intervals of new scattered errors are extended by this factor; an end on record of such errors is kept up to it."""
MUCH_FURTHER = 16.0
"""They are extended by this factor if few inputs were tried."""
GAP = 4.0
"""Scattered errors whose inputs differ by more than this factor are in two intervals."""
DENSE, STEP = 0.6, 0.2
"""The least share of an interval's inputs that show it, and the least share in each step by which it grows."""
CLOSE = 0.02
"""The largest relative amount by which an end is rounded outwards; an end on record that is as close is kept."""


@dataclass(frozen=True)
class Points:
    """The numbers that were tried, each once and in order, and those at which a deviation showed in some comparison.

    ``by_seed`` has the numbers at which it showed in the sample of each seed, ``apart`` the zeros and NaN at which it did;
    ``whole`` is whether every number of the dtype was tried.
    """

    x: Float64Array
    by_seed: BoolArray
    apart: frozenset[str]
    whole: bool

    @property
    def shown(self) -> BoolArray:
        return np.asarray(self.by_seed.any(axis=0))

    @classmethod
    def of(cls, samples: Sequence[Sequence[tuple[Float64Array, BoolArray]]], *, whole: bool) -> Points:
        """From the inputs of the comparisons of each seed, and where each comparison shows it."""
        # most comparisons try the same inputs, and sorting takes the time
        different = {x.tobytes(): x for pairs in samples for x, _ in pairs}.values()
        every = np.unique(np.concatenate([np.zeros(0), *different]))
        every = every[~np.isnan(every)]
        by_seed, apart = np.zeros((len(samples), every.size), bool), set[str]()
        for of_seed, pairs in zip(by_seed, samples, strict=True):
            for x, shown in pairs:
                hits = x[shown]
                of_seed[np.searchsorted(every, hits[~np.isnan(hits)])] = True
                apart |= {repr(float(hit)) for hit in hits[(hits == 0) | np.isnan(hits)]}
        return cls(every, by_seed, frozenset(apart), whole)

    def shows_at(self, value: float) -> bool:
        """Whether it shows at a number; here, -0 and 0 differ."""
        if value == 0 or isnan(value):
            return repr(value) in self.apart
        return bool(self.shown[self.x == value].any())


def refitted(intervals: Sequence[Interval], points: Points, *, scattered: bool = False) -> list[Interval]:
    """The intervals in which it shows; an end that is farther out than chance explains is moved inwards.

    If it is scattered, it becomes rare towards an end, so that an end which is not far out is kept.
    """
    inside = {(low, high): np.flatnonzero((points.x >= low) & (points.x <= high)) for low, high in intervals if low < high}
    tried = np.unique(np.concatenate([np.zeros(0, np.int64), *inside.values()]))
    share = points.shown[tried].mean() if tried.size else 0.0
    result = []
    for low, high in intervals:
        if (low, high) not in inside:
            result += [(low, high)] * points.shows_at(low)
            continue
        at = inside[low, high]
        hits = at[points.shown[at]]
        if hits.size:
            ends = (low, -1, at, hits), (high, 1, at[::-1], hits[::-1])
            lower, upper = (_end(*end, points, scattered=scattered) for end in ends)
            result.append((lower, upper))
        elif not points.whole and 0 < share < 1 and (1 - share) ** at.size >= CHANCE:
            result.append((low, high))
    return result


def _end(end: float, outward: int, at: IntArray, hits: IntArray, points: Points, *, scattered: bool) -> float:
    """The end of an interval; ``at`` are the indices of its inputs from this end on, ``hits`` those that show it."""
    first = int(np.flatnonzero(at == hits[0])[0])  # the number of the interval's inputs beyond
    margin = _margin(at, hits, points)
    edge = float(points.x[at[max(first - margin, 0)]])
    near = FURTHER if scattered and not points.whole else 1 + CLOSE
    low, high = sorted((edge / near, edge * near))
    if first <= 2 * margin + 1 or low <= end <= high:
        return end
    new = rounded(edge, outward)
    return max(end, new) if outward < 0 else min(end, new)


def _margin(at: IntArray, hits: IntArray, points: Points) -> int:
    """The number of further inputs at which it may show: from its share next to the end, and the seeds' different ends.

    The cause of an error is found at a few inputs and used for their neighbours, so the inputs of one seed are not
    independent.
    """
    if points.whole:
        return 0
    ends = [abs(int(np.flatnonzero(seen)[0])) for seen in points.by_seed[:, at] if seen.any()]
    span = at.size if hits.size < OUTERMOST else abs(int(hits[OUTERMOST - 1]) - int(hits[0])) + 1
    share = min(hits.size, OUTERMOST) / span
    by_chance = 1 if share == 1 else max(1, ceil(log(CHANCE) / log1p(-share)))
    return max(by_chance, SPREAD * (max(ends) - min(ends)))


def drawn(wanted: BoolArray, points: Points, *, scattered: bool, few: bool = False) -> list[Interval]:
    """Intervals that hold every wanted number; unless scattered, most numbers inside show it; ``few``: few were tried."""
    result = [(value, value) for value in (-np.inf, np.inf) if wanted[points.x == value].any()]
    for sign in (-1, 1):
        part = np.flatnonzero(np.isfinite(points.x) & (np.sign(points.x) == sign))[::sign]
        x = points.x[part] * sign
        at = np.flatnonzero(wanted[part])
        if not at.size:
            continue
        before = np.concatenate([[0], np.cumsum(points.shown[part])])  # how many of the numbers before each show it
        # whether there are too few to distinguish numbers between them from numbers outside
        alone = few or (at.size < OUTERMOST and not points.whole)
        groups = [[at[0], at[0]]]
        for i in at[1:]:
            first, last = groups[-1]
            dense = before[i + 1] - before[first] >= DENSE * (i + 1 - first)
            grows = dense and before[i + 1] - before[last] >= STEP * (i + 1 - last)
            if (alone or x[i] <= x[last] * GAP) if scattered else grows:
                groups[-1][1] = i
            else:
                groups.append([i, i])
        for first, last in groups:
            least, most = (first, last) if points.whole else (max(first - 1, 0), min(last + 1, x.size - 1))
            further = 1.0 if points.whole or not scattered else MUCH_FURTHER if few else FURTHER
            low, high = rounded(float(x[least]) / further, -1), rounded(float(x[most]) * further, 1)
            result.append((low, high) if sign > 0 else (-high, -low))
    return result


def widened(intervals: Sequence[Interval], x: Float64Array) -> list[Interval]:
    """The intervals, the nearest of which are extended to these numbers."""
    single = [pair for pair in intervals if not pair[0] < pair[1]]
    wide = [pair for pair in intervals if pair[0] < pair[1]]
    outside = np.unique(x[~lie_in(x, intervals)])
    if not wide or not outside.size:
        return [*intervals, *((value, value) for value in outside.tolist())]
    nearest = np.argmin([np.maximum(low - outside, outside - high) for low, high in wide], axis=0)
    for number, (low, high) in enumerate(wide):
        ends = [low, high, *outside[nearest == number].tolist()]
        wide[number] = min(low, rounded(min(ends), -1)), max(high, rounded(max(ends), 1))
    return [*wide, *single]


def rounded(value: float, outward: int) -> float:
    """A value with few significant digits, away from the interval's inside."""
    if not np.isfinite(value) or value == 0:
        return value
    for digits in (2, 3, 4, 5):
        short = float(f"{value:.{digits}e}")
        if (short - value) * outward < 0:
            short += outward * 10.0 ** int(np.floor(np.log10(abs(value))) - digits)
        if np.isfinite(short) and (short - value) * outward >= 0 and abs(short - value) <= CLOSE * abs(value):
            return float(f"{short:.{digits}e}")
    return value
