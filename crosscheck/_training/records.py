"""What is trained and what a training leaves behind: frozen records of numpy arrays, the same for both frameworks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, FloatArray, Format

Weights = Mapping[str, FloatArray]
"""``weight`` (outputs, inputs) and ``bias`` (outputs,), laid out as in torch.nn.Linear."""

Progress = Callable[[str, int], None]
"""Called with what is running and the epochs that it has done since the last call."""

TENSORS = ("outputs", "loss", "gradient.weight", "gradient.bias", "weight", "bias")
"""What is recorded at each epoch, in the order in which an epoch computes it."""


@dataclass(frozen=True)
class Setup:
    """Everything that a training depends on, in the dtype in which it runs.

    Attributes:
        x: Inputs (points, inputs).
        y: Labels (points, outputs), each 0 or 1.
        weights: The start.
        logits: Whether the model ends in the linear layer and BCEWithLogits takes the sigmoid, or the sigmoid is the
            model's.
        reduction: ``mean`` or ``sum`` of the points' losses; another value than the default is a planted fault.
        reset_gradient: Whether the gradient is forgotten between epochs; False is a planted fault.
    """

    x: FloatArray
    y: FloatArray
    weights: Weights
    logits: bool
    learning_rate: float
    epochs: int
    reduction: str = "mean"
    reset_gradient: bool = True

    @property
    def dtype(self) -> str:
        return str(self.x.dtype)

    @property
    def format(self) -> Format:
        return FORMATS[self.dtype]


@dataclass(frozen=True)
class History:
    """One training, tensor by tensor, in the setup's dtype.

    ``loss`` (epochs,), ``gradient.weight`` and ``gradient.bias`` (epochs, ...) are of each epoch; ``weight`` and ``bias``
    (epochs + 1, ...) are the start and what each epoch leaves, ``outputs`` (epochs + 1, points, outputs) what they give.
    """

    tensors: Mapping[str, FloatArray]

    def __getitem__(self, tensor: str) -> FloatArray:
        return self.tensors[tensor]

    @property
    def final(self) -> FloatArray:
        """The outputs (points, outputs) after the last epoch."""
        return self["outputs"][-1]

    @property
    def first_not_finite(self) -> int | None:
        """The first epoch whose loss is NaN or infinite."""
        lost = np.flatnonzero(~np.isfinite(self["loss"]))
        return int(lost[0]) + 1 if lost.size else None


class Train(Protocol):
    """One framework's training."""

    def __call__(self, setup: Setup, progress: Progress | None = None) -> History: ...


def epoch_of(tensor: str, index: int) -> int:
    """The epoch, from 1, of an index along a tensor's first axis; 0 is the start, the last outputs are one past the end."""
    return index if tensor in ("weight", "bias") else index + 1
