"""A loss that is made of those of parts of the batch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from facts import assert_facts, facts_of
from torch import nn
from trained import Training

from crosscheck import Fact

RATE = 0.1


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

    params = {name: jnp.asarray(tensor.detach().numpy().copy()) for name, tensor in model.named_parameters()}
    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(12, 3)), rng.normal(size=12), rng.uniform(size=12)] for _ in range(2)]
    return Training(torch_step, jax_step, (model, optimizer), (params, transform.init(params)), batches)


@pytest.mark.parametrize(
    ("cut", "facts"),
    [
        (lambda of, batch: of(*batch), ()),
        (
            lambda of, batch: sum(of(*(array[4 * k : 4 * k + 4] for array in batch)) for k in range(3)) / 3,
            (Fact("microbatches", "mean", jax="3", where="4 rows each"),),
        ),
        (
            lambda of, batch: of(*(array[::2] for array in batch)) + of(*(array[1::2] for array in batch)),
            (Fact("microbatches", "sum", jax="2", where="every second row in one"),),
        ),
    ],
)
def test_a_loss_of_parts_of_the_batch_is_named(cut: Any, facts: tuple[Fact, ...]) -> None:
    report = accumulated(cut).compared()
    assert report.passed == (not facts), report
    assert_facts(facts_of(report), *facts)
    assert [(fault.part, fault.step) for fault in report.faults] == [("loss", 1)] * len(facts)
