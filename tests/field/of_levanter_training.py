"""Bugs of levanter's trainings: a bias too many, a schedule's boundary, and an update without the parameters."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import torch
from ported import weights_of
from torch.nn.functional import cross_entropy

from field.of_levanter import (
    LLAMA3,
    MINE,
    QWEN2,
    TOKENS,
    VOCABULARY,
    Array,
    Config,
    JaxDecoder,
    torch_decoder,
)
from field.records import Bug, Trainings

RATE, DECAY, STEPS = 1e-2, 0.1, 8
WARM_UP, STABLE, LEAST = 2, 3, 0.1


def torch_rate(step: int) -> float:
    """The share of the learning rate: a warm-up, a stable part, and a cosine."""
    if step < WARM_UP:
        return step / WARM_UP
    done = max(step - WARM_UP - STABLE, 0) / (STEPS - WARM_UP - STABLE)
    return LEAST + (1 - LEAST) * (1 + math.cos(math.pi * done)) / 2


def jax_rate(stable_until: int) -> optax.Schedule:
    """The same of optax's schedules, each of which counts from the boundary at which it starts."""
    parts = [
        optax.linear_schedule(0.0, RATE, WARM_UP),
        optax.constant_schedule(RATE),
        optax.cosine_decay_schedule(RATE, STEPS - WARM_UP - STABLE, LEAST),
    ]
    return optax.join_schedules(parts, [WARM_UP, stable_until])


def add_decay(rate: float) -> optax.GradientTransformation:
    """Decays the weights if it is given them."""

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        if params is not None:
            updates = jax.tree.map(lambda gradient, weight: gradient + rate * weight, updates, params)
        return updates, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def adam(learning_rate: Any) -> optax.GradientTransformation:
    return optax.chain(optax.scale_by_adam(), add_decay(DECAY), optax.scale(-1.0 * learning_rate))


def training(config: Config, *, stable_until: int = WARM_UP + STABLE, given: bool = True, **read: Any) -> Trainings:
    """AdamW with a schedule. The optimiser's update is ``given`` the parameters, or not."""
    model = torch_decoder(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, torch_rate)

    def torch_step(ids: Any, wanted: Any) -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(ids).flatten(0, 1), wanted.flatten())
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    port = JaxDecoder(weights_of(model), dataclasses.replace(config, **read))
    params, static = eqx.partition(port, eqx.is_array)
    transform = optax.inject_hyperparams(adam)(learning_rate=jax_rate(stable_until))

    def jax_step(state: Any, ids: Array, wanted: Array) -> Any:
        def loss_of(own: Any) -> Array:
            logits = eqx.combine(own, static)(ids)
            return optax.softmax_cross_entropy_with_integer_labels(logits, wanted).mean()

        own, held = state
        loss, grads = jax.value_and_grad(loss_of)(own)
        updates, held = transform.update(grads, held, own if given else None)
        values = {"loss": loss, "learning_rate": held.hyperparams["learning_rate"]}
        return (eqx.apply_updates(own, updates), held), values

    rng = np.random.default_rng(2)
    ids = [rng.integers(0, VOCABULARY, (4, TOKENS + 1)) for _ in range(STEPS)]
    batches = [[tokens[:, :-1].astype(np.int32), tokens[:, 1:].copy()] for tokens in ids]
    return Trainings(torch_step, jax_step, batches, (model, optimizer, scheduler), (params, transform.init(params)))


BUGS = (
    Bug(
        name="levanter_qwen2_bias",
        project="stanford-crfm/levanter",
        place=f"{MINE}/pull/1132",
        what="The projection of the attention's output has a bias, zero at the start, that Qwen2 does not have.",
        shows="training",
        right=lambda: training(QWEN2),
        wrong=lambda: training(QWEN2, output_bias=True),
        cause=(r"o_proj\.bias", r"\bbias\b"),
        where=r"parameters|start|model|gradients|o_proj",
    ),
    Bug(
        name="levanter_schedule_boundary",
        project="stanford-crfm/levanter",
        place=f"{MINE}/pull/813",
        what="The stable part of the schedule ends too early: its boundary is counted without the warm-up.",
        shows="training",
        right=lambda: training(LLAMA3),
        wrong=lambda: training(LLAMA3, stable_until=STABLE),
        cause=(r"learning.rate", r"schedule .*(step|early|earlier)"),
        where=r"schedule|learning.rate",
    ),
    Bug(
        name="levanter_update_without_params",
        project="stanford-crfm/levanter",
        place=f"{MINE}/commit/dcf7ebd6",
        what="The optimiser's update is not given the parameters, and does not decay them.",
        shows="training",
        right=lambda: training(LLAMA3),
        wrong=lambda: training(LLAMA3, given=False),
        cause=(r"weight.?decay", r"\bdecay"),
        where=r"optimi[sz]er|parameters",
    ),
)
