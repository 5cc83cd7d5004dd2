"""Functions outside of the catalogue that are identified too."""

from __future__ import annotations

from math import inf
from typing import Any

from crosscheck._records.records import Activation, Limits

SLOPE = 1.702


def _sigmoid(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-SLOPE * x))


def _definition(m: Any, x: Any) -> Any:
    return x / (1 + m.exp(-SLOPE * x))


def _derivative(m: Any, x: Any) -> Any:
    s = _sigmoid(m, x)
    return s * (1 + SLOPE * x * (1 - s))


def _second_derivative(m: Any, x: Any) -> Any:
    s = _sigmoid(m, x)
    return SLOPE * s * (1 - s) * (2 + SLOPE * x * (1 - 2 * s))


QUICK_GELU = Activation(
    name="quick_gelu",
    definition=_definition,
    derivative=_derivative,
    second_derivative=_second_derivative,
    torch_value=lambda torch, x: x * torch.sigmoid(SLOPE * x),
    jax_value=lambda jax, x: x * jax.nn.sigmoid(SLOPE * x),
    limits=Limits(minus=(0.0, 0.0, 0.0), plus=(inf, 1.0, 0.0)),
    latex=r"\frac{x}{1 + e^{-1.702 x}}",
)
"""The GELU of CLIP, x times the sigmoid of 1.702 x: https://github.com/openai/CLIP/blob/main/clip/model.py."""

OTHERS = {QUICK_GELU.name: QUICK_GELU}
