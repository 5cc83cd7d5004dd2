"""The data of a comparison that a run keeps: enough to summarise it, and to apply deviations to it repeatedly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, FloatArray, IntArray, bits_of, widen
from crosscheck._arithmetic.profile import Columns, Profile, profile
from crosscheck._records.names import CAUSES, budget
from crosscheck._truth.truth import Truth
from crosscheck._verdict.causes import CODE, FIRST_PASSING, NOT_JUDGED, Codes
from crosscheck._verdict.records import CauseCount, Point

EXACT, ALONE = "exact", "alone"
"""The other side of a comparison that is not an implementation: the exact results, or its own in a one-element array."""


@dataclass(frozen=True)
class Key:
    """The comparison's key. ``length`` is that of the rows of a function of rows; a search may have found the inputs."""

    function: str
    case: int
    implementation: str
    against: str
    dtype: str
    order: int
    mode: str
    device: str
    length: int | None = None
    searched: bool = False

    @property
    def wrt(self) -> str:
        rows = "" if self.length is None else f", rows of {self.length}"
        return f"x{rows}{', found by a search' if self.searched else ''}"

    @property
    def implementations(self) -> tuple[str, ...]:
        return (self.implementation,) if self.against in (EXACT, ALONE) else (self.implementation, self.against)


@dataclass(frozen=True)
class JudgedPoints:
    """Points of a comparison, as arrays with an entry for each.

    Attributes:
        x: The inputs.
        codes: The codes of the causes.
        got: The results.
        expected: What was expected.
        ulp: The errors in the unit of the judgement.
        ulp_of_truth: The errors in ULP of the truth.
    """

    x: FloatArray
    codes: Codes
    got: FloatArray
    expected: FloatArray
    ulp: Float64Array
    ulp_of_truth: Float64Array

    def among(self, chosen: BoolArray | IntArray) -> JudgedPoints:
        """Some of the points."""
        return JudgedPoints(
            x=self.x[chosen],
            codes=self.codes[chosen],
            got=self.got[chosen],
            expected=self.expected[chosen],
            ulp=self.ulp[chosen],
            ulp_of_truth=self.ulp_of_truth[chosen],
        )

    def point(self, i: int) -> Point:
        """One of the points, as a record."""
        return Point(
            input=float(self.x[i]),
            input_bits=bits_of(self.x[i : i + 1]),
            got=float(self.got[i]),
            expected=float(self.expected[i]),
            ulp=float(self.ulp[i]),
            ulp_of_truth=float(self.ulp_of_truth[i]),
        )

    def causes(self) -> dict[str, CauseCount]:
        """The count and the worst point of each cause."""
        counts = {}
        for code in np.unique(self.codes[self.codes != NOT_JUDGED]):
            at = np.flatnonzero(self.codes == code)
            ulp = np.nan_to_num(self.ulp[at], nan=-1.0, posinf=np.inf)
            # the largest error; among equals, or if none can be measured, the input of least magnitude
            tied = at[ulp == ulp.max()]
            worst = tied[np.abs(np.nan_to_num(widen(self.x[tied]), nan=np.inf)).argmin()]
            counts[CAUSES[code]] = CauseCount(int(at.size), self.point(int(worst)))
        return counts


@dataclass(frozen=True)
class ComparisonCauses:
    """The causes of the points of one comparison, and its summary figures.

    ``failing`` holds the indices of the points whose cause does not pass; ``got``, ``expected``, ``ulp`` and
    ``ulp_of_truth`` have one entry for each of these.
    """

    key: Key
    parameters: Mapping[str, float]
    x: FloatArray
    codes: Codes
    failing: IntArray
    got: FloatArray
    expected: FloatArray
    ulp: Float64Array
    ulp_of_truth: Float64Array
    causes: Mapping[str, CauseCount]
    side: str | None
    max_ulp: float
    max_ulp_of_truth: float
    max_abs: float
    undecided: int
    message: str | None = None
    profile: Profile | None = None
    notes: tuple[str, ...] = ()
    excepted: CauseCount | None = None


def summarise(
    key: Key,
    parameters: Mapping[str, float],
    points: JudgedPoints,
    truth: Truth,
    side: str | None,
    columns: Columns,
    notes: tuple[str, ...] = (),
) -> ComparisonCauses:
    """Count the causes, find the worst points and keep the failing ones; ``columns`` are the columns of the inputs."""
    codes, ulp = points.codes, points.ulp
    indices = np.flatnonzero(codes < FIRST_PASSING).astype(np.int64)
    failing = points.among(indices)
    counted = counts_for_maximum(codes, truth)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(widen(points.got) - widen(points.expected))
    finite = np.isfinite(difference) & (codes != NOT_JUDGED)
    return ComparisonCauses(
        key=key,
        parameters=parameters,
        x=points.x,
        codes=codes,
        failing=indices,
        got=failing.got,
        expected=failing.expected,
        ulp=failing.ulp,
        ulp_of_truth=failing.ulp_of_truth,
        causes=points.causes(),
        side=side,
        max_ulp=float(ulp[counted].max(initial=0.0)),
        max_ulp_of_truth=float(points.ulp_of_truth[counted].max(initial=0.0)),
        max_abs=float(difference[finite].max(initial=0.0)),
        undecided=int(truth.undecided.sum()),
        profile=profile(columns, ulp, codes == CODE["special"], codes != NOT_JUDGED),
        notes=notes,
        excepted=_excepted(key, points, counted) if key.against == EXACT else None,
    )


def _excepted(key: Key, points: JudgedPoints, counted: BoolArray) -> CauseCount | None:
    """The inputs within the budget only because their errors are in ULP of the terms that cancel there."""
    limit = budget(key.dtype, key.order)
    at = np.flatnonzero(counted & (points.ulp <= limit) & (points.ulp_of_truth > limit))
    if not at.size:
        return None
    return CauseCount(int(at.size), points.point(int(at[points.ulp_of_truth[at].argmax()])))


def counts_for_maximum(codes: Codes, truth: Truth) -> BoolArray:
    size = np.abs(widen(truth.rounded))
    normal = (size >= truth.fmt.smallest_normal) & np.isfinite(size) | (size == 0)
    return normal & np.isin(codes, [CODE["exact"], CODE["rounding"], CODE["inaccurate"]])
