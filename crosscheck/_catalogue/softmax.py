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
        reason="Both frameworks subtract the largest entry first; where it is infinite, inf - inf is NaN. The limit exists "
        "where one entry alone is infinite: it is 1 there and 0 elsewhere. A row of one entry is always 1.",
        link="https://github.com/pytorch/pytorch/issues/6864",
    ),
    recorded(
        id="softmax-rounded-difference",
        cause="inaccurate",
        implementations=BOTH,
        reason="Both frameworks round x - max before the exponential, which turns the absolute error of the difference, "
        "half an ULP of it, into a relative one: up to 32 to 64 ULP of the result at a difference between 64 and 128. In "
        "forward mode XLA also flushes a product of JAX's to 0 where it is subnormal, from a difference of 80 on.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="softmax-rounded-difference-far",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="As softmax-rounded-difference, where JAX deviates by more: see softmax-flushed-factor.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="softmax-flushed-factor",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="The derivative is a product with the softmax itself. XLA on CPU flushes that to 0 where it is subnormal, "
        "although the product is still a normal number.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="softmax-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX computes the difference, the exponential, the sums over the row and the products in the 16-bit dtype, "
        "rounding after each step. In rows of 1000 the sums of the float16 derivatives lose most digits.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="softmax-16-bit-rounding",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="torch differentiates with the softmax that was rounded to 16 bits, and composes the second derivative from "
        "operations that each round again; with AVX-512 the value along another axis than the last is rounded twice.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="softmax-zero-sign",
        cause="convention",
        implementations=BOTH,
        reason="At an entry of minus infinity the derivative is 0 times a difference, whose sign is decided by the rounding "
        "to 16 bits, and by the order in which its terms are subtracted: another one in forward mode and in torch.compile.",
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
