"""Squareplus: (x + sqrt(x^2 + b)) / 2. Smooth and positive like softplus, without an exponential."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import numpy_of
from crosscheck._activations._mechanisms import compiled_anew
from crosscheck._activations._regions import both, regions
from crosscheck._spec.ranges import Range
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Limits, Native, Region, Seen


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


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
JAX = "jax.native"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

INFINITY = Deviation(
    id="squareplus-at-infinity",
    cause="special",
    subjects=(JAX,),
    regions=(
        Region(0, DTYPES, ((-inf, -inf),), (Anchor(-inf, {JAX: nan}),)),
        Region(1, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, {JAX: nan}),)),
        Region(2, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, {JAX: nan}),)),
    ),
    reason="JAX computes x + sqrt(x^2 + b): at minus infinity that is -inf + inf, NaN, where the limit is 0. The "
    "derivatives multiply an infinite 2x with 1 / sqrt(inf), 0.",
    link=JAX_SOURCE,
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="squareplus-overflow",
    cause="special",
    subjects=(JAX,),
    regions=(
        *regions(
            JAX,
            (0, "float64", both(2.0**512 * (1 - 2.0**-53), 1.7976931348623157e308), -1e300, inf, inf),
            (0, "float32", both(2.0**64 * (1 - 2.0**-24), 3.4028234663852886e38), -1e30, inf, inf),
            (0, "bfloat16", both(1.84e19, 3.39e38), -1e30, inf, inf),
            (0, "float16", both(255.9, 65504.0), -1000.0, inf, inf),
        ),
        *regions(
            JAX,
            *(
                (order, dtype, both(low, high), high, nan, inf)
                for order in (1, 2)
                for dtype, low, high in (
                    ("float64", 2.0**1023, 1.7976931348623157e308),
                    ("float32", 2.0**127, 3.4028234663852886e38),
                    ("bfloat16", 2.0**127, 3.3895313892515355e38),
                    ("float16", 2.0**15, 65504.0),
                )
            ),
        ),
    ),
    reason="JAX squares x: beyond 1.8e19 in float32 and 256 in float16 the square and with it the value is infinite, also "
    "for negative x, where the exact one is nearly 0. Where 2x overflows too, the derivatives are infinity times 0, NaN.",
    link=JAX_SOURCE,
    seen=SEEN,
    bug=True,
)

HALF = Deviation(
    id="squareplus-gradient-overflow",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float32", both(2.0**64, 2.0**127), -(2.0**70), 0.5, inf),
        (1, "bfloat16", both(2.0**64, 2.0**127), -(2.0**70), 0.5, inf),
        (1, "float16", both(256.0, 32760.0), -1024.0, 0.5, inf),
    ),
    reason="Where x^2 overflows, x / sqrt(x^2 + b) is 0 in JAX and the gradient 1/2 on both sides, in place of 0 and 1.",
    link=JAX_SOURCE,
    seen=SEEN,
    bug=True,
)

HALF_IN_FLOAT64 = Deviation(
    id="squareplus-float64-gradient-overflow",
    cause="definition",
    subjects=(JAX,),
    # below 2^512 too, as the cause of a point is that of the nearest one that was probed
    regions=regions(JAX, (1, "float64", ((-(2.0**1023), -(2.0**452)), (2.0**512, 2.0**1023)), -(2.0**600), 0.5, inf)),
    reason="Where x^2 overflows in float64, the gradient is 1/2 on both sides, in place of 0 and 1, with no wider dtype to "
    "mend it.",
    link=JAX_SOURCE,
    seen=SEEN,
    bug=True,
)

CANCELLED = Deviation(
    id="squareplus-cancelled",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "float64", ((-7.95, -1.5),), -7.901721179468023, None, 63.9),
        (0, "float64", ((-(2.0**512), -7.95),), -(2.0**40), 0.0, inf),
        (0, "float32", ((-7.9, -1.5),), -7.898831367492676, None, 63.9),
        (0, "float32", ((-(2.0**64), -7.9),), -(2.0**20), 0.0, inf),
        (0, "bfloat16", ((-3.88, -0.089), (0.089, 16.0)), -3.796875, None, 15.9),
        (0, "bfloat16", ((-1.845e19, -3.88),), -1024.0, 0.0, inf),
        (0, "float16", ((-3.87, -0.044), (0.044, 32.1)), -3.7734375, None, 15.9),
        (0, "float16", ((-256.0, -3.87),), -128.0, 0.0, inf),
        (1, "float64", ((-5.5, -1.5),), -5.225652073251659, None, 79.9),
        (1, "float64", ((-(2.0**572), -5.5), (2.0**512, 2.0**572)), -(2.0**40), 0.0, inf),
        (1, "float32", ((-7.0, -1.5),), -6.5, None, 79.9),
        (1, "float32", ((-(2.0**64), -7.0),), -(2.0**20), 0.0, inf),
        (1, "bfloat16", ((-3.69, -0.48), (1.7, 25.6)), -3.140625, None, 15.9),
        (1, "bfloat16", ((-1.845e19, -3.69),), -1024.0, 0.0, inf),
        (1, "float16", ((-2.75, -0.41), (0.82, 68.4)), -2.603515625, None, 15.9),
        (1, "float16", ((-256.0, -2.75),), -128.0, 0.0, inf),
    ),
    reason="For negative x the two terms of x + sqrt(x^2 + b) cancel, and so do those of the gradient, 1/2 + x / (2 "
    "sqrt(x^2 + b)). Where x^2 + b rounds to x^2 both are 0, although the exact ones are b / (4 |x|) and b / (4 x^2). In 16 "
    "bits each step is rounded to them.",
    link=JAX_SOURCE,
    seen=SEEN,
)

CANCELLED_SECOND = Deviation(
    id="squareplus-second-derivative-cancelled",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", both(2.4, 7.95), 7.791331693141071, None, 159.9),
        (2, "float64", both(7.95, 2.0**512), 2.0**40, 0.0, inf),
        (2, "float32", both(2.4, 7.9), 7.48524808883667, None, 159.9),
        (2, "float32", both(7.9, 2.0**64), 2.0**20, 0.0, inf),
        (2, "bfloat16", both(0.14, 3.79), 3.765625, None, 15.9),
        (2, "bfloat16", both(3.79, 2.0**64), 1024.0, 0.0, inf),
        (2, "float16", both(0.03, 2.85), 2.837890625, None, 15.9),
        (2, "float16", both(2.85, 410.0), 24.46875, None, inf),
    ),
    reason="JAX differentiates x / h, h = sqrt(x^2 + b), into 1/h - x^2/h^3, whose terms cancel for large |x|; the exact "
    "sum is b/h^3.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    seen=SEEN,
)

LAYOUT_JAX = compiled_anew(
    "squareplus-layout-jax",
    *tuple(
        Region(order, ("float32",), ((-3.41e38, 3.41e38),), (Anchor(at, {}),))
        for order, at in ((1, -1.2197546591942345e19), (2, 4.0296592633862554e18))
    ),
    more="So does how it treats what overflows or is subnormal on the way.",
)

SQUAREPLUS = Activation(
    name="squareplus",
    latex=r"f(x) = \frac{x + \sqrt{x^2 + b}}{2}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    parameters={"b": 4.0},
    cases=({"b": 2.0}, {"b": 8.0}),
    ranges={"b": Range(1e-18, 1e15)},
    natives={"jax": Native("jax.nn.squareplus")},  # torch ships none
    deviations=(INFINITY, OVERFLOW, HALF, HALF_IN_FLOAT64, CANCELLED, CANCELLED_SECOND, LAYOUT_JAX),
)
