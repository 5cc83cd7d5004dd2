"""Two trainings, step by step: right ones agree, and each mistake is found in its part, at its step, in its tensor."""

import copy
import dataclasses
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from facts import assert_facts, facts_of
from trained import Training, images, sequences, transformer
from trained_linear import RATE, linear
from trained_mistakes import MISTAKES

from crosscheck import Fact, TrainingReport


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_right_training_agrees_in_each_dtype(dtype: str) -> None:
    report = linear(dtype=dtype).compared(controls=2)
    assert report.passed, report
    assert report.cause is None
    assert report.steps == len(report.errors) == 4
    assert set(report.errors[0]) == {"loss", "gradients", "parameters"}
    assert report.drift is not None
    assert report.drift.times < 16


def test_a_step_may_ask_for_its_gradients_while_another_thread_asks_for_some() -> None:
    training = linear()
    model, optimizer = training.torch_state

    def of_another_thread() -> None:
        x = torch.ones((), requires_grad=True)
        torch.autograd.grad(3 * x, x)

    def torch_step(x: Any, y: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(of_another_thread).exception() is None
        loss = ((model(x) - y) ** 2).mean()
        parameters = list(model.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(inputs=parameters, outputs=loss), strict=True):
            parameter.grad = gradient
        optimizer.step()
        return loss

    report = dataclasses.replace(training, torch_step=torch_step).compared(controls=1)
    assert report.passed, report


@pytest.mark.slow
@pytest.mark.parametrize(("training", "steps"), [(transformer, 100), (images, 200)])
def test_hundreds_of_steps_agree(training: Callable[[int], Training], steps: int) -> None:
    report = training(steps).compared(controls=4)
    assert report.passed, report
    assert max(error for step in report.errors for error in step.values()) < 1e-6
    assert all(match.matched for match in report.weights if match.compared)


def test_enough_mistakes_are_planted() -> None:
    assert len(MISTAKES) >= 25
    assert {mistake.part for mistake in MISTAKES} == {
        *("data", "model", "loss", "gradients", "clipping", "schedule", "optimiser", "statistics")
    }


def test_both_sides_are_left_as_they_were() -> None:
    training = linear(optimizer=partial(torch.optim.Adam, lr=RATE), tx=optax.adam(RATE))
    model, optimizer = training.torch_state
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    training.compared(controls=1)
    after = model.state_dict(), optimizer.state_dict()
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1] == after[1]
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.full
def test_a_sum_that_jax_trains_moves_half_as_far_as_what_torch_adds_up() -> None:
    report = sequences().compared()
    assert [fault.part for fault in report.faults] == ["optimiser"], report
    assert_facts(report.faults[0].facts, Fact("summed"))
    assert all(match.matched for match in report.weights if match.compared)


def test_a_parameter_without_a_partner_is_not_certified() -> None:
    training = linear()
    params, held = training.jax_state

    def jax_step(state: Any, x: Any, y: Any) -> Any:
        """With the bias as the sum of two arrays."""
        params, held = state
        whole = {"w": params["w"], "b": params["b"] + params["more"]}
        (new, held), loss = training.jax_step((whole, held), x, y)
        moved = new["b"] - whole["b"]
        return ({"w": new["w"], "b": params["b"] + moved / 2, "more": params["more"] + moved / 2}, held), loss

    state = ({"w": params["w"], "b": params["b"] / 2, "more": params["b"] / 2}, held)
    report = Training(training.torch_step, jax_step, training.torch_state, state, training.batches).compared()
    assert not report.passed
    assert (report.faults[-1].part, report.faults[-1].cause) == ("parameters", "missing")
    assert len(report.errors) == 1


def test_another_start_is_told_and_the_steps_are_judged_all_the_same() -> None:
    def moved(training: Training) -> TrainingReport:
        params, held = training.jax_state
        state = (jax.tree.map(lambda weight: weight + 0.01, params), held)
        return Training(training.torch_step, training.jax_step, training.torch_state, state, training.batches).compared()

    report = moved(linear())
    assert [(fault.part, fault.step) for fault in report.faults] == [("start", 1)]
    assert "bias" in report.faults[0].tensor
    assert len(report.errors) == 4
    assert all(match.matched and match.difference for match in report.weights)
    assert [fault.part for fault in moved(linear(tx=optax.sgd(2 * RATE))).faults] == ["start", "schedule"]


@pytest.mark.parametrize(
    ("left", "right"),
    [(True, False), (1234567, 8)],
)
def test_numbers_of_a_batch_that_differ_are_told_whatever_they_are(left: Any, right: Any) -> None:
    training = linear(1)

    def torch_step(x: Any, y: Any, extra: Any) -> Any:
        return training.torch_step(x * (1 + extra.sum() % 5), y)

    def jax_step(state: Any, x: Any, y: Any, extra: Any) -> Any:
        return training.jax_step(state, x * (1 + extra.sum() % 5), y)

    batches, others = ([[*training.batches[0], np.array([value, left, left])]] for value in (left, right))
    made = Training(torch_step, jax_step, training.torch_state, training.jax_state, batches)
    (fault,) = made.compared(jax_batches=others).faults
    assert fault.part == "data"
    assert_facts(fault.facts, Fact("batch numbers", torch=str(left), jax=str(right), where=" at [0]"))


