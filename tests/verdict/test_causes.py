"""From numbers to causes and to the scale of cancelling terms: arrays made by hand, no framework."""

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import rational
from contract import CAUSES, PASSING
from floats import FORMATS, Float64Array, Format
from judging import (
    CODE,
    FIRST_PASSING,
    NOT_JUDGED,
    Codes,
    Judgement,
    JudgingSetting,
    beyond,
    cancelled,
    judge,
    judge_pair,
    scale,
)
from truths import Truth

F32 = FORMATS["float32"]
F16 = FORMATS["float16"]
U = 2.0**-23
"""The ULP of 1.5 in float32."""
NORMAL, TINY = F32.smallest_normal, F32.smallest_subnormal


def truth_of(r: Sequence[float | Fraction], fmt: Format = F32, left: float = nan, right: float = nan) -> Truth:
    """A Truth for known numbers; NaN stands for no limit."""
    count = len(r)
    rounded, residual, exponent = np.full(count, nan), np.zeros(count), np.full(count, fmt.e_min)
    for i, value in enumerate(r):
        if isinstance(value, float) and not np.isfinite(value):
            rounded[i], exponent[i] = value, fmt.e_max
            continue
        exact = Fraction(value)
        rounded[i], exponent[i] = rational.rounded(exact, fmt), rational.exponent(exact, fmt)
        residual[i] = float((exact - rational.counted(rounded[i], fmt)) / rational.ulp(exact, fmt))
    sides = (np.full(count, side).astype(fmt.dtype) for side in (left, right))
    judged = np.ones(count, bool)
    return Truth(fmt, rounded.astype(fmt.dtype), residual, exponent, judged, ~judged, *sides)


def setting(
    budget: float = 4,
    *,
    flush_inputs: bool = False,
    flush_outputs: bool = False,
    at_zero: Truth | None = None,
    scale: Float64Array | None = None,
    fmt: Format = F32,
) -> JudgingSetting:
    return JudgingSetting(budget, flush_inputs, flush_outputs, at_zero or truth_of([0.0], fmt), scale)


def judged(x: float, got: float, true: Truth, how: JudgingSetting | None = None) -> Judgement:
    dtype = true.fmt.dtype
    return judge(np.array([x], dtype), np.array([got], dtype), true, how or setting(fmt=true.fmt))


def cause(x: float, got: float, true: Truth, how: JudgingSetting | None = None) -> str:
    return CAUSES[judged(x, got, true, how).codes[0]]


# One implementation


def test_the_codes_are_in_the_order_of_the_causes() -> None:
    assert [CODE[name] for name in CAUSES] == list(range(len(CAUSES)))
    assert {name for name in CAUSES if CODE[name] >= FIRST_PASSING} == PASSING
    assert NOT_JUDGED not in CODE.values()


QUARTER = Fraction(3, 2) + Fraction(U) / 4
BUDGET = {
    "the rounded result": (1.5, 1.5, "exact"),
    "one beside it": (1.5 + U, 1.5, "rounding"),
    "at the budget": (1.5 + 4 * U, 1.5, "rounding"),
    "at the budget, below": (1.5 - 4 * U, 1.5, "rounding"),
    "beyond the budget": (1.5 + 5 * U, 1.5, "inaccurate"),
    "within by the residual": (1.5 + 4 * U, QUARTER, "rounding"),
    "beyond by the residual": (1.5 - 4 * U, QUARTER, "inaccurate"),
    "rounded with a residual": (1.5, QUARTER, "exact"),
    "a tie, to even": (1.5, Fraction(3, 2) + Fraction(U) / 2, "exact"),
    "a tie, to odd": (1.5 + U, Fraction(3, 2) + Fraction(U) / 2, "exact"),
    "far off": (-7.0, 1.5, "inaccurate"),
    "zero for a normal": (0.0, 1.5, "inaccurate"),
}


@pytest.mark.parametrize(("got", "r", "expected"), BUDGET.values(), ids=BUDGET)
def test_the_border_of_the_budget(got: float, r: float | Fraction, expected: str) -> None:
    assert cause(1.0, got, truth_of([r])) == expected
    assert cause(-1.0, -got, truth_of([-r])) == expected


