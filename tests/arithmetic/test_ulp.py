"""Rounding once, the exponent and the ULP error, against exact rational arithmetic and by hand."""

from fractions import Fraction
from math import inf, nan

import ml_dtypes
import numpy as np
import pytest
import rational
from floats import FORMATS, Format, each_format, from_ordinal, to_ordinal, widen
from hypothesis import given, settings
from hypothesis import strategies as st

from crosscheck._arithmetic.ulp import exponent, round_once, ulp_error, unit_of

NARROWER = pytest.mark.parametrize("fmt", list(FORMATS.values())[1:], ids=list(FORMATS)[1:])
ANY_FORMAT = st.sampled_from(list(FORMATS.values()))
ANY_FLOAT = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)


@st.composite
def around_a_format(draw: st.DrawFn) -> tuple[float, Format]:
    """A float64 in, just below or just above a format's range."""
    fmt = draw(ANY_FORMAT)
    mantissa = draw(st.integers(2**52, 2**53 - 1))
    e = draw(st.integers(max(fmt.e_min - fmt.precision - 3, -1074), min(fmt.e_max + 2, 1023)))
    return draw(st.sampled_from([1, -1])) * float(np.ldexp(float(mantissa), e - 52)), fmt


def round_one(value: float, fmt: Format) -> float:
    result = round_once(np.array([value]), fmt)
    assert result.dtype == fmt.dtype
    return float(widen(result)[0])


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(case=st.one_of(around_a_format(), st.tuples(ANY_FLOAT, ANY_FORMAT)))
def test_round_once_is_the_rational_rounding(case: tuple[float, Format]) -> None:
    value, fmt = case
    assert round_one(value, fmt) == rational.rounded(Fraction(value), fmt)


@NARROWER
def test_ties_go_to_even_and_their_float64_neighbours_do_not(fmt: Format) -> None:
    rng = np.random.default_rng(2)
    largest = int(to_ordinal(np.array([fmt.largest], fmt.dtype))[0])
    ordinals = np.unique(np.concatenate([np.arange(40), rng.integers(0, largest, 300)]))
    lower, upper = widen(from_ordinal(ordinals, fmt)), widen(from_ordinal(ordinals + 1, fmt))
    tie = (lower + upper) / 2
    even = np.where(ordinals % 2 == 0, lower, upper)
    for sign in (1, -1):
        np.testing.assert_array_equal(widen(round_once(sign * tie, fmt)), sign * even)
        np.testing.assert_array_equal(widen(round_once(sign * np.nextafter(tie, 0), fmt)), sign * lower)
        np.testing.assert_array_equal(widen(round_once(sign * np.nextafter(tie, np.inf), fmt)), sign * upper)


@NARROWER
def test_overflow_starts_half_an_ulp_above_the_largest(fmt: Format) -> None:
    threshold = float(np.ldexp(2 - np.ldexp(1.0, -fmt.precision), fmt.e_max))
    assert round_one(threshold, fmt) == inf
    assert round_one(-threshold, fmt) == -inf
    assert round_one(float(np.nextafter(threshold, 0)), fmt) == fmt.largest
    assert round_one(1e308, fmt) == inf


@NARROWER
def test_underflow_ends_at_half_the_smallest_subnormal(fmt: Format) -> None:
    half = fmt.smallest_subnormal / 2
    assert round_one(half, fmt) == 0
    assert round_one(float(np.nextafter(half, 1)), fmt) == fmt.smallest_subnormal
    assert round_one(3 * half, fmt) == 2 * fmt.smallest_subnormal


@each_format
def test_special_values_and_the_sign_of_zero_stay(fmt: Format) -> None:
    kept = widen(round_once(np.array([inf, -inf, nan, 0.0, -0.0, -1e-320 if fmt.precision < 53 else -0.0]), fmt))
    np.testing.assert_array_equal(kept, [inf, -inf, nan, 0, 0, 0])
    np.testing.assert_array_equal(np.signbit(kept[3:]), [False, True, True])


def test_float64_values_stay_to_the_bit() -> None:
    x = np.random.default_rng(4).integers(0, 2**64, 10_000, dtype=np.uint64)
    x[:2] = 0x7FF0000000000001, 0xFFF0000000000001  # signalling NaNs
    np.testing.assert_array_equal(round_once(x.view(np.float64), FORMATS["float64"]).view(np.uint64), x)


@each_format
@pytest.mark.parametrize("given", ["float16", "bfloat16", "float32"])
def test_a_narrow_float_is_rounded_as_the_same_number_in_float64_is(given: str, fmt: Format) -> None:
    if given == "float32":
        numbers = np.random.default_rng(5).integers(0, 2**32, 2**18, dtype=np.uint32).view(np.float32)
    else:
        numbers = np.arange(2**16, dtype=np.uint16).view(FORMATS[given].dtype)  # each number
    numbers = np.append(numbers[~np.isnan(numbers)], numbers.dtype.type(nan))  # no signalling NaN
    if given == "float32":
        ties = widen(numbers.astype(FORMATS["bfloat16"].dtype)) * (1 + 2.0**-9)
        with np.errstate(over="ignore"):
            numbers = np.concatenate([ties.astype(np.float32), numbers])
    once, wide = round_once(numbers, fmt), round_once(widen(numbers), fmt)
    assert once.dtype == wide.dtype == fmt.dtype
    np.testing.assert_array_equal(widen(once), widen(wide))
    np.testing.assert_array_equal(np.signbit(widen(once)[:-1]), np.signbit(widen(wide)[:-1]))


