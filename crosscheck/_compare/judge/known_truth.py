"""The truth of each element of a result, as far as it is known: proven, or from the float64 results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, Format
from crosscheck._compare.judge.evidence import Measured, same_bits

FLOAT64_ULPS = 8


@dataclass(frozen=True)
class GivenTruth:
    """What is known of the truth of one result beside the measurements; None where nothing is.

    Attributes:
        exact: The proven truth, NaN where there is none.
        enclosed: What JAX's program gives in exact arithmetic, NaN where unknown; the truth where the two functions agree.
        not_judged: The elements without a truth.
        at_nan: Those at a NaN input, whose value is NaN.
    """

    exact: Float64Array | None = None
    enclosed: Float64Array | None = None
    not_judged: BoolArray | None = None
    at_nan: BoolArray | None = None


@dataclass(frozen=True)
class SettledTruth:
    """The truth of each element.

    Attributes:
        values: The truth, NaN where unknown.
        known: Where it is known.
        unsure: Its uncertainty.
        tolerance: The gap between the two float64 results that rounding explains.
        wrong: Per side, the float64 results that the exact truth contradicts.
    """

    values: Float64Array
    known: BoolArray
    unsure: Float64Array
    tolerance: Float64Array
    wrong: tuple[BoolArray, BoolArray]


def settle(measured: Measured, fmt: Format, given: GivenTruth, k: float) -> SettledTruth:
    """The truth from the float64 results and what is given; rounding may reach ``k`` measured spreads."""
    a, b = measured.wide
    spreads = measured.spreads
    finite = np.isfinite(a), np.isfinite(b)
    ratio = 2.0**-53 * 2.0**fmt.precision
    largest = np.maximum(np.abs(np.where(finite[0], a, 0)), np.abs(np.where(finite[1], b, 0)))
    ulp = np.spacing(np.maximum(largest, np.finfo(np.float64).tiny)) * FLOAT64_ULPS
    tolerance = k * ratio * (spreads[0] + spreads[1]) + ulp
    agree = same_bits(a, b) | (finite[0] & finite[1] & (np.abs(a - b) <= tolerance))
    better = np.where(agree, np.where(spreads[0] <= spreads[1], a, b), np.nan)
    # if a side overflows or divides by zero even in float64, the other gives the truth
    alone = finite[0] != finite[1]
    truth = np.where(alone, np.where(finite[0], a, b), better)
    known = agree | alone
    # in float64, the truth has only the digits of the better side
    unsure = np.minimum(*spreads) if fmt.precision == 53 else np.zeros(a.shape)
    if given.enclosed is not None:
        decided = agree & ~np.isnan(given.enclosed)
        truth, unsure = np.where(decided, given.enclosed, truth), np.where(decided, 0.0, unsure)
    wrong = np.zeros(a.shape, bool), np.zeros(a.shape, bool)
    if given.exact is not None:
        proven = ~np.isnan(given.exact)
        wrong = (
            proven & ~(np.abs(a - given.exact) <= k * ratio * spreads[0] + ulp),
            proven & ~(np.abs(b - given.exact) <= k * ratio * spreads[1] + ulp),
        )
        truth, known = np.where(proven, given.exact, truth), known | proven
    return SettledTruth(truth, known, unsure, tolerance, wrong)
