"""The hyperbolic tangent: (e^x - e^-x) / (e^x + e^-x). Smooth, monotonic, odd, bounded by -1 and 1."""

from typing import Any

from crosscheck._catalogue._kernels import bell, in_both, size, tanh
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    """(e^x - e^-x) / (e^x + e^-x)."""
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

DEVIATIONS = (
    recorded(
        id="tanh-derivative-lost-tails",
        cause="inaccurate",
        implementations=BOTH,
        reason="Both frameworks differentiate through the rounded value, as 1 - y^2. Where y nears 1 or -1, the difference "
        "keeps fewer and fewer digits, and where y rounds to 1 the gradient is 0, although the exact one is 4 e^-2|x|.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="tanh-second-derivative-cancelled",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX writes the derivative as (1 + y) (1 - y). Differentiating that gives (1 - y) - (1 + y), in which the "
        "ones cancel and y's last digits are already gone: near 0 the second derivative, exactly -2x, loses all of them.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="tanh-value-over-budget",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="XLA's tanh on the CPU is a rational approximation with a few more ULP of error than the budget allows: at "
        "few inputs in float32; in float64 at all between 18.2 and 20, where it stays 7 ULP below 1 while the exact value "
        "goes on.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="tanh-derivative-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX computes (1 + y) (1 - y) in the 16-bit dtype, rounding after each step.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="tanh-derivative-rounded-value",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="torch keeps the value rounded to 16 bits for the backward pass and differentiates through it, so its "
        "rounding error enters the second derivative. In forward mode the operations round in another order.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="tanh-second-derivative-zero-sign",
        cause="convention",
        implementations=BOTH,
        reason="At 0 the second derivative is a zero: -0 as torch's product -2 y (1 - y^2), +0 as JAX's difference.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
)

TANH = Activation(
    name="tanh",
    latex=r"\tanh(x) = \frac{e^x - e^{-x}}{e^x + e^{-x}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(tanh, gradient, second),
    limits=Limits(minus=(-1, 0, 0), plus=(1, 0, 0)),
    natives={"torch": Native("torch.tanh"), "jax": Native("jax.numpy.tanh")},
    deviations=DEVIATIONS,
)