def test_gradients_that_jax_alone_adds_up_are_told() -> None:
    def accumulated(tx: optax.GradientTransformation) -> optax.GradientTransformation:
        def update(updates: Any, state: Any, params: Any = None) -> Any:
            total = jax.tree.map(jnp.add, state[0], updates)
            updates, held = tx.update(total, state[1], params)
            return updates, (total, held)

        return optax.GradientTransformation(lambda params: (jax.tree.map(jnp.zeros_like, params), tx.init(params)), update)

    report = linear(tx=accumulated(optax.sgd(RATE))).compared()
    (fault,) = report.faults
    assert (fault.part, fault.step) == ("clipping", 2)
    assert_facts(fault.facts, Fact("accumulated"))


def test_batches_may_have_several_sizes() -> None:
    assert linear(5, sizes=(8, 8, 3)).compared().passed


def test_a_part_that_is_right_is_not_blamed_for_one_that_is_wrong() -> None:
    wrong = linear(change=lambda made: (made[0], made[1] * 3), tx=optax.sgd(2 * RATE)).compared()
    assert [fault.part for fault in wrong.faults] == ["loss", "schedule"]
    assert_facts(facts_of(wrong), Fact("loss times", jax="3"), Fact("rate", torch="0.1", jax="0.2"))


def test_gradients_that_are_added_up_over_steps_and_an_average_of_the_model_agree() -> None:
    model = torch.nn.Linear(3, 2)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    class Count:
        """Which step it is; the optimiser makes its own after every second one."""

        number = 0

        def state_dict(self) -> dict[str, int]:
            return {"number": self.number}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.number = state["number"]

    count = Count()

    def torch_step(batch: Any) -> Any:
        loss = ((model(batch["x"]) - batch["y"]) ** 2).mean()
        (loss / 2).backward()
        count.number += 1
        if count.number % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
            average.update_parameters(model)
        return loss.item()

    tx = optax.MultiSteps(optax.adam(RATE), 2)

    def jax_step(state: Any, batch: Any) -> Any:
        params, held = state
        loss, grads = jax.value_and_grad(lambda p: ((batch["x"] @ p["w"].T + p["b"] - batch["y"]) ** 2).mean())(params)
        updates, held = tx.update(grads, held, params)
        return (optax.apply_updates(params, updates), held), loss

    params = {"w": jnp.asarray(model.weight.detach().numpy()), "b": jnp.asarray(model.bias.detach().numpy())}
    batches = [[dict(zip("xy", batch, strict=True))] for batch in linear(6).batches]
    state = (params, tx.init(params))
    training = Training(torch_step, jax_step, (model, optimizer, count, average), state, batches)
    report = training.compared(controls=1)
    assert report.passed, (report.story(), report.drift)


def test_an_option_of_one_group_of_parameters_is_named() -> None:
    def grouped(parameters: Any) -> torch.optim.Optimizer:
        weight, bias = parameters
        return torch.optim.AdamW([{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}], lr=RATE, weight_decay=0.1)

    report = linear(optimizer=grouped, tx=optax.adamw(RATE, weight_decay=0.1)).compared()
    option = Fact("option", role="weight_decay", torch="0.0", jax="0.1", near="for its group 2 of parameters")
    assert_facts(facts_of(report), option)


def test_what_the_step_returns_beside_the_loss_is_judged() -> None:
    def values(made: Any) -> Any:
        return made[0], {"loss": made[1], "learning_rate": jnp.float32(0.2)}

    report = linear(change=values).compared()
    assert report.first is not None
    assert report.first.tensor == "learning rate"


def test_a_side_that_is_inaccurate_in_the_dtype_is_named() -> None:
    def cancelling(made: Any) -> Any:
        return made[0], jax.lax.optimization_barrier(made[1] + 1e5) - 1e5

    report = linear(change=cancelling).compared()
    assert (report.cause, report.side) == ("inaccurate", "jax")


def test_an_optimiser_that_is_not_understood_is_judged_by_what_it_makes() -> None:
    class Own(torch.optim.SGD):
        """SGD that keeps something, as many do."""

        def step(self, closure: Any = None) -> Any:
            for parameter in self.param_groups[0]["params"]:
                self.state[parameter]["memory"] = parameter.detach() * 2
            return super().step(closure)

    report = linear(optimizer=partial(Own, lr=RATE)).compared()
    assert report.passed
    assert any("memory" in note for note in report.notes)
    assert not linear(optimizer=partial(Own, lr=RATE), tx=optax.sgd(0.05)).compared().passed


def test_the_report_is_written_and_drawn(tmp_path: Path) -> None:
    report = linear(tx=optax.sgd(0.05)).compared(controls=1)
    report.to_json(tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert data["schema"] == "crosscheck.training/1"
    assert data["summary"]["part"] == "schedule"
    assert [fact["kind"] for fact in data["faults"][0]["facts"]] == ["rate"]
    assert data["drift"]["runs"] == 1
    assert len(report.plot().axes) == 2
    for text in (str(report), report.markdown(), report.story()):
        assert "learning rate is 0.05" in " ".join(text.split())
    assert len(report.story().splitlines()) < 30
