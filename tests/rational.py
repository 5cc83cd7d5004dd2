"""Rounding and ULP by their definitions, in exact rational arithmetic: what the tests compare the fast code with."""

from fractions import Fraction
from math import inf

import numpy as np
from floats import Float64Array, FloatArray, Format


def exponent(r: Fraction, fmt: Format) -> int:
    """``clamp(floor(log2|r|), e_min, e_max)``."""
    if r == 0:
        return fmt.e_min
    log2 = r.numerator.bit_length() - r.denominator.bit_length()
    log2 -= abs(r) < Fraction(2) ** log2
    return min(max(log2, fmt.e_min), fmt.e_max)


def ulp(r: Fraction, fmt: Format) -> Fraction:
    return Fraction(2) ** (exponent(r, fmt) - (fmt.precision - 1))


def rounded(r: Fraction, fmt: Format) -> float:
    """The nearest value of the format, ties to even; an infinity from half an ULP above the largest."""
    nearest = round(r / ulp(r, fmt)) * ulp(r, fmt)
    if abs(nearest) > Fraction(fmt.largest):
        return inf if r > 0 else -inf
    return float(nearest)


def rounded_all(values: Float64Array, fmt: Format) -> FloatArray:
    """Finite numbers rounded once."""
    nearest = [rounded(Fraction(value), fmt) for value in values.ravel().tolist()]
    return np.array(nearest).reshape(values.shape).astype(fmt.dtype)


def counted(y: float, fmt: Format) -> Fraction:
    """A result as a number: an infinity counts as ``2**(e_max + 1)``."""
    if y in (inf, -inf):
        return Fraction(2) ** (fmt.e_max + 1) * (1 if y > 0 else -1)
    return Fraction(y)


def error(y: float, r: Fraction, fmt: Format) -> Fraction:
    """``|y - r| / ulp(r)``."""
    return abs(counted(y, fmt) - r) / ulp(r, fmt)
