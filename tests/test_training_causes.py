"""Causes beside a model: weights that are not tied, and a part of the batch that JAX does not read."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch import nn
from trained import Training, mean_loss

WORDS, WIDTH, RATE = 11, 6, 0.1


class Words(nn.Module):
    """A table of words, whose transpose gives the logits. What is between is left out where the number drawn is small."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.inner = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids: Any, drawn: Any) -> Any:
        x = self.table(ids)
        return self.head(x + torch.tanh(self.inner(x)) if float(drawn[0]) > 0.5 else x)


def words(*, tied: bool = True, reads: bool = True) -> Training:
    model = Words()
    optimizer, transform = torch.optim.SGD(model.parameters(), RATE), optax.sgd(RATE)

    def torch_step(ids: Any, labels: Any, drawn: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(ids, drawn), labels)
        loss.backward()
        optimizer.step()
        return loss

    def jax_step(state: Any, ids: Any, labels: Any, drawn: Any) -> Any:
        def loss_of(p: Any) -> Any:
            x = p["table"][ids]
            y = x + jnp.tanh(x @ p["inner"].T + p["bias"])
            x = jnp.where(drawn[0] > 0.5, y, x) if reads else y
            return mean_loss(x @ (p["table"] if tied else p["head"]).T, labels)

        loss, gradients = jax.value_and_grad(loss_of)(state[0])
        updates, inner = transform.update(gradients, state[1])
        return (optax.apply_updates(state[0], updates), inner), loss

    named = {"table": model.table.weight, "inner": model.inner.weight, "bias": model.inner.bias}
    params = {name: jnp.asarray(one.detach().numpy().copy()) for name, one in named.items()}
    params |= {} if tied else {"head": params["table"]}
    rng = np.random.default_rng(0)
    drawn = [np.array([one], np.float32) for one in (0.9, 0.2)]
    batches = [[*rng.integers(0, WORDS, (2, 8)), one] for one in drawn]
    return Training(torch_step, jax_step, (model, optimizer), (params, transform.init(params)), batches)


def test_the_right_training_agrees() -> None:
    report = words().compared()
    assert report.passed, report.story()


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"tied": False}, r"gradients, from step 1 on.*PyTorch table.weight in both places, as tied weights"),
        (
            {"reads": False},
            r"model, at step 2.*loss does not depend on x2 of the batch, on which PyTorch's",
        ),
    ],
)
def test_the_cause_is_named(mistake: dict[str, Any], said: str) -> None:
    report = words(**mistake).compared()
    assert re.search(said, report.story()), report.story()


def decayed(norms: float, biases: float = 0.0) -> Training:
    """PyTorch decays matrices alone, by 0.037; JAX decays the scales of norms and the biases by these numbers too."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    matrices, others = ([one for one in model.parameters() if (one.ndim > 1) is many] for many in (True, False))
    optimizer = torch.optim.AdamW([{"params": others, "weight_decay": 0.0}, {"params": matrices}], 0.1, weight_decay=0.037)
    params = {name: jnp.asarray(one.detach().numpy().copy()) for name, one in model.named_parameters()}
    rates = {name: 0.037 if one.ndim > 1 else norms if name == "1.weight" else biases for name, one in params.items()}

    def add(updates: Any, state: Any, params: Any = None) -> Any:
        return {name: one + rates[name] * params[name] for name, one in updates.items()}, state

    decay = optax.GradientTransformation(lambda _: optax.EmptyState(), add)
    transform = optax.chain(optax.scale_by_adam(), decay, optax.scale_by_learning_rate(0.1))

    def torch_step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    def jax_step(state: Any, x: Any, labels: Any) -> Any:
        def loss_of(p: Any) -> Any:
            y = x @ p["0.weight"].T + p["0.bias"]
            y = jax.nn.standardize(y, -1, epsilon=1e-5) * p["1.weight"] + p["1.bias"]
            return mean_loss(y @ p["2.weight"].T + p["2.bias"], labels)

        loss, gradients = jax.value_and_grad(loss_of)(state[0])
        updates, inner = transform.update(gradients, state[1], state[0])
        return (optax.apply_updates(state[0], updates), inner), loss

    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(8, 3)), rng.integers(0, 2, 8)] for _ in range(3)]
    return Training(torch_step, jax_step, (model, optimizer), (params, transform.init(params)), batches)


@pytest.mark.parametrize(
    ("norms", "biases", "words"),
    [
        (0.0, 0.0, ""),
        (0.037, 0.0, r"weight_decay: 0\.037 in JAX, 0\.0 in PyTorch, for 1\.weight"),
        (0.0, 0.037, r"weight_decay: 0\.037 in JAX, 0\.0 in PyTorch, for 0\.bias, 1\.bias and 1 more"),
    ],
)
def test_some_parameters_have_the_option_of_another_group(norms: float, biases: float, words: str) -> None:
    report = decayed(norms, biases).compared()
    assert report.passed == (not words), report
    assert re.search(words, report.verdict), report


def accumulated(cut: Any) -> Training:
    """A regression whose rows have weights; JAX's loss is made of those of the parts that ``cut`` gives."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer, transform = torch.optim.SGD(model.parameters(), RATE), optax.sgd(RATE)

    def torch_step(x: Any, y: Any, weights: Any) -> Any:
        optimizer.zero_grad()
        loss = ((model(x)[:, 0] - y) ** 2 * weights).sum() / weights.sum()
        loss.backward()
        optimizer.step()
        return loss

    def jax_step(state: Any, *batch: Any) -> Any:
        def loss_of(p: Any) -> Any:
            def of(x: Any, y: Any, weights: Any) -> Any:
                return (((x @ p["weight"].T + p["bias"])[:, 0] - y) ** 2 * weights).sum() / weights.sum()

            return cut(of, batch)

        loss, gradients = jax.value_and_grad(loss_of)(state[0])
        updates, inner = transform.update(gradients, state[1])
        return (optax.apply_updates(state[0], updates), inner), loss

    params = {name: jnp.asarray(one.detach().numpy().copy()) for name, one in model.named_parameters()}
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(12, 3)), rng.normal(size=12), rng.uniform(size=12)] for _ in range(2)]
    return Training(torch_step, jax_step, (model, optimizer), (params, transform.init(params)), batches)


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (lambda of, batch: of(*batch), ""),
        (
            lambda of, batch: sum(of(*(one[4 * k : 4 * k + 4] for one in batch)) for k in range(3)) / 3,
            r"the loss, from step 1 on: JAX's loss is the mean of those of 3 microbatches \(4 rows each\)",
        ),
        (
            lambda of, batch: of(*(one[::2] for one in batch)) + of(*(one[1::2] for one in batch)),
            r"JAX's loss is the sum of those of 2 microbatches \(every second row in one\), PyTorch's is that of the batch",
        ),
    ],
)
def test_a_loss_of_parts_of_the_batch_is_named(cut: Any, words: str) -> None:
    report = accumulated(cut).compared()
    assert report.passed == (not words), report
    assert re.search(words, report.verdict), report.verdict
