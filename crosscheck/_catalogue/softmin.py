"""Softmin: e^-z_j / sum_k e^-z_k along an axis, softmax of -z. Turns costs into probabilities, high ones for low costs."""

from typing import Any

from crosscheck._catalogue import softmax
from crosscheck._catalogue._kernels import in_both, in_float64
from crosscheck._catalogue._mechanisms import LONG_SUM
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """e^-z_j / sum_k e^-z_k; the factor e^min cancels, and lets equal entries give fractions exactly."""
    e = m.exp(m.min(x, axis=axis, keepdims=True) - x)
    return e / m.sum(e, axis=axis, keepdims=True)


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """-s_i (v_i - sum_j s_j v_j): the Jacobian s_i (s_j - delta_ij) times v."""
    return -softmax.derivative(m, -x, v, axis)


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """s_i (q_i - sum_j s_j q_j) with q_i = (v_i - sum_j s_j v_j) (w_i - sum_j s_j w_j)."""
    return softmax.second_derivative(m, -x, v, w, axis)


@in_float64
def value(framework: Any, x: Any, axis: int) -> Any:
    return softmax.value(framework, -x, axis)


@in_float64
def gradient(framework: Any, x: Any, v: Any, axis: int) -> Any:
    return -softmax.gradient(framework, -x, v, axis)


@in_float64
def second(framework: Any, x: Any, v: Any, w: Any, axis: int) -> Any:
    return softmax.second(framework, -x, v, w, axis)


TORCH = "torch.native"
SOURCE = "https://github.com/pytorch/pytorch/blob/main/torch/nn/functional.py"
SOFTMAX_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/vec/functional_base.h"

DEVIATIONS = (
    recorded(
        id="softmin-infinite-minimum",
        cause="special",
        implementations=(TORCH,),
        reason="Where the smallest entry of a row is minus infinity, torch returns NaN. torch computes softmax of -x, "
        "which subtracts the largest entry first; inf - inf is NaN. Where only one entry is minus infinity, the limit "
        "exists: it is 1 for that entry and 0 for the others. In a row of one entry the result is always 1.",
        link="https://github.com/pytorch/pytorch/issues/6864",
    ),
    recorded(
        id="softmin-rounded-difference",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Where x lies between 64 and 128 above the minimum of its row, the result has a relative error of up to "
        "32 to 64 ULP. torch computes softmax of -x, and rounds x - min before it takes the exponential. The exponential "
        "turns the absolute error of the difference, half an ULP of it, into a relative error.",
        link=SOFTMAX_SOURCE,
    ),
    recorded(
        id="softmin-rounded-difference-far",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch's derivatives have the error of softmin-rounded-difference in their tail, too, almost down to the "
        "subnormals.",
        link=SOFTMAX_SOURCE,
    ),
    recorded(
        id="softmin-16-bit-rounding",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the 16-bit dtypes torch's rounding errors add up. torch computes the derivatives from the softmin "
        "that it has rounded to 16 bits. It computes the second derivative in several operations, each of which rounds "
        "again. Along another axis than the last one, the rows beyond the last whole vector (16 rows with AVX2, 32 with "
        "AVX-512) take a scalar loop, which rounds each exponential to 16 bits before it divides: the value is rounded "
        "twice.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(id="softmin-long-row", cause="inaccurate", implementations=(TORCH,), reason=LONG_SUM, link=SOURCE),
)

SOFTMIN = Activation(
    name="softmin",
    latex=r"s(z)_j = \frac{e^{-z_j}}{\sum_k e^{-z_k}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(1, 0, 0), plus=(0, 0, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={"torch": Native("torch.nn.functional.softmin", parameters={"axis": "dim"})},  # JAX ships none
    rows=True,
    known_by="smallest",
    deviations=DEVIATIONS,
)
