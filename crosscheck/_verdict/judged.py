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
    x: FloatArray,
    codes: Codes,
    results: tuple[FloatArray, FloatArray],
    errors: tuple[Float64Array, Float64Array],
    truth: Truth,
    side: str | None,
    columns: Columns,
    notes: tuple[str, ...] = (),
) -> ComparisonCauses:
    """Count the causes, find the worst points and keep the failing ones.

    ``results`` are the results and the expected ones; ``errors`` the errors in the unit and in ULP of the truth; ``columns``
    the columns of the inputs.
    """
    got, expected = results
    ulp, ulp_of_truth = errors
    failing = np.flatnonzero(codes < FIRST_PASSING).astype(np.int64)
    counted = counts_for_maximum(codes, truth)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(widen(got) - widen(expected))
    finite = np.isfinite(difference) & (codes != NOT_JUDGED)
    return ComparisonCauses(
        key=key,
        parameters=parameters,
        x=x,
        codes=codes,
        failing=failing,
        got=got[failing],
        expected=expected[failing],
        ulp=ulp[failing],
        ulp_of_truth=ulp_of_truth[failing],
        causes=count_causes(x, codes, np.arange(x.size, dtype=np.int64), results, errors),
        side=side,
        max_ulp=float(ulp[counted].max(initial=0.0)),
        max_ulp_of_truth=float(ulp_of_truth[counted].max(initial=0.0)),
        max_abs=float(difference[finite].max(initial=0.0)),
        undecided=int(truth.undecided.sum()),
        profile=profile(columns, ulp, codes == CODE["special"], codes != NOT_JUDGED),
        notes=notes,
        excepted=_excepted(key, x, counted, results, errors) if key.against == EXACT else None,
    )


def _excepted(
    key: Key,
    x: FloatArray,
    counted: BoolArray,
    results: tuple[FloatArray, FloatArray],
    errors: tuple[Float64Array, Float64Array],
) -> CauseCount | None:
    """The inputs within the budget only because their errors are in ULP of the terms that cancel there."""
    limit = budget(key.dtype, key.order)
    at = np.flatnonzero(counted & (errors[0] <= limit) & (errors[1] > limit))
    if not at.size:
        return None
    worst = int(at[errors[1][at].argmax()])
    return CauseCount(int(at.size), _point(x, worst, results, errors, worst))


def _point(
    x: FloatArray, i: int, results: tuple[FloatArray, FloatArray], errors: tuple[Float64Array, Float64Array], place: int
) -> Point:
    """The point at the input ``x[i]``; ``place`` indexes its results and errors."""
    return Point(
        input=float(x[i]),
        input_bits=bits_of(x[i : i + 1]),
        got=float(results[0][place]),
        expected=float(results[1][place]),
        ulp=float(errors[0][place]),
        ulp_of_truth=float(errors[1][place]),
    )


def counts_for_maximum(codes: Codes, truth: Truth) -> BoolArray:
    size = np.abs(widen(truth.rounded))
    normal = (size >= truth.fmt.smallest_normal) & np.isfinite(size) | (size == 0)
    return normal & np.isin(codes, [CODE["exact"], CODE["rounding"], CODE["inaccurate"]])


def count_causes(
    x: FloatArray,
    codes: Codes,
    indices: IntArray,
    results: tuple[FloatArray, FloatArray],
    errors: tuple[Float64Array, Float64Array],
) -> dict[str, CauseCount]:
    """The count and the worst point of each cause; ``codes``, ``results`` and ``errors`` belong to ``x[indices]``."""
    counts = {}
    for code in np.unique(codes[codes != NOT_JUDGED]):
        at = np.flatnonzero(codes == code)
        ulp = np.nan_to_num(errors[0][at], nan=-1.0, posinf=np.inf)
        # the largest error; among equals, or if none can be measured, the input of least magnitude
        tied = at[ulp == ulp.max()]
        worst = tied[np.abs(np.nan_to_num(widen(x[indices[tied]]), nan=np.inf)).argmin()]
        point = _point(x, int(indices[worst]), results, errors, int(worst))
        counts[CAUSES[code]] = CauseCount(int(at.size), point)
    return counts
