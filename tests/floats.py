"""The floating-point formats as numpy and ml_dtypes describe them: what the tests judge with is not what they judge."""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

FloatArray = npt.NDArray[Any]
"""An array in one of the four formats (bfloat16 is ml_dtypes' type)."""
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Format:
    """``precision`` counts the leading bit; normal numbers are from ``2**e_min`` to just below ``2**(e_max + 1)``."""

    name: str
    dtype: np.dtype[Any]
    unsigned: np.dtype[Any]
    bits: int
    precision: int
    e_min: int
    e_max: int
    smallest_subnormal: float
    smallest_normal: float
    largest: float


def _format(name: str) -> Format:
    dtype, info = np.dtype(name), ml_dtypes.finfo(name)
    return Format(
        name,
        dtype,
        np.dtype(f"u{dtype.itemsize}"),
        info.bits,
        info.nmant + 1,
        int(info.minexp),
        int(info.maxexp) - 1,
        float(info.smallest_subnormal),
        float(info.smallest_normal),
        float(info.max),
    )


FORMATS = {name: _format(name) for name in ("float64", "float32", "bfloat16", "float16")}
each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)


def widen(array: FloatArray) -> Float64Array:
    """The same values in float64."""
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        return array.astype(np.float64)


def unit_of(sizes: Float64Array, fmt: Format) -> Float64Array:
    """The ULP of finite numbers of these sizes."""
    return np.ldexp(1.0, np.clip(np.frexp(sizes)[1] - 1, fmt.e_min, fmt.e_max) - (fmt.precision - 1))


def every_value(fmt: Format) -> FloatArray:
    """All values of a 16-bit format, in the order of their bits."""
    return np.arange(2**16, dtype=np.uint16).view(fmt.dtype)


def bits_of(value: FloatArray) -> str:
    """The bits of one value, such as ``0x3f800000`` for 1 in float32."""
    value = np.asarray(value)
    return f"0x{value.view(f'u{value.dtype.itemsize}').item():0{2 * value.dtype.itemsize}x}"


def to_ordinal(array: FloatArray) -> npt.NDArray[np.int64]:
    """Integers that order the numbers: neighbours differ by 1, both zeros are 0."""
    bits = array.view(f"i{array.dtype.itemsize}").astype(np.int64)
    return np.where(np.signbit(array), -(bits & np.iinfo(f"i{array.dtype.itemsize}").max), bits)


def from_ordinal(ordinals: npt.NDArray[np.int64], fmt: Format) -> FloatArray:
    """The numbers that these integers stand for; 0 is +0."""
    sizes = np.abs(ordinals).astype(fmt.unsigned).view(fmt.dtype)
    return np.where(ordinals < 0, -sizes, sizes).astype(fmt.dtype)


def following(array: FloatArray, towards: float) -> FloatArray:
    """The next numbers of the format in a direction."""
    with np.errstate(over="ignore", under="ignore"):
        return np.nextafter(array, np.array(towards).astype(array.dtype))