@pytest.mark.parametrize(("budget", "steps"), [(1, 1), (5, 5), (10, 10)])
def test_the_budget_is_the_settings(budget: float, steps: int) -> None:
    assert cause(1.0, 1.5 + steps * U, truth_of([1.5]), setting(budget)) == "rounding"
    assert cause(1.0, 1.5 + (steps + 1) * U, truth_of([1.5]), setting(budget)) == "inaccurate"


SPECIAL = {
    # x, got, r, cause
    "NaN for a number": (1.0, nan, 1.5, "special"),
    "a number for NaN": (inf, 1.5, nan, "special"),
    "NaN for NaN": (nan, nan, nan, "exact"),
    "infinity for a number": (1.0, inf, 1.5, "special"),
    "a number for infinity": (inf, 1.5, inf, "special"),
    "the largest at an infinite limit": (inf, F32.largest, inf, "special"),
    "infinity for infinity": (inf, inf, inf, "exact"),
    "the other infinity": (inf, -inf, inf, "special"),
    "the other infinity at a number": (1.0, -inf, inf, "special"),
    "NaN for infinity": (inf, nan, inf, "special"),
    "infinity for NaN": (1.0, inf, nan, "special"),
    "NaN for an overflow": (1.0, nan, Fraction(2) ** 128, "special"),
    "a finite limit": (inf, 1.0, 1.0, "exact"),
    "beside a finite limit": (inf, 1 + U, 1.0, "rounding"),
    "an overflow just too early": (1.0, inf, F32.largest, "rounding"),
    "an overflow too early": (1.0, inf, F32.largest * (1 - 8 * U), "special"),
    "an overflow missed": (1.0, F32.largest, Fraction(2) ** 128, "rounding"),
    "an overflow far missed": (1.0, 2.0**127, Fraction(2) ** 128, "special"),
}


@pytest.mark.parametrize(("x", "got", "r", "expected"), SPECIAL.values(), ids=SPECIAL)
def test_special_values(x: float, got: float, r: float | Fraction, expected: str) -> None:
    assert cause(x, got, truth_of([r])) == expected
    assert cause(-x, -got, truth_of([-r])) == expected


def test_without_a_truth_nothing_is_judged() -> None:
    full = truth_of([1.5, 1.5])
    judged = np.array([True, False])
    true = Truth(F32, full.rounded, full.residual, full.exponent, judged, ~judged, full.left, full.right)
    codes = judge(np.array([1, 1], np.float32), np.array([9, 9], np.float32), true, setting()).codes
    assert codes.tolist() == [CODE["inaccurate"], NOT_JUDGED]


FLUSHED = {
    # x, got, r, cause where outputs are flushed, cause where they are not
    "a subnormal": (1.0, 0.0, 2.0**-130, "flush", "inaccurate"),
    "a negative subnormal": (1.0, -0.0, -(2.0**-130), "flush", "inaccurate"),
    "a subnormal within the budget": (1.0, 0.0, 4 * TINY, "rounding", "rounding"),
    "a subnormal beyond the budget": (1.0, 0.0, 5 * TINY, "flush", "inaccurate"),
    "not to zero": (1.0, 2.0**-140, 2.0**-130, "inaccurate", "inaccurate"),
    "not to zero, below it": (1.0, -(2.0**-140), 2.0**-130, "inaccurate", "inaccurate"),
    "a normal that rounding may make subnormal": (1.0, 0.0, NORMAL + 3 * TINY, "flush", "inaccurate"),
    "a normal that rounding leaves normal": (1.0, 0.0, NORMAL + 4 * TINY, "inaccurate", "inaccurate"),
    "a normal": (1.0, 0.0, NORMAL + 5 * TINY, "inaccurate", "inaccurate"),
    "a large normal": (1.0, 0.0, 1.5, "inaccurate", "inaccurate"),
    "right": (1.0, 2.0**-130, 2.0**-130, "exact", "exact"),
}


