"""Softmin: e^-z_j / sum_k e^-z_k along an axis, softmax of -z. Turns costs into probabilities: the cheapest is likeliest."""

from dataclasses import replace
from typing import Any

from crosscheck._activations import softmax
from crosscheck._activations._kernels import in_float64
from crosscheck._activations._mechanisms import LONG_SUM, long_rows
from crosscheck._spec.records import MODES, Activation, Anchor, Deviation, Limits, Native


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


def mirrored(deviation: Deviation) -> Deviation:
    """What softmax does at -x, torch does here: it computes softmax of -x."""
    return replace(
        deviation,
        id=deviation.id.replace("softmax", "softmin"),
        subjects=(TORCH,),
        regions=tuple(
            replace(
                region,
                intervals=tuple((0 - high, 0 - low) for low, high in region.intervals),
                anchors=tuple(
                    Anchor(0 - anchor.input, {TORCH: (-1) ** region.order * anchor.results[TORCH]})
                    for anchor in region.anchors
                ),
            )
            for region in deviation.regions
        ),
    )


INFINITY = replace(
    mirrored(softmax.INFINITY),
    id="softmin-infinite-minimum",
    reason="torch computes softmax of -x, which subtracts the largest entry first; where that is infinite, inf - inf is "
    "NaN. The limit exists where one entry alone is minus infinity: it is 1 there and 0 elsewhere. A row of one entry is "
    "always 1.",
)

ROUNDED_DIFFERENCE = replace(
    mirrored(softmax.ROUNDED_DIFFERENCE),
    reason="torch computes softmax of -x, and rounds x - min before the exponential, which turns the absolute error of the "
    "difference, half an ULP of it, into a relative one: up to 32 to 64 ULP of the result at a difference between 64 and "
    "128.",
    modes=MODES,
)

ROUNDED_DIFFERENCE_FAR = replace(
    mirrored(softmax.ROUNDED_DIFFERENCE_FAR),
    reason="As softmin-rounded-difference, in the tail of the derivatives, almost down to the subnormals.",
)

SIXTEEN_BITS = replace(
    mirrored(softmax.SIXTEEN_BITS_TORCH),
    reason="torch differentiates with the softmin that was rounded to 16 bits, and composes the second derivative from "
    "operations that each round again; with AVX-512 the value along another axis than the last is rounded twice.",
)

LONG_ROW = long_rows("softmin-long-row", TORCH, LONG_SUM, SOURCE, *softmax.LONG_ROWS, sign=-1)

SOFTMIN = Activation(
    name="softmin",
    latex=r"s(z)_j = \frac{e^{-z_j}}{\sum_k e^{-z_k}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(1, 0, 0), plus=(0, 0, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={"torch": Native("torch.nn.functional.softmin", parameters={"axis": "dim"})},  # JAX ships none
    rows=True,
    known_by="smallest",
    deviations=(INFINITY, ROUNDED_DIFFERENCE, ROUNDED_DIFFERENCE_FAR, SIXTEEN_BITS, LONG_ROW),
)
