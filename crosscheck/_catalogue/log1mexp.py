"""log1mexp: log(1 - e^-x) for x > 0. If -x is the logarithm of a probability p, this is the logarithm of 1 - p."""

from math import inf, nan
from typing import Any

from crosscheck._catalogue._kernels import expand, expm1, in_both, numpy_of
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native

LOG_2 = 0.6931471805599453


def definition(m: Any, x: Any) -> Any:
    return m.log(1 - m.exp(-x))


def derivative(m: Any, x: Any) -> Any:
    """1 / (e^x - 1), as e^-x / (1 - e^-x); infinite at 0 and at -0."""
    return m.exp(-x) / m.abs(m.expm1(-x))


def second_derivative(m: Any, x: Any) -> Any:
    """-e^x / (e^x - 1)^2, divided one factor at a time, since a square underflows early."""
    return -m.exp(-x) / m.expm1(-x) / m.expm1(-x)


def _parts(framework: Any, x: Any) -> tuple[Any, Any]:
    """e^-x and 1 - e^-x; NaN below 0."""
    m = numpy_of(framework)
    a = m.where(x < 0, nan, abs(x))  # -0 is 0, at which the limits stand
    return m.exp(-a), -expm1(framework, -a)


def value(framework: Any, x: Any) -> Any:
    """log(1 - z) where z = e^-x is above 1/2, log(1 - z^2) - log(1 + z) below: XLA's log1p fails between -0.41 and -0.29."""
    m = numpy_of(framework)
    z, u = _parts(framework, x)
    return m.where(x < LOG_2, m.log(u), m.log1p(-z * z) - m.log1p(z))


def gradient(framework: Any, x: Any) -> Any:
    """e^-x / (1 - e^-x); below 1.2, (h coth(h) - h) / x with h = x/2, which rounds less."""
    m = numpy_of(framework)
    z, u = _parts(framework, x)
    near = m.where((x > 0) & (x < 1.2), x, 1)
    h = near / 2
    return m.where(near == x, (1 + (expand(h) - h)) / near, z / abs(u))


def second(framework: Any, x: Any) -> Any:
    """-e^-x / (1 - e^-x)^2 in two factors, since the square underflows; XLA would make one division of two in a row."""
    z, u = _parts(framework, x)
    return -(z / abs(u)) * (1 / abs(u))


JAX = "jax.native"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="log1mexp-log1p",
        cause="inaccurate",
        implementations=(JAX,),
        reason="Where the argument of log1p is below -0.29, JAX's value loses up to 129 ULP. XLA's log1p on the CPU has "
        "an approximation that is right for arguments between -0.29 and 0.41. It uses this approximation for all "
        "arguments between -0.41 and 0.41.",
        link="https://github.com/jax-ml/jax/issues/39707",
        bug=True,
    ),
    recorded(
        id="log1mexp-second-derivative-overflow",
        cause="special",
        implementations=(JAX,),
        reason="Where e^x overflows, JAX's second derivative is NaN; the exact value is -e^-x. JAX computes it as "
        "-e^x / p^2 with p = e^x - 1, which is infinity times 0 there.",
        link=JAX_SOURCE,
        bug=True,
    ),
    recorded(
        id="log1mexp-second-derivative-square-underflow",
        cause="special",
        implementations=(JAX,),
        reason="At small x JAX's second derivative is infinite before the exact one overflows. JAX divides by p^2, with "
        "p = e^x - 1. XLA flushes p^2 to 0 where it would be subnormal.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log1mexp-second-derivative-lost-tail",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At large x JAX's second derivative is 0, although the exact one is still a normal number. JAX multiplies "
        "e^x by 1 / p^2, with p = e^x - 1. XLA flushes 1 / p^2 to 0 where it would be subnormal; in float16 it "
        "underflows.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log1mexp-gradient-at-minus-zero",
        cause="special",
        implementations=(JAX,),
        reason="At -0 JAX's gradient is minus infinity: JAX computes 1 / (e^x - 1). The function begins at 0, and there "
        "its gradient tends to plus infinity.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log1mexp-gradient-expm1",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At a few inputs the error of JAX's gradient is a few ULP more than the budget allows. It is the error of "
        "XLA's expm1 on the CPU.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="log1mexp-gradient-overflow-float16",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In float16 JAX's gradient is 0 above 11.09, although the exact one is a subnormal number. JAX computes 1 "
        "/ (e^x - 1), and there e^x overflows.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log1mexp-gradient-infinite-float16",
        cause="special",
        implementations=(JAX,),
        reason="In float16 JAX's gradient is infinite where the rounded e^x - 1 is so small that 1 divided by it "
        "overflows. How JAX rounds e^x - 1: see log1mexp-16-bit-arithmetic.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log1mexp-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes each step in the 16-bit dtype and rounds "
        "after each. In float16 JAX computes expm1 as e^x - 1 in float32, which rounds small x to multiples of 2^-23.",
        link=JAX_SOURCE,
    ),
)

LOG1MEXP = Activation(
    name="log1mexp",
    latex=r"f(x) = \log(1 - e^{-x}), \quad x > 0",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    domain=(0.0, inf),
    limits=Limits(minus=(-inf, inf, -inf), plus=(0, 0, 0)),
    natives={"jax": Native("jax.nn.log1mexp")},  # torch ships none
    deviations=DEVIATIONS,
)