@pytest.mark.parametrize(("x", "got", "r", "flushing", "keeping"), FLUSHED.values(), ids=FLUSHED)
def test_flushed_results_only_where_declared(x: float, got: float, r: float, flushing: str, keeping: str) -> None:
    assert cause(x, got, truth_of([r]), setting(flush_outputs=True)) == flushing
    assert cause(x, got, truth_of([r]), setting(flush_inputs=True)) == keeping
    assert cause(x, got, truth_of([r]), setting()) == keeping


FLUSHED_INPUTS = {
    # x, got, cause where inputs are flushed; the truth is 3, at zero it is 5 with the slopes 7 and 9 beside it
    "subnormal, the result at zero": (2.0**-130, 5.0, "flush"),
    "negative subnormal": (-(2.0**-130), 5.0, "flush"),
    "within the budget of it": (2.0**-130, 5 + 16 * U, "flush"),
    "beyond the budget of it": (2.0**-130, 5 + 20 * U, "inaccurate"),
    "from the left": (2.0**-130, 7.0, "flush"),
    "from the right": (2.0**-130, 9.0, "flush"),
    "another result": (2.0**-130, 6.0, "inaccurate"),
    "the largest subnormal": (NORMAL - TINY, 5.0, "flush"),
    "the smallest normal": (NORMAL, 5.0, "inaccurate"),
    "a large normal": (1.0, 5.0, "inaccurate"),
    "zero": (0.0, 5.0, "inaccurate"),
    "right": (2.0**-130, 3.0, "exact"),
}


@pytest.mark.parametrize(("x", "got", "expected"), FLUSHED_INPUTS.values(), ids=FLUSHED_INPUTS)
def test_flushed_inputs_only_where_declared(x: float, got: float, expected: str) -> None:
    at_zero = truth_of([5.0], left=7.0, right=9.0)
    assert cause(x, got, truth_of([3.0]), setting(flush_inputs=True, at_zero=at_zero)) == expected
    for how in (setting(at_zero=at_zero), setting(flush_outputs=True, at_zero=at_zero)):
        assert cause(x, got, truth_of([3.0]), how) == ("exact" if expected == "exact" else "inaccurate")


@pytest.mark.parametrize("field", ["rounded", "left", "right"])
def test_a_row_of_zeros_counts_by_its_first_entry(field: str) -> None:
    at_zero = dataclasses.replace(truth_of([nan, nan]), **{field: np.array([5, 6], np.float32)})
    how = setting(flush_inputs=True, at_zero=at_zero)
    assert [cause(2.0**-130, got, truth_of([3.0]), how) for got in (5.0, 6.0)] == ["flush", "inaccurate"]


KINKED = {
    # got, cause; the choice is 0, the one-sided values are -1 and 1.5
    "the choice": (0.0, "exact"),
    "the left": (-1.0, "convention"),
    "the right": (1.5, "convention"),
    "within the budget of the right": (1.5 + 4 * U, "convention"),
    "beyond the budget of the right": (1.5 + 5 * U, "inaccurate"),
    "the mean": (0.25, "inaccurate"),
    "NaN": (nan, "special"),
}


@pytest.mark.parametrize(("got", "expected"), KINKED.values(), ids=KINKED)
def test_convention_is_another_one_sided_value_and_nothing_else(got: float, expected: str) -> None:
    assert cause(0.0, got, truth_of([0.0], left=-1.0, right=1.5)) == expected


def test_both_one_sided_values_may_be_the_same() -> None:
    assert cause(0.0, -1.0, truth_of([0.0], left=-1.0, right=-1.0)) == "convention"


def test_there_is_no_convention_without_a_kink() -> None:
    for got in (-1.0, 1.5):
        assert cause(0.0, got, truth_of([0.0])) == "inaccurate"


CANCELLED = {
    # r, scale, the unit's exponent
    "an eighth": (0.125, 1.0, -3),
    "just below an eighth": (0.125 - U, 1.0, 0),
    "negative": (-0.125 + 2.0**-10, 1.0, 0),
    "far below": (2.0**-20, 1.5, 0),
    "another scale": (0.5, 6.0, 2),
    "as large as the scale": (1.0, 1.0, 0),
    "no scale": (2.0**-20, nan, -20),
    "an infinite scale": (2.0**-20, inf, -20),
    "cancelled to zero": (0.0, 1.0, 0),
}


