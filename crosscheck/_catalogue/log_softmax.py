"""Log-softmax: z_j - log(sum_k e^z_k) along an axis, the logarithm of softmax. Cross-entropy losses use it."""

from math import inf
from typing import Any

from crosscheck._catalogue import softmax
from crosscheck._catalogue._kernels import centred, in_both, in_float64, log_sum, numpy_of, softmax_parts, stable_exp, total
from crosscheck._catalogue._mechanisms import LONG_SUM, compiled_anew
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
        reason="Both frameworks subtract the largest entry first; where it is infinite, inf - inf is NaN. The limit exists "
        "where one entry alone is infinite: it is 0 there and minus infinity elsewhere. A row of one entry is always 0.",
        link="https://github.com/pytorch/pytorch/issues/6864",
    ),
    recorded(
        id="log_softmax-lost-tail",
        cause="inaccurate",
        implementations=BOTH,
        reason="Both frameworks take the logarithm of a sum to which the largest entry contributes 1. Where it dominates, "
        "the others are rounded away, and the result is 0 where the exact one is not; log1p of their sum alone would keep "
        "it.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="log_softmax-rounded-exponent",
        cause="inaccurate",
        implementations=BOTH,
        reason="The second derivative is a product with the softmax. torch computes that as the exponential of the rounded "
        "log-softmax, JAX as that of the rounded difference from the largest entry: half an ULP of the exponent, an "
        "absolute error, becomes a relative one of up to 32 to 64 ULP.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="log_softmax-rounded-exponent-far",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="As log_softmax-rounded-exponent, where JAX deviates by more: see log_softmax-flushed-factor.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="log_softmax-flushed-factor",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="The second derivative is a product with the exponential of the difference from the largest entry. XLA on "
        "CPU flushes that to 0 where it is subnormal, although the product is still a normal number.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log_softmax-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX computes the difference, the exponential, the logarithm, the sums over the row and the products in the "
        "16-bit dtype, rounding after each step.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="log_softmax-16-bit-rounding",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="torch stores the sum of the exponentials and its logarithm in 16 bits, and computes the derivatives with "
        "the exponential of the log-softmax that was rounded to 16 bits.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="log_softmax-zero-sign",
        cause="convention",
        implementations=BOTH,
        reason="At an entry of minus infinity the second derivative is 0 times what depends on the other entries; the "
        "frameworks multiply and add these in another order, which decides the sign.",
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
