"""From a ball to a number of the format: what is rounded, what the rounding left, and what stays undecided."""

from fractions import Fraction
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import rational
from flint import arb
from floats import Format, each_format
from truths import precision

from crosscheck._truth.decide import decide, decide_many


def exact_ball(r: Fraction) -> Any:
    """A dyadic fraction as a ball without radius."""
    power = r.denominator.bit_length() - 1
    assert r.denominator == 2**power
    return arb((r.numerator, -power))


def dyadic(ball: Any) -> Fraction:
    man, power = ball.man_exp()
    return Fraction(int(man)) * Fraction(2) ** int(power)


@each_format
def test_exact_halves_go_to_even(fmt: Format) -> None:
    p = fmt.precision
    with precision(300):
        for e in (fmt.e_min, 0, fmt.e_max):
            for mantissa in (2 ** (p - 1), 2 ** (p - 1) + 1, 2**p - 2, 2**p - 1):
                r = (mantissa + Fraction(1, 2)) * Fraction(2) ** (e - (p - 1))
                for sign in (1, -1):
                    rounded, residual, exponent = decide(exact_ball(sign * r), fmt) or (nan, nan, 0)
                    assert rounded == rational.rounded(sign * r, fmt)
                    assert residual == sign * (0.5 if mantissa % 2 == 0 else -0.5)
                    assert exponent == e


@each_format
def test_subnormal_halves_go_to_even(fmt: Format) -> None:
    unit = Fraction(2) ** (fmt.e_min - fmt.precision + 1)
    with precision(300):
        for n in (0, 1, 2, 5):
            even = n if n % 2 == 0 else n + 1
            decision = decide(exact_ball((n + Fraction(1, 2)) * unit), fmt)
            assert decision == (float(even * unit), n + 0.5 - even, fmt.e_min)


@each_format
def test_a_ball_around_a_half_is_not_decided(fmt: Format) -> None:
    with precision(300):
        half = arb((2**fmt.precision + 1, -fmt.precision))  # 1 and half an ULP
        for radius in (arb((1, -250)), arb((1, -60 - fmt.precision))):
            assert decide(half + radius * arb(0, 1), fmt) is None
        _, _, _, decided = decide_many([half + arb(0, arb((1, -250)))], fmt)
        assert not decided.any()
        assert decide(half + arb((1, -250)), fmt) is not None


def random_balls(fmt: Format, radius_bits: int) -> list[Any]:
    """Balls of a relative radius about random numbers, powers of two and halves, over the format's range."""
    rng = np.random.default_rng(6)
    balls = []
    low, high = fmt.e_min - fmt.precision - 3, fmt.e_max + 2
    for e in rng.integers(low, high, 120).tolist():
        random = (int(rng.integers(2**62)) << 100) + (1 << 162) + int(rng.integers(2**62))
        power = 1 << 162
        beside = power + int(rng.choice([-1, 1])) * (1 << int(rng.integers(0, 120)))
        half = (2 * int(rng.integers(2 ** (fmt.precision - 1), 2**fmt.precision)) + 1) << (162 - fmt.precision)
        near_half = half + int(rng.choice([-1, 1])) * (1 << int(rng.integers(0, 60)))
        for mantissa in (random, power, beside, half, near_half):
            centre = arb((int(rng.choice([-1, 1])) * mantissa, e - 162))
            balls.append(centre + arb(0, arb((1, e - radius_bits))))
    return balls


@pytest.mark.parametrize("radius_bits", [10, 40, 58, 70, 90, 150, 220])
@each_format
def test_decisions_hold_for_the_whole_ball_and_many_agree_with_one(fmt: Format, radius_bits: int) -> None:
    with precision(400):
        balls = random_balls(fmt, radius_bits)
        rounded, residual, exponent, decided = decide_many(balls, fmt)
        ends = [(dyadic(ball.lower()), dyadic(ball.upper())) for ball in balls]
        for i, (ball, (low, high)) in enumerate(zip(balls, ends, strict=True)):
            decision = decide(ball, fmt)
            if decision is not None:
                assert decided[i]
                assert rounded[i] == decision[0]
            if not decided[i]:
                continue
            possible = {rational.exponent(low, fmt), rational.exponent(high, fmt)}
            for r in (low, high):
                assert rounded[i] == rational.rounded(r, fmt)
            results = [(residual[i], exponent[i])] + ([decision[1:]] if decision else [])
            for left, e in results:
                assert e in possible
                if abs(high) < Fraction(2) ** (fmt.e_max + 1) > abs(low):
                    unit = Fraction(2) ** (int(e) - fmt.precision + 1)
                    expected = (low - rational.counted(float(rounded[i]), fmt)) / unit
                    assert left == pytest.approx(float(expected), abs=2.0**-18)
    share = decided.mean()
    assert share > 0.5 if radius_bits >= 150 else share < 1


@each_format
@pytest.mark.parametrize("shift", [-1, 0, 1], ids=["centre below", "centre on it", "centre above"])
def test_around_a_power_of_two_the_lower_exponent_stands(fmt: Format, shift: int) -> None:
    """The error then looks larger, never smaller: what Truth.exponent promises where the enclosure cannot decide."""
    with precision(400):
        ball = 1 + shift * arb((1, -100)) + arb(0, arb((1, -90)))
        assert (decide(ball, fmt) or (nan, nan, 0))[2] == -1
        assert decide_many([ball], fmt)[2].tolist() == [-1]


@each_format
def test_tight_balls_are_always_decided(fmt: Format) -> None:
    rng = np.random.default_rng(8)
    with precision(400):
        thirds = [
            arb((int(n), int(e))) / 3
            for n, e in zip(rng.integers(1, 2**40, 200) * 3 + 1, rng.integers(-60, 10, 200), strict=True)
        ]
        *_, decided = decide_many(thirds, fmt)
        assert decided.all()
        assert all(decide(ball, fmt) is not None for ball in thirds)


@each_format
def test_zero_and_what_is_not_finite(fmt: Format) -> None:
    with precision(300):
        assert decide(arb(0), fmt) == (0.0, 0.0, fmt.e_min)
        assert decide(arb(0, 1), fmt) is None
        assert decide(arb("nan"), fmt) is None
        assert decide(arb(0, arb((1, -5000))), fmt) == (0.0, 0.0, fmt.e_min)
        rounded, _, exponent, decided = decide_many([arb(0), arb(0, 1), arb("nan"), arb((-3, 5000))], fmt)
    assert decided.tolist() == [True, False, False, True]
    assert (rounded[0], rounded[3]) == (0, -inf)
    assert (exponent[0], exponent[3]) == (fmt.e_min, fmt.e_max)
