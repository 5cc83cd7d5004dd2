"""Squareplus: (x + sqrt(x^2 + b)) / 2. Smooth and positive like softplus, without an exponential."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import in_both, numpy_of
from crosscheck._catalogue._mechanisms import compiled_anew
from crosscheck._recorded.files import recorded
from crosscheck._records.ranges import Range
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any, b: float = 4.0) -> Any:
    return (x + m.sqrt(x * x + b)) / 2


def derivative(m: Any, x: Any, b: float = 4.0) -> Any:
    """b / (8 r s) below 0 and 1 minus that above, with r = sqrt(x^2 + b) / 2 and s = |x|/2 + r."""
    return _gradient(m, x, b, FAR[64])


def second_derivative(m: Any, x: Any, b: float = 4.0) -> Any:
    """b / (16 r^3) with r = sqrt(x^2 + b) / 2."""
    return _second(m, x, b, FAR[64])


FAR = {64: 2.0**300, 32: 2.0**40}
"""By the bits of a format: beyond, x^2 + b is x^2, and a power of x may overflow."""


def _parts(m: Any, x: Any, b: Any, far: float) -> tuple[Any, ...]:
    """(a, w, r, f): a = |x|/2, w = r^2 and r = sqrt(x^2 + b) / 2, all three at x f, which is x cut at 2 far."""
    a = m.abs(x) / 2
    f = m.where(a > far, far / a, 1.0)
    a = m.where(a > far, far, a)
    w = a * a + b / 4
    return a, w, m.sqrt(w), f


def _value(m: Any, x: Any, b: Any, far: float) -> Any:
    """s above 0; below, where x + sqrt(x^2 + b) cancels, b / (4 s)."""
    a, _, r, f = _parts(m, x, b, far)
    s = a + r
    return m.where(x > 0, m.where(f < 1, x, s), b / 4 / s * f)


def _gradient(m: Any, x: Any, b: Any, far: float) -> Any:
    """r s = w + a r, which rounds less than the product."""
    a, w, r, f = _parts(m, x, b, far)
    q = b / 8 / (w + a * r) * (f * f)
    return m.where(x > 0, 1 - q, q)


def _second(m: Any, x: Any, b: Any, far: float) -> Any:
    _, w, r, f = _parts(m, x, b, far)
    return b / 16 / (w * r) * (f * f * f)


def value(framework: Any, x: Any, b: Any) -> Any:
    return _value(numpy_of(framework), x, b, _far(framework, x))


def gradient(framework: Any, x: Any, b: Any) -> Any:
    return _gradient(numpy_of(framework), x, b, _far(framework, x))


def second(framework: Any, x: Any, b: Any) -> Any:
    return _second(numpy_of(framework), x, b, _far(framework, x))


def _far(framework: Any, x: Any) -> float:
    return FAR[numpy_of(framework).finfo(x.dtype).bits]


JAX = "jax.native"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="squareplus-at-infinity",
        cause="special",
        implementations=(JAX,),
        reason="At minus infinity JAX returns NaN, where the limit is 0. JAX computes x + sqrt(x^2 + b), which is -inf + "
        "inf. The derivatives multiply an infinite 2x by 1 / sqrt(inf), which is 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="squareplus-overflow",
        cause="special",
        implementations=(JAX,),
        reason="Beyond 1.8e19 in float32 and 256 in float16 JAX's value is infinite, also for negative x, where the "
        "exact value is nearly 0. JAX squares x, and the square overflows. Where 2x overflows too, the derivatives are "
        "NaN, since they multiply infinity by 0.",
        link=JAX_SOURCE,
        bug=True,
    ),
    recorded(
        id="squareplus-gradient-overflow",
        cause="inaccurate",
        implementations=(JAX,),
        reason="Where x^2 overflows, JAX's gradient is 1/2 on both sides, in place of 0 and 1. There JAX's x / sqrt(x^2 "
        "+ b) is 0.",
        link=JAX_SOURCE,
        bug=True,
    ),
    # on record below 2^512 too, as the cause of a point is that of the nearest one that was probed
    recorded(
        id="squareplus-float64-gradient-overflow",
        cause="definition",
        implementations=(JAX,),
        reason="Where x^2 overflows in float64, JAX's gradient is 1/2 on both sides, in place of 0 and 1. There is no "
        "wider dtype in which x^2 would not overflow.",
        link=JAX_SOURCE,
        bug=True,
    ),
    recorded(
        id="squareplus-cancelled",
        cause="inaccurate",
        implementations=(JAX,),
        reason="For negative x JAX's value and gradient lose digits, down to 0, although the exact ones are b / (4 |x|) "
        "and b / (4 x^2). The two terms of the value, x + sqrt(x^2 + b), cancel. So do those of the gradient, 1/2 + x / "
        "(2 sqrt(x^2 + b)). Where x^2 + b rounds to x^2, both sums are 0. In the 16-bit dtypes each step is rounded to "
        "16 bits.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="squareplus-second-derivative-cancelled",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At large |x| JAX's second derivative loses digits. JAX differentiates x / h, h being sqrt(x^2 + b), into "
        "1/h - x^2/h^3. These terms cancel; their exact sum is b/h^3.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    compiled_anew(
        "squareplus-layout-jax",
        more="They also differ in how they treat an intermediate result that overflows or is subnormal.",
    ),
)

SQUAREPLUS = Activation(
    name="squareplus",
    latex=r"f(x) = \frac{x + \sqrt{x^2 + b}}{2}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    parameters={"b": 4.0},
    cases=({"b": 2.0}, {"b": 8.0}),
    ranges={"b": Range(1e-18, 1e15)},
    natives={"jax": Native("jax.nn.squareplus")},  # torch ships none
    deviations=DEVIATIONS,
)
