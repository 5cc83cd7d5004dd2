"""Bugs of trainings: a loss of microbatches in levanter, and a weight decay of norms in jaxformer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import nn
from torch.nn import functional as F
from zoo.architecture import state_of
from zoo.plain import layer_norm, linear, linear_of

from field.of_algoperf import random_model
from field.records import Bug, Trainings

Array = Any
Params = Any
WORDS, WIDTH, LAYERS, LENGTH, BATCH, STEPS = 17, 10, 3, 6, 4, 5
MICROBATCHES = 2
RATE, DECAY, EPS = 1e-2, 0.1, 1e-5


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, eps=EPS)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        return x + self.down(F.silu(self.up(self.norm(x))))


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def stacked_params(state: Any) -> Params:
    """The layers' parameters are stacked, for ``jax.lax.scan``."""
    layers = [
        {
            "norm": {kind: jnp.asarray(state[f"blocks.{k}.norm.{kind}"]) for kind in ("weight", "bias")},
            **{name: linear_of(state, f"blocks.{k}.{name}") for name in ("up", "down")},
        }
        for k in range(LAYERS)
    ]
    return {
        "embed": jnp.asarray(state["embed.weight"]),
        "blocks": jax.tree.map(lambda *some: jnp.stack(some), *layers),
        "head": linear_of(state, "head"),
    }


def jax_language(p: Params, ids: Array) -> Array:
    def block(x: Array, own: Params) -> Any:
        y = linear(own["up"], layer_norm(own["norm"], x, eps=EPS))
        return x + linear(own["down"], jax.nn.silu(y)), None

    return linear(p["head"], jax.lax.scan(block, p["embed"][ids], p["blocks"])[0])


def batches(masked: bool) -> list[list[np.ndarray]]:
    """Tokens, those that follow, and which of these count."""
    rng = np.random.default_rng(1)
    given = []
    for _ in range(STEPS):
        ids = rng.integers(0, WORDS, (BATCH, LENGTH + 1), np.int32)
        lengths = rng.integers(1, LENGTH + 1, (BATCH, 1)) if masked else np.full((BATCH, 1), LENGTH)
        given.append([ids[:, :-1].copy(), ids[:, 1:].copy(), (np.arange(LENGTH) < lengths).astype(np.float32)])
    return given


# gradients accumulated over microbatches


def accumulated(*, of_all: bool) -> Trainings:
    """The loss of a microbatch is a sum that is divided by the tokens of all, or a mean of its own."""
    model = random_model(Language()).train()
    params = stacked_params(state_of(model))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)

    def torch_step(ids: Any, wanted: Any, mask: Any) -> Any:
        optimizer.zero_grad()
        losses = F.cross_entropy(model(ids).flatten(0, 1), wanted.flatten().long(), reduction="none")
        loss = (losses * mask.flatten()).sum() / mask.sum()
        loss.backward()
        optimizer.step()
        return loss

    transform = optax.adamw(RATE, weight_decay=0.0)

    def jax_step(state: Any, ids: Array, wanted: Array, mask: Array) -> Any:
        own, held = state

        def loss_of(p: Params, ids: Array, wanted: Array, seen: Array) -> Array:
            losses = optax.softmax_cross_entropy_with_integer_labels(jax_language(p, ids), wanted)
            return (losses * seen).sum() / (mask.sum() if of_all else seen.sum())

        def accumulated(carry: Any, batch: Any) -> Any:
            return jax.tree.map(jnp.add, carry, jax.value_and_grad(loss_of)(own, *batch)), None

        micro = jax.tree.map(lambda x: x.reshape(MICROBATCHES, -1, *x.shape[1:]), (ids, wanted, mask))
        start = (jnp.zeros((), mask.dtype), jax.tree.map(jnp.zeros_like, own))
        loss, grads = jax.lax.scan(accumulated, start, micro)[0]
        if not of_all:
            loss, grads = jax.tree.map(lambda x: x / MICROBATCHES, (loss, grads))
        updates, held = transform.update(grads, held, own)
        return (optax.apply_updates(own, updates), held), loss

    start = (params, transform.init(params))
    return Trainings(torch_step, jax_step, batches(True), (model, optimizer), start)


# a weight decay of matrices


def decayed(axes: int) -> Trainings:
    """What has more than ``axes`` axes is decayed in JAX: the stacked layers have one more."""
    model = random_model(Language()).train()
    params = stacked_params(state_of(model))
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)

    def torch_step(ids: Any, wanted: Any, mask: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(ids).flatten(0, 1), wanted.flatten().long())
        loss.backward()
        optimizer.step()
        return loss

    mask_of = {name: jax.tree.map(lambda x: x.ndim > 1, params[name]) for name in ("embed", "head")}
    mask_of["blocks"] = jax.tree.map(lambda x: x.ndim > axes, params["blocks"])
    transform = optax.adamw(RATE, weight_decay=DECAY, mask=mask_of)

    def jax_step(state: Any, ids: Array, wanted: Array, mask: Array) -> Any:
        own, held = state

        def loss_of(p: Params) -> Array:
            return optax.softmax_cross_entropy_with_integer_labels(jax_language(p, ids), wanted).mean()

        loss, grads = jax.value_and_grad(loss_of)(own)
        updates, held = transform.update(grads, held, own)
        return (optax.apply_updates(own, updates), held), loss

    start = (params, transform.init(params))
    return Trainings(torch_step, jax_step, batches(False), (model, optimizer), start)


BUGS = (
    Bug(
        name="levanter_accumulated_mask",
        project="marin-community/levanter",
        place="https://github.com/marin-community/levanter/pull/842",
        what="The loss is a mean over the microbatches of means over their tokens, of which some have more than others.",
        shows="training",
        right=lambda: accumulated(of_all=True),
        wrong=lambda: accumulated(of_all=False),
        cause=(r"\bmask", r"\bmicro-?batch", r"\bdivi(de|des|ded|sion|sor)\b", r"\bmeans?\b", r"\bnormali[sz]"),
        where=r"loss",
    ),
    Bug(
        name="jaxformer_decay_of_norms",
        project="salesforce/jaxformer",
        place="https://github.com/salesforce/jaxformer/issues/28",
        what="The scales and biases of the stacked layers are decayed, since they have two axes.",
        shows="training",
        right=lambda: decayed(2),
        wrong=lambda: decayed(1),
        cause=(r"weight.?decay", r"\bdecay"),
        where=r"optimi[sz]er|parameters|norm|blocks",
    ),
)
