"""Trainings of which nothing can be said: NaN on both sides, steps that draw random numbers, arguments that do not fit."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from facts import Worded
from trained import Training
from trained_linear import linear

from crosscheck import UsageError, compare_training


def test_nan_in_a_step_is_said_and_the_run_goes_on() -> None:
    training = linear(5)
    training.batches[2][1][0, 0] = np.nan
    report = training.compared(controls=1)
    assert len(report.errors) == 5
    assert ("not finite", (3,)) in [(note.kind, note.about) for note in report.notes if isinstance(note, Worded)]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("first", "compared"), [(3, {"loss", "gradients", "parameters"}), (1, set())])
def test_a_step_at_which_nothing_is_finite_is_not_agreement(first: int, compared: set[str], value: float) -> None:
    training = linear(5)
    training.batches[first - 1][0][:] = value
    report = training.compared(controls=1)
    assert not report.passed
    assert report.cause is None
    assert isinstance(report.message, Worded)
    assert (report.message.kind, report.message.about) == ("blank", tuple(range(first, 6)))
    assert set().union(*report.errors) == compared
    assert report.errors[first - 1 :] == ({},) * (6 - first)
    assert report.data()["summary"]["message"] in report.verdict


def test_a_fault_before_the_first_nan_is_named() -> None:
    training = linear(5, tx=optax.sgd(0.05))
    training.batches[2][0][:] = np.nan
    report = training.compared()
    assert report.first is not None
    assert (report.first.part, report.first.step, report.first.steps) == ("schedule", 1, 2)


def test_a_loss_that_is_infinite_on_both_sides_was_not_compared() -> None:
    def infinite(values: Any) -> Any:
        return values[0], values[1] + jnp.inf

    right = linear(change=infinite)

    def torch_step(x: Any, y: Any) -> Any:
        return right.torch_step(x, y) + torch.inf

    report = dataclasses.replace(right, torch_step=torch_step).compared()
    assert not report.passed
    assert isinstance(report.message, Worded)
    assert (report.message.kind, report.message.about) == ("blank", (1, 2, 3, 4))


def test_nan_on_one_side_is_a_fault() -> None:
    report = linear(change=lambda made: (made[0], jnp.where(made[1] < 2.6, jnp.nan, made[1]))).compared()
    assert report.cause == "special"


def drawing(training: Training) -> Training:
    model = training.torch_state[0]

    def step(x: Any, y: Any) -> Any:
        return training.torch_step(x + torch.randn_like(x), y)

    return Training(step, training.jax_step, (model, training.torch_state[1]), training.jax_state, training.batches)


def counting(training: Training) -> Training:
    steps = [0]

    def step(x: Any, y: Any) -> Any:
        steps[0] += 1
        return training.torch_step(x * steps[0], y)

    return Training(step, training.jax_step, training.torch_state, training.jax_state, training.batches)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"torch_step": 3}, "torch_step: got int"),
        ({"torch_step": lambda x, y: None}, "torch_step: it returned NoneType, expected the loss"),
        ({"torch_step": lambda x, y: x.no}, "torch_step: it raised AttributeError"),
        ({"torch_step": lambda x, y: (x - y[:, :1]).mean()}, r"torch_step: it calls no backward\(\)"),
        ({"jax_step": lambda state, x, y: state}, "jax_step: "),
        (
            {"jax_step": lambda state, x, y: (state[0], x.mean())},
            "jax_step: the state that it returns has another structure",
        ),
        ({"jax_step": lambda state, x, y: (state, x)}, r"jax_step: it returned a loss of shape \(8, 3\)"),
        ({"jax_step": lambda state, x, y: (state, {"value": x})}, "jax_step: it returned no loss"),
        ({"jax_step": lambda state, x, y: 1 / 0}, "jax_step: jax.make_jaxpr raises ZeroDivisionError"),
        ({"jax_step": lambda state, x, y: (state, x.mean())}, "jax_state: none of its arrays"),
        ({"torch_state": ()}, "torch_state: got no optimiser"),
        ({"torch_state": (torch.nn.Linear(3, 2),)}, "torch_state: got no optimiser"),
        ({"torch_state": (3,)}, "torch_state: got int in it"),
        ({"jax_state": {}}, "jax_state: got no arrays"),
        ({"batches": []}, "batches: got none"),
        ({"batches": 3}, "batches: got int"),
        ({"batches": [np.ones(3)]}, "batches: got ndarray as batch 1"),
        ({"jax_batches": [[np.ones((8, 3)), np.ones((8, 2))]]}, "jax_batches: got 1 steps, expected 4"),
        ({"controls": -1}, "controls: got -1"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_message(change: dict[str, Any], message: str) -> None:
    training = linear()
    given: dict[str, Any] = {
        "torch_step": training.torch_step,
        "jax_step": training.jax_step,
        "batches": training.batches,
        "torch_state": training.torch_state,
        "jax_state": training.jax_state,
        "controls": 0,
    }
    with pytest.raises(UsageError, match=message):
        compare_training(**given | change)


@pytest.mark.parametrize(
    ("training", "message"),
    [(drawing, "it draws random numbers"), (counting, "two runs from the same state give two losses")],
)
def test_a_step_that_cannot_be_repeated_is_refused(training: Callable[[Training], Training], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        training(linear()).compared()
