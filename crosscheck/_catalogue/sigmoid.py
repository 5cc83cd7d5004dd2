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
        reason="At large x the derivatives lose digits, down to 0, although the exact gradient is e^-x. Both frameworks "
        "compute the gradient as y (1 - y) from the rounded value y. The closer y is to 1, the fewer digits 1 - y keeps. "
        "Where y rounds to 1, the gradient is 0.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="sigmoid-exp-overflow",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="Where e^-x overflows to infinity, torch's value on the CPU is 0, although the exact value is still a "
        "subnormal number. torch computes the value as 1 / (1 + e^-x). The derivatives are 0 for the same reason.",
        link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UnaryOpsKernel.cpp",
    ),
    recorded(
        id="sigmoid-exp-overflow-float16",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="In float16 JAX's result is 0 below -11.09, although the exact value is a subnormal number. JAX computes "
        "1 / (1 + e^-x) in float16 itself, and there e^-x overflows to infinity.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="sigmoid-second-derivative-cancelled",
        cause="inaccurate",
        implementations=BOTH,
        reason="Near 0 the second derivative loses digits at a few inputs. Both frameworks multiply by 1 - 2y, whose "
        "terms cancel near 0. Very near to 0, the error is counted in ULP of the terms, and passes. Here, where the "
        "terms only begin to cancel, it is counted in ULP of the result.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="sigmoid-derivative-rounded-value",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="In the 16-bit dtypes torch's derivatives contain the rounding error of the value. torch keeps the value "
        "for the backward pass, rounded to 16 bits, and computes the derivatives from it.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="sigmoid-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="In the 16-bit dtypes JAX's rounding errors add up to more than one ULP. JAX computes each step of 1 / (1 "
        "+ e^-x) and of its derivatives in the 16-bit dtype and rounds after each.",
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
