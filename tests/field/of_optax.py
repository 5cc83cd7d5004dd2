"""Bugs of optax and of eformer: AMSGrad's maximum, an update of Rprop that is one step old, and a cosine with a warm-up."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import torch

from field.records import Bug, Optimizers

Array = Any
Tree = Any
RATE, STEPS, WARM_UP = 1e-2, 12, 3


# AMSGrad


class AmsgradState(NamedTuple):
    count: Array
    mu: Tree
    nu: Tree
    nu_max: Tree


def scale_by_amsgrad(b1: float, b2: float, eps: float, *, maximum_first: bool) -> optax.GradientTransformation:
    """The maximum is one of second moments before or after the correction of their bias."""

    def init(params: Tree) -> AmsgradState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return AmsgradState(jnp.zeros([], jnp.int32), zeros, zeros, zeros)

    def update(updates: Tree, state: AmsgradState, params: Tree = None) -> Any:
        del params
        count = state.count + 1
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(updates, state.nu, b2, 2)
        corrected = nu if maximum_first else optax.tree.bias_correction(nu, b2, count)
        nu_max = jax.tree.map(jnp.maximum, state.nu_max, corrected)
        used = optax.tree.bias_correction(nu_max, b2, count) if maximum_first else nu_max
        mu_hat = optax.tree.bias_correction(mu, b1, count)
        updates = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu_hat, used)
        return updates, AmsgradState(count, mu, nu, nu_max)

    return optax.GradientTransformation(init, update)


def amsgrad(*, maximum_first: bool) -> Optimizers:
    return Optimizers(
        lambda params: torch.optim.Adam(params, lr=RATE, betas=(0.9, 0.99), eps=1e-8, amsgrad=True),
        optax.chain(scale_by_amsgrad(0.9, 0.99, 1e-8, maximum_first=maximum_first), optax.scale_by_learning_rate(RATE)),
    )


# Rprop


class RpropState(NamedTuple):
    step_sizes: Tree
    previous: Tree


def scale_by_rprop(rate: float, *, fresh: bool) -> optax.GradientTransformation:
    """The step of each parameter grows while its gradient keeps its sign, and shrinks when the sign changes."""

    def init(params: Tree) -> RpropState:
        return RpropState(optax.tree.full_like(params, rate), optax.tree.zeros_like(params))

    def update(updates: Tree, state: RpropState, params: Tree = None) -> Any:
        del params
        sign = jax.tree.map(jnp.multiply, updates, state.previous)
        sizes = jax.tree.map(
            lambda s, size: jnp.where(s == 0, size, jnp.clip(size * jnp.where(s > 0, 1.2, 0.5), 1e-6, 50.0)),
            sign,
            state.step_sizes,
        )
        new = jax.tree.map(lambda s, g, size: jnp.where(s < 0, 0.0, size * jnp.sign(g)), sign, updates, sizes)
        stale = jax.tree.map(lambda s, old: jnp.where(s < 0, 0.0, old), sign, state.previous)
        return new if fresh else stale, RpropState(sizes, new)

    return optax.GradientTransformation(init, update)


def rprop(*, fresh: bool) -> Optimizers:
    return Optimizers(
        lambda params: torch.optim.Rprop(params, lr=RATE, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)),
        optax.chain(scale_by_rprop(RATE, fresh=fresh), optax.scale(-1.0)),
    )


# a schedule


def share(step: int) -> float:
    """Hugging Face's cosine with a warm-up."""
    if step < WARM_UP:
        return step / WARM_UP
    progress = min(1.0, (step - WARM_UP) / (STEPS - WARM_UP))
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))


def with_schedule(params: list[Any]) -> Any:
    optimizer = torch.optim.AdamW(params, lr=RATE, weight_decay=0.01)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def cosine(decay_steps: int) -> Optimizers:
    """optax counts the warm-up among the steps of the decay."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, WARM_UP, decay_steps, 0.0)
    return Optimizers(with_schedule, optax.adamw(schedule, weight_decay=0.01))


BUGS = (
    Bug(
        name="optax_amsgrad_maximum",
        project="google-deepmind/optax",
        place="https://github.com/google-deepmind/optax/issues/1389",
        what="AMSGrad takes the maximum of second moments whose bias is corrected, where PyTorch corrects the maximum.",
        shows="training",
        right=lambda: amsgrad(maximum_first=True),
        wrong=lambda: amsgrad(maximum_first=False),
        cause=(r"\bamsgrad\b", r"\bmax(imum)?\b", r"bias.?correct"),
    ),
    Bug(
        name="optax_rprop_stale",
        project="google-deepmind/optax",
        place="https://github.com/google-deepmind/optax/commit/e669c5b7",
        what="Rprop gives the update of the step before.",
        shows="training",
        right=lambda: rprop(fresh=True),
        wrong=lambda: rprop(fresh=False),
        cause=(r"\bone step (too )?(late|old|behind|later)\b", r"\bprevious\b", r"\bstep before\b"),
    ),
    Bug(
        name="eformer_cosine_steps",
        project="erfanzar/eformer",
        place="https://github.com/erfanzar/eformer/commit/e0c51dc",
        what="The steps of the warm-up are taken off the cosine twice.",
        shows="training",
        right=lambda: cosine(STEPS),
        wrong=lambda: cosine(STEPS - WARM_UP),
        cause=(r"\blearning rates?\b", r"\bschedule\b", r"\bcosine\b"),
    ),
)
