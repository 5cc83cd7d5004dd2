"""Bugs of reinforcement learning: the target actions of cleanrl's TD3, and a loss of Stable Baselines Jax (SBX)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from zoo.architecture import normals

from field.records import Bug, Functions

Array = Any
TRANSITIONS, ACTIONS = 8, 3
NOISE, CLIP, GAMMA = 0.2, 0.5, 0.99
LOW, HIGH = -2.0, 2.0
SCALE = (HIGH - LOW) / 2
TARGET = -float(ACTIONS)


# the actions of TD3's target, smoothed by given random numbers


def torch_actions(pre: Any, noise: Any) -> Any:
    """``pre`` is what the actor's last layer gives."""
    clipped = (noise * NOISE).clamp(-CLIP, CLIP) * SCALE
    return (torch.tanh(pre) * SCALE + clipped).clamp(LOW, HIGH)


def jax_actions(pre: Array, noise: Array, *, of_each: bool) -> Array:
    drawn = noise if of_each else noise[0]
    clipped = jnp.clip(drawn * NOISE, -CLIP, CLIP)
    if of_each:
        clipped = clipped * SCALE
    return jnp.clip(jnp.tanh(pre) * SCALE + clipped, LOW, HIGH)


def target_actions(*, of_each: bool) -> Functions:
    given = normals(1, (TRANSITIONS, ACTIONS), (TRANSITIONS, ACTIONS))
    return Functions(torch_actions, lambda *some: jax_actions(*some, of_each=of_each), given)


# the loss by which SAC learns how much entropy counts


def torch_entropy_loss(log_coefficient: Any, log_prob: Any) -> Any:
    return -(log_coefficient * (log_prob + TARGET).detach()).mean()


def jax_entropy_loss(log_coefficient: Array, log_prob: Array, *, logarithm: bool) -> Array:
    entropy = -jax.lax.stop_gradient(log_prob).mean()
    coefficient = log_coefficient if logarithm else jnp.exp(log_coefficient)
    return (coefficient * (entropy - TARGET)).mean()


def entropy_loss(*, logarithm: bool) -> Functions:
    log_prob = normals(2, (TRANSITIONS,))[0] - 1
    given = [np.array([0.4], np.float32), log_prob]
    return Functions(torch_entropy_loss, lambda *some: jax_entropy_loss(*some, logarithm=logarithm), given)


BUGS = (
    Bug(
        name="cleanrl_target_noise",
        project="vwxyzjn/cleanrl",
        place="https://github.com/vwxyzjn/cleanrl/pull/285",
        what="All transitions of a batch share the noise of one action, which is not scaled to the range of actions.",
        shows="training",
        right=lambda: target_actions(of_each=True),
        wrong=lambda: target_actions(of_each=False),
        cause=(
            r"\bnoise\b",
            r"\bthe first (everywhere|for all)\b|\b(row 0|one row|broadcast)",
            r"\bscale",
            r"\bmultipl\w+ (with|by) 2\b|\bfactor (of )?2\b",
        ),
    ),
    Bug(
        name="sbx_entropy_loss",
        project="araffin/sbx",
        place="https://github.com/araffin/sbx/pull/56",
        what="The loss has the coefficient of the entropy where SB3 has its logarithm.",
        shows="training",
        right=lambda: entropy_loss(logarithm=True),
        wrong=lambda: entropy_loss(logarithm=False),
        cause=(r"\bexp(onential)?\b", r"\blog(arithm)?\b"),
    ),
)
