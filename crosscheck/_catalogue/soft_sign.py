"""Softsign: x / (1 + |x|). Like tanh, but it saturates slowly, so that the gradient does not vanish as early."""

from typing import Any

from crosscheck._catalogue._kernels import in_both, numpy_of
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native


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


TORCH, JAX = "torch.native", "jax.native"
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py"

DEVIATIONS = (
    recorded(
        id="soft-sign-at-infinity",
        cause="special",
        implementations=(TORCH, JAX),
        reason="Both frameworks divide x by 1 + |x|: infinity by infinity is NaN, where the limit is 1 or -1. The "
        "derivatives contain the same quotient.",
        link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softsign.html",
    ),
    recorded(
        id="soft-sign-second-derivative-at-zero",
        cause="convention",
        implementations=(JAX,),
        reason="At 0 the second derivative jumps from 2 to -2. torch gives |x| the slope 0 there, so that it is 0, as "
        "symmetry asks for; JAX gives |x| the slope 1 and takes the right side's -2.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="soft-sign-derivatives-cancelled",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch differentiates the quotient term by term: 1/d - |x|/d^2 with d = 1 + |x|. Its terms agree in ever "
        "more digits as |x| grows, and where |x|/d rounds to 1 the gradient is 0, although the exact one is 1/d^2. In 16 "
        "bits each term is rounded to them.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="soft-sign-derivatives-cancelled-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="As in soft-sign-derivatives-cancelled: JAX differentiates the quotient as 1/d - |x| d^-2, whose terms "
        "cancel.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="soft-sign-jax-overflow",
        cause="inaccurate",
        implementations=(JAX,),
        reason="JAX computes d^-2 as 1 / (d d) and d^-3 alike. Where the power overflows (in float16 for |x| above 255 and "
        "39), or its reciprocal is flushed, one of two terms that should cancel becomes 0. The result is the other term: "
        "1/d where the gradient is 1/d^2, and 2/d^2 where the second derivative is 2/d^3.",
        link=JAX_SOURCE,
        bug=True,
    ),
    recorded(
        id="soft-sign-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(TORCH, JAX),
        reason="Both frameworks round 1 + |x| to 16 bits before they divide by it.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="soft-sign-gradient-rounded-forward",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In forward mode torch rounds each operation of the derivative of x / (1 + |x|) to 16 bits, in another order "
        "than in reverse mode.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
        modes=("forward",),
    ),
    recorded(
        id="soft-sign-second-derivative-underflow-sign-forward",
        cause="convention",
        implementations=(TORCH, JAX),
        reason="Where the second derivative, a negative number here, underflows to zero, torch keeps its sign in forward "
        "mode and JAX adds a +0 to it.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
        modes=("forward",),
    ),
)

SOFT_SIGN = Activation(
    name="soft_sign",
    aliases=("softsign",),
    latex=r"f(x) = \frac{x}{1 + |x|}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(-1, 0, 0), plus=(1, 0, 0)),
    kinks=(Kink(at=0.0, chosen={2: 0.0}, source=TORCH_SOURCE),),
    natives={"torch": Native("torch.nn.functional.softsign"), "jax": Native("jax.nn.soft_sign")},
    deviations=DEVIATIONS,
)
