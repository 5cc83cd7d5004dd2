"""SELU, the scaled ELU: l x for x > 0, l a (e^x - 1) otherwise. With these l and a, layers keep mean 0 and variance 1."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import exp_parts, expm1, in_both, numpy_of
from crosscheck._catalogue._mechanisms import below_normal, compiled_expm1, compiled_nan, compiled_zero, scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native

SCALE = 1.0507009873554804934193349852946
NEGATIVE = SCALE * 1.6732632423543772848170429916717
"""l and l a, to the digits that the paper and both frameworks have. Here they mean these float64 numbers."""


def definition(m: Any, x: Any) -> Any:
    """1.0507 x where x > 0, else 1.0507 * 1.6733 (e^x - 1); the two constants have 31 digits more."""
    return m.where(x > 0, SCALE * x, NEGATIVE * (m.exp(x) - 1))


def derivative(m: Any, x: Any) -> Any:
    """l where x > 0, l a e^x otherwise."""
    return m.where(x > 0, SCALE, NEGATIVE * m.exp(m.minimum(x, 0)))


def second_derivative(m: Any, x: Any) -> Any:
    """0 where x > 0, l a e^x otherwise."""
    return m.where(x > 0, 0.0, NEGATIVE * m.exp(m.minimum(x, 0)))


def value(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x > 0, SCALE * x, NEGATIVE * expm1(framework, m.where(x > 0, m.zeros_like(x), x)))


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    e, c = exp_parts(framework, m.clip(x, None, 0.0))
    return m.where(x > 0, SCALE, NEGATIVE * e * c)


def second(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    e, c = exp_parts(framework, m.clip(x, None, 0.0))
    return m.where(x > 0, 0.0, NEGATIVE * e * c)


TORCH, JAX = "torch.native", "jax.native"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="selu-second-derivative-at-zero",
        cause="convention",
        implementations=(TORCH,),
        reason="At 0 the second derivative may be 0 or l a; torch's is 0. There torch's gradient takes the branch of the "
        "exponential, and its second derivative takes the other branch.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    below_normal("selu-derivative-below-normal", of="e^x"),
    recorded(
        id="selu-derivative-lost-tail",
        cause="inaccurate",
        implementations=(JAX,),
        reason="For negative x JAX's derivatives lose digits, down to 0, although the exact gradient is l a e^x. "
        "Before 0.12 JAX computes the derivative of e^x - 1 as y + 1 from the rounded value y. The closer y is to -1, the "
        "fewer digits the sum keeps. Where y rounds to -1, the gradient is 0.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="selu-value-over-budget",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At a few inputs the error of JAX's value is a little more than the budget allows. XLA's expm1 on the CPU "
        "has up to 5 ULP of error. JAX multiplies by l and a one after the other, and rounds each product.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="selu-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX rounds to 16 bits after each step, and it rounds "
        "l and a, too. In bfloat16 these are 1.046875 and 1.671875, and the limit at minus infinity is -1.75 instead of "
        "-1.758.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="selu-bfloat16-slope-at-zero",
        cause="convention",
        implementations=(JAX,),
        reason="At 0 JAX's gradient and second derivative in bfloat16 are 1.75, one ULP below the rounded l a. At 0 JAX "
        "takes the side of the exponential, as crosscheck does, but with l and a rounded to bfloat16.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="selu-bfloat16-late-overflow",
        cause="special",
        implementations=(JAX,),
        reason="In bfloat16 JAX's value is finite at the first input where the exact one overflows. JAX multiplies by l "
        "rounded to bfloat16, which is 0.4 % too small.",
        link=JAX_SOURCE,
    ),
    compiled_expm1("selu-compiled-expm1"),
    compiled_zero("selu-compiled-zero-sign"),
    compiled_nan("selu-compiled-nan-gradient", SCALE),
    scalar_rest("selu-layout", of="e^x", more="At NaN the two take different branches of the gradient."),
)

SELU = Activation(
    name="selu",
    latex=r"f(x) = \lambda \begin{cases} x & x > 0 \\ \alpha (e^x - 1) & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(-NEGATIVE, 0, 0), plus=(inf, SCALE, 0)),
    kinks=(
        Kink(
            at=0.0,
            chosen={1: NEGATIVE, 2: NEGATIVE},
            source="https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html",
        ),
    ),
    natives={"torch": Native("torch.nn.functional.selu"), "jax": Native("jax.nn.selu")},
    deviations=DEVIATIONS,
)
