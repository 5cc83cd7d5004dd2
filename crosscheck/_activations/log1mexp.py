"""log1mexp: log(1 - e^-x) for x > 0. The log-probability of what has the complement's log-probability -x."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import expand, expm1, numpy_of
from crosscheck._activations._regions import regions
from crosscheck._spec.records import DTYPES, Activation, Deviation, Limits, Native, Seen

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


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
JAX = "jax.native"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

LOG1P = Deviation(
    id="log1mexp-log1p",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(JAX, (0, "float64", ((0.8814, 1.032),), 0.8819693849750756, -0.5343789181087993, 140.0)),
    reason="XLA's log1p on the CPU takes its approximation for -0.29 < x < 0.41 at all |x| < 0.41, and loses up to 129 ULP "
    "below -0.29.",
    link="https://github.com/jax-ml/jax/issues/39707",
    seen=SEEN,
    bug=True,
)

SECOND_NAN = Deviation(
    id="log1mexp-second-derivative-overflow",
    cause="special",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", ((709.79, inf),), 1000.0, nan, inf),
        (2, "float32", ((88.73, inf),), 1000.0, nan, inf),
        (2, "bfloat16", ((89.0, inf),), 1000.0, nan, inf),
        (2, "float16", ((11.09, inf),), 1000.0, nan, inf),
    ),
    reason="JAX computes the second derivative as -(p + 1) / p^2 with p = e^x - 1. Where e^x overflows that is infinity "
    "times 0, NaN; the exact value is -e^-x.",
    link=JAX_SOURCE,
    seen=SEEN,
    bug=True,
)

SQUARE_UNDERFLOW = Deviation(
    id="log1mexp-second-derivative-square-underflow",
    cause="special",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", ((7.459e-155, 1.4917e-154),), 1e-154, -inf, inf),
        (2, "float32", ((5.422e-20, 1.0842e-19),), 8e-20, -inf, inf),
        (2, "bfloat16", ((5.45e-20, 1.0842e-19),), 8e-20, -inf, inf),
    ),
    reason="That p^2 is flushed to 0 where it would be subnormal, so that the quotient is infinite before it overflows.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SQUARE_OVERFLOW = Deviation(
    id="log1mexp-second-derivative-lost-tail",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", ((354.4, 708.4),), 500.0, -0.0, 2.0**53),
        (2, "float32", ((43.68, 87.34),), 60.0, -0.0, 2.0**24),
        (2, "bfloat16", ((43.7, 87.3),), 60.0, -0.0, 2.0**8),
        (2, "float16", ((5.5, 11.09),), 8.0, -0.0, 2.0**11),
    ),
    reason="That 1 / p^2 is flushed to 0 where it would be subnormal, and underflows in float16, although the product with "
    "p + 1 is still a normal number.",
    link=JAX_SOURCE,
    seen=SEEN,
)

MINUS_ZERO = Deviation(
    id="log1mexp-gradient-at-minus-zero",
    cause="special",
    subjects=(JAX,),
    regions=regions(JAX, *((1, dtype, ((-0.0, -0.0),), -0.0, -inf, inf) for dtype in DTYPES)),
    reason="JAX computes the gradient as 1 / (e^x - 1), which at -0 is minus infinity. The function begins at 0, where its "
    "gradient tends to plus infinity.",
    link=JAX_SOURCE,
    seen=SEEN,
)

EXPM1 = Deviation(
    id="log1mexp-gradient-expm1",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(JAX, (1, "float64", ((0.004, 0.02),), 0.008103085886402857, None, 7.0)),
    reason="XLA's expm1 on the CPU has a few more ULP of error than the budget allows, at few inputs.",
    link="https://docs.jax.dev/en/latest/accuracy.html",
    seen=SEEN,
)

FLOAT16_OVERFLOW = Deviation(
    id="log1mexp-gradient-overflow-float16",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(JAX, (1, "float16", ((11.09, 16.7),), 11.09375, 0.0, 2.0**8)),
    reason="In float16 e^x overflows above 11.09 and the gradient 1 / (e^x - 1) is 0, although the exact one is a subnormal "
    "number.",
    link=JAX_SOURCE,
    seen=SEEN,
)

FLOAT16_INFINITE = Deviation(
    id="log1mexp-gradient-infinite-float16",
    cause="special",
    subjects=(JAX,),
    regions=regions(JAX, (1, "float16", ((1.531839370727539e-05, 1.531839370727539e-05),), 1.531839370727539e-05, inf, inf)),
    reason="e^x - 1, rounded as in log1mexp-16-bit-arithmetic, is so small that 1 divided by it is infinite.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="log1mexp-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((1.07, 1.18),), 1.1171875, None, 1.4),
        (0, "float16", ((1.7e-7, 4.2e-7),), 1.7881393432617188e-07, -15.25, 40.0),
        (0, "float16", ((4.2e-7, 2.3),), 1.0132789611816406e-06, None, 15.5),
        (1, "bfloat16", ((0.0078, 56.0),), 11.125, None, 1.6),
        (1, "float16", ((1.54e-5, 11.09),), 1.5437602996826172e-05, None, 10.0),
        (2, "bfloat16", ((1.1e-19, 43.7),), 0.004150390625, None, 4.0),
        (2, "float16", ((0.0039, 5.5),), 0.06353759765625, None, 12.0),
    ),
    reason="JAX computes each step in the 16-bit dtype, rounding after each. Its expm1 of a float16 is that of e^x - 1 in "
    "float32, which rounds small x to multiples of 2^-23.",
    link=JAX_SOURCE,
    seen=SEEN,
)

LOG1MEXP = Activation(
    name="log1mexp",
    latex=r"f(x) = \log(1 - e^{-x}), \quad x > 0",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    domain=(0.0, inf),
    limits=Limits(minus=(-inf, inf, -inf), plus=(0, 0, 0)),
    natives={"jax": Native("jax.nn.log1mexp")},  # torch ships none
    deviations=(
        LOG1P,
        SECOND_NAN,
        SQUARE_UNDERFLOW,
        SQUARE_OVERFLOW,
        MINUS_ZERO,
        EXPM1,
        FLOAT16_OVERFLOW,
        FLOAT16_INFINITE,
        SIXTEEN_BITS,
    ),
)
