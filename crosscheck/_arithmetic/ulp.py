"""ULP: the unit in the last place of a real number in a format, and the error of a result measured in it.

The definition is that of JAX's page "Numerical accuracy": ``ulp(r) = 2**(clamp(floor(log2|r|), e_min, e_max) - (p-1))``
and the error is ``|y - r| / ulp(r)`` against the real number r, so that a correctly rounded result is at most 0.5.
"""

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, FloatArray, Format, IntArray, widen


def exponent(value: Float64Array, fmt: Format) -> IntArray:
    """``clamp(floor(log2|value|), e_min, e_max)`` of finite float64 values; ``e_min`` for zero."""
    _, e = np.frexp(value)
    return np.clip(np.where(value == 0, fmt.e_min, e - 1), fmt.e_min, fmt.e_max).astype(np.int64)


def ulp(e: IntArray, fmt: Format) -> Float64Array:
    """The ULP of numbers with these clamped exponents: ``2**(e - (p-1))``."""
    return np.ldexp(1.0, (e - (fmt.precision - 1)).astype(np.int32))


def unit_of(fmt: Format, size: Float64Array) -> Float64Array:
    """The ULP of numbers of this size; that of the largest number for an infinity."""
    finite = np.where(np.isfinite(size), size, fmt.largest)
    return ulp(exponent(finite, fmt), fmt)


def round_once(value: FloatArray, fmt: Format) -> FloatArray:
    """Floats rounded to nearest, ties to even, in one step."""
    with np.errstate(over="ignore", invalid="ignore"):  # converting a signalling NaN is not worth a warning
        return value.astype(fmt.dtype)


def in_units(value: FloatArray, e: IntArray, fmt: Format) -> Float64Array:
    """Values of the format in units of ``2**(e - (p-1))``, as float64; an infinity counts as ``2**(e_max + 1)``.

    Exact unless the quotient leaves float64's range.
    """
    wide = widen(value)
    shift = ((fmt.precision - 1) - e).astype(np.int32)
    with np.errstate(over="ignore"):
        units = np.ldexp(wide, shift)
        top = np.ldexp(np.copysign(0.5, wide), shift + (fmt.e_max + 2))
    return np.where(np.isinf(wide), top, units)


def ulp_error(got: FloatArray, rounded: FloatArray, residual: Float64Array, e: IntArray, fmt: Format) -> Float64Array:
    """``|got - r| / ulp(r)`` for a real number r, which is given by its rounded value and the rest.

    ``residual`` is ``(r - rounded) / ulp(r)``, and ``e`` the clamped exponent of r. The error is NaN where ``got`` is NaN,
    and at most 0.5 where ``got`` is the infinity to which r rounds, for any r beyond it.
    """
    with np.errstate(invalid="ignore"):
        error = np.abs((in_units(got, e, fmt) - in_units(rounded, e, fmt)) - residual)
    overflow = np.isinf(widen(got)) & (widen(got) == widen(rounded))
    return np.where(overflow, np.minimum(error, 0.5), error)
