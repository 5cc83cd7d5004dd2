"""The numbers in GELU's kernels are those of the committed script, and the polynomials as accurate as float64."""

from collections.abc import Callable
from typing import Any

import gelu_coefficients as script
import numpy as np
import pytest
from flint import arb

from crosscheck._catalogue import gelu, gelu_tanh

NUMBERS = script.numbers()
NAMED = [(activation, name) for activation, named in NUMBERS.items() for name in named]


@pytest.mark.parametrize(("activation", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_numbers_are_those_of_the_script(activation: str, name: str) -> None:
    module = {"gelu": gelu, "gelu_tanh": gelu_tanh}[activation]
    assert getattr(module, name) == NUMBERS[activation][name]


def of_ratio(coefficients: tuple[float, ...], a: Any) -> Any:
    t = (a - 4) / (a + 4)
    return sum((arb(coefficient) * t**k for k, coefficient in enumerate(coefficients)), arb(0))


def worst(coefficients: tuple[float, ...], f: Callable[[Any], Any], magnitude: Callable[[Any], Any], low: float) -> float:
    """The largest error of a polynomial, relative to a magnitude, up to the top of float64's domain and beyond."""
    inputs = [*np.linspace(low, 8, 800), *np.geomspace(8, 1e4, 200)]
    with script.precise():
        return max(abs(float((of_ratio(coefficients, a) - f(a)) / magnitude(a))) for a in map(arb, inputs))


def test_the_tail_is_as_accurate_as_float64() -> None:
    """From where the value is computed by it."""
    assert worst(gelu.TAIL, script.tail, script.tail, 0.875) < 2.0**-53


def test_the_slope_is_as_accurate_as_float64() -> None:
    """Beside 1 / sqrt(2 pi), to which it is added."""
    with script.precise():
        zero = script.zero_of_gradient()
    assert worst(gelu.SLOPE, lambda a: script.slope(a, zero), lambda a: arb(gelu.PHI_0), 0.0) < 2.0**-53


def test_the_first_parts_are_short_enough_for_exact_products() -> None:
    """In float32: of the cut square of x with those of gelu_tanh, and of the difference from ZERO's."""
    assert float(np.float32(gelu.ZERO[0])) == gelu.ZERO[0]
    for high, low in (gelu_tanh.A, gelu_tanh.B):
        mantissa, _ = np.frexp(high)
        assert mantissa * 2**12 == round(mantissa * 2**12)
        assert abs(low) < high * 2**-9


@pytest.mark.parametrize("module", [gelu, gelu_tanh], ids=["gelu", "gelu_tanh"])
def test_beyond_the_top_nothing_is_left(module: Any) -> None:
    """The value at minus the top rounds to 0 in the format."""
    for halves, smallest in ((module.FLOAT64, 2.0**-1074), (module.FLOAT32, 2.0**-149)):
        with script.precise():
            a = arb(halves.top)
            exponent = a * a / 2 if module is gelu else (arb(8) / arb.pi()).sqrt() * (a + 44715 * a**3 / 10**6)
            assert a * (-exponent).exp() < arb(smallest) / 2