@pytest.mark.parametrize(("r", "size", "exponent"), CANCELLED.values(), ids=CANCELLED)
def test_the_scale_is_the_unit_only_where_the_terms_cancel(r: float, size: float, exponent: int) -> None:
    how = setting(10, scale=np.array([size]))
    unit = 2.0 ** (exponent - 23)
    inside, outside = (judged(1.0, r + steps * unit, truth_of([r]), how) for steps in (10, 11))
    assert CAUSES[inside.codes[0]] == "rounding"
    assert CAUSES[outside.codes[0]] == "inaccurate"
    assert inside.ulp_of_unit[0] == 10
    assert inside.ulp[0] == 10 * unit / float(rational.ulp(Fraction(r), F32))


def test_a_value_has_no_scale() -> None:
    result = judged(1.0, 2.0**-20 + U, truth_of([2.0**-20]), setting(10))
    assert result.ulp_of_unit[0] == result.ulp[0] == 2**20
    assert CAUSES[result.codes[0]] == "inaccurate"


def test_a_narrow_format_is_judged_in_its_own_units() -> None:
    true = truth_of([1.5], F16)
    assert cause(1.0, 1.5 + 2.0**-10, true, setting(1, fmt=F16)) == "rounding"
    assert cause(1.0, 1.5 + 2.0**-9, true, setting(1, fmt=F16)) == "inaccurate"


def test_what_is_judged_does_not_change() -> None:
    how, true = setting(), truth_of([1.5])
    pair = judge_pair((np.ones(1), np.ones(1)), (codes_of("exact"),) * 2, 0, np.zeros(1, bool), np.zeros(1, bool))
    for record, name in ((how, "budget"), (judged(1.0, 1.5, true, how), "codes"), (pair, "codes")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, name, None)


def test_many_points_are_judged_one_by_one() -> None:
    true = truth_of([1.5, 1.5, 1.5, 1.5, nan])
    got = np.array([1.5, 1.5 + U, 2, nan, nan], np.float32)
    result = judge(np.array([1, 1, 1, 1, nan], np.float32), got, true, setting())
    assert [CAUSES[c] for c in result.codes] == ["exact", "rounding", "inaccurate", "special", "exact"]
    np.testing.assert_array_equal(result.ulp, [0, 1, 2.0**22, nan, nan])
    assert beyond(result).tolist() == [2]


# Two implementations


def codes_of(*names: str) -> Codes:
    return np.array([NOT_JUDGED if name == "none" else CODE[name] for name in names], np.uint8)


PAIRS = {
    # a, b, causes against exact, order, input is NaN, cause of the pair; where the terms of the truth do not cancel
    "equal and right": (1.5, 1.5, "exact", "exact", 0, False, "exact"),
    "equal and wrong": (9.0, 9.0, "inaccurate", "inaccurate", 0, False, "exact"),
    "both NaN": (nan, nan, "special", "special", 1, False, "exact"),
    "both correctly rounded": (1.5, 1.5 + U, "exact", "exact", 0, False, "rounding"),
    "one rounded": (1.5, 1.5 + U, "exact", "rounding", 0, False, "rounding"),
    "one inaccurate": (1.5, 9.0, "exact", "inaccurate", 0, False, "inaccurate"),
    "the other inaccurate": (9.0, 1.5, "inaccurate", "rounding", 0, False, "inaccurate"),
    "the worse stands": (9.0, nan, "inaccurate", "special", 1, False, "special"),
    "definition": (9.0, 1.5, "definition", "exact", 2, False, "definition"),
    "one flushed": (0.0, TINY, "flush", "exact", 0, False, "flush"),
    "at a kink": (0.0, 1.0, "exact", "convention", 1, False, "convention"),
    "zeros of different sign": (0.0, -0.0, "exact", "exact", 0, False, "convention"),
    "flushed to different zeros": (0.0, -0.0, "flush", "flush", 0, False, "convention"),
    "zeros of different sign, both wrong": (0.0, -0.0, "inaccurate", "inaccurate", 0, False, "inaccurate"),
    "zeros of the same sign": (-0.0, -0.0, "exact", "exact", 0, False, "exact"),
    "zero and less": (0.0, -U, "rounding", "rounding", 0, False, "rounding"),
    "derivatives at NaN": (0.0, nan, "none", "none", 1, True, "convention"),
    "equal derivatives at NaN": (nan, nan, "none", "none", 2, True, "exact"),
    "values at NaN": (nan, 0.0, "exact", "special", 0, True, "special"),
    "undecided": (1.0, 2.0, "none", "none", 1, False, "none"),
    "undecided for one": (1.0, 2.0, "exact", "none", 1, False, "none"),
    "undecided and equal": (1.0, 1.0, "none", "none", 0, False, "none"),
}


