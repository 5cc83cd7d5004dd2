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
        reason="At both infinities both frameworks return NaN, where the limit is 1 or -1. They divide x by 1 + |x|, and "
        "infinity by infinity is NaN. The derivatives contain the same quotient.",
        link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softsign.html",
    ),
    recorded(
        id="soft-sign-second-derivative-at-zero",
        cause="convention",
        implementations=(JAX,),
        reason="At 0 torch's second derivative is 0 and JAX's is -2; it jumps there from 2 to -2. torch takes 0 for the "
        "slope of |x| at 0, as symmetry asks for. JAX takes 1 for this slope, and gets the -2 of the right side.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="soft-sign-derivatives-cancelled",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="At large |x| torch's derivatives lose digits, down to 0, although the exact gradient is 1/d^2, d being 1 "
        "+ |x|. torch differentiates the quotient term by term, as 1/d - |x|/d^2. The larger |x| is, the more digits of "
        "the two terms are equal. Where |x|/d rounds to 1, the gradient is 0. In the 16-bit dtypes torch rounds each "
        "term to 16 bits.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="soft-sign-derivatives-cancelled-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At large |x| JAX's derivatives lose digits, as torch's do: see soft-sign-derivatives-cancelled. JAX "
        "computes the gradient as 1/d - |x| d^-2, d being 1 + |x|, and these terms cancel.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="soft-sign-jax-overflow",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At large |x| JAX's gradient is 1/d instead of 1/d^2, and its second derivative is 2/d^2 instead of "
        "2/d^3, d being 1 + |x|. JAX computes d^-2 as 1 / (d d), and d^-3 alike. Where the power overflows (in float16 "
        "for |x| above 255 and 39), or its reciprocal is flushed, one of two terms that should cancel is 0. The result "
        "is the other term.",
        link=JAX_SOURCE,
        bug=True,
    ),
    recorded(
        id="soft-sign-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(TORCH, JAX),
        reason="In the 16-bit dtypes the rounding errors of both frameworks add up. They round 1 + |x| to 16 bits before "
        "they divide by it.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="soft-sign-gradient-rounded-forward",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In forward mode the rounding errors of torch's gradient in the 16-bit dtypes add up. torch rounds each "
        "operation of the derivative of x / (1 + |x|) to 16 bits, in another order than in reverse mode.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
        modes=("forward",),
    ),
    recorded(
        id="soft-sign-second-derivative-underflow-sign-forward",
        cause="convention",
        implementations=(TORCH, JAX),
        reason="Where the second derivative, a negative number here, underflows to zero in forward mode, torch keeps its "
        "sign and JAX adds a +0 to it.",
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
