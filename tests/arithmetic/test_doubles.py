"""Enclosures in double-double arithmetic: each holds the exact result, as Arb has it, and decides what it must."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from catalogue import ROWS
from flint import arb
from floats import FORMATS, Float64Array, Format, each_format
from truths import STARTS, Sample, Truth, doubles, matches, precision, rows

import crosscheck

M = doubles.Namespace()
RNG = np.random.default_rng(5)
PLAIN = np.concatenate(
    [RNG.standard_normal(300) * 10.0 ** RNG.integers(-12, 12, 300), RNG.uniform(-800, 800, 300), [0.0, 1.0, -1.0, 2.0**-80]]
)
OTHER = np.concatenate([RNG.standard_normal(600) * 10.0 ** RNG.integers(-12, 12, 600), [3.0, -1.0, 1.0, 1.0]])
POSITIVE = np.abs(PLAIN) + 2.0**-60
Pair = tuple[Callable[..., doubles.Doubles], Callable[..., Any], tuple[Float64Array, ...]]

OPERATIONS: dict[str, Pair] = {
    "sum": (lambda a, b: a + b, lambda a, b: a + b, (PLAIN, OTHER)),
    "difference": (lambda a, b: a - b, lambda a, b: a - b, (PLAIN, OTHER)),
    "product": (lambda a, b: a * b, lambda a, b: a * b, (PLAIN, OTHER)),
    "quotient": (lambda a, b: a / b, lambda a, b: a / b, (PLAIN, OTHER)),
    "of a third": (lambda a, b: (a / 3 - b) * a, lambda a, b: (a / 3 - b) * a, (PLAIN, OTHER)),
    "exponential": (M.exp, lambda a: a.exp(), (PLAIN[np.abs(PLAIN) < 1000],)),
    "of an exponential": (lambda a: M.exp(a / 7) * 3 - 1, lambda a: (a / 7).exp() * 3 - 1, (PLAIN[np.abs(PLAIN) < 1000],)),
    "expm1": (M.expm1, lambda a: a.exp() - 1, (PLAIN[np.abs(PLAIN) < 1000],)),
    "logarithm": (M.log, lambda a: a.log(), (POSITIVE,)),
    "logarithm of an exponential": (
        lambda a: M.log(1 + M.exp(a)),
        lambda a: (1 + a.exp()).log(),
        (PLAIN[np.abs(PLAIN) < 1000],),
    ),
    "root": (M.sqrt, lambda a: a.sqrt(), (POSITIVE,)),
    "tanh": (M.tanh, lambda a: a.tanh(), (PLAIN,)),
}


def misses(name: str) -> list[int]:
    """The inputs at which an enclosure does not hold the exact result."""
    operation, exact, inputs = OPERATIONS[name]
    M._last = None  # it would give what it has computed before
    with np.errstate(all="ignore"):
        result = operation(*map(doubles.Doubles, inputs))
    power = np.broadcast_to(result.power, result.shape)
    wrong = []
    with precision(4000):
        for i, given in enumerate(zip(*inputs, strict=True)):
            unit = arb((1, int(power[i])))
            middle = (arb(float(result.high[i])) + arb(float(result.low[i]))) * unit
            radius = arb(float(result.radius[i])) * unit
            if not abs(exact(*map(arb, map(float, given))) - middle) <= radius:
                wrong.append(i)
    return wrong


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_enclosure_holds_the_exact_result(name: str) -> None:
    assert misses(name) == []


@pytest.mark.parametrize("name", ["exponential", "logarithm", "tanh"])
def test_a_constant_that_is_off_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the 28th digit of log(2)."""
    off = doubles.Doubles(doubles.LOG2.high, doubles.LOG2.low * (1 + 1e-11), doubles.LOG2.radius)
    monkeypatch.setattr(doubles, "LOG2", off)
    assert misses(name)


