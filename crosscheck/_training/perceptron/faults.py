"""Mistakes that people make in a training, for planting: each is a change of the setup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from crosscheck._training.records import TrainingSetup


def _flip(setup: TrainingSetup) -> TrainingSetup:
    y = setup.y.copy()
    y[0, 0] = 1 - y[0, 0]
    return replace(setup, y=y)


def _transpose(setup: TrainingSetup) -> TrainingSetup:
    return replace(setup, x=np.ascontiguousarray(setup.x.T).reshape(setup.x.shape))


def _move(setup: TrainingSetup) -> TrainingSetup:
    return replace(setup, weights={name: array + array.dtype.type(0.01) for name, array in setup.weights.items()})


FAULTS: dict[str, Callable[[TrainingSetup], TrainingSetup]] = {
    "sum": lambda setup: replace(setup, reduction="sum"),
    "no-reset": lambda setup: replace(setup, reset_gradient=False),
    "flipped-label": _flip,
    "transposed": _transpose,
    "learning-rate": lambda setup: replace(setup, learning_rate=2 * setup.learning_rate),
    "start": _move,
}
