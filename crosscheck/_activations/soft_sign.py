"""Softsign: x / (1 + |x|). Like tanh, but it saturates slowly, so that the gradient does not vanish as early."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import numpy_of
from crosscheck._activations._regions import both, regions
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Kink, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    return x / (1 + m.abs(x))


def derivative(m: Any, x: Any) -> Any:
    """1 / d^2 with d = 1 + |x|, divided one factor at a time, since d^2 overflows early."""
    d = 1 + m.abs(x)
    return 1 / d / d


def second_derivative(m: Any, x: Any) -> Any:
    """-2 sign(x) / d^3 with d = 1 + |x|; 0 at the kink."""
    d = 1 + m.abs(x)
    return -2 * m.sign(x) / d / d / d


def value(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(m.isinf(x), m.sign(x), x / (1 + abs(x)))


def gradient(framework: Any, x: Any) -> Any:
    d = 1 + abs(x)
    return 1 / d / d


def second(framework: Any, x: Any) -> Any:
    m, d = numpy_of(framework), 1 + abs(x)
    sign = m.where(x == 0, 0.0, m.sign(x))  # that of -0 is 0 in torch and -0 in JAX
    return -2 * sign / d / d / d


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH, JAX = "torch.native", "jax.native"
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py"

INFINITY = Deviation(
    id="soft-sign-at-infinity",
    cause="special",
    subjects=(TORCH, JAX),
    regions=tuple(
        Region(order, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, {TORCH: nan, JAX: nan}),)) for order in (0, 1, 2)
    ),
    reason="Both frameworks divide x by 1 + |x|: infinity by infinity is NaN, where the limit is 1 or -1. The derivatives "
    "contain the same quotient.",
    link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softsign.html",
    seen=SEEN,
)

SECOND_AT_ZERO = Deviation(
    id="soft-sign-second-derivative-at-zero",
    cause="convention",
    subjects=(JAX,),
    regions=(Region(2, DTYPES, ((0.0, 0.0), (-0.0, -0.0)), (Anchor(0.0, {JAX: -2.0}),)),),
    reason="At 0 the second derivative jumps from 2 to -2. torch gives |x| the slope 0 there, so that it is 0, as symmetry "
    "asks for; JAX gives |x| the slope 1 and takes the right side's -2.",
    link=JAX_SOURCE,
    seen=SEEN,
)

CANCELLED = Deviation(
    id="soft-sign-derivatives-cancelled",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "float64", both(2.0, 40.0), 37.0, None, 80.0),
        (1, "float64", both(40.0, 2.1e161), 2.0**60, 0.0, inf),
        (1, "float32", both(2.0, 40.0), 37.0, None, 80.0),
        (1, "float32", both(40.0, 1.3e22), 2.0**40, 0.0, inf),
        (1, "bfloat16", both(0.0099, 7.33), 7.28125, None, 15.9),
        (1, "bfloat16", both(7.33, 1.1e20), 2.0**10, 0.0, inf),
        (1, "float16", both(0.0014, 7.28), 7.13671875, None, 15.9),
        (1, "float16", both(7.28, 4100.0), 2048.0, 0.0, inf),
        (2, "float64", both(3.0, 80.0), 79.64908894123819, None, 160.0),
        (2, "float64", both(80.0, 1.7e153), 2.0**60, 0.0, inf),
        (2, "float32", both(3.0, 80.0), 57.307350158691406, None, 160.0),
        (2, "float32", both(80.0, 2.4e18), 2.0**40, 0.0, inf),
        (2, "bfloat16", both(0.001, 9.9), 9.625, None, 15.9),
        (2, "bfloat16", both(9.9, 6.3e18), 2.0**10, 0.0, inf),
        (2, "float16", both(0.00016, 9.1), 8.0, None, 15.9),
        (2, "float16", both(9.1, 44.4), 25.625, -0.0001087188720703125, inf),
        (2, "float16", both(44.4, 1420.0), 48.53125, None, 15.9),
    ),
    reason="torch differentiates the quotient term by term: 1/d - |x|/d^2 with d = 1 + |x|. Its terms agree in ever more "
    "digits as |x| grows, and where |x|/d rounds to 1 the gradient is 0, although the exact one is 1/d^2. In 16 bits each "
    "term is rounded to them.",
    link=TORCH_SOURCE,
    seen=SEEN,
)

CANCELLED_JAX = Deviation(
    id="soft-sign-derivatives-cancelled-jax",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", both(2.0, 40.0), 32.10462618312112, None, 80.0),
        (1, "float64", both(40.0, 2.0**511), 2.0**60, 0.0, inf),
        (1, "float32", both(2.0, 40.0), 37.0, None, 80.0),
        (1, "float32", both(40.0, 2.0**63), 2.0**40, 0.0, inf),
        (1, "bfloat16", both(0.0099, 7.5), 7.5, None, 15.9),
        (1, "bfloat16", both(7.5, 2.0**63), 2.0**10, 0.0, inf),
        (1, "float16", both(0.0012, 7.12), 5.125, None, 15.9),
        (1, "float16", both(7.12, 255.0), 128.0, None, inf),
        (2, "float64", both(3.0, 80.0), 79.64908894123819, None, 160.0),
        (2, "float64", both(80.0, 2.0 ** (1022 / 3)), 2.0**60, 0.0, inf),
        (2, "float32", both(3.0, 80.0), 63.208736419677734, None, 160.0),
        (2, "float32", both(80.0, 2.0**42), 2.0**40, 0.0, inf),
        (2, "bfloat16", both(0.0013, 9.2), 8.25, None, 15.9),
        (2, "bfloat16", both(9.2, 2.0**42), 2.0**10, 0.0, inf),
        (2, "float16", both(0.00016, 5.82), 5.671875, None, 15.9),
        (2, "float16", both(5.82, 39.3), 32.0, None, inf),
    ),
    reason="As in soft-sign-derivatives-cancelled: JAX differentiates the quotient as 1/d - |x| d^-2, whose terms cancel.",
    link=JAX_SOURCE,
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="soft-sign-jax-overflow",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", both(2.0**511, 2.0**1022), 2.0**512, 2.0**-512, inf),
        (1, "float32", both(2.0**63, 2.0**126), 2.0**64, 2.0**-64, inf),
        (1, "bfloat16", both(2.0**63, 2.0**126), 2.0**64, 2.0**-64, inf),
        (1, "float16", both(255.0, 65504.0), 2048.0, 2.0**-11, inf),
        (2, "float64", both(2.0 ** (1022 / 3), 2.0**511), 2.0**341, -(2.0**-681), inf),
        (2, "float32", both(2.0**42, 2.0**63), 2.0**43, -(2.0**-85), inf),
        (2, "bfloat16", both(2.0**42, 2.0**63), 2.0**43, -(2.0**-85), inf),
        (2, "float16", both(39.3, 255.0), 39.34375, -0.00122833251953125, inf),
        (2, "float16", both(255.0, 325.0), 256.0, None, 15.9),
    ),
    reason="JAX computes d^-2 as 1 / (d d) and d^-3 alike. Where the power overflows (in float16 for |x| above 255 and 39), "
    "or its reciprocal is flushed, one of the two cancelling terms becomes 0 and the other one stands alone: 1/d in place "
    "of the gradient 1/d^2, 2/d^2 in place of 2/d^3.",
    link=JAX_SOURCE,
    seen=SEEN,
    bug=True,
)

SIXTEEN_BITS = Deviation(
    id="soft-sign-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(TORCH, JAX),
    regions=(
        Region(0, ("bfloat16",), both(0.011, 340.0), (Anchor(0.13671875, {}),), 1.75),
        Region(0, ("float16",), both(0.0013, 2740.0), (Anchor(31.734375, {}),), 1.9),
    ),
    reason="Both frameworks round 1 + |x| to 16 bits before they divide by it.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ROUNDED_FORWARD = Deviation(
    id="soft-sign-gradient-rounded-forward",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "bfloat16", both(0.00588, 0.0059), 0.005889892578125, None, 1.5),
        (1, "float16", both(7.3e-4, 7.4e-4), 0.0007328987121582031, None, 1.5),
    ),
    reason="In forward mode torch rounds each operation of the derivative of x / (1 + |x|) to 16 bits, in another order "
    "than in reverse mode.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
    modes=("forward",),
)

ZERO_SIGN_FORWARD = Deviation(
    id="soft-sign-second-derivative-underflow-sign-forward",
    cause="convention",
    subjects=(TORCH, JAX),
    regions=tuple(
        Region(2, (dtype,), ((low, high),), (Anchor(at, {TORCH: -0.0, JAX: 0.0}),))
        for dtype, low, high, at in (
            ("float64", 6.7e153, 1.7976931348623157e308, 1e300),
            ("float32", 1.06e19, 3.4028234663852886e38, 1e30),
            ("bfloat16", 9.29e18, 3.39e38, 1e30),
            ("float16", 403.0, 65504.0, 1000.0),
        )
    ),
    reason="Where the second derivative, a negative number here, underflows to zero, torch keeps its sign in forward mode "
    "and JAX adds a +0 to it.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
    modes=("forward",),
)

SOFT_SIGN = Activation(
    name="soft_sign",
    aliases=("softsign",),
    latex=r"f(x) = \frac{x}{1 + |x|}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(-1, 0, 0), plus=(1, 0, 0)),
    kinks=(Kink(at=0.0, chosen={2: 0.0}, source=TORCH_SOURCE),),
    natives={"torch": Native("torch.nn.functional.softsign"), "jax": Native("jax.nn.soft_sign")},
    deviations=(
        INFINITY,
        SECOND_AT_ZERO,
        CANCELLED,
        CANCELLED_JAX,
        OVERFLOW,
        SIXTEEN_BITS,
        ROUNDED_FORWARD,
        ZERO_SIGN_FORWARD,
    ),
)
