"""The formats: their constants, every value of the narrow ones, and the integers that order their values."""

from dataclasses import FrozenInstanceError
from decimal import Decimal
from math import inf, nan
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from crosscheck._arithmetic.formats import (
    FORMATS,
    FloatArray,
    Format,
    bits_of,
    every_value,
    floats_widened,
    format_of,
    from_bits,
    from_ordinal,
    is_float,
    is_number,
    shortest,
    to_ordinal,
    widen,
)

EACH = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
NARROW = pytest.mark.parametrize("fmt", [FORMATS["bfloat16"], FORMATS["float16"]], ids=lambda fmt: fmt.name)
WIDE = pytest.mark.parametrize("fmt", [FORMATS["float64"], FORMATS["float32"]], ids=lambda fmt: fmt.name)


def sample(fmt: Format) -> FloatArray:
    """Random bit patterns, every NaN left out, and the ends of the format."""
    bits = np.random.default_rng(1).integers(0, 2**fmt.bits, 20_000, dtype=np.uint64).astype(fmt.unsigned)
    ends = [0, -0.0, fmt.smallest_subnormal, fmt.smallest_normal, 1, fmt.largest, np.inf]
    x = np.concatenate([bits.view(fmt.dtype), np.array(ends, fmt.dtype), -np.array(ends, fmt.dtype)])
    return x[~np.isnan(widen(x))]  # isnan warns of a signalling NaN of bfloat16


@EACH
def test_the_constants_are_those_of_the_library_that_defines_the_dtype(fmt: Format) -> None:
    info = (ml_dtypes if fmt.name == "bfloat16" else np).finfo(fmt.dtype)
    assert (fmt.precision, fmt.e_min, fmt.e_max) == (info.nmant + 1, info.minexp, info.maxexp - 1)
    assert fmt.smallest_normal == float(info.smallest_normal)
    assert fmt.smallest_subnormal == float(info.smallest_subnormal)
    assert fmt.largest == float(info.max)
    assert fmt.bits == info.bits == fmt.unsigned.itemsize * 8
    assert fmt.unsigned.kind == "u"


@EACH
def test_the_name_is_the_dtypes(fmt: Format) -> None:
    assert FORMATS[fmt.name] is fmt
    assert fmt.dtype.name == fmt.name


@NARROW
def test_every_value_has_each_bit_pattern_once_and_in_order(fmt: Format) -> None:
    x = every_value(fmt)
    assert x.dtype == fmt.dtype
    np.testing.assert_array_equal(x.view(np.uint16), np.arange(65536))
    nans = 2 * (2 ** (fmt.precision - 1) - 1)
    assert np.isnan(widen(x)).sum() == nans


@WIDE
def test_a_wide_format_has_too_many_values(fmt: Format) -> None:
    with pytest.raises(ValueError, match=rf"^fmt: got {fmt.name}, expected a 16-bit format"):
        every_value(fmt)


@EACH
def test_format_of_knows_each_dtype(fmt: Format) -> None:
    assert format_of(np.zeros(2, fmt.dtype)) is fmt


@pytest.mark.parametrize(
    "dtype", [np.int32, np.bool_, np.complex64, np.longdouble, ml_dtypes.float8_e5m2, object], ids=lambda d: d.__name__
)
def test_format_of_refuses_any_other_dtype(dtype: Any) -> None:
    with pytest.raises(TypeError, match="expected one of float64, float32, bfloat16, float16"):
        format_of(np.zeros(2, dtype))


@EACH
def test_ordinals_order_the_values(fmt: Format) -> None:
    x = sample(fmt)
    values = widen(x[np.argsort(to_ordinal(x), kind="stable")])
    assert (values[:-1] <= values[1:]).all()
    ordinals = np.sort(np.unique(to_ordinal(x)))
    distinct = widen(from_ordinal(ordinals, fmt))
    assert (distinct[:-1] < distinct[1:]).all()


@EACH
def test_neighbours_differ_by_one(fmt: Format) -> None:
    x = sample(fmt)
    x = x[np.abs(widen(x)) < fmt.largest]
    above = np.nextafter(x, np.array(np.inf, fmt.dtype))
    below = np.nextafter(x, np.array(-np.inf, fmt.dtype))
    assert (to_ordinal(above) - to_ordinal(x) == 1).all()
    assert (to_ordinal(x) - to_ordinal(below) == 1).all()


@EACH
def test_both_zeros_are_0_and_nan_lies_beyond_the_infinities(fmt: Format) -> None:
    zeros = np.array([0.0, -0.0], fmt.dtype)
    np.testing.assert_array_equal(to_ordinal(zeros), 0)
    infinity, nan = (abs(int(to_ordinal(np.array([v], fmt.dtype))[0])) for v in (np.inf, np.nan))
    assert nan > infinity == -int(to_ordinal(np.array([-np.inf], fmt.dtype))[0])


