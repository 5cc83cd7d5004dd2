"""What tests of softmax share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from floats import Float64Array

import crosscheck

SOFTMAX = crosscheck.activations["softmax"]
AXES = {
    "row": ((5,), (-1, 0)),
    "matrix": ((3, 4), (-1, 0, 1, -2)),
    "cube": ((2, 3, 4), (-1, 0, 1, 2, -2, -3)),
}
"""Shapes, and every axis of theirs."""


def function_of(framework: str, axis: int = -1) -> Callable[[Any], Any]:
    function = getattr(SOFTMAX, framework)
    return lambda x: function(x, axis=axis)


def drawn(shape: tuple[int, ...], seed: int = 0) -> Float64Array:
    return np.random.default_rng(seed).uniform(-3, 3, shape)
