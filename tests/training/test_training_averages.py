"""Averages of the weights that a training keeps: judged by themselves, each mistake named, and never passed over."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts, facts_of, kind_of

import crosscheck
from crosscheck import Fact, TrainingReport

RATE, KEPT, STEPS = 0.1, 0.9, 4


class Shadow:
    """An average in a dict of its own, as many trainers write it."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.count, self.shadow = 0, {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def update_parameters(self, model: torch.nn.Module) -> None:
        self.count += 1
        for name, parameter in model.named_parameters():
            self.shadow[name].mul_(KEPT).add_(parameter.detach(), alpha=1 - KEPT)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "shadow": self.shadow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count, self.shadow = state["count"], state["shadow"]


def exponential(model: torch.nn.Module) -> Any:
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(KEPT)
    return torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=average)


def compared(
    average: Callable[[torch.nn.Module], Any] = Shadow,
    *,
    kept: float | Callable[[Any], Any] = KEPT,
    late: bool = False,
    rate: float = RATE,
    name: str = "ema",
    listed: bool = True,
    in_jax: bool = True,
) -> TrainingReport:
    """A linear model with an average. The other arguments are mistakes of the JAX side, or leave an average out."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    held = average(model)

    def torch_step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        held.update_parameters(model)
        return loss

    def loss_of(p: Any, x: Any, y: Any) -> Any:
        return ((x @ p["weight"].T + p["bias"] - y) ** 2).mean()

    def jax_step(state: Any, x: Any, y: Any) -> Any:
        params, count = state["params"], state["count"]
        loss, gradients = jax.value_and_grad(loss_of)(params, x, y)
        new = jax.tree.map(lambda weight, by: weight - rate * by, params, gradients)
        share = kept(count) if callable(kept) else kept
        after = {"params": new, "count": count + 1}
        if in_jax:
            source = params if late else new
            after[name] = jax.tree.map(lambda old, now: share * old + (1 - share) * now, state[name], source)
        return after, loss

    params = {key: jnp.asarray(parameter.detach().numpy()) for key, parameter in model.named_parameters()}
    state = {"params": params, "count": jnp.zeros((), jnp.int32)}
    if in_jax:
        state[name] = jax.tree.map(jnp.array, params)
    random = np.random.default_rng(0)
    batches = [[random.normal(size=(5, 3)), random.normal(size=(5, 2))] for _ in range(STEPS)]
    objects = (model, optimizer, held) if listed else (model, optimizer)
    return crosscheck.compare_training(torch_step, jax_step, batches, torch_state=objects, jax_state=state, controls=0)


def of_count(count: Any) -> Any:
    """What ``AveragedModel`` keeps: nothing at its first step, which copies the weights."""
    return jnp.where(count == 0, 0.0, KEPT)


def as_mean(count: Any) -> Any:
    return count / (count + 1)


@pytest.mark.parametrize(
    ("average", "kept"),
    [(Shadow, KEPT), (exponential, of_count), (torch.optim.swa_utils.AveragedModel, as_mean)],
)
@pytest.mark.parametrize("name", ["ema", "slow"])
def test_a_right_average_is_compared(average: Callable[..., Any], kept: Any, name: str) -> None:
    report = compared(average, kept=kept, name=name)
    assert report.passed, report
    assert "averages" in report.errors[0]
    assert not report.notes


@pytest.mark.parametrize(
    ("mistake", "fact"),
    [
        ({"kept": 0.99}, Fact("average kept", torch="0.9", jax="0.99")),
        ({"late": True}, Fact("averaged", torch="after", jax="before")),
        ({"kept": 1.0}, Fact("still average", role="JAX")),
        ({"average": exponential, "kept": KEPT}, Fact("average kept", torch="0", jax="0.9")),
    ],
)
def test_a_wrong_average_is_named(mistake: dict[str, Any], fact: Fact) -> None:
    report = compared(**mistake)
    assert [fault.part for fault in report.faults] == ["average"], report
    assert_facts(facts_of(report), fact)


@pytest.mark.full
def test_an_average_is_judged_beside_a_wrong_optimiser() -> None:
    assert [fault.part for fault in compared(rate=RATE / 2).faults] == ["schedule"]
    both = compared(rate=RATE / 2, kept=0.99)
    assert [fault.part for fault in both.faults] == ["schedule", "average"], both
    assert_facts(both.faults[1].facts, Fact("average kept", jax="0.99"))


@pytest.mark.parametrize(
    ("sides", "kind"),
    [({"in_jax": False}, "average without partner"), ({"listed": False}, "only in JAX")],
)
def test_an_average_that_one_side_lacks_is_said_to_be_not_compared(sides: dict[str, Any], kind: str) -> None:
    report = compared(**sides)
    assert report.passed, report
    assert kind in map(kind_of, report.notes), report.notes