@EACH
def test_ordinals_lead_back_to_the_bits(fmt: Format) -> None:
    x = np.concatenate([sample(fmt), np.array([np.nan, -np.nan], fmt.dtype)])
    back = from_ordinal(to_ordinal(x), fmt)
    assert back.dtype == fmt.dtype
    plus_zero = np.where(x == 0, np.zeros_like(x), x)  # the one value that is not kept is -0
    np.testing.assert_array_equal(back.view(fmt.unsigned), plus_zero.view(fmt.unsigned))


@EACH
def test_ordinals_of_a_strided_array(fmt: Format) -> None:
    x = sample(fmt)[:101]
    np.testing.assert_array_equal(to_ordinal(x[::-2]), to_ordinal(x)[::-2])
    square = x[:100].reshape(10, 10)
    np.testing.assert_array_equal(to_ordinal(square.T), to_ordinal(square).T)


@pytest.mark.parametrize(
    ("name", "value", "bits"),
    [
        ("float64", 1.0, "0x3ff0000000000000"),
        ("float64", -0.0, "0x8000000000000000"),
        ("float32", 1.0, "0x3f800000"),
        ("float32", 1e-45, "0x00000001"),
        ("bfloat16", -2.0, "0xc000"),
        ("bfloat16", 0.0, "0x0000"),
        ("float16", np.inf, "0x7c00"),
    ],
)
def test_bits_of(name: str, value: float, bits: str) -> None:
    dtype = FORMATS[name].dtype
    assert bits_of(np.array([value], dtype)[0]) == bits
    assert bits_of(np.array(value, dtype)) == bits
    assert [bits_of(number) for number in from_bits([bits, bits], name)] == [bits, bits]
    assert from_bits([bits], name).dtype == dtype


@EACH
def test_widening_is_exact_and_silent(fmt: Format) -> None:
    x = sample(fmt)
    wide = widen(x)
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide.astype(fmt.dtype).view(fmt.unsigned), x.view(fmt.unsigned))
    signalling = np.array([((2 * fmt.e_max + 1) << (fmt.precision - 1)) + 1], fmt.unsigned).view(fmt.dtype)
    assert np.isnan(widen(signalling)).all()


def test_a_format_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        FORMATS["float32"].precision = 23  # type: ignore[misc]


@EACH
@pytest.mark.parametrize(("number", "where"), [(0.0, 0), (-0.0, 1), (1.5, 2), (-inf, 3), (nan, [4, 5])], ids=str)
def test_a_number_is_found_by_its_value_and_sign_and_nan_by_any_nan(fmt: Format, number: float, where: Any) -> None:
    x = np.array([0.0, -0.0, 1.5, -inf, nan, -nan, -1.5, 2.0], fmt.dtype)
    matches = is_number(x, number)
    assert matches.dtype == np.bool_
    assert np.flatnonzero(matches).tolist() == np.ravel(where).tolist()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("float32", np.float32(0.1), 0.1),
        ("float32", np.float32(1e-45), 1e-45),
        ("float32", np.float32(16777216), 16777216.0),
        ("float32", np.finfo(np.float32).max, 3.4028235e38),
        ("float16", 65504.0, 65500.0),
        ("float16", 2.0**-24, 6e-8),
        ("bfloat16", ml_dtypes.finfo(ml_dtypes.bfloat16).max, 3.39e38),
        ("float64", 0.1 + 0.2, 0.30000000000000004),
        ("float64", 5e-324, 5e-324),
        ("float64", -inf, -inf),
        ("float32", inf, inf),
    ],
)
def test_the_shortest_decimal(name: str, value: Any, expected: float) -> None:
    """65500 and 3.39e38 are no values of their formats, but are rounded to them; one digit less would overflow."""
    assert shortest(float(value), FORMATS[name]) == expected


def test_nan_is_its_own_decimal() -> None:
    assert np.isnan(shortest(nan, FORMATS["float32"]))


@EACH
def test_no_shorter_decimal_leads_back_to_the_value(fmt: Format) -> None:
    for x in widen(sample(fmt)[:200]).tolist():
        if np.isfinite(x):
            decimal = shortest(x, fmt)
            assert float(fmt.dtype.type(decimal)) == x
            digits = len(Decimal(repr(decimal)).normalize().as_tuple().digits)
            with np.errstate(over="ignore"):
                shorter = [float(fmt.dtype.type(float(f"{x:.{fewer}g}"))) for fewer in range(1, digits)]
            assert x not in shorter


@EACH
def test_floats_are_widened(fmt: Format) -> None:
    array = np.array([1.5, -2], fmt.dtype)
    assert is_float(array)
    assert floats_widened(array).dtype == np.float64
    assert floats_widened(array).tolist() == [1.5, -2]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.complex64, "U3", "M8[s]"])
def test_what_is_no_float_stays(dtype: Any) -> None:
    array = np.zeros(3, dtype)
    assert not is_float(array)
    assert floats_widened(array) is array
