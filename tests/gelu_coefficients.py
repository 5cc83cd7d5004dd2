"""Where the coefficients of GELU's kernel come from: ``python tests/gelu_coefficients.py`` prints them.

Chebyshev interpolation, in Arb, of smooth functions of a >= 0 on t = (a - 4)/(a + 4), written as polynomials in t.
"""

from collections.abc import Callable
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


def interpolated(f: Callable[[Any], Any], degree: int) -> list[float]:
    """The Chebyshev series of f up to a degree, as the coefficients of 1, t, t^2, ..., rounded to float64."""
    angles = [(2 * j + 1) * arb.pi() / (2 * NODES) for j in range(NODES)]
    values = [f(4 * (1 + angle.cos()) / (1 - angle.cos())) for angle in angles]
    before, now = arb_poly([1]), arb_poly([0, 1])
    result = arb_poly([0])
    for k in range(degree + 1):
        coefficient = sum((y * (k * angle).cos() for y, angle in zip(values, angles, strict=True)), arb(0)) * 2 / NODES
        result += before * (coefficient / 2 if k == 0 else coefficient)
        before, now = now, arb_poly([0, 2]) * now - before
    return [float(coefficient) for coefficient in result.coeffs()]


def coefficients() -> dict[str, Any]:
    """By their names in ``crosscheck/_activations/gelu.py``."""
    before, ctx.prec = ctx.prec, BITS
    try:
        zero = zero_of_gradient()
        high = float(int(float(zero) * 2**24)) / 2**24
        return {
            "ZERO": (high, float(zero - high)),
            "TAIL": interpolated(tail, 25),
            "SLOPE": interpolated(lambda a: slope(a, zero), 22),
        }
    finally:
        ctx.prec = before


if __name__ == "__main__":
    for name, values in coefficients().items():
        print(name, "=", values)
