"""A bug of the AdamW baseline of mlcommons/algorithmic-efficiency: its schedule."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F
from zoo.architecture import state_of
from zoo.of_linen import dense

from field.of_algoperf import PROJECT, random_model
from field.records import Bug, Trainings

Array = Any
STEPS = 8


class Hyperparameters(NamedTuple):
    learning_rate: float = 0.02
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.1
    warmup_factor: float = 0.25
    warmup_steps: int = 2


STEP_HINT = 16
START = 1e-10


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        return self.head(F.relu(self.hidden(x)))


class LinenPerceptron(linen.Module):
    @linen.compact
    def __call__(self, x: Array) -> Array:
        return linen.Dense(4, name="head")(linen.relu(linen.Dense(8, name="hidden")(x)))


def torch_schedule(optimizer: torch.optim.Optimizer, warmup: int) -> Any:
    linear = torch.optim.lr_scheduler.LinearLR(optimizer, START, 1.0, total_iters=warmup)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(STEP_HINT - warmup, 1))
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [linear, cosine], [warmup])


def jax_schedule(rate: float, warmup: int) -> optax.Schedule:
    """It begins a little above 0, as torch's does; ``optax.linear_schedule`` would lose that in float32."""

    def linear(count: Array) -> Array:
        return rate * (START + (1 - START) * jnp.minimum(count / warmup, 1))

    return optax.join_schedules([linear, optax.cosine_decay_schedule(rate, max(STEP_HINT - warmup, 1))], [warmup])


def adamw(*, from_steps: bool) -> Trainings:
    """``from_steps`` takes torch's warm-up from ``warmup_steps``; JAX takes a share of all steps."""
    given = Hyperparameters()
    share = int(given.warmup_factor * STEP_HINT)
    model = random_model(Perceptron()).train()
    state = state_of(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), given.learning_rate, (given.beta1, given.beta2), eps=1e-8, weight_decay=given.weight_decay
    )
    scheduler = torch_schedule(optimizer, given.warmup_steps if from_steps else share)

    def torch_step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    schedule = jax_schedule(given.learning_rate, share)
    chain = optax.adamw(schedule, given.beta1, given.beta2, eps=1e-8, weight_decay=given.weight_decay)

    def jax_step(held: Any, x: Array, labels: Array) -> Any:
        params, inner = held

        def loss_of(params: Any) -> Array:
            logits = LinenPerceptron().apply({"params": params}, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        loss, gradients = jax.value_and_grad(loss_of)(params)
        told = {"loss": loss, "learning_rate": schedule(inner[-1].count)}
        updates, inner = chain.update(gradients, inner, params)
        return (optax.apply_updates(params, updates), inner), told

    params = {name: dense(state, name) for name in ("hidden", "head")}
    rng = np.random.default_rng(1)
    batches = [[rng.normal(size=(8, 6)).astype(np.float32), rng.integers(0, 4, 8)] for _ in range(STEPS)]
    return Trainings(torch_step, jax_step, batches, (model, optimizer, scheduler), (params, chain.init(params)))


BUGS = (
    Bug(
        name="algoperf_warmup_length",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/commit/bfea625c",
        what="PyTorch takes the length of the warm-up from another hyperparameter: 2 steps, where JAX has 4.",
        shows="training",
        right=lambda: adamw(from_steps=False),
        wrong=lambda: adamw(from_steps=True),
        cause=(r"warm", r"\b(reaches|peak|highest|maximum)\b.*\bstep"),
        where=r"rate|schedule",
    ),
)
