"""From an enclosure to a decision: the correctly rounded result, the residual, and the exponent."""

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb

from crosscheck._arithmetic.formats import BoolArray, Float64Array, Format, IntArray, widen
from crosscheck._arithmetic.ulp import exponent, round_once

EXACT = arb(1).rel_accuracy_bits()
"""The accuracy that Arb gives a ball of radius 0."""

Decision = tuple[float, float, int]
"""The rounded value, the residual in ULP, the clamped exponent."""


def decide(ball: Any, fmt: Format) -> Decision | None:
    """Round one enclosure to the format, in one step, ties to even; None if it is too wide."""
    if not ball.is_finite():
        return None
    if ball.is_zero():
        return 0.0, 0.0, fmt.e_min
    smallest = fmt.e_min - (fmt.precision - 1)
    lower = ball.abs_lower()
    sign = -1.0 if ball < 0 else 1.0
    if lower.is_zero() and not abs(ball) < arb((1, smallest - 60)):
        return None
    if lower.is_zero():
        return 0.0, 0.0, fmt.e_min
    mantissa, power = lower.man_exp()
    log2 = int(mantissa).bit_length() + int(power) - 1
    if log2 > fmt.e_max:
        excess = (abs(ball) - arb((1, fmt.e_max + 1))) * arb((1, fmt.precision - 1 - fmt.e_max))
        return sign * np.inf, sign * float(excess), fmt.e_max
    e = max(log2, fmt.e_min)
    scaled = abs(ball) * arb((1, fmt.precision - 1 - e))
    nearest = round(float(scaled))
    residual = scaled - nearest
    if abs(residual) > 0.5:  # float() changed a number next to a tie into a tie
        nearest += 1 if residual > 0 else -1
        residual = scaled - nearest
    # a proven tie was rounded to even: round() does so, and float() does so where its spacing is 1
    tie = residual.is_exact() and abs(residual) == 0.5
    if not tie and not (abs(residual) < 0.5 and residual.rad() < 2.0**-20):
        return None
    with np.errstate(over="ignore"):
        rounded = float(np.ldexp(float(nearest), e - (fmt.precision - 1)))
    if rounded > fmt.largest:
        rounded = np.inf
    return sign * rounded, sign * float(residual), e


def decide_many(balls: list[Any], fmt: Format) -> tuple[Float64Array, Float64Array, IntArray, BoolArray]:
    """``decide`` for many enclosures; the common cases are decided together, by numpy.

    Returns the rounded values as float64, the residuals, the exponents and which of them are decided.
    """
    nearest = np.array([float(ball) for ball in balls])
    accuracy = np.array([ball.rel_accuracy_bits() for ball in balls])
    mantissa, log2 = np.frexp(nearest)
    unit_exponent = exponent(nearest, fmt)
    power = np.isfinite(nearest) & (np.abs(mantissa) == 0.5)
    exact = _each(balls, nearest, (accuracy == EXACT) & (power | (nearest == 0)), lambda ball, near: ball == near) > 0

    # float(ball) is within one float64 ULP of r, which decides floor(log2|r|) except near a power of two
    beside_power = power & (log2 - 1 > fmt.e_min) & ~exact
    wanted = beside_power | (fmt.precision == 53)
    left = _each(balls, nearest, wanted, lambda ball, near: float(ball - near))
    # the lower exponent unless r is proven to be on the other side
    above = _each(balls, nearest, beside_power, lambda ball, near: ball > near if near > 0 else ball < near)
    unit_exponent -= beside_power & (above == 0)

    rounded = widen(round_once(nearest, fmt))
    shift = ((fmt.precision - 1) - unit_exponent).astype(np.int32)
    with np.errstate(invalid="ignore", over="ignore"):
        residual = np.ldexp((nearest - rounded) + left, shift)
        low, high = (round_once(np.nextafter(nearest, end), fmt) for end in (-np.inf, np.inf))
        if fmt.precision == 53:
            plain = (accuracy >= 80) & (log2 > fmt.e_min + 64) & (np.abs(residual) < 0.5 - 2.0**-20)
        else:
            plain = (accuracy >= 60) & (low == high)
    # far below the smallest subnormal, for either sign
    upper = _each(balls, nearest, (accuracy < 60) & (np.abs(nearest) < 1), lambda ball, near: float(ball.abs_upper()))
    vanished = (accuracy > 0) & (nearest == 0) & (fmt.precision < 53)
    vanished |= (accuracy < 60) & (np.abs(nearest) < 1) & (upper < fmt.smallest_subnormal * 2.0**-60) & (fmt.precision < 53)
    plain = (plain | exact | vanished) & (log2 - 1 <= fmt.e_max) & np.isfinite(rounded) & ((nearest != 0) | exact | vanished)
    decided = plain.copy()
    for i in np.flatnonzero(~plain):
        decision = decide(balls[i], fmt)
        if decision is not None:
            rounded[i], residual[i], unit_exponent[i] = decision
            decided[i] = True
    return rounded, residual, unit_exponent, decided


def _each(balls: list[Any], nearest: Float64Array, where: BoolArray, f: Callable[[Any, float], float]) -> Float64Array:
    """``f(ball, nearest)`` where it is needed, 0 elsewhere."""
    result = np.zeros(nearest.shape)
    for i, near in zip(np.flatnonzero(where).tolist(), nearest[where].tolist(), strict=True):
        result[i] = f(balls[i], near)
    return result