@pytest.mark.parametrize(("a", "b", "first", "second", "order", "at_nan", "expected"), PAIRS.values(), ids=PAIRS)
def test_two_implementations(a: float, b: float, first: str, second: str, order: int, at_nan: bool, expected: str) -> None:
    got = np.array([a], np.float32), np.array([b], np.float32)
    codes = codes_of(first), codes_of(second)
    for step in (1, -1):  # the cause does not depend on who comes first
        pair = judge_pair(got[::step], codes[::step], order, np.array([at_nan]), np.array([False]))
        assert pair.codes.tolist() == codes_of(expected).tolist()
        wrong = [name not in PASSING | {"none"} for name in (first, second)][::step]
        assert [bool(side[0]) for side in pair.at_fault] == wrong


WHERE_TERMS_CANCEL = {
    # a, b, causes against exact, cause of the pair
    "zeros of different sign": (0.0, -0.0, "exact", "exact", "rounding"),
    "rounded to different zeros": (0.0, -0.0, "rounding", "exact", "rounding"),
    "flushed to different zeros": (0.0, -0.0, "flush", "flush", "flush"),
    "zeros of different sign, both wrong": (0.0, -0.0, "inaccurate", "inaccurate", "inaccurate"),
    "zeros of the same sign": (-0.0, -0.0, "rounding", "rounding", "exact"),
    "small numbers of different sign": (U, -U, "rounding", "rounding", "rounding"),
    "at a kink": (0.0, 1.0, "exact", "convention", "convention"),
}


@pytest.mark.parametrize(("a", "b", "first", "second", "expected"), WHERE_TERMS_CANCEL.values(), ids=WHERE_TERMS_CANCEL)
def test_where_the_terms_cancel_the_sign_of_a_zero_is_rounding(
    a: float, b: float, first: str, second: str, expected: str
) -> None:
    got = np.array([a], np.float32), np.array([b], np.float32)
    for step in (1, -1):
        codes = codes_of(first)[::step], codes_of(second)[::step]
        pair = judge_pair(got[::step], codes, 1, np.array([False]), np.array([True]))
        assert pair.codes.tolist() == codes_of(expected).tolist()


def test_only_where_the_terms_cancel_the_sign_of_a_zero_is_rounding() -> None:
    got = np.zeros(2, np.float32), np.full(2, -0.0, np.float32)
    codes = codes_of("exact", "exact")
    pair = judge_pair(got, (codes, codes), 2, np.zeros(2, bool), np.array([True, False]))
    assert pair.codes.tolist() == codes_of("rounding", "convention").tolist()


# Where the terms cancel, and in which unit an error counts there


@pytest.mark.parametrize(("rows", "border"), [(False, 1 / 8), (True, 1.0)], ids=["elementwise", "rows"])
def test_terms_cancel_where_the_truth_is_below_a_part_of_their_scale(rows: bool, border: float) -> None:
    """An eighth of it; in a function of rows, whose derivatives are sums over the row, wherever it is smaller."""
    true = truth_of([border, border - 2.0**-20, -border, -border / 2, 0.0])
    small = cancelled(true, np.ones(5), rows)
    assert small.tolist() == [False, True, False, True, True]
    assert not cancelled(true, np.full(5, inf), rows).any()
    assert not cancelled(true, np.full(5, nan), rows).any()
    assert not cancelled(true, None, rows).any()


