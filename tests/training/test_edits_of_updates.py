"""The mistake in an update named: schedules, rates of some parameters, gradients, and calls of a user's own optimiser."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from facts import assert_facts, facts_of
from torch.optim import lr_scheduler
from trained import Training
from trained_linear import RATE, linear

from crosscheck import Fact, compare_optimizers

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
    ("make", "rate", "fact"),
    [
        (
            lambda rule: lr_scheduler.StepLR(rule, 2, 0.5),
            lambda step: RATE * 0.1 ** (step // 2),
            Fact("setting", "StepLR", "gamma", "0.5", "0.1"),
        ),
        (
            lambda rule: lr_scheduler.StepLR(rule, 2, 0.5),
            lambda step: RATE * 0.5 ** (step // 3),
            Fact("setting", "StepLR", "step_size", "2", "3"),
        ),
        (
            lambda rule: lr_scheduler.CosineAnnealingLR(rule, 7, eta_min=0.01),
            lambda step: RATE * (1 + jnp.cos(jnp.pi * step / 7)) / 2,
            Fact("setting", "CosineAnnealingLR", "eta_min", "0.01", "0"),
        ),
        (warmed, partial(warm, kept=0.7), Fact("setting", "ExponentialLR", "gamma", "0.8", "0.7")),
        (warmed, warm, None),
    ],
)
def test_the_argument_of_a_schedule_is_named(
    make: Callable[[Any], Any], rate: Callable[[Any], Any], fact: Fact | None
) -> None:
    report = scheduled(make, rate).compared()
    assert report.passed == (fact is None), report
    assert_facts(facts_of(report), *([Fact("rate"), fact] if fact else []))


def in_groups(rates: tuple[float, float], parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [parameter], "lr": rate} for parameter, rate in zip(parameters, rates, strict=True)])


def each(w: float, b: float) -> optax.GradientTransformation:
    return optax.multi_transform({"w": optax.sgd(w), "b": optax.sgd(b)}, {"w": "w", "b": "b"})


DECAYED = optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(RATE))


@pytest.mark.parametrize(
    ("optimizer", "tx", "facts"),
    [
        (partial(in_groups, (0.1, 0.02)), each(0.1, 0.02), ()),
        (partial(in_groups, (0.1, 0.1)), each(0.1, 0.02), (Fact("rate of", "bias", torch="0.1", jax="0.02"),)),
        (partial(torch.optim.SGD, lr=RATE, weight_decay=DECAY), DECAYED, ()),
    ],
)
def test_what_is_another_for_some_parameters_or_all_gradients_is_named(optimizer: Any, tx: Any, facts: Any) -> None:
    report = linear(optimizer=optimizer, tx=tx).compared()
    assert report.passed == (not facts), report
    assert_facts(facts_of(report), *facts)


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
    ("mistake", "facts"),
    [
        ({}, ()),
        ({"root": lambda squares: squares}, (Fact("forgotten call", "sqrt()"),)),
        ({"cut": 0.5}, (Fact("call", "clamp(-1, 1)", torch="1", jax="0.5"),)),
        ({"kept": 1.0}, (Fact("forgotten call", "mul(0.999)", where="parameter.mul_(0.999)"),)),
    ],
)
def test_a_call_in_a_step_of_ones_own_is_named(mistake: dict[str, Any], facts: tuple[Fact, ...]) -> None:
    report = compare_optimizers(Own, own(**mistake))
    assert report.passed == (not facts), report
    assert_facts(report.facts, *facts)
    assert all(fact.source.startswith(f"{Path(__file__).name}:") for fact in report.facts)
