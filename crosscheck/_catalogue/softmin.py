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
        reason="torch computes softmax of -x, which subtracts the largest entry first; where that is infinite, inf - inf is "
        "NaN. The limit exists where one entry alone is minus infinity: it is 1 there and 0 elsewhere. A row of one entry "
        "is always 1.",
        link="https://github.com/pytorch/pytorch/issues/6864",
    ),
    recorded(
        id="softmin-rounded-difference",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch computes softmax of -x, and rounds x - min before the exponential, which turns the absolute error of "
        "the difference, half an ULP of it, into a relative one: up to 32 to 64 ULP of the result at a difference between "
        "64 and 128.",
        link=SOFTMAX_SOURCE,
    ),
    recorded(
        id="softmin-rounded-difference-far",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="As softmin-rounded-difference, in the tail of the derivatives, almost down to the subnormals.",
        link=SOFTMAX_SOURCE,
    ),
    recorded(
        id="softmin-16-bit-rounding",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch differentiates with the softmin that was rounded to 16 bits, and composes the second derivative from "
        "operations that each round again; with AVX-512 the value along another axis than the last is rounded twice.",
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
