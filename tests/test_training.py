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
from sampled import sampled
from trained import MISTAKES, Mistake, Training, images, sequences, transformer

from crosscheck import TrainingReport, UsageError, compare_training

RATE = 0.1


def descent(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=RATE)


def linear(
    steps: int = 4,
    *,
    change: Callable[[Any], Any] = lambda values: values,
    optimizer: Callable[[Any], torch.optim.Optimizer] = descent,
    tx: optax.GradientTransformation | None = None,
    dtype: str = "float32",
    sizes: tuple[int, ...] = (8,),
) -> Training:
    """A linear layer; ``change`` is done to what JAX's step returns."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2).to(getattr(torch, dtype))
    made = optimizer(model.parameters())
    tx = tx or optax.sgd(RATE)

    def torch_step(x: Any, y: Any) -> Any:
        made.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        made.step()
        return loss

    def jax_step(state: Any, x: Any, y: Any) -> Any:
        params, held = state
        loss, grads = jax.value_and_grad(lambda p: ((x @ p["w"].T + p["b"] - y) ** 2).mean())(params)
        updates, held = tx.update(grads, held, params)
        return change(((optax.apply_updates(params, updates), held), loss))

    def array(one: Any) -> Any:
        return jnp.asarray(one.detach().float().numpy(), dtype)

    with jax.enable_x64(dtype == "float64"):
        params = {"w": array(model.weight), "b": array(model.bias)}
        state = (params, tx.init(params))
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(size, 3)), rng.normal(size=(size, 2))] for size in (sizes * steps)[:steps]]
    return Training(torch_step, jax_step, (model, made), state, batches)


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
        for one, gradient in zip(parameters, torch.autograd.grad(inputs=parameters, outputs=loss), strict=True):
            one.grad = gradient
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


def found(report: TrainingReport, mistake: Mistake) -> bool:
    first = report.first
    return (
        first is not None
        and (first.part, first.step) == (mistake.part, mistake.step)
        and mistake.words in first.explanation
        and mistake.tensor in first.tensor
        and tuple(one.part for one in report.faults[1:]) == mistake.beside
    )


QUICK = "rate halved one step late"


@pytest.mark.parametrize(
    "mistake",
    [pytest.param(one, id=one.kind, marks=() if one.kind == QUICK else sampled(k)) for k, one in enumerate(MISTAKES)],
)
def test_a_mistake_is_found_in_its_part_at_its_step(mistake: Mistake) -> None:
    report = mistake.training().compared()
    assert found(report, mistake), report
    assert not report.passed


def test_enough_mistakes_are_planted() -> None:
    assert len(MISTAKES) >= 25
    assert {one.part for one in MISTAKES} == {
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
    assert all(one.grad is None for one in model.parameters())


@pytest.mark.full
def test_a_sum_that_jax_trains_moves_half_as_far_as_what_torch_adds_up() -> None:
    report = sequences().compared()
    assert [one.part for one in report.faults] == ["optimiser"], report
    assert "JAX trains the sum of" in report.faults[0].explanation
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
        state = (jax.tree.map(lambda one: one + 0.01, params), held)
        return Training(training.torch_step, training.jax_step, training.torch_state, state, training.batches).compared()

    report = moved(linear())
    assert [(one.part, one.step) for one in report.faults] == [("start", 1)]
    assert "bias" in report.faults[0].tensor
    assert len(report.errors) == 4
    assert all(match.matched and match.difference for match in report.weights)
    assert [one.part for one in moved(linear(tx=optax.sgd(2 * RATE))).faults] == ["start", "schedule"]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [(True, False, "first False for PyTorch's True at [0]"), (1234567, 8, "first 8 for PyTorch's 1234567 at [0]")],
)
def test_numbers_of_a_batch_that_differ_are_told_whatever_they_are(one: Any, other: Any, said: str) -> None:
    training = linear(1)

    def torch_step(x: Any, y: Any, extra: Any) -> Any:
        return training.torch_step(x * (1 + extra.sum() % 5), y)

    def jax_step(state: Any, x: Any, y: Any, extra: Any) -> Any:
        return training.jax_step(state, x * (1 + extra.sum() % 5), y)

    batches, others = ([[*training.batches[0], np.array([value, one, one])]] for value in (one, other))
    made = Training(torch_step, jax_step, training.torch_state, training.jax_state, batches)
    (fault,) = made.compared(jax_batches=others).faults
    assert (fault.part, said in fault.explanation) == ("data", True), fault


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
    assert "JAX gives its optimiser the sum of all gradients so far" in fault.explanation


def test_batches_may_have_several_sizes() -> None:
    assert linear(5, sizes=(8, 8, 3)).compared().passed


def test_a_part_that_is_right_is_not_blamed_for_one_that_is_wrong() -> None:
    wrong = linear(change=lambda made: (made[0], made[1] * 3), tx=optax.sgd(2 * RATE)).compared()
    assert [one.part for one in wrong.faults] == ["loss", "schedule"]
    assert "3 times" in wrong.faults[0].explanation
    assert "0.2, PyTorch's 0.1" in wrong.faults[1].explanation


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
    assert report.first is not None
    assert "with weight_decay=0.1 in PyTorch's group 2 of parameters, which has 0.0" in report.first.explanation


@pytest.mark.parametrize(("norm", "added"), [(0.05, True), (0.0499999, False)])
def test_what_pytorch_adds_to_a_norm_is_told_from_another_norm(norm: float, added: bool) -> None:
    def clipped(parameters: Any) -> torch.optim.Optimizer:
        held = list(parameters)
        made = torch.optim.SGD(held, lr=RATE, momentum=0.9)
        made.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(held, 0.05) and None)
        return made

    tx = optax.chain(optax.clip_by_global_norm(norm), optax.sgd(RATE, momentum=0.9))
    training = linear(optimizer=clipped, tx=tx)
    for batch in training.batches:
        batch[1] *= 0.2
    report = training.compared()
    assert report.first is not None
    assert report.first.part == "clipping"
    assert ("adds 1e-06 to the norm" in report.first.explanation) == added


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
            for one in self.param_groups[0]["params"]:
                self.state[one]["memory"] = one.detach() * 2
            return super().step(closure)

    report = linear(optimizer=partial(Own, lr=RATE)).compared()
    assert report.passed
    assert any("memory" in note for note in report.notes)
    assert not linear(optimizer=partial(Own, lr=RATE), tx=optax.sgd(0.05)).compared().passed


def test_nan_in_a_step_is_said_and_the_run_goes_on() -> None:
    training = linear(5)
    training.batches[2][1][0, 0] = np.nan
    report = training.compared(controls=1)
    assert len(report.errors) == 5
    assert any("not finite from step 3 on" in note for note in report.notes)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("first", "compared"), [(3, {"loss", "gradients", "parameters"}), (1, set())])
def test_a_step_at_which_nothing_is_finite_is_not_agreement(first: int, compared: set[str], value: float) -> None:
    training = linear(5)
    training.batches[first - 1][0][:] = value
    report = training.compared(controls=1)
    assert not report.passed
    assert report.cause is None
    assert report.headline.startswith("FAILED")
    assert f"NaN or infinite on both sides at {6 - first} of 5 steps, first at step {first}" in report.headline
    assert set().union(*report.errors) == compared
    assert report.errors[first - 1 :] == ({},) * (6 - first)
    assert report.data()["summary"]["message"] in report.headline


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
    assert "at 4 of 4 steps" in report.headline


def test_nan_on_one_side_is_a_fault() -> None:
    report = linear(change=lambda made: (made[0], jnp.where(made[1] < 2.6, jnp.nan, made[1]))).compared()
    assert report.cause == "special"


def test_the_report_is_written_and_drawn(tmp_path: Path) -> None:
    report = linear(tx=optax.sgd(0.05)).compared(controls=1)
    report.to_json(tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert data["schema"] == "crosscheck.training/1"
    assert data["summary"]["part"] == "schedule"
    assert data["drift"]["runs"] == 1
    assert len(report.plot().axes) == 2
    for text in (str(report), report.markdown(), report.story()):
        assert "learning rate is 0.05" in " ".join(text.split())
    assert len(report.story().splitlines()) < 30


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
    one = linear()
    given: dict[str, Any] = {
        "torch_step": one.torch_step,
        "jax_step": one.jax_step,
        "batches": one.batches,
        "torch_state": one.torch_state,
        "jax_state": one.jax_state,
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
