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
