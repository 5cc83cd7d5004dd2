"""The records of a training: frozen, of numpy arrays, the same for both frameworks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from crosscheck._arithmetic.formats import FloatArray

Weights = Mapping[str, FloatArray]
"""``weight`` (outputs, inputs) and ``bias`` (outputs,), laid out as in torch.nn.Linear."""

Progress = Callable[[str, int], None]
"""Called with what is running and the number of epochs done since the last call."""


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a training depends on, in the dtype in which it runs.

    Attributes:
        x: Inputs (points, inputs).
        y: Labels (points, outputs), each 0 or 1.
        weights: The start.
        reduction: ``mean`` or ``sum`` of the points' losses; a value other than the default is a planted fault.
        reset_gradient: Whether the gradient is set to zero between epochs; False is a planted fault.
    """

    x: FloatArray
    y: FloatArray
    weights: Weights
    learning_rate: float
    epochs: int
    reduction: str = "mean"
    reset_gradient: bool = True

    @property
    def dtype(self) -> str:
        return str(self.x.dtype)


Steps = tuple[Callable[..., Any], Any]
"""A step and its state, as ``compare_training`` takes them; the step gets the inputs and labels of the setup."""

Prepare = Callable[[TrainingSetup], Steps]
"""Makes one framework's side of the training that a setup describes."""

Side = tuple[TrainingSetup, Prepare]
"""One framework's side of a training: its setup, and the function that makes its step and state."""

History = Mapping[str, FloatArray]
"""The results of a training: ``loss`` (epochs,), and ``weight`` and ``bias`` (epochs + 1, ...), from the start on."""


TIMES_CONTROLS = 16.0
"""JAX rounds differently at each step, while a control only starts elsewhere: this many times its distance is rounding."""
APART = 1e-3
"""The runs have parted if their distance is this share of the distance from the start."""


@dataclass(frozen=True)
class Drift:
    """The distance of two trainings that run freely.

    Each distance is the root mean square over all parameters, relative to the distance of PyTorch's from the start.

    Attributes:
        steps: The steps at which they were compared, from 1.
        apart: The distance of JAX from PyTorch after each of these steps.
        controls: The largest distance of PyTorch's controls from PyTorch after each of these steps.
        rounding: The sum of the rounding errors of the steps so far, added as independent errors.
        losses: The losses of PyTorch and of JAX at each of these steps.
        runs: The number of controls.
    """

    steps: tuple[int, ...]
    apart: tuple[float, ...]
    controls: tuple[float, ...]
    rounding: tuple[float, ...]
    losses: tuple[tuple[float, float], ...]
    runs: int

    @property
    def times(self) -> float:
        """The ratio of JAX's distance to that of the furthest control and the steps' rounding, at the worst step."""
        return max(map(_ratio, self.apart, self._explained), default=0.0)

    @property
    def _explained(self) -> list[float]:
        return [control + rounding for control, rounding in zip(self.controls, self.rounding, strict=True)]

    @property
    def faster(self) -> int | None:
        """The first step after which the distance is larger than rounding explains; None if there is none."""
        both = zip(self.steps, self.apart, self._explained, strict=True)
        return next((step for step, distance, control in both if _ratio(distance, control) > TIMES_CONTROLS), None)

    @property
    def parted(self) -> int | None:
        """The first step after which the distance is a thousandth of that from the start; None if there is none."""
        return next((step for step, distance in zip(self.steps, self.apart, strict=True) if not distance <= APART), None)


def _ratio(distance: float, control: float) -> float:
    return 0.0 if distance == 0.0 else distance / control if control else inf


@dataclass(frozen=True)
class OptimizerRun:
    """The result for one kind of gradients.

    Attributes:
        gradients: The kind.
        meaning: A description of the kind.
        steps: The number of steps.
        apart: The largest difference of an element of a parameter in float64, relative to how far the parameter has moved.
        first: The first step, from 1, after which they differ by more than float64 explains; None if there is none.
        parameter: The parameter with the largest difference.
        torch_error: The error of torch in the dtype against torch in float64, relative in the same way.
        jax_error: The same error of JAX.
        cause: ``exact``, ``rounding``, ``inaccurate``, ``definition`` or ``special``.
        side: The side that is inaccurate; None if neither is, or if it is unknown which is meant.
    """

    gradients: str
    meaning: str
    steps: int
    apart: float
    first: int | None
    parameter: str | None
    torch_error: float
    jax_error: float
    cause: str
    side: str | None

    @property
    def passed(self) -> bool:
        """Whether both sides do the same."""
        return self.cause in ("exact", "rounding")
