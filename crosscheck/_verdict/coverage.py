"""Which of the points that disagree a deviation covers, by its regions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from math import isfinite, isnan

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, widen
from crosscheck._records.deviations import Deviation, Region
from crosscheck._records.names import budget
from crosscheck._verdict.causes import CODE, Codes
from crosscheck._verdict.environments import in_a_record
from crosscheck._verdict.judged import ComparisonCauses, Key

SCATTERED = 16
"""An error of up to this many budgets may show at few of a region's inputs: rounding exceeds the budget at some points.

Such a region hides little, since its bound holds at each of its inputs. Any other region must show at half of them.
"""

ROUNDING = ("definition", "inaccurate")
"""The causes whose errors become rounding as they become smaller."""
NEAR = 4.0
"""Up to this factor outside of a region, rounding may exceed the budget at single inputs: each sample finds other ones."""
NEAR_ERROR = 2.0
"""Outside of a region, an error of more budgets than this is not rounding."""
NEAR_INPUTS = 10
"""More inputs of one comparison than this are not single inputs."""


def regions_of(deviation: Deviation, judged: ComparisonCauses) -> list[Region]:
    key = judged.key
    if not set(key.implementations) & set(deviation.implementations):
        return []
    return [
        region
        for region in deviation.regions
        if region.order == key.order
        and key.dtype in region.dtypes
        and key.mode in deviation.modes_of(region)
        and (not region.lengths or key.length in region.lengths)
        and all(judged.parameters[name] == value for name, value in region.parameters.items())
    ]


def regions_within(
    deviation: Deviation, regions: Iterable[Region], dtypes: Collection[str], modes: Collection[str], *, layout: bool
) -> tuple[Region, ...]:
    """The regions of a deviation that can be observed in these dtypes and modes, and in several layouts or not."""
    if deviation.cause == "layout" and not layout:
        return ()
    there = (
        region for region in regions if set(region.dtypes) & set(dtypes) and set(deviation.modes_of(region)) & set(modes)
    )
    return tuple(replace(region, dtypes=tuple(dtype for dtype in region.dtypes if dtype in dtypes)) for region in there)


def lie_in(x: Float64Array, intervals: Iterable[tuple[float, float]]) -> BoolArray:
    """Which of the inputs lie in one of a region's intervals."""
    inside = np.zeros(x.shape, bool)
    for low, high in intervals:
        here = np.isnan(x) if isnan(low) else (low <= x) & (x <= high)
        if low == high == 0:  # as named points, -0 and 0 differ
            here &= np.signbit(x) == np.signbit(low)
        inside |= here
    return inside


def factor_outside(x: Float64Array, intervals: Iterable[tuple[float, float]]) -> Float64Array:
    """The factor by which each input lies outside the intervals; 1 inside, infinity on the other side of 0."""
    intervals = [*intervals]
    result = np.where(lie_in(x, intervals), 1.0, np.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for end in (end for pair in intervals for end in pair if end != 0 and isfinite(end)):
            ratio = x / end
            result = np.fmin(result, np.where(ratio > 0, np.maximum(ratio, 1 / ratio), np.inf))
    return result


def covers(deviation: Deviation, region: Region, judged: ComparisonCauses) -> BoolArray:
    """Which of the failing points a deviation covers in one of its regions.

    A region of a ``definition`` also covers ``inaccurate`` points, up to its bound: the verdict on a point takes the cause
    of the points beside it, and these differ from sample to sample. If the bound is small, a region of an ``inaccurate``
    side also covers a ``definition``.
    """
    codes = judged.codes[judged.failing]
    shows = codes == CODE[deviation.cause]
    if deviation.cause == "definition" or (deviation.cause == "inaccurate" and small(region, judged.key)):
        shows |= _rounds(codes) & (judged.ulp <= region.bound(judged.key.mode))
    return lie_in(widen(judged.x[judged.failing]), region.intervals) & shows


def excuses(deviation: Deviation, region: Region, judged: ComparisonCauses) -> BoolArray:
    """Which of the failing points need no other reason: those that ``covers`` finds, and zeros of the other sign in float16.

    Near 0, an inaccurate result that is too small for the dtype is a zero of either sign; the other dtypes hold numbers that
    are small enough. Such a zero is no evidence of the deviation.
    """
    covered = covers(deviation, region, judged)
    if deviation.cause != "inaccurate" or judged.key.dtype != "float16":
        return covered
    zero = (judged.codes[judged.failing] == CODE["convention"]) & (judged.got == 0) & (judged.expected == 0)
    return covered | zero & lie_in(widen(judged.x[judged.failing]), region.intervals)


def lies_near(deviation: Deviation, judged: ComparisonCauses) -> BoolArray:
    """Which of the failing points lie just outside of a deviation's regions on record, with errors just above the budget.

    Towards the end of a region, its errors become smaller and exceed the budget at fewer inputs. The region ends where the
    samples of the recording had the last of these. Other samples have others, and they are as rare in any environment. In
    a function of rows, the other entries matter as much as the number that identifies this one, so any region is near.
    Where every number of the dtype is tried, there is no other sample.
    """
    if judged.key.length is None and judged.x.dtype.itemsize == 2:
        return np.zeros(judged.failing.shape, bool)
    codes = judged.codes[judged.failing]
    alike = codes == CODE[deviation.cause]
    if deviation.cause in ROUNDING:
        alike = _rounds(codes)
    alike &= judged.ulp <= NEAR_ERROR * budget(judged.key.dtype, judged.key.order)
    regions = [region for region in regions_of(deviation, judged) if in_a_record(region)] if alike.any() else []
    x = widen(judged.x[judged.failing])
    if judged.key.length is not None:
        return alike & np.isfinite(x) & bool(regions)
    intervals = [(low, high) for region in regions for low, high in region.intervals if low < high]
    return alike & (factor_outside(x, intervals) <= NEAR)


def _rounds(codes: Codes) -> BoolArray:
    """Which of the points have a cause whose errors become rounding as they become smaller."""
    return np.logical_or.reduce([codes == CODE[cause] for cause in ROUNDING])


def small(region: Region, key: Key) -> bool:
    """Whether a region's bound is so small that it may show at few points, and as either cause."""
    return region.bound(key.mode) <= SCATTERED * budget(key.dtype, key.order)
