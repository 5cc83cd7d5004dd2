"""Softmax: e^z_j / sum_k e^z_k along an axis. Turns scores into probabilities: positive, and each row sums to 1."""

from typing import Any

from crosscheck._catalogue._kernels import centred, in_both, in_float64, softmax_parts, stable_exp
from crosscheck._catalogue._mechanisms import LONG_SUM, compiled_anew
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """e^z_j / sum_k e^z_k; the factor e^-max cancels, and lets equal entries give fractions exactly."""
    e = m.exp(x - m.max(x, axis=axis, keepdims=True))
    return e / m.sum(e, axis=axis, keepdims=True)


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """s_i (v_i - sum_j s_j v_j): the Jacobian s_i (delta_ij - s_j) times v."""
    e, total = stable_exp(m, x, axis)
    return e * (v - m.sum(e * v, axis=axis, keepdims=True) / total) / total


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """s_i (q_i - sum_j s_j q_j) with q_i = (v_i - sum_j s_j v_j) (w_i - sum_j s_j w_j)."""
    e, total = stable_exp(m, x, axis)
    d, f = (a - m.sum(e * a, axis=axis, keepdims=True) / total for a in (v, w))
    return e * (d * f - m.sum(e * (d * f), axis=axis, keepdims=True) / total) / total


@in_float64
def value(framework: Any, x: Any, axis: int) -> Any:
    e, c, s, g = softmax_parts(framework, x, axis)
    return e * c / s * (1 + g)  # not q + q g: q g may be subnormal where q is normal


@in_float64
def gradient(framework: Any, x: Any, v: Any, axis: int) -> Any:
    """s_i (v_i - mean v)."""
    e, c, s, g = of = softmax_parts(framework, x, axis)
    return e * centred(framework, of, v, axis) / s * (1 + g) * c


@in_float64
def second(framework: Any, x: Any, v: Any, w: Any, axis: int) -> Any:
    """s_i (q_i - mean q) with q = (v - mean v) (w - mean w)."""
    e, c, s, g = of = softmax_parts(framework, x, axis)
    q = centred(framework, of, v, axis) * centred(framework, of, w, axis)
    return e * centred(framework, of, q, axis) / s * (1 + g) * c


BOTH = ("torch.native", "jax.native")
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/vec/functional_base.h"
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="softmax-infinite-maximum",
        cause="special",
        implementations=BOTH,
        reason="Where the largest entry of a row is infinite, both frameworks return NaN. They subtract the largest "
        "entry from all entries first, and inf - inf is NaN. Where only one entry is infinite, the limit exists: it is 1 "
        "for that entry and 0 for the others. In a row of one entry the result is always 1.",
        link="https://github.com/pytorch/pytorch/issues/6864",
    ),
    recorded(
        id="softmax-rounded-difference",
        cause="inaccurate",
        implementations=BOTH,
        reason="Where x lies between 64 and 128 below the maximum of its row, the result has a relative error of up to "
        "32 to 64 ULP. Both frameworks round x - max before they take the exponential. The exponential turns the "
        "absolute error of the difference, half an ULP of it, into a relative error. In forward mode XLA also flushes "
        "one of JAX's products to 0 where it is subnormal, from a difference of 80 on.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="softmax-rounded-difference-far",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="torch's derivatives have the error of softmax-rounded-difference here, too. JAX deviates by more at "
        "these inputs: see softmax-flushed-factor.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="softmax-flushed-factor",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX's derivatives are 0 where the softmax is subnormal, although the exact product is still a normal "
        "number. The derivative is a product with the softmax, and XLA on the CPU flushes the softmax to 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="softmax-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes the difference, the exponential, the "
        "sums over the row and the products in the 16-bit dtype and rounds after each step. In rows of 1000 entries the "
        "sums of the float16 derivatives lose most digits.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="softmax-16-bit-rounding",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="In the 16-bit dtypes torch's rounding errors add up. torch computes the derivatives from the softmax "
        "that it has rounded to 16 bits. It computes the second derivative in several operations, each of which rounds "
        "again. Along another axis than the last one, the rows beyond the last whole vector (16 rows with AVX2, 32 with "
        "AVX-512) take a scalar loop, which rounds each exponential to 16 bits before it divides: the value is rounded "
        "twice.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="softmax-zero-sign",
        cause="convention",
        implementations=BOTH,
        reason="At an entry of minus infinity the derivative is a zero whose sign differs between the frameworks. It is "
        "0 times a difference. The sign of the difference depends on the rounding to 16 bits, and on the order in which "
        "its terms are subtracted. That order is another one in forward mode and in torch.compile.",
        link=TORCH_DERIVATIVES,
    ),
    compiled_anew("softmax-layout-jax"),
    recorded(
        id="softmax-long-row", cause="inaccurate", implementations=("torch.native",), reason=LONG_SUM, link=TORCH_SOURCE
    ),
)

SOFTMAX = Activation(
    name="softmax",
    latex=r"s(z)_j = \frac{e^{z_j}}{\sum_k e^{z_k}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(1, 0, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={
        "torch": Native("torch.nn.functional.softmax", parameters={"axis": "dim"}),
        "jax": Native("jax.nn.softmax"),
    },
    rows=True,
    deviations=DEVIATIONS,
)
