"""The records of a training: frozen, of numpy arrays, the same for both frameworks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from crosscheck._arithmetic.formats import FloatArray

Weights = Mapping[str, FloatArray]
"""``weight`` (outputs, inputs) and ``bias`` (outputs,), laid out as in torch.nn.Linear."""

Progress = Callable[[str, int], None]
"""Called with what is running and the number of epochs done since the last call."""


@dataclass(frozen=True)
class Setup:
    """Everything that a training depends on, in the dtype in which it runs.

    Attributes:
        x: Inputs (points, inputs).
        y: Labels (points, outputs), each 0 or 1.
        weights: The start.
        logits: Whether the model returns logits, and BCEWithLogits applies the sigmoid; otherwise the model applies it.
        reduction: ``mean`` or ``sum`` of the points' losses; a value other than the default is a planted fault.
        reset_gradient: Whether the gradient is set to zero between epochs; False is a planted fault.
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


Steps = tuple[Callable[..., Any], Any]
"""A step and its state, as ``compare_training`` takes them; the step gets the inputs and labels of the setup."""

Prepare = Callable[[Setup], Steps]
"""Makes one framework's side of the training that a setup describes."""

Side = tuple[Setup, Prepare]
"""One framework's side of a training: its setup, and the function that makes its step and state."""

History = Mapping[str, FloatArray]
"""The results of a training: ``loss`` (epochs,), and ``weight`` and ``bias`` (epochs + 1, ...), from the start on."""