def test_bfloat16_is_not_rounded_by_way_of_float32() -> None:
    value = 1 + 2.0**-8 + 2.0**-30  # just above a tie, which float32 makes a tie
    assert float(np.float32(value).astype(ml_dtypes.bfloat16)) == 1
    assert round_one(value, FORMATS["bfloat16"]) == 1 + 2.0**-7


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (1.0, "float32", 0),
        (np.nextafter(1.0, 0), "float32", -1),
        (-3.0, "float16", 1),
        (0.0, "float16", -14),
        (2.0**-20, "float16", -14),
        (2.0**-13, "float16", -13),
        (65536.0, "float16", 15),
        (1e300, "float32", 127),
        (1e-300, "bfloat16", -126),
        (5e-324, "float64", -1022),
        (1.7e308, "float64", 1023),
    ],
)
def test_the_exponent_is_floored_and_clamped(value: float, name: str, expected: int) -> None:
    assert exponent(np.array([value, -value]), FORMATS[name]).tolist() == [expected, expected]


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(case=around_a_format())
def test_the_unit_of_a_number_is_the_rational_ulp(case: tuple[float, Format]) -> None:
    value, fmt = case
    assert Fraction(float(unit_of(fmt, np.array(value)))) == rational.ulp(Fraction(value), fmt)


@each_format
def test_the_unit_of_an_infinity_is_that_of_the_largest_number(fmt: Format) -> None:
    assert unit_of(fmt, np.array(inf)) == rational.ulp(Fraction(fmt.largest), fmt)


U = 2.0**-23
TINY = 2.0**-149
BY_HAND = {
    # got, r, format, error
    "equal": (1.5, 1.5, "float32", 0),
    "one above": (1.5 + U, 1.5, "float32", 1),
    "above a power of two": (1 + U, 1.0, "float32", 1),
    "below a power of two": (1 - U / 2, 1.0, "float32", 0.5),
    "up to a power of two": (1.0, 1 - U / 2, "float32", 1),
    "wrong sign": (-1.0, 1.0, "float32", 2**24),
    "smallest subnormal lost": (0.0, TINY, "float32", 1),
    "subnormal for zero": (3 * TINY, 0.0, "float32", 3),
    "smallest normal lost": (0.0, 2.0**-126, "float32", 2**23),
    "subnormal of bfloat16": (2.0**-133, 2.0**-130, "bfloat16", 7),
    "infinity for the largest": (inf, 65504.0, "float16", 1),
    "infinity in the top binade": (inf, 32768.0, "float16", 1024),
    "largest for an overflow": (65504.0, 65536.0, "float16", 1),
    "the other infinity": (-inf, 65504.0, "float16", 4095),
    "infinity in float64": (inf, float(np.finfo(np.float64).max), "float64", 1),
    "residual, the rounded result": (1.5, 1.5 + U / 4, "float32", 0.25),
    "residual, one above": (1.5 + U, 1.5 + U / 4, "float32", 0.75),
    "residual, one below": (1.5 - U, 1.5 + U / 4, "float32", 1.25),
    "residual, a tie to infinity": (inf, 65520.0, "float16", 0.5),
    "residual, a tie, largest": (65504.0, 65520.0, "float16", 0.5),
    "the infinity, far below the truth": (inf, 131072.0, "float16", 0.5),
    "residual, half a subnormal": (0.0, 2.0**-25, "float16", 0.5),
}


@pytest.mark.parametrize(("got", "r", "name", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_ulp_error_by_hand(got: float, r: float, name: str, expected: float) -> None:
    fmt = FORMATS[name]
    e = exponent(np.array([r]), fmt)
    correct = rational.rounded(Fraction(r), fmt)
    left = (Fraction(r) - rational.counted(correct, fmt)) / rational.ulp(Fraction(r), fmt)
    for sign in (1, -1):
        arrays = (np.array([sign * v], fmt.dtype) for v in (got, correct))
        assert ulp_error(*arrays, np.array([sign * float(left)]), e, fmt).tolist() == [expected]


@each_format
def test_nan_has_no_error(fmt: Format) -> None:
    arrays = np.array([nan, 1, nan], fmt.dtype), np.array([1, nan, nan], fmt.dtype)
    assert np.isnan(ulp_error(*arrays, np.zeros(3), np.zeros(3, np.int64), fmt)).all()


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(case=around_a_format(), steps=st.integers(-6, 6))
def test_ulp_error_is_the_rational_one(case: tuple[float, Format], steps: int) -> None:
    value, fmt = case
    r = Fraction(value)
    right = rational.rounded(r, fmt)
    top = int(to_ordinal(np.array([inf], fmt.dtype))[0])
    at = int(to_ordinal(np.array([right], fmt.dtype))[0]) + steps
    got = from_ordinal(np.clip([at], -top, top), fmt)
    left = float((r - rational.counted(right, fmt)) / rational.ulp(r, fmt))
    measured = ulp_error(got, np.array([right], fmt.dtype), np.array([left]), exponent(np.array([value]), fmt), fmt)
    exact = rational.error(float(widen(got)[0]), r, fmt)
    if np.isinf(widen(got)[0]) and got[0] == right:  # the right infinity, however far r lies beyond the largest number
        exact = min(exact, Fraction(1, 2))
    assert measured[0] == pytest.approx(float(exact), abs=2.0**-27, rel=2.0**-50)
