"""The floating-point formats: their parameters, every value of a narrow one, and integers that order their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[Any]
"""An array in one of the four formats (bfloat16 is ml_dtypes' type)."""
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with subnormals, infinities and NaN.

    ``precision`` is p, the significant bits with the leading one; the normal numbers have magnitudes from
    ``2**e_min`` to just below ``2**(e_max + 1)``.
    """

    name: str
    dtype: np.dtype[Any]
    precision: int
    e_min: int
    e_max: int

    @cached_property
    def bits(self) -> int:
        return self.dtype.itemsize * 8

    @cached_property
    def unsigned(self) -> np.dtype[Any]:
        return np.dtype(f"u{self.dtype.itemsize}")

    @cached_property
    def smallest_normal(self) -> float:
        return float(np.ldexp(1.0, self.e_min))

    @cached_property
    def smallest_subnormal(self) -> float:
        return float(np.ldexp(1.0, self.e_min - self.precision + 1))

    @cached_property
    def largest(self) -> float:
        return float(np.ldexp(2.0 - np.ldexp(1.0, 1 - self.precision), self.e_max))


FORMATS = {
    "float64": Format("float64", np.dtype(np.float64), 53, -1022, 1023),
    "float32": Format("float32", np.dtype(np.float32), 24, -126, 127),
    "bfloat16": Format("bfloat16", np.dtype(ml_dtypes.bfloat16), 8, -126, 127),
    "float16": Format("float16", np.dtype(np.float16), 11, -14, 15),
}


def format_of(array: FloatArray) -> Format:
    """The format of an array; ``TypeError`` if its dtype is none of the four."""
    for fmt in FORMATS.values():
        if array.dtype == fmt.dtype:
            return fmt
    raise TypeError(f"array: got dtype {array.dtype}, expected one of {', '.join(FORMATS)}")


def widen(array: FloatArray) -> Float64Array:
    """The same values in float64, exactly."""
    with np.errstate(invalid="ignore"):  # converting a signalling NaN is not worth a warning
        return array.astype(np.float64)


def is_float(array: npt.NDArray[Any]) -> bool:
    """Whether an array holds floats, ml_dtypes' among them."""
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def floats_widened(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, in float64 if it holds floats."""
    return widen(array) if is_float(array) else array


def is_number(x: FloatArray, number: float) -> BoolArray:
    """Where an array has this number: any NaN is NaN, and -0 is not 0."""
    wide = widen(x)
    if np.isnan(number):
        return np.asarray(np.isnan(wide))
    return np.asarray((wide == number) & (np.signbit(wide) == np.signbit(number)))


def shortest(x: float, fmt: Format) -> float:
    """The float with the fewest decimal digits that the format rounds to ``x``; ``x`` itself if it is not finite."""
    if not isfinite(x):
        return x
    with np.errstate(over="ignore"):
        return next(y for digits in range(1, 18) if fmt.dtype.type(y := float(f"{x:.{digits}g}")) == x)


def every_value(fmt: Format) -> FloatArray:
    """All ``2**16`` values of a 16-bit format, in the order of their bit patterns, every NaN included.

    Raises ``ValueError`` for a wider format.
    """
    if fmt.bits != 16:
        raise ValueError(f"fmt: got {fmt.name}, expected a 16-bit format (2**{fmt.bits} values do not fit in memory)")
    return np.arange(2**16, dtype=np.uint16).view(fmt.dtype)


def to_ordinal(array: FloatArray) -> IntArray:
    """Integers that order the values as the reals do; neighbours differ by 1 and both zeros are 0.

    NaNs map to integers beyond the infinities.
    """
    fmt = format_of(array)
    bits = np.asarray(array, order="C").view(fmt.unsigned).astype(np.uint64)
    magnitude = (bits & np.uint64(2 ** (fmt.bits - 1) - 1)).astype(np.int64)
    negative = (bits >> np.uint64(fmt.bits - 1)).astype(bool)
    return np.where(negative, -magnitude, magnitude)


def from_ordinal(ordinal: IntArray, fmt: Format) -> FloatArray:
    """The inverse of ``to_ordinal``; 0 becomes +0."""
    sign = np.where(ordinal < 0, np.uint64(2 ** (fmt.bits - 1)), np.uint64(0))
    bits = np.abs(ordinal).astype(np.uint64) | sign
    return bits.astype(fmt.unsigned).view(fmt.dtype)


def bits_of(value: FloatArray) -> str:
    """The bits of one value as hexadecimal, for example ``0x3f800000`` for 1 in float32."""
    fmt = format_of(value)
    return f"0x{np.asarray(value).view(fmt.unsigned).item():0{fmt.bits // 4}x}"


def from_bits(bits: Sequence[str], dtype: str) -> FloatArray:
    """The inverse of ``bits_of``, for several values."""
    fmt = FORMATS[dtype]
    return np.array([int(text, 16) for text in bits], fmt.unsigned).view(fmt.dtype)
