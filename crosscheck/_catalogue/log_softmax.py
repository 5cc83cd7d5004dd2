"""Log-softmax: z_j - log(sum_k e^z_k) along an axis, the logarithm of softmax. Cross-entropy losses use it."""

from math import inf
from typing import Any

from crosscheck._catalogue import softmax
from crosscheck._catalogue._kernels import centred, in_both, in_float64, log_sum, numpy_of, softmax_parts, stable_exp
from crosscheck._catalogue._mechanisms import LONG_SUM, compiled_anew
from crosscheck._catalogue._sums import total
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """z_j - log(sum_k e^z_k); the largest is subtracted first, so that equal entries give -log(n) and exact slopes."""
    d = x - m.max(x, axis=axis, keepdims=True)
    return d - m.log(m.sum(m.exp(d), axis=axis, keepdims=True))


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """v_j - s_j sum_k v_k, s being the softmax: the Jacobian delta_ij - s_j, transposed, times v."""
    e, whole = stable_exp(m, x, axis)
    return v - e * m.sum(v, axis=axis, keepdims=True) / whole


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """-s_j (w_j - sum_i s_i w_i) sum_k v_k."""
    return -softmax.derivative(m, x, w, axis) * m.sum(v, axis=axis, keepdims=True)


@in_float64
def value(framework: Any, x: Any, axis: int) -> Any:
    """d - log(1 + rest) with d = x - max, rest being the sum of what is not the largest: both have one sign.

    Subtracted the other way round, so that a result that XLA flushes to 0 keeps its sign.
    """
    d, _, rest = log_sum(framework, x, axis)
    return -(numpy_of(framework).log1p(rest) - d)


@in_float64
def gradient(framework: Any, x: Any, v: Any, axis: int) -> Any:
    e, c, s, g = softmax_parts(framework, x, axis)
    p = e * (total(framework, v, axis)[0] / s) * c
    return (v - p) - p * g


@in_float64
def second(framework: Any, x: Any, v: Any, w: Any, axis: int) -> Any:
    e, c, s, g = of = softmax_parts(framework, x, axis)
    return -e * (centred(framework, of, w, axis) * total(framework, v, axis)[0]) / s * (1 + g) * c


@in_float64
def along(framework: Any, x: Any, w: Any, axis: int) -> Any:
    """w_j - sum_k s_k w_k."""
    s = getattr(softmax.SOFTMAX, framework.__name__)(x, axis=axis)
    return w - numpy_of(framework).sum(s * w, axis, keepdims=True)


BOTH = ("torch.native", "jax.native")
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/LogSoftmaxKernelImpl.h"
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="log_softmax-infinite-maximum",
        cause="special",
        implementations=BOTH,
        reason="Where the largest entry of a row is infinite, both frameworks return NaN. They subtract the largest "
        "entry from all entries first, and inf - inf is NaN. Where only one entry is infinite, the limit exists: it is 0 "
        "for that entry and minus infinity for the others. In a row of one entry the result is always 0.",
        link="https://github.com/pytorch/pytorch/issues/6864",
    ),
    recorded(
        id="log_softmax-lost-tail",
        cause="inaccurate",
        implementations=BOTH,
        reason="Where the largest entry dominates its row, the result for it is 0, although the exact one is not 0. Both "
        "frameworks take the logarithm of a sum to which the largest entry contributes 1, and the other terms are "
        "rounded away. log1p of the sum of the other terms would keep them.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="log_softmax-rounded-exponent",
        cause="inaccurate",
        implementations=BOTH,
        reason="The second derivative has a relative error of up to 32 to 64 ULP. It is a product with the softmax. "
        "torch computes the softmax as the exponential of the rounded log-softmax, JAX as the exponential of the rounded "
        "difference from the largest entry. The exponential turns the absolute error of its argument, half an ULP, into "
        "a relative error.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="log_softmax-rounded-exponent-far",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="torch's second derivative has the error of log_softmax-rounded-exponent here, too. JAX deviates by more "
        "at these inputs: see log_softmax-flushed-factor.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="log_softmax-flushed-factor",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX's second derivative is 0 where one of its factors is subnormal, although the product is still a "
        "normal number. This factor is the exponential of the difference from the largest entry. XLA on the CPU flushes "
        "it to 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log_softmax-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes the difference, the exponential, the "
        "logarithm, the sums over the row and the products in the 16-bit dtype and rounds after each step.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log_softmax-16-bit-rounding",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="In the 16-bit dtypes torch's rounding errors add up. torch rounds the sum of the exponentials and its "
        "logarithm to 16 bits. It computes the derivatives from the exponential of the log-softmax, which is rounded to "
        "16 bits, too.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="log_softmax-zero-sign",
        cause="convention",
        implementations=BOTH,
        reason="At an entry of minus infinity the second derivative is a zero whose sign differs between the frameworks. "
        "It is 0 times a number that depends on the other entries. The frameworks multiply and add in another order, and "
        "the order decides the sign.",
        link=TORCH_DERIVATIVES,
    ),
    compiled_anew("log-softmax-layout-jax"),
    recorded(
        id="log_softmax-long-row", cause="inaccurate", implementations=("torch.native",), reason=LONG_SUM, link=TORCH_SOURCE
    ),
)

LOG_SOFTMAX = Activation(
    name="log_softmax",
    latex=r"f(z)_j = z_j - \log \sum_k e^{z_k}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second, along),
    limits=Limits(minus=(-inf, 1, 0), plus=(0, 0, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={
        "torch": Native("torch.nn.functional.log_softmax", parameters={"axis": "dim"}),
        "jax": Native("jax.nn.log_softmax"),
    },
    rows=True,
    symmetric=False,
    deviations=DEVIATIONS,
)
