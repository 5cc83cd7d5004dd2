"""Compare two arrays with each other, or both with a third that holds the truth: figures, and the worst elements.

Arrays may be so large that copies of them do not fit into memory: they are read piece by piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from math import inf, isnan, nan

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, Format, format_of
from crosscheck._arithmetic.profile import Columns, Profile, joined, profile
from crosscheck._arithmetic.ulp import ulp
from crosscheck._arrays.files import BFLOAT16, Array
from crosscheck._arrays.records import ArrayComparison, ArrayLimits, Element

PIECE = 2**18
"""The number of elements in a piece: it fits the processor's cache, and is large enough to hide numpy's overhead."""
THREADS = 2
MOST_WORST = 5
FINE = 41
"""Errors are counted by their float64 bits without the last 41: eleven bits of the mantissa stay, three decimal digits."""
BUCKETS = 2 ** (63 - FINE)


def compare_pair(name: str, a: Array, b: Array, truth: Array | None, limits: ArrayLimits) -> ArrayComparison:
    """Compare arrays of the same shape and dtype, or integers of any width; ``truth`` has the same shape."""
    pieces = list(_pieces(a.size))
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    flat_truth = None if truth is None else truth.reshape(-1)
    whole = _Whole(a.size)

    def look(piece: slice) -> _Piece:
        true = None if flat_truth is None else flat_truth[piece]
        return _Piece(piece.start, flat_a[piece], flat_b[piece], true, limits)

    with ThreadPoolExecutor(THREADS) as pool:
        # a few at a time: a finished piece stays in memory until it is added
        for first in range(0, len(pieces), 2 * THREADS):
            for seen in pool.map(look, pieces[first : first + 2 * THREADS]):
                whole.add(seen)
    return whole.comparison(name, a, b)


def _pieces(size: int) -> Iterator[slice]:
    for start in range(0, size, PIECE):
        yield slice(start, min(start + PIECE, size))


@cache
def _units(fmt: Format) -> Float64Array:
    """The unit in the last place, indexed by the exponent bits of a number of the format."""
    fields = np.arange(2 ** (fmt.bits - fmt.precision))
    return ulp(np.clip(np.maximum(fields, 1) - (1 - fmt.e_min), fmt.e_min, fmt.e_max), fmt)


def unit_of_larger(a: Array, b: Array) -> Float64Array:
    """The ULP, in the arrays' format, of the larger of two numbers in magnitude; 1 for integers and booleans."""
    if a.dtype.kind in "iub":
        return np.ones(a.shape)
    fmt = format_of(a)
    magnitude = fmt.unsigned.type(2 ** (fmt.bits - 1) - 1)
    bits = np.maximum(a.view(fmt.unsigned) & magnitude, b.view(fmt.unsigned) & magnitude)
    return _units(fmt)[bits >> fmt.unsigned.type(fmt.precision - 1)]


class _Piece:
    """Some consecutive elements of both arrays."""

    def __init__(self, start: int, a: Array, b: Array, truth: Array | None, limits: ArrayLimits) -> None:
        self.start, self.a, self.b, self.truth = start, np.ascontiguousarray(a), np.ascontiguousarray(b), truth
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            self._measure(limits)

    def _measure(self, limits: ArrayLimits) -> None:
        x, y = self.a.astype(np.float64), self.b.astype(np.float64)
        # integers are not converted: float64 does not hold them all
        same = (self.a == self.b) | (np.isnan(x) & np.isnan(y))
        apart = np.where(same, 0.0, np.abs(x - y))
        if self.a.dtype.kind in "iu":
            apart = np.where(same, 0.0, np.maximum(apart, 1.0))
        self.finite = np.isfinite(apart)  # elsewhere one is not finite, and the other differs
        self.apart = apart
        self.relative = np.where(apart == 0, 0.0, apart / np.abs(y))
        self.squares = float(np.sum(np.square(y, where=np.isfinite(y), out=np.zeros_like(y))))
        self.ulp = apart / unit_of_larger(self.a, self.b)
        self.within = same | self.finite & limits.hold(apart, np.abs(y), self.ulp)
        if self.truth is None:
            self.errors: tuple[Float64Array, Float64Array] | None = None
            return
        true = self.truth.astype(np.float64)
        nearest = true.astype(self.a.dtype) if self.a.dtype.kind == "f" or self.a.dtype == BFLOAT16 else self.a
        unit = unit_of_larger(nearest, nearest)

        def error(side: Float64Array) -> Float64Array:
            right = (side == true) | (np.isnan(side) & np.isnan(true))
            return np.where(right, 0.0, np.nan_to_num(np.abs(side - true) / unit, nan=inf, posinf=inf))

        self.errors = error(x), error(y)


