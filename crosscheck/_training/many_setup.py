"""Many trainings that differ in their labels and in their start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import FloatArray
from crosscheck._training.records import Weights
from crosscheck._training.tasks import CORNERS, GATES


@dataclass(frozen=True)
class Many:
    """``x`` (points, inputs) for all; ``y`` (trainings, points, outputs); ``weights`` (trainings, ...), all in one dtype."""

    x: FloatArray
    y: FloatArray
    weights: Weights
    learning_rate: float
    epochs: int


def gates_and_seeds(
    gates: Sequence[str], starts: Sequence[Weights], *, learning_rate: float, epochs: int, dtype: str
) -> Many:
    """Every gate from every start, the starts of the first gate first."""
    labels = np.array([GATES[name] for name in gates], dtype)[:, :, None]
    stacked = {name: np.stack([start[name] for start in starts]) for name in ("weight", "bias")}
    weights = {name: np.tile(array, (len(gates), *([1] * (array.ndim - 1)))) for name, array in stacked.items()}
    return Many(CORNERS.astype(dtype), np.repeat(labels, len(starts), axis=0), weights, learning_rate, epochs)
