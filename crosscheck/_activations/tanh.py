"""The hyperbolic tangent: (e^x - e^-x) / (e^x + e^-x). Smooth, monotonic, odd, bounded by -1 and 1."""

from typing import Any

from crosscheck._activations._kernels import bell, size, tanh
from crosscheck._spec.records import Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    p, n = m.exp(x), m.exp(-x)
    return (p - n) / (p + n)


def derivative(m: Any, x: Any) -> Any:
    """sech(x)^2, written with e^-2|x|, which does not overflow: 1 - tanh(x)^2 loses its digits where tanh(x) nears 1."""
    t = m.exp(-2 * m.abs(x))
    return 4 * t / (1 + t) ** 2


def second_derivative(m: Any, x: Any) -> Any:
    """-2 tanh(x) sech(x)^2."""
    return -2 * m.tanh(x) * derivative(m, x)


def gradient(framework: Any, x: Any) -> Any:
    e, c, _, d = bell(framework, 2 * size(framework, x))
    return 4 * e / d * c


def second(framework: Any, x: Any) -> Any:
    e, c, _, d = bell(framework, 2 * size(framework, x))
    return -8 * tanh(framework, x) * e / d * c


BOTH = ("torch.native", "jax.native")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)


def both_signs(low: float, high: float) -> tuple[tuple[float, float], ...]:
    return (-high, -low), (low, high)


LOST_TAILS = Deviation(
    id="tanh-derivative-lost-tails",
    cause="inaccurate",
    subjects=BOTH,
    regions=tuple(
        Region(order, (dtype,), both_signs(low, high), (Anchor(at, dict.fromkeys(BOTH, result)),), max_ulp)
        for order, dtype, low, high, at, result, max_ulp in (
            (1, "float64", 0.8, 373.0, 100.0, 0.0, 2.0**59),
            (1, "float32", 0.75, 52.5, 19.5, 0.0, 2.0**24),
            (1, "bfloat16", 0.68, 47.5, 7.625, 0.0, 2.0**8),
            (1, "float16", 0.6, 9.5, 5.19921875, 0.0, 2.0**11),
            (2, "float64", 0.7, 373.0, 100.0, -0.0, 2.0**59),
            (2, "float32", 0.7, 52.5, 19.5, -0.0, 2.0**24),
            (2, "bfloat16", 0.92, 47.5, 7.625, -0.0, 2.0**8),
            (2, "float16", 0.9, 9.5, 5.19921875, -0.0, 2.0**11),
        )
    ),
    reason="Both frameworks differentiate through the rounded value, as 1 - y^2. Where y nears 1 or -1, the difference "
    "keeps fewer and fewer digits, and where y rounds to 1 the gradient is 0, although the exact one is 4 e^-2|x|.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

CANCELLED_SECOND = Deviation(
    id="tanh-second-derivative-cancelled",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(2, (dtype,), both_signs(low, high), (Anchor(at, {"jax.native": 0.0}),), max_ulp)
        for dtype, low, high, at, max_ulp in (
            ("float64", 2.0**-1022, 0.07, 1e-20, 2.0**53),
            ("float32", 2.0**-126, 0.07, 1e-20, 2.0**24),
            ("bfloat16", 2.0**-126, 0.92, 1e-20, 2.0**8),
            ("float16", 2.0**-24, 0.9, 2.0**-14, 2.0**11),
        )
    ),
    reason="JAX writes the derivative as (1 + y) (1 - y). Differentiating that gives (1 - y) - (1 + y), in which the ones "
    "cancel and y's last digits are already gone: near 0 the second derivative, exactly -2x, loses all of them.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    seen=SEEN,
)

INACCURATE_VALUE = Deviation(
    id="tanh-value-over-budget",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=(
        Region(0, ("float64",), both_signs(4.0, 20.0), (Anchor(19.5, {}),), 8.0),
        Region(0, ("float32",), both_signs(0.5, 10.0), (Anchor(5.740077972412109, {}),), 6.0),
    ),
    reason="XLA's tanh on the CPU is a rational approximation with a few more ULP of error than the budget allows: at few "
    "inputs in float32; in float64 at all between 18.2 and 20, where it stays 7 ULP below 1 while the exact value goes on.",
    link="https://docs.jax.dev/en/latest/accuracy.html",
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="tanh-derivative-16-bit-arithmetic",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=(
        Region(1, ("bfloat16",), both_signs(0.04, 0.68), (Anchor(-0.275390625, {}),), 2.0),
        Region(1, ("float16",), both_signs(0.01, 0.6), (Anchor(0.51806640625, {}),), 2.0),
    ),
    reason="JAX computes (1 + y) (1 - y) in the 16-bit dtype, rounding after each step.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    seen=SEEN,
)

ROUNDED_VALUE = Deviation(
    id="tanh-derivative-rounded-value",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=(Region(2, ("float16",), both_signs(0.1, 0.9), (Anchor(0.126220703125, {}),), 1.75),),
    reason="torch keeps the value rounded to 16 bits for the backward pass and differentiates through it, so its rounding "
    "error enters the second derivative.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="tanh-second-derivative-zero-sign",
    cause="convention",
    subjects=BOTH,
    regions=(
        Region(
            2,
            ("float64", "float32", "bfloat16", "float16"),
            ((0.0, 0.0),),
            (Anchor(0.0, {"torch.native": -0.0, "jax.native": 0.0}),),
        ),
    ),
    reason="At 0 the second derivative is a zero: -0 as torch's product -2 y (1 - y^2), +0 as JAX's difference.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    seen=SEEN,
)

ROUNDED_FORWARD = Deviation(
    id="tanh-second-derivative-rounded-forward",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=(
        Region(2, ("bfloat16",), both_signs(0.16, 0.9), (Anchor(0.87109375, {}),), 1.75),
        Region(2, ("float16",), both_signs(0.028, 0.1), (Anchor(0.06121826171875, {}),), 1.5),
    ),
    reason="As tanh-derivative-rounded-value; in forward mode the operations round in another order.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
    modes=("forward",),
)

TANH = Activation(
    name="tanh",
    latex=r"\tanh(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=tanh,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=tanh,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(-1, 0, 0), plus=(1, 0, 0)),
    natives={"torch": Native("torch.tanh"), "jax": Native("jax.numpy.tanh")},
    deviations=(LOST_TAILS, CANCELLED_SECOND, INACCURATE_VALUE, SIXTEEN_BITS, ROUNDED_VALUE, ZERO_SIGN, ROUNDED_FORWARD),
)
