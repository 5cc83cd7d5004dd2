"""Do the frameworks agree on every prediction of every gate, from every start?

A logit near 0 may fall on either side by rounding. A control, the trainings from weights moved by one ULP, measures this;
the limit is at least the dtype's roundoff, since near a half the sigmoid does not resolve less. Such a logit is listed,
and its prediction is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, FloatArray
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._training.formula import sigmoid
from crosscheck._training.many_setup import Many

TIMES_CONTROL = 16.0
"""Frameworks round at each epoch, while a control only starts elsewhere: this many times its change is rounding."""


@dataclass(frozen=True)
class OnBoundary:
    """A logit so near to 0 that rounding decides the prediction."""

    seed: int
    point: int
    torch: float
    jax: float


@dataclass(frozen=True)
class GateResult:
    """The result of one gate from all starts.

    Attributes:
        truth: The labels of the points, as digits.
        predictions: By framework: (seeds, points) of 0 and 1.
        accuracy: By framework: (seeds,) between 0 and 1.
        apart: The largest difference of a logit between the frameworks.
        control: The largest change of a logit when the start moves by one ULP.
        boundary: The logits within rounding of 0: at most ``TIMES_CONTROL`` times the control, or the roundoff.
        disagreements: The (seed, point) where predictions differ off the boundary, or a logit is not finite.
    """

    gate: str
    truth: str
    predictions: Mapping[str, BoolArray]
    accuracy: Mapping[str, FloatArray]
    apart: float
    control: float
    boundary: tuple[OnBoundary, ...]
    disagreements: tuple[tuple[int, int], ...]

    @property
    def agree(self) -> bool:
        return not self.disagreements

    def learned(self, framework: str) -> int:
        """The number of starts from which every prediction is right."""
        return int((self.accuracy[framework] == 1).sum())


def moved_many(many: Many) -> Many:
    """The control: every weight moved up by one ulp."""
    return replace(
        many, weights={name: np.nextafter(array, np.inf, dtype=array.dtype) for name, array in many.weights.items()}
    )


def judge_many(gates: tuple[str, ...], many: Many, logits: Mapping[str, FloatArray], moved: FloatArray) -> list[GateResult]:
    """The verdict on each gate. ``logits`` (trainings, points, outputs) by framework; ``moved`` is JAX's control."""

    def split(array: FloatArray) -> FloatArray:
        return array.reshape(len(gates), -1, many.x.shape[0])

    found = {name: split(array) for name, array in logits.items()}
    labels, controls = split(many.y), split(moved)
    return [
        _judge(gate, {name: array[i] for name, array in found.items()}, controls[i], labels[i])
        for i, gate in enumerate(gates)
    ]


def _judge(gate: str, logits: Mapping[str, FloatArray], moved: FloatArray, labels: FloatArray) -> GateResult:
    torch, jax = (logits[name] for name in FRAMEWORKS)
    with np.errstate(invalid="ignore"):
        predictions = {name: predicted(array) for name, array in logits.items()}
        apart, control = (float(np.abs(jax - other).max()) for other in (torch, moved))
        reach = TIMES_CONTROL * max(control, float(np.finfo(torch.dtype).eps) / 2)
        near = np.minimum(np.abs(torch), np.abs(jax)) <= reach
    wrong = (predictions["torch"] != predictions["jax"]) & ~near | ~(np.isfinite(torch) & np.isfinite(jax))
    return GateResult(
        gate,
        "".join(str(int(label)) for label in labels[0]),
        predictions,
        {name: (array == (labels == 1)).mean(axis=1) for name, array in predictions.items()},
        apart,
        control,
        tuple(OnBoundary(int(s), int(p), float(torch[s, p]), float(jax[s, p])) for s, p in np.argwhere(near)),
        tuple((int(s), int(p)) for s, p in np.argwhere(wrong)),
    )


def predicted(logits: FloatArray) -> BoolArray:
    """Whether the sigmoid, rounded to the logits' dtype, is at least a half."""
    return np.asarray(sigmoid(logits.astype(np.float64)).astype(logits.dtype) >= 0.5)
