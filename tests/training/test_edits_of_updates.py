"""The mistake in an update named: schedules, rates of some parameters, gradients, and calls of a user's own optimiser."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from torch.optim import lr_scheduler
from trained import Training
from trained_linear import RATE, linear

from crosscheck import compare_optimizers

WEIGHT, DECAY = 0.4, 0.1


def scheduled(make: Callable[[Any], Any], rate: Callable[[Any], Any]) -> Training:
    """A training with a schedule, whose step follows that of the optimiser."""
    training = linear(6, tx=optax.sgd(rate))
    schedule, step = make(training.torch_state[1]), training.torch_step

    def torch_step(*batch: Any) -> Any:
        loss = step(*batch)
        schedule.step()
        return loss

    return Training(torch_step, training.jax_step, (*training.torch_state, schedule), training.jax_state, training.batches)


def warmed(optimizer: Any) -> Any:
    parts = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3), lr_scheduler.ExponentialLR(optimizer, 0.8)
    return lr_scheduler.SequentialLR(optimizer, parts, [3])


def warm(step: Any, kept: float = 0.8) -> Any:
    return RATE * jnp.where(step < 3, 0.1 + 0.3 * step, kept ** (step - 3))


@pytest.mark.parametrize(
    ("make", "rate", "said"),
    [
        (lambda rule: lr_scheduler.StepLR(rule, 2, 0.5), lambda step: RATE * 0.1 ** (step // 2), "gamma: 0.1 in JAX, 0.5"),
        (lambda rule: lr_scheduler.StepLR(rule, 2, 0.5), lambda step: RATE * 0.5 ** (step // 3), "step_size: 3 in JAX, 2"),
        (
            lambda rule: lr_scheduler.CosineAnnealingLR(rule, 7, eta_min=0.01),
            lambda step: RATE * (1 + jnp.cos(jnp.pi * step / 7)) / 2,
            "CosineAnnealingLR's eta_min: 0 in JAX, 0.01 in PyTorch",
        ),
        (warmed, partial(warm, kept=0.7), "ExponentialLR's gamma: 0.7 in JAX, 0.8 in PyTorch"),
        (warmed, warm, ""),
    ],
)
def test_the_argument_of_a_schedule_is_named(make: Callable[[Any], Any], rate: Callable[[Any], Any], said: str) -> None:
    report = scheduled(make, rate).compared()
    assert report.passed == (not said), report
    assert said in report.verdict, report


def in_groups(rates: tuple[float, float], parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [parameter], "lr": rate} for parameter, rate in zip(parameters, rates, strict=True)])


def each(w: float, b: float) -> optax.GradientTransformation:
    return optax.multi_transform({"w": optax.sgd(w), "b": optax.sgd(b)}, {"w": "w", "b": "b"})


DECAYED = optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(RATE))


@pytest.mark.parametrize(
    ("optimizer", "tx", "said"),
    [
        (partial(in_groups, (0.1, 0.02)), each(0.1, 0.02), ""),
        (partial(in_groups, (0.1, 0.1)), each(0.1, 0.02), "JAX's learning rate of bias is 0.02, PyTorch's 0.1"),
        (partial(torch.optim.SGD, lr=RATE, weight_decay=DECAY), DECAYED, ""),
    ],
)
def test_what_is_another_for_some_parameters_or_all_gradients_is_named(optimizer: Any, tx: Any, said: str) -> None:
    report = linear(optimizer=optimizer, tx=tx).compared()
    assert report.passed == (not said), report
    assert re.search(said, report.verdict), report


class Own(torch.optim.Optimizer):
    """Written by a user: the squares are averaged, an update is cut off, and the weights decay."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": RATE})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for parameter in self.param_groups[0]["params"]:
            if parameter.grad is not None:
                held = self.state[parameter]
                held["seen"] = WEIGHT * held.get("seen", 0.0) + (1 - WEIGHT) * parameter.grad**2
                update = parameter.grad / (held["seen"].sqrt() + 1e-8)
                parameter.mul_(0.999)
                parameter.sub_(update.clamp(-1.0, 1.0), alpha=RATE)


def own(root: Callable[[Any], Any] = jnp.sqrt, cut: float = 1.0, kept: float = 0.999) -> optax.GradientTransformation:
    def update(gradients: Any, seen: Any, params: Any) -> Any:
        seen = jax.tree.map(lambda old, gradient: WEIGHT * old + (1 - WEIGHT) * gradient**2, seen, gradients)

        def moved(gradient: Any, squares: Any, weight: Any) -> Any:
            return (kept - 1) * weight - RATE * jnp.clip(gradient / (root(squares) + 1e-8), -cut, cut)

        return jax.tree.map(moved, gradients, seen, params), seen

    return optax.GradientTransformation(lambda params: jax.tree.map(jnp.zeros_like, params), update)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({}, ""),
        (
            {"root": lambda squares: squares},
            r"JAX forgets sqrt\(\) in PyTorch's `update = .*` \(test_edits_of_updates.py:\d+\)",
        ),
        ({"cut": 0.5}, r"0.5 in JAX, 1 in PyTorch: clamp\(-1, 1\)"),
        ({"kept": 1.0}, r"JAX forgets mul\(0.999\)"),
    ],
)
def test_a_call_in_a_step_of_ones_own_is_named(mistake: dict[str, Any], said: str) -> None:
    report = compare_optimizers(Own, own(**mistake))
    assert report.passed == (not said), report
    assert re.match(said, report.explanation), report.explanation