@dataclass
class _Whole:
    """The totals over all pieces so far."""

    size: int
    elements: int = 0
    equal: int = 0
    beyond: int = 0
    special: int = 0
    squares: float = 0.0
    measures: dict[str, _Errors] = field(default_factory=lambda: {name: _Errors() for name in ("ulp", "abs", "rel")})
    truth: list[float] = field(default_factory=lambda: [nan, nan])
    at_fault: list[int] = field(default_factory=lambda: [0, 0])
    worst: list[Element] = field(default_factory=list)
    profile: Profile | None = None

    def add(self, piece: _Piece) -> None:
        columns = Columns.of_elements(self.elements, self.elements + piece.a.size, self.size)
        seen = profile(columns, piece.ulp, ~piece.finite, np.ones(piece.a.size, bool))
        self.profile = seen if self.profile is None else joined([self.profile, seen])
        self.elements += piece.a.size
        self.equal += int((piece.apart == 0).sum())
        self.special += int((~piece.finite).sum())
        self.squares += piece.squares
        for name, values in (("ulp", piece.ulp), ("abs", piece.apart), ("rel", piece.relative)):
            self.measures[name].add(values if piece.finite.all() else values[piece.finite])
        outside = ~piece.within
        self.beyond += int(outside.sum())
        if piece.errors is not None:
            a, b = piece.errors
            self.truth = [float(np.fmax(known, e.max(initial=0.0))) for known, e in zip(self.truth, (a, b), strict=True)]
            self.at_fault[0] += int((outside & (a >= b)).sum())
            self.at_fault[1] += int((outside & (b >= a)).sum())
        self._rank(piece, outside)

    def _rank(self, piece: _Piece, outside: BoolArray) -> None:
        rank = np.where(piece.finite, piece.ulp, inf)
        if outside.any():
            rank = np.where(outside, rank, -1.0)
        few = np.argpartition(rank, -min(MOST_WORST, rank.size))[-MOST_WORST:]
        elements = [
            Element(
                index=(piece.start + int(i),),
                a=float(piece.a[i]),
                b=float(piece.b[i]),
                ulp=float(piece.ulp[i]) if piece.finite[i] else inf,
                within=bool(piece.within[i]),
                truth=None if piece.truth is None else float(piece.truth[i]),
            )
            for i in few
            if rank[i] > 0
        ]
        self.worst = sorted([*self.worst, *elements], key=lambda element: (element.within, -element.ulp, element.index))[
            :MOST_WORST
        ]

    def comparison(self, name: str, a: Array, b: Array) -> ArrayComparison:
        figures = {
            f"{measure}_{what}": value for measure, seen in self.measures.items() for what, value in seen.figures().items()
        }
        # the unit of integers is 1 whatever their size, which int64 may not hold
        root = 1.0 if a.dtype.kind in "iub" else math.sqrt(self.squares / max(self.elements, 1))
        rms = np.array([root], a.dtype)
        figures["rms_ulp"] = figures["abs_max"] / float(unit_of_larger(rms, rms)[0]) if np.isfinite(rms[0]) else nan
        known = not isnan(self.truth[0])
        return ArrayComparison(
            name=name,
            dtype=" and ".join(dict.fromkeys((str(a.dtype), str(b.dtype)))),
            shape=a.shape,
            elements=self.elements,
            passed=self.elements > 0 and self.beyond == 0,
            equal=self.equal,
            beyond=self.beyond,
            special=self.special,
            figures=figures,
            worst=tuple(element.at(map(int, np.unravel_index(element.index[0], a.shape))) for element in self.worst),
            a_ulp=self.truth[0] if known else None,
            b_ulp=self.truth[1] if known else None,
            side=self._side() if known else None,
            profile=self.profile,
        )

    def _side(self) -> str | None:
        """The side that is farther from the truth at the elements beyond the limit."""
        if not self.beyond:
            return None
        a, b = self.at_fault
        return "both" if a and b and min(a, b) * 10 > max(a, b) else "A" if a > b else "B"


class _Errors:
    """Counts of errors by size: they give percentiles to three digits, and the largest error exactly."""

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS, np.int64)
        self.largest = 0.0

    def add(self, values: Float64Array) -> None:
        if values.size:
            np.add.at(self.counts, values.view(np.int64) >> FINE, 1)
            self.largest = max(self.largest, float(values.max()))

    def figures(self) -> dict[str, float]:
        return {"p50": self._percentile(0.5), "p99": self._percentile(0.99), "max": self.largest}

    def _percentile(self, share: float) -> float:
        total = int(self.counts.sum())
        if not total:
            return 0.0
        at = int(np.searchsorted(np.cumsum(self.counts), int(share * (total - 1)) + 1))
        lowest = np.int64(at << FINE).view(np.float64)
        return min(float(lowest), self.largest)
