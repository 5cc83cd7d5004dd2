"""Logsumexp: log(sum_k e^z_k) along an axis, a smooth maximum. Normalises scores in log space; softmax is its gradient."""

from math import inf
from typing import Any

from crosscheck._catalogue import softmax
from crosscheck._catalogue._cancelled import corrected
from crosscheck._catalogue._kernels import centred, in_both, in_float64, log_sum, numpy_of, softmax_parts, stable_exp, wider
from crosscheck._catalogue._mechanisms import compiled_anew, scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """log(sum_k e^z_k); the largest is taken out of the sum, so that equal entries give exact slopes."""
    top = m.max(x, axis=axis, keepdims=True)
    return top + m.log(m.sum(m.exp(x - top), axis=axis, keepdims=True))


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """s_j v, s being the softmax."""
    e, whole = stable_exp(m, x, axis)
    return e / whole * v


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """s_j (w_j - sum_k s_k w_k) v."""
    return softmax.derivative(m, x, w, axis) * v


def value(framework: Any, x: Any, axis: int) -> Any:
    """What ``rounded`` gives, corrected where its terms may cancel; of float64, no correction of float32 is left."""
    y = rounded(framework, x, axis)
    return y if wider(framework, x) else corrected(framework, x, y, axis, 1)


@in_float64
def rounded(framework: Any, x: Any, axis: int) -> Any:
    """top + log(1 + rest), rest being the sum of what is not the largest. An infinite maximum is the limit."""
    m = numpy_of(framework)
    _, top, rest = log_sum(framework, x, axis)
    return m.where(m.isinf(top), top, top + m.log1p(rest))


@in_float64
def gradient(framework: Any, x: Any, v: Any, axis: int) -> Any:
    e, c, s, g = softmax_parts(framework, x, axis)
    return e * v / s * (1 + g) * c


@in_float64
def second(framework: Any, x: Any, v: Any, w: Any, axis: int) -> Any:
    e, c, s, g = of = softmax_parts(framework, x, axis)
    return e * (centred(framework, of, w, axis) * v) / s * (1 + g) * c


@in_float64
def along(framework: Any, x: Any, w: Any, axis: int) -> Any:
    """sum_k s_k w_k."""
    s = getattr(softmax.SOFTMAX, framework.__name__)(x, axis=axis)
    return numpy_of(framework).sum(s * w, axis, keepdims=True)


TORCH, JAX = BOTH = ("torch.native", "jax.native")
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/ReduceOps.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/ops/special.py"

DEVIATIONS = (
    recorded(
        id="logsumexp-infinite-maximum",
        cause="special",
        implementations=BOTH,
        reason="Where the largest entry of a row is infinite, the derivatives are NaN. They subtract the infinity from "
        "itself; the value is right. Where only one entry is infinite, the derivatives have limits: the slope of that "
        "entry is 1, and the slopes of the others are 0.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="logsumexp-rounded-result",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch's gradient is off by 500 ULP where the entries are near 1000; in the 16-bit dtypes the error is "
        "most of the gradient. torch computes the gradient as e^(x - y), y being the rounded result. The exponential "
        "turns the absolute error of y, half an ULP of y, into a relative error.",
        link=TORCH_DERIVATIVES,
        bug=True,
    ),
    recorded(
        id="logsumexp-rounded-difference",
        cause="inaccurate",
        implementations=(JAX,),
        reason="Where x lies between 64 and 128 below the maximum of its row, the derivatives have a relative error of "
        "up to 32 to 64 ULP. JAX rounds x - max before it takes the exponential. The exponential turns the absolute "
        "error of the difference, half an ULP of it, into a relative error.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="logsumexp-flushed-factor",
        cause="inaccurate",
        implementations=(JAX,),
        reason="JAX's second derivative is 0 where one of its factors is subnormal, although the product is still a "
        "normal number. This factor is the exponential of the difference from the largest entry. XLA on the CPU flushes "
        "it to 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="logsumexp-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes the difference, the exponential, the sum "
        "over the row and the products in the 16-bit dtype, rounds after each step, and flushes what is subnormal.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="logsumexp-16-bit-rounding",
        cause="inaccurate",
        implementations=BOTH,
        reason="In the 16-bit dtypes the rounding errors of both frameworks add up. They round the logarithm of the sum "
        "to 16 bits, add the largest entry, and round again.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="logsumexp-zero-sign",
        cause="convention",
        implementations=BOTH,
        reason="At an entry of minus infinity the second derivative is a zero whose sign differs between the frameworks. "
        "It is 0 times a number that depends on the other entries. The frameworks multiply and add in another order, and "
        "the order decides the sign.",
        link=TORCH_DERIVATIVES,
    ),
    compiled_anew("logsumexp-layout-jax"),
    scalar_rest("logsumexp-layout", of="e^x", more="Here they differ in a subnormal result."),
    recorded(
        id="logsumexp-long-row",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the long row of a vocabulary, whose entries add little each, the error under torch.compile is tens of "
        "ULP. torch.compile adds up the exponentials in float32, each lane of a vector by itself, and does not correct for "
        "what is rounded away. Eager torch adds them up in pairs.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/_inductor/codegen/cpp.py",
        modes=("compile",),
    ),
)

LOGSUMEXP = Activation(
    name="logsumexp",
    latex=r"f(z) = \log \sum_k e^{z_k}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second, along),
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={
        "torch": Native("torch.logsumexp", parameters={"axis": "dim"}),
        "jax": Native("jax.nn.logsumexp"),
    },
    rows=True,
    symmetric=False,
    result="one",
    deviations=DEVIATIONS,
)