def test_a_sum_along_a_row_holds_the_exact_one() -> None:
    row = RNG.standard_normal(999) * 10.0 ** RNG.integers(-20, 20, 999)
    result = M.sum(doubles.Doubles(row), -1)
    with precision(4000):
        exact = sum((arb(float(entry)) for entry in row), arb(0))
        error = abs(exact - arb(float(result.high[0])) - arb(float(result.low[0])))
        assert error <= arb(float(result.radius[0]))
        assert error < abs(exact) * arb((1, -80))


def test_what_is_masked_is_nothing_and_what_is_not_defined_is_not_known() -> None:
    with np.errstate(all="ignore"):
        a = doubles.Doubles(np.array([-np.inf, 0.0]))
        assert M.exp(a).high.tolist() == [0, 1]
        assert M.exp(a).radius[0] == 0
        assert np.isinf((a - a).radius[0])
        assert np.isinf((a / 0.0).radius[1])


@each_format
def test_results_are_decided_as_rational_numbers_are(fmt: Format) -> None:
    """Ties, powers of two from below and above, subnormals, the largest: with a low part on either side, and none."""
    p, least = fmt.precision, fmt.smallest_normal
    highs = [
        1.0,
        1 + 2.0**-p,
        1 + 3 * 2.0**-p,
        2.0,
        least,
        least / 2,
        1.5 * fmt.smallest_subnormal,
        fmt.largest,
        0.7,
        -3.3,
        0.0,
    ]
    highs = [float(high) for high in highs if p < 53 or high not in (1 + 2.0**-p, 1 + 3 * 2.0**-p)]
    pairs = [(high, step * 2.0**-60 * high) for high in highs for step in (-1, 0, 1)]
    high, low = np.array(pairs).T
    rounded, residual, exponent, decided = doubles.decide(doubles.Doubles(high, low), fmt)
    assert decided.all()
    sides = np.full(high.shape, np.nan).astype(fmt.dtype)
    truth = Truth(fmt, rounded.astype(fmt.dtype), residual, exponent, decided, ~decided, sides, sides)
    for i, (a, b) in enumerate(pairs):
        matches(truth, i, Fraction(a) + Fraction(b), fmt)


def test_what_is_not_known_well_enough_is_not_decided() -> None:
    fmt = FORMATS["float32"]
    radius = np.array([2.0**-50, 2.0**-43])
    assert doubles.decide(doubles.Doubles(np.ones(2), np.zeros(2), radius), fmt)[3].tolist() == [True, False]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", ROWS)
def test_the_truth_of_long_rows_is_arbs(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the kinds that are tried, short enough for Arb; what double-double arithmetic leaves open Arb decides."""
    activation, fmt = crosscheck.activations[name], FORMATS[dtype]
    sample = Sample.of_shapes(STARTS[::3], 36, activation, fmt)
    by_arb = sample.truths(activation, [0, 1, 2], activation.parameters)
    monkeypatch.setattr(rows, "LONG", 1)
    decided: list[bool] = []
    in_doubles = rows._in_doubles

    def counted(*arguments: Any) -> Any:
        result = in_doubles(*arguments)
        decided.append(result is not None)
        return result

    monkeypatch.setattr(rows, "_in_doubles", counted)
    by_doubles = sample.truths(activation, [0, 1, 2], activation.parameters)
    assert sum(decided) >= 2
    for order in (0, 1, 2):
        of_arb, of_doubles = by_arb[order], by_doubles[order]
        np.testing.assert_array_equal(of_arb.judged, of_doubles.judged)
        both = of_arb.judged & ~np.isnan(of_arb.rounded.astype(np.float64))
        either = of_arb.exponent != of_doubles.exponent  # at a power of two, up to which the double-double result is known
        assert (of_doubles.exponent[either] == of_arb.exponent[either] - 1).all()
        assert (np.abs(np.frexp(of_arb.rounded[either].astype(np.float64))[0]) == 0.5).all()
        both &= ~either
        for got in (of_arb.rounded, of_arb.rounded / fmt.dtype.type(3)):
            np.testing.assert_allclose(of_arb.error(got)[both], of_doubles.error(got)[both], atol=2.0**-19, rtol=2.0**-19)
