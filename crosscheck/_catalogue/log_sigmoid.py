"""Log-sigmoid: log(sigmoid(x)), computed without overflow. A logistic model's log-likelihood, finite for every finite x."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import bell, in_both, numpy_of, size
from crosscheck._catalogue._mechanisms import compiled_anew, scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return -m.log(1 + m.exp(-x))


def derivative(m: Any, x: Any) -> Any:
    """s(-x), s being the sigmoid; unlike 1 - s(x) it keeps its digits where s(x) rounds to 1."""
    return _stable(m, -x)


def second_derivative(m: Any, x: Any) -> Any:
    """-s(x) s(-x)."""
    return -_stable(m, x) * _stable(m, -x)


def _stable(m: Any, x: Any) -> Any:
    """The sigmoid without the overflow of e^-x."""
    z = m.exp(-m.abs(x))
    return m.where(x > 0, 1, z) / (1 + z)


def value(framework: Any, x: Any) -> Any:
    """-log(1 + e^-|x|), plus x below 0; where it underflows, the result is -0."""
    m = numpy_of(framework)
    y = -m.log1p(m.exp(-abs(x)))
    return m.where(x > 0, y, x + y)


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    z = m.exp(-abs(x))
    return m.where(x > 0, z / (1 + z), 1 / (1 + z))


def second(framework: Any, x: Any) -> Any:
    _, _, z, d = bell(framework, size(framework, x))
    return -z / d


TORCH, JAX = "torch.native", "jax.native"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
DOUBLE_BACKWARD = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
LOGADDEXP = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/other.py"

DEVIATIONS = (
    recorded(
        id="log-sigmoid-second-derivative-lost-tail",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="At large x torch's second derivative loses digits, down to 0, although the exact one is -e^-x. torch "
        "computes it as (s - 1) s from the rounded sigmoid s. The closer s is to 1, the fewer digits s - 1 keeps. Where "
        "s rounds to 1, the result is 0.",
        link=DOUBLE_BACKWARD,
    ),
    recorded(
        id="log-sigmoid-second-derivative-exp-overflow",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Where e^-x overflows to infinity, torch's second derivative is 0, although the exact one is still a "
        "subnormal number. torch computes it from the sigmoid 1 / (1 + e^-x), which is 0 there.",
        link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UnaryOpsKernel.cpp",
    ),
    recorded(
        id="log-sigmoid-gradient-rounded-buffer",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the 16-bit dtypes the rounding errors of torch's gradient add up. torch keeps e^-|x| for the backward "
        "pass, rounded to 16 bits, and computes the gradient from it.",
        link=CPU_KERNEL,
    ),
    recorded(
        id="log-sigmoid-second-derivative-rounded-steps",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the 16-bit dtypes the rounding errors of torch's second derivative add up. torch computes it in "
        "several operations, each of which rounds to 16 bits.",
        link=DOUBLE_BACKWARD,
    ),
    recorded(
        id="log-sigmoid-gradient-rounded-difference",
        cause="inaccurate",
        implementations=(JAX,),
        reason="The relative error of JAX's gradient is up to an ULP of x. JAX computes the gradient as e^(-x - y) from "
        "the rounded y = log(1 + e^-x). The exponential turns the absolute error of y and of the difference into a "
        "relative error of the gradient. The second derivative has this error, too.",
        link=LOGADDEXP,
    ),
    recorded(
        id="log-sigmoid-second-derivative-lost-tail-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At very negative x JAX's second derivative loses digits, down to 0, although the exact one is -e^x. JAX "
        "computes it as g (1 - g) from the rounded gradient g. The closer g is to 1, the fewer digits 1 - g keeps. Where "
        "g rounds to 1, the result is 0.",
        link=LOGADDEXP,
    ),
    recorded(
        id="log-sigmoid-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes each step of log(1 + e^-x) in the 16-bit "
        "dtype and rounds after each.",
        link=LOGADDEXP,
    ),
    recorded(
        id="log-sigmoid-underflow-sign",
        cause="convention",
        implementations=(TORCH, JAX),
        reason="Where the result, a negative number, underflows to zero, JAX keeps its sign and torch returns +0.",
        link=CPU_KERNEL,
    ),
    recorded(
        id="log-sigmoid-derivative-underflow-sign-forward",
        cause="convention",
        implementations=(TORCH, JAX),
        reason="Where a derivative underflows to zero in forward mode, JAX returns -0 and torch returns +0. JAX computes "
        "the derivative as a product with a negative number, whose sign it keeps.",
        link=LOGADDEXP,
        modes=("forward",),
    ),
    compiled_anew("log-sigmoid-layout-jax"),
    scalar_rest("log-sigmoid-layout", of="the sigmoid"),
)

LOG_SIGMOID = Activation(
    name="log_sigmoid",
    aliases=("logsigmoid",),
    latex=r"f(x) = -\log(1 + e^{-x})",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(-inf, 1, 0), plus=(0, 0, 0)),
    natives={"torch": Native("torch.nn.functional.logsigmoid"), "jax": Native("jax.nn.log_sigmoid")},
    deviations=DEVIATIONS,
)
