"""ELU, the exponential linear unit: x for x > 0, alpha (e^x - 1) otherwise. Smooth where alpha is 1."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import exp_parts, expm1, in_both, numpy_of
from crosscheck._catalogue._mechanisms import below_normal, compiled_expm1, compiled_nan, compiled_zero, scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.ranges import MODERATE
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any, alpha: float = 1.0) -> Any:
    return m.where(x > 0, x, alpha * (m.exp(x) - 1))


def derivative(m: Any, x: Any, alpha: float = 1.0) -> Any:
    """1 where x > 0, alpha e^x otherwise."""
    return m.where(x > 0, 1.0, alpha * m.exp(m.minimum(x, 0)))


def second_derivative(m: Any, x: Any, alpha: float = 1.0) -> Any:
    """0 where x > 0, alpha e^x otherwise."""
    return m.where(x > 0, 0.0, alpha * m.exp(m.minimum(x, 0)))


def value(framework: Any, x: Any, alpha: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x > 0, x, alpha * expm1(framework, m.where(x > 0, m.zeros_like(x), x)))


def gradient(framework: Any, x: Any, alpha: Any) -> Any:
    m = numpy_of(framework)
    e, c = exp_parts(framework, m.clip(x, None, 0.0))
    return m.where(x > 0, 1.0, alpha * e * c)


def second(framework: Any, x: Any, alpha: Any) -> Any:
    m = numpy_of(framework)
    e, c = exp_parts(framework, m.clip(x, None, 0.0))
    return m.where(x > 0, 0.0, alpha * e * c)


def limits(alpha: float) -> Limits:
    return Limits(minus=(-alpha, 0, 0), plus=(inf, 1, 0))


def kinks(alpha: float) -> tuple[Kink, ...]:
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ELU.html"
    return (Kink(at=0.0, chosen={1: alpha, 2: alpha}, source=source),)


DEVIATIONS = (
    recorded(
        id="elu-second-derivative-at-zero",
        cause="convention",
        implementations=("torch.native",),
        reason="At 0 the second derivative may be 0 or alpha; torch's is 0. There torch's gradient takes the branch of "
        "the exponential, and its second derivative takes the other branch.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    below_normal("elu-derivative-below-normal", of="e^x"),
    recorded(
        id="elu-derivative-lost-tail",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="For negative x JAX's derivatives lose digits, down to 0, although the exact gradient is alpha e^x. Before "
        "0.12 JAX computes the derivative of e^x - 1 as y + 1 from the rounded value y. The closer y is to -1, the fewer "
        "digits the sum keeps. Where y rounds to -1, the gradient is 0.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="elu-value-over-budget",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="At a few inputs the error of JAX's value is a few ULP more than the budget allows. It is the error of "
        "XLA's expm1 on the CPU.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="elu-float16-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="In float16 JAX's rounding errors add up. JAX computes alpha (e^x - 1) and its derivatives in float16 and "
        "rounds after each step.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    ),
    compiled_expm1("elu-compiled-expm1"),
    compiled_zero("elu-compiled-zero-sign"),
    compiled_nan("elu-compiled-nan-gradient", 1.0),
    scalar_rest("elu-layout", of="e^x", more="At NaN the two take different branches of the gradient."),
)

ELU = Activation(
    name="elu",
    latex=r"f(x) = \begin{cases} x & x > 0 \\ \alpha (e^x - 1) & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=limits,
    kinks=kinks,
    parameters={"alpha": 1.0},
    cases=({"alpha": 0.5}, {"alpha": 2.0}),
    ranges={"alpha": MODERATE},
    natives={"torch": Native("torch.nn.functional.elu"), "jax": Native("jax.nn.elu")},
    deviations=DEVIATIONS,
)
