"""Faults in a training, judged by ``crosscheck.perceptron``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from trainings import TENSORS, History, Setup

import crosscheck
from crosscheck import PerceptronReport
from detection.records import MISSED, Fault, Said, Verdict
from detection.usual import of_arrays

EPOCHS = 40
Step = Callable[[int, dict[str, Any], dict[str, Any], Any], dict[str, Any]]
"""(epoch from 1, weights, gradients, learning rate) -> the next weights."""


def descend(epoch: int, weights: dict[str, Any], gradients: dict[str, Any], rate: Any) -> dict[str, Any]:
    """What SGD does."""
    return {name: weights[name] - rate * gradients[name] for name in weights}


def trainer(step: Step = descend, weigh: Callable[[Any], Any] = lambda pull: pull) -> Callable[..., History]:
    """A training in numpy with another step, or with what the points pull by weighed otherwise."""

    def train(setup: Setup, progress: Any = None) -> History:
        x, y, rate = setup.x, setup.y, setup.x.dtype.type(setup.learning_rate)
        weights = dict(setup.weights)
        kept: dict[str, list[Any]] = {name: [] for name in TENSORS}
        for epoch in range(setup.epochs + 1):
            z = x @ weights["weight"].T + weights["bias"]
            kept["outputs"].append(z)
            for name, w in weights.items():
                kept[name].append(w)
            if epoch == setup.epochs:
                break
            kept["loss"].append(np.mean(np.logaddexp(0, z) - y * z, dtype=x.dtype))
            pull = weigh((1 / (1 + np.exp(-z)) - y) / y.size).astype(x.dtype)
            gradients = {"weight": pull.T @ x, "bias": pull.sum(0)}
            for name, gradient in gradients.items():
                kept[f"gradient.{name}"].append(gradient)
            weights = {name: w.astype(x.dtype) for name, w in step(epoch + 1, weights, gradients, rate).items()}
        return History({name: np.array(arrays, dtype=x.dtype) for name, arrays in kept.items()})

    return train


@dataclass(frozen=True, kw_only=True)
class Trained(Fault):
    """A training with a fault on one side: ``fault``, of those that crosscheck knows by name, or ``train`` in its place.

    ``at`` is the epoch and the tensor in which it shows first, such as ``"2 weight"``.
    """

    what: str = "or"
    fault: str | None = None
    train: Callable[..., History] | None = None
    dtype: str = "float32"
    epochs: int = EPOCHS

    def report(self) -> PerceptronReport:
        """What crosscheck says of the two trainings."""
        assert self.side is not None
        given = {} if self.fault is None else {"plant": {self.side: self.fault}}
        if self.train is not None:
            given["replace"] = {self.side: self.train}
        return crosscheck.perceptron(self.what, dtype=self.dtype, epochs=self.epochs, **given)

    def judge(self) -> Verdict:
        """The one finding."""
        report = self.report()
        if report.agree or len(report.agreement.findings) != 1:
            return MISSED
        (one,) = report.agreement.findings
        at = f"{one.epoch} {one.tensor}"
        return Verdict(found=True, cause=one.fault, side=one.framework, at=at, placed=self.at in (None, at))

    def usual(self) -> Mapping[str, Said]:
        """The losses and the final weights compared; nothing is there to be differentiated."""
        histories = self.report().histories
        found: dict[str, Said] = {}
        for tensor in ("loss", "weight", "bias"):
            last = slice(None) if tensor == "loss" else -1
            arrays = [np.asarray(histories[side][tensor][last]) for side in ("torch", "jax")]
            for check, said in of_arrays(*arrays).items():
                found[check] = found.get(check) or said
        return found
