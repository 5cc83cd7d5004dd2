"""Sigmoid, the logistic function: 1 / (1 + e^-x). Nonlinear, smooth, monotonic, bounded by 0 and 1."""

from typing import Any

from crosscheck._catalogue._kernels import bell, in_both, numpy_of, size, tanh
from crosscheck._catalogue._mechanisms import scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def derivative(m: Any, x: Any) -> Any:
    """s(x) s(-x): unlike s(x) (1 - s(x)) it keeps its digits where s(x) rounds to 1."""
    return _stable(m, x) * _stable(m, -x)


def second_derivative(m: Any, x: Any) -> Any:
    """s(x) s(-x) (s(-x) - s(x))."""
    return _stable(m, x) * _stable(m, -x) * (_stable(m, -x) - _stable(m, x))


def _stable(m: Any, x: Any) -> Any:
    """The same function without the overflow of e^-x."""
    z = m.exp(-m.abs(x))
    return m.where(x > 0, 1, z) / (1 + z)


def value(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    z = m.exp(-abs(x))
    return m.where(x > 0, 1 / (1 + z), z / (1 + z))


def gradient(framework: Any, x: Any) -> Any:
    _, _, z, d = bell(framework, size(framework, x))
    return z / d


def second(framework: Any, x: Any) -> Any:
    return -tanh(framework, x / 2) * gradient(framework, x)


BOTH = ("torch.native", "jax.native")

DEVIATIONS = (
    recorded(
        id="sigmoid-derivative-lost-tail",
        cause="inaccurate",
        implementations=BOTH,
        reason="Both frameworks differentiate through the rounded value, as y (1 - y). Where y nears 1, the difference "
        "keeps fewer and fewer digits, and where y rounds to 1 the gradient is 0, although the exact one is e^-x.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="sigmoid-exp-overflow",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="torch computes 1 / (1 + e^-x) on the CPU. Where e^-x overflows to infinity, the result is 0, although the "
        "exact value is still a subnormal number; the derivatives inherit the 0.",
        link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UnaryOpsKernel.cpp",
    ),
    recorded(
        id="sigmoid-exp-overflow-float16",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX computes 1 / (1 + e^-x) in float16 itself. Below -11.09 the e^-x overflows to infinity and the result "
        "is 0, although the exact value is a subnormal number.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="sigmoid-second-derivative-cancelled",
        cause="inaccurate",
        implementations=BOTH,
        reason="Both frameworks multiply by 1 - 2y, whose terms cancel towards 0. Nearer to 0 the error counts in ULP of "
        "the terms and passes; here, where the cancellation only begins, it counts in ULP of the result, at a few inputs.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="sigmoid-derivative-rounded-value",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="torch keeps the value rounded to 16 bits for the backward pass and differentiates through it, so its "
        "rounding error enters the derivatives.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="sigmoid-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX computes each step of 1 / (1 + e^-x) and of its derivatives in the 16-bit dtype, rounding after each; "
        "the errors of the steps add up to more than one ULP.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    scalar_rest("sigmoid-layout", of="e^x"),
)

SIGMOID = Activation(
    name="sigmoid",
    latex=r"\sigma(x) = \frac{1}{1 + e^{-x}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(1, 0, 0)),
    natives={"torch": Native("torch.sigmoid"), "jax": Native("jax.nn.sigmoid")},
    deviations=DEVIATIONS,
)
