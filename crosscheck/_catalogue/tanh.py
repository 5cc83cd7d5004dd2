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
        reason="At large |x| the derivatives lose digits, down to 0, although the exact gradient is 4 e^-2|x|. Both "
        "frameworks compute the gradient as 1 - y^2 from the rounded value y. The closer y is to 1 or -1, the fewer "
        "digits the difference keeps. Where y rounds to 1 or -1, the gradient is 0.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="tanh-second-derivative-cancelled",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="Near 0 JAX's second derivative loses all its digits; the exact one is -2x. Before 0.12 JAX "
        "computes the derivative as (1 + y) (1 - y) from the value y. Differentiating that gives (1 - y) - (1 + y). Both "
        "terms have already rounded away the last digits of y, and then the ones cancel.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="tanh-value-over-budget",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="The error of JAX's value is a few ULP more than the budget allows: at a few inputs in float32, at all "
        "inputs between 18.2 and 20 in float64. XLA's tanh on the CPU is a rational approximation that has this error. "
        "In float64 it stays 7 ULP below 1 there, while the exact value goes on towards 1.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="tanh-derivative-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes (1 + y) (1 - y), and the second "
        "derivative from it, in the 16-bit dtype and rounds after each step.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="tanh-derivative-rounded-value",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="In the 16-bit dtypes torch's second derivative contains the rounding error of the value. torch keeps the "
        "value for the backward pass, rounded to 16 bits, and computes the derivatives from it. In forward mode the "
        "operations round in another order.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="tanh-second-derivative-zero-sign",
        cause="convention",
        implementations=BOTH,
        reason="At 0 torch's second derivative is -0 and JAX's is +0. torch computes it as the product -2 y (1 - y^2), "
        "JAX as a difference.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="tanh-second-derivative-zero-sign-forward",
        cause="convention",
        implementations=BOTH,
        reason="At large x and at 0, where the second derivative in forward mode is zero, it is -0 in JAX and +0 in torch. "
        "Since 0.12 JAX computes it as a product with -2 y and keeps the sign. torch adds the second term of the product "
        "rule, which is +0, and -0 plus +0 is +0.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
        modes=("forward",),
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
