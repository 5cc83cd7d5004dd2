"""Faults in a training, judged by ``crosscheck.perceptron``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from usual_checks import of_arrays

import crosscheck
from crosscheck import PerceptronReport
from detection.records import MISSED, Fault, Said, Verdict

EPOCHS = 40
Step = Callable[[Any, dict[str, Any], dict[str, Any], Any], dict[str, Any]]
"""(epoch from 1, weights, gradients, learning rate) -> the next weights."""


def descend(epoch: Any, weights: dict[str, Any], gradients: dict[str, Any], rate: Any) -> dict[str, Any]:
    """What SGD does."""
    return {name: weights[name] - rate * gradients[name] for name in weights}


def mean(losses: Any) -> Any:
    return losses.mean()


def trainer(
    step: Step = descend,
    reduce: Callable[[Any], Any] = mean,
    returned: Callable[[Any, Any], Any] = lambda epoch, loss: loss,
    momentum: float = 0.0,
) -> Callable[[Any], Any]:
    """A training in JAX with another step, another reduction of the losses, or another loss that is returned."""

    def prepare(setup: Any) -> Any:
        def objective(weights: Any, x: Any, y: Any) -> Any:
            return reduce(optax.sigmoid_binary_cross_entropy(x @ weights["weight"].T + weights["bias"], y))

        def train(state: Any, x: Any, y: Any) -> Any:
            weights, velocity, epoch = state
            loss, gradients = jax.value_and_grad(objective)(weights, x, y)
            velocity = {name: momentum * velocity[name] + gradients[name] for name in weights}
            new = step(epoch, weights, velocity, setup.learning_rate)
            return (new, velocity if momentum else state[1], epoch + 1), returned(epoch, loss)

        with jax.enable_x64(setup.dtype == "float64"):
            weights = {name: jnp.asarray(weight) for name, weight in setup.weights.items()}
            return train, (weights, jax.tree.map(jnp.zeros_like, weights), jnp.asarray(1, jnp.int32))

    return prepare


@dataclass(frozen=True, kw_only=True)
class Trained(Fault):
    """A training with a fault on one side: ``fault``, of those that crosscheck can plant, or ``train`` in its place.

    ``cause`` is the part of the training that is at fault, ``at`` the first epoch, such as ``"epoch 2"``.
    """

    what: str = "or"
    fault: str | None = None
    train: Callable[[Any], Any] | None = None
    dtype: str = "float32"
    epochs: int = EPOCHS

    def report(self) -> PerceptronReport:
        """What crosscheck says of the two trainings."""
        assert self.side is not None
        given: dict[str, Any] = {} if self.fault is None else {"plant": {self.side: self.fault}}
        if self.train is not None:
            given["replace"] = {self.side: self.train}
        return crosscheck.perceptron(self.what, dtype=self.dtype, epochs=self.epochs, **given)

    def judge(self) -> Verdict:
        """The one finding."""
        report = self.report()
        if report.agree or len(report.findings) != 1:
            return MISSED
        (finding,) = report.findings
        at = f"epoch {finding.epoch}"
        return Verdict(found=True, cause=finding.part, side=finding.framework, at=at, placed=self.at in (None, at))

    def usual(self) -> Mapping[str, Said]:
        """The losses and the final weights compared; nothing is there to be differentiated."""
        histories = self.report().histories
        answers: dict[str, Said] = {}
        for tensor in ("loss", "weight", "bias"):
            last = slice(None) if tensor == "loss" else -1
            arrays = [np.asarray(histories[side][tensor][last]) for side in ("torch", "jax")]
            for check, said in of_arrays(*arrays).items():
                answers[check] = answers.get(check) or said
        return answers