@pytest.mark.parametrize(("rows", "expected"), [(False, "inaccurate"), (True, "rounding")], ids=["elementwise", "rows"])
def test_in_a_function_of_rows_an_error_counts_against_its_terms_earlier(rows: bool, expected: str) -> None:
    """5 ULP of a quarter of the terms' sum are 1.25 of theirs, the difference that ``CANCELLED_IN_ROWS`` makes."""
    true, got = truth_of([0.25]), 0.25 + 5 * 2.0**-25
    how = dataclasses.replace(setting(4, scale=np.ones(1)), rows=rows)
    assert cause(1.0, got, true, how) == expected
    assert cause(1.0, 0.25 + 17 * 2.0**-25, true, how) == "inaccurate"
    assert judged(1.0, got, true, how).ulp.tolist() == [5.0]


# The scale of a formula

SCALES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Float64Array], Any]]] = {
    "the input": (lambda m, x: x, abs),
    "difference": (lambda m, x: x - 3, lambda x: abs(x) + 3),
    "difference, number first": (lambda m, x: 3 - x, lambda x: 3 + abs(x)),
    "sum": (lambda m, x: 3 + x, lambda x: 3 + abs(x)),
    "of itself": (lambda m, x: x - x, lambda x: 2 * abs(x)),
    "negated": (lambda m, x: -(x - 3), lambda x: abs(x) + 3),
    "product": (lambda m, x: (x - 3) * (x + 2), lambda x: (abs(x) + 3) * (abs(x) + 2)),
    "number times": (lambda m, x: -2 * (x - 3), lambda x: 2 * (abs(x) + 3)),
    "quotient": (lambda m, x: (x - 3) / (x - 0.5), lambda x: (abs(x) + 3) / abs(x - 0.5)),
    "number over": (lambda m, x: 1 / (x - 0.5), lambda x: 1 / abs(x - 0.5)),
    "square": (lambda m, x: (x - 3) ** 2, lambda x: (abs(x) + 3) ** 2),
    "inverse square": (lambda m, x: (x - 0.5) ** -2, lambda x: (x - 0.5) ** -2.0),
    "where": (lambda m, x: m.where(x > 1, x - 3, 7), lambda x: np.where(x > 1, abs(x) + 3, 7)),
    "maximum": (lambda m, x: m.maximum(x - 3, 0.0), lambda x: np.where(x >= 3, abs(x) + 3, 0)),
    "minimum": (lambda m, x: m.minimum(x - 3, 0.0), lambda x: np.where(x <= 3, abs(x) + 3, 0)),
    "a function starts anew": (lambda m, x: m.exp(x - 3), lambda x: np.exp(x - 3)),
    "difference of functions": (lambda m, x: m.exp(x) - m.tanh(x), lambda x: np.exp(x) + abs(np.tanh(x))),
    "constant": (lambda m, x: -2.0, lambda x: np.full(x.shape, 2.0)),
    "pi": (lambda m, x: x - m.pi, lambda x: abs(x) + np.pi),
}


@pytest.mark.parametrize(("formula", "expected"), SCALES.values(), ids=SCALES)
def test_the_scale_is_the_sum_of_the_terms_magnitudes(
    formula: Callable[[Any, Any], Any], expected: Callable[[Float64Array], Any]
) -> None:
    x = np.array([-4.0, -1.0, 0.0, 0.25, 1.0, 2.0, 3.0, 5.0])
    measured = scale(formula, x)
    assert measured.shape == x.shape
    np.testing.assert_allclose(measured, expected(x), rtol=1e-15)


def test_an_overflow_is_silent_and_not_finite() -> None:
    assert np.isinf(scale(lambda m, x: m.exp(x) - 1, np.array([1000.0]))).all()
    assert np.isnan(scale(lambda m, x: x * m.exp(1000 + x), np.array([0.0]))).all()
    assert np.isinf(scale(lambda m, x: 1 / x, np.array([0.0]))).all()
