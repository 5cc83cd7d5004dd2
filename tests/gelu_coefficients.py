"""Where the numbers in GELU's kernels come from: ``python tests/gelu_coefficients.py`` prints them.

Chebyshev interpolation, in Arb, of smooth functions of a >= 0 on t = (a - 4)/(a + 4), written as polynomials in t; and
constants as sums of a few bits and the rest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flint import arb, arb_poly, ctx

BITS = 500
NODES = 80


def density(a: Any) -> Any:
    """That of the normal distribution."""
    return (-a * a / 2).exp() / (2 * arb.pi()).sqrt()


def tail_ratio(a: Any) -> Any:
    """R(a) = Phi(-a) e^(a^2/2)."""
    return (a / arb(2).sqrt()).erfc() / 2 * (a * a / 2).exp()


def zero_of_gradient() -> Any:
    """The a at which Phi(-a) - a phi(a) = 0, by bisection."""
    low, high = arb(0.75), arb(0.7525)
    for _ in range(BITS - 50):
        middle = ((low + high) / 2).mid()
        positive = tail_ratio(middle) * (-middle * middle / 2).exp() > middle * density(middle)
        low, high = (middle, high) if positive else (low, middle)
    return low.union(high)


def tail(a: Any) -> Any:
    """a R(a)."""
    return a * tail_ratio(a)


def slope(a: Any, zero: Any) -> Any:
    """(R(a) - R(zero)) / (zero - a)."""
    return (tail_ratio(a) - tail_ratio(zero)) / (zero - a)


def interpolated(f: Callable[[Any], Any], degree: int) -> tuple[float, ...]:
    """The Chebyshev series of f up to a degree, as the coefficients of 1, t, t^2, ..., rounded to float64."""
    angles = [(2 * j + 1) * arb.pi() / (2 * NODES) for j in range(NODES)]
    values = [f(4 * (1 + angle.cos()) / (1 - angle.cos())) for angle in angles]
    before, now = arb_poly([1]), arb_poly([0, 1])
    result = arb_poly([0])
    for k in range(degree + 1):
        coefficient = sum((y * (k * angle).cos() for y, angle in zip(values, angles, strict=True)), arb(0)) * 2 / NODES
        result += before * (coefficient / 2 if k == 0 else coefficient)
        before, now = now, arb_poly([0, 2]) * now - before
    return tuple(float(coefficient) for coefficient in result.coeffs())


def in_two(value: Any, bits: int) -> tuple[float, float]:
    """A multiple of 2^-bits and the rest."""
    high = round(float(value) * 2**bits) / 2**bits
    return high, float(value - high)


@contextmanager
def precise() -> Iterator[None]:
    before, ctx.prec = ctx.prec, BITS
    try:
        yield
    finally:
        ctx.prec = before


def numbers() -> dict[str, dict[str, Any]]:
    """By the activation and their names in its file."""
    with precise():
        zero, factor = zero_of_gradient(), (arb(8) / arb.pi()).sqrt()
        gelu = {
            "ZERO": in_two(zero, 24),
            "ZERO_FLOAT64": in_two(zero, 53),
            "TAIL": interpolated(tail, 25),
            "SLOPE": interpolated(lambda a: slope(a, zero), 22),
        }
        return {"gelu": gelu, "gelu_tanh": {"A": in_two(factor, 8), "B": in_two(factor * 44715 / 10**6, 15)}}


if __name__ == "__main__":
    for activation, named in numbers().items():
        for name, values in named.items():
            print(activation, name, "=", values)
