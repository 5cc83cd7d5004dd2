"""Where the numbers come from that derivatives are computed with near their zeros: ``python tests/zero_coefficients.py``.

Each derivative is a factor without zeros times a function F of a = |x| here. Its zero is given in two parts, of which the
first is the nearest number of the format; and F(zero - d) / d as a power series in d, for |d| < 1/4.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, arb_series, ctx
from gelu_coefficients import precise

TERMS = 17


def silu_gradient(a: Any) -> Any:
    """Of z / (1 + z)^2 F(a) with z = e^-a."""
    return 1 - a + (-a).exp()


def silu_second(a: Any) -> Any:
    """Of z / (1 + z)^3 F(a)."""
    return 2 - a + (-a).exp() * (2 + a)


def mish_gradient(a: Any) -> Any:
    """Of z F(a), below 0."""
    z = (-a).exp()
    q = (2 - 4 * a) * (1 + 2 * z) + z * z * ((3 - 4 * a) + z * (1 - a))
    d = 2 + z * (2 + z)
    return (1 - a) - z * q / (d * d)


def mish_second_below(a: Any) -> Any:
    """Of 4 z / (2 + z (2 + z))^3 F(a)."""
    z = (-a).exp()
    return 2 * (2 - a) + z * ((8 - 2 * a) + z * ((6 + 3 * a) + 2 * z * (1 + a)))


def mish_second_above(a: Any) -> Any:
    """Of 4 z^2 / (1 + 2 z (1 + z))^3 F(a)."""
    z = (-a).exp()
    return 2 * (1 - a) + z * (3 * (2 - a) + 2 * z * ((4 + a) + z * (2 + a)))


def _line(a: Any, k: int) -> Any:
    """sqrt(8/pi) (1 + k 0.044715 a^2)."""
    return (arb(8) / arb.pi()).sqrt() * (1 + k * arb(44715) / 10**6 * a * a)


def gelu_tanh_gradient(a: Any) -> Any:
    """Of z / (1 + z)^2 F(a) with z = e^-w."""
    return 1 + (-a * _line(a, 1)).exp() - a * _line(a, 3)


def gelu_tanh_second(a: Any) -> Any:
    """Of z / (1 + z)^2 F(a)."""
    z = (-a * _line(a, 1)).exp()
    return 4 * _line(a, 3) - 2 * _line(a, 0) - a * _line(a, 3) * _line(a, 3) * (1 - z) / (1 + z)


FUNCTIONS: dict[str, dict[str, tuple[Callable[[Any], Any], float, float]]] = {
    "silu": {"GRADIENT": (silu_gradient, 1, 2), "SECOND": (silu_second, 2, 3)},
    "mish": {
        "GRADIENT": (mish_gradient, 1, 1.5),
        "SECOND_BELOW": (mish_second_below, 2, 2.5),
        "SECOND_ABOVE": (mish_second_above, 1.25, 1.75),
    },
    "gelu_tanh": {"GRADIENT": (gelu_tanh_gradient, 0.5, 1), "SECOND": (gelu_tanh_second, 1.25, 1.75)},
}
"""With an interval in which each has its only zero."""


def zero(f: Callable[[Any], Any], low: float, high: float) -> Any:
    """By bisection."""
    left, right = arb(low), arb(high)
    for _ in range(ctx.prec - 50):
        middle = ((left + right) / 2).mid()
        left, right = (middle, right) if f(middle) > 0 else (left, middle)
    return left.union(right).mid()


def in_formats(at: Any) -> dict[int, tuple[float, float]]:
    """The nearest number of each format and the rest, by the format's bits."""
    nearest = {64: float(at), 32: float(np.float32(float(at)))}
    return {bits: (number, float(at - number)) for bits, number in nearest.items()}


def series(f: Callable[[Any], Any], at: Any) -> tuple[float, ...]:
    """F(at - d) / d, whose constant term of F is 0 but for the zero's own rounding."""
    before, ctx.cap = ctx.cap, TERMS + 1
    try:
        return tuple(float(coefficient) for coefficient in f(arb_series([at, -1])).coeffs()[1 : TERMS + 1])
    finally:
        ctx.cap = before


Numbers = tuple[dict[int, tuple[float, float]], tuple[float, ...]]


def numbers() -> dict[str, dict[str, Numbers]]:
    """The zeros and the series, by the activation and the names in its file."""
    by_activation: dict[str, dict[str, Numbers]] = {}
    with precise():
        for activation, named in FUNCTIONS.items():
            for name, (f, low, high) in named.items():
                at = zero(f, low, high)
                by_activation.setdefault(activation, {})[name] = (in_formats(at), series(f, at))
    return by_activation


if __name__ == "__main__":
    for activation, named in numbers().items():
        for name, (zeros, coefficients) in named.items():
            print(activation, name, "=", (zeros, coefficients))
