"""Training: optimiser steps, clipping, schedules, regularisers, samplers and their constants."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import torch

from pairs.records import Pair
from pairs.seeded import normals

step = normals((32,), (32,))
"""Parameters and their gradient."""


def state() -> list[Any]:
    """Parameters, gradient, first and second moment."""
    p, g, m, v = normals((32,), (32,), (32,), (32,))()
    return [p, g, 0.1 * m, 0.1 + 0.1 * v**2]


def small_state() -> list[Any]:
    """Gradients so small that the epsilon counts."""
    p, g, m, v = state()
    return [p, 1e-5 * g, 1e-5 * m, 1e-10 * v]


def differs(name: str, torch_fn: Any, jax_fn: Any, make: Any = step, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="definition", **rest)


def adam(
    m: Any, t: int = 5, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, lr: float = 0.01, decay: float = 0.0
) -> Any:
    """Step ``t`` of Adam, over the namespace ``m`` of either framework."""

    def update(p: Any, g: Any, mean: Any, square: Any) -> Any:
        mean, square = b1 * mean + (1 - b1) * g, b2 * square + (1 - b2) * g**2
        size = m.sqrt(square / (1 - b2**t)) + eps
        return p * (1 - lr * decay) - lr * mean / (1 - b1**t) / size

    return update


def adam_without_correction(p: Any, g: Any, mean: Any, square: Any) -> Any:
    return p - 0.01 * (0.9 * mean + 0.1 * g) / (jnp.sqrt(0.999 * square + 0.001 * g**2) + 1e-8)


def adam_with_epsilon_inside(p: Any, g: Any, mean: Any, square: Any) -> Any:
    mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
    return p - 0.01 * mean / (1 - 0.9**5) / jnp.sqrt(square / (1 - 0.999**5) + 1e-8)


def adam_with_epsilon_uncorrected(p: Any, g: Any, mean: Any, square: Any) -> Any:
    """The epsilon added before the correction of the second moment."""
    mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
    return p - 0.01 * np.sqrt(1 - 0.999**5) * mean / (1 - 0.9**5) / (jnp.sqrt(square) + 1e-8)


def adam_with_second_moment_only_corrected(p: Any, g: Any, mean: Any, square: Any) -> Any:
    mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
    return p - 0.01 * mean / (jnp.sqrt(square / (1 - 0.999**5)) + 1e-8)


def adam_of_coupled_decay(p: Any, g: Any, mean: Any, square: Any) -> Any:
    return adam(jnp)(p, g + 0.1 * p, mean, square)


def momentum(p: Any, g: Any, b: Any) -> Any:
    """torch's: the gradient enters with its full weight."""
    return p - 0.1 * (0.9 * b + g)


def clipped(p: Any, g: Any) -> Any:
    return p - g * torch.clamp(1 / (torch.linalg.vector_norm(g) + 1e-6), max=1)


def clipped_with_larger_epsilon(p: Any, g: Any) -> Any:
    return p - g * jnp.minimum(1 / (jnp.linalg.norm(g) + 1e-3), 1)


def clipped_by_value(p: Any, g: Any) -> Any:
    return p - jnp.clip(g, -1, 1)


def clipped_per_half(p: Any, g: Any) -> Any:
    """Each half of the gradient clipped by its own norm, not by that of the whole."""
    halves = (half / jnp.maximum(jnp.linalg.norm(half), 1) for half in jnp.split(g, 2))
    return p - jnp.concatenate(list(halves))


def cosine_schedule(m: Any, offset: int = 0, floor: float = 0.0, period: float = 100.0) -> Any:
    """Rates for the first 32 steps, times the parameters."""

    def rates(p: Any) -> Any:
        t = (m.arange(32) + offset) / period
        return p * (floor + (1 - floor) * 0.5 * (1 + m.cos(np.pi * t)))

    return rates


def warmed_up(p: Any) -> Any:
    return p * torch.clamp((torch.arange(32) + 1) / 16, max=1)


def warmed_up_from_zero(p: Any) -> Any:
    return p * jnp.minimum(jnp.arange(1, 33) / 17, 1)


def average(p: Any, old: Any) -> Any:
    return 0.99 * old + 0.01 * p


def diffused(p: Any, noise: Any) -> Any:
    return np.sqrt(0.7) * p + np.sqrt(0.3) * noise


vector = normals((32,))

PAIRS = [
    differs("adam-epsilon-inside-the-root", adam(torch), adam_with_epsilon_inside, small_state),
    differs("adam-epsilon", adam(torch), adam(jnp, eps=1e-7), small_state),
    differs("adam-epsilon-before-the-correction", adam(torch), adam_with_epsilon_uncorrected, small_state),
    differs("adam-without-bias-correction", adam(torch), adam_without_correction, state),
    differs("adam-first-moment-uncorrected", adam(torch), adam_with_second_moment_only_corrected, state),
    differs("adam-step-from-zero", adam(torch), adam(jnp, t=4), state),
    differs("adam-beta-of-two-digits", adam(torch), adam(jnp, b2=0.99), state),
    differs("adam-betas-swapped", adam(torch), adam(jnp, b1=0.999, b2=0.9), state),
    differs("adam-decay-coupled", adam(torch, decay=0.1), adam_of_coupled_decay, state),
    differs("adam-decay-not-scaled-by-the-rate", adam(torch, decay=0.1), adam(jnp, decay=10.0), state),
    differs("adam-step-from-zero-float64", adam(torch), adam(jnp, t=4), state, dtype="float64"),
    differs("momentum-damped", momentum, lambda p, g, b: p - 0.1 * (0.9 * b + 0.1 * g), normals((32,), (32,), (32,))),
    differs(
        "momentum-without-nesterov",
        lambda p, g, b: p - 0.1 * (g + 0.9 * (0.9 * b + g)),
        lambda p, g, b: p - 0.1 * (0.9 * b + g),
        normals((32,), (32,), (32,)),
    ),
    differs("momentum-of-the-rate", momentum, lambda p, g, b: p - (0.9 * b + 0.1 * g), normals((32,), (32,), (32,))),
    differs("descent-against-ascent", lambda p, g: p - 0.1 * g, lambda p, g: p + 0.1 * g),
    differs("decay-of-a-half", lambda p, g: p - 0.1 * (g + 0.01 * p), lambda p, g: p - 0.1 * (g + 0.005 * p)),
    differs(
        "rms-prop-epsilon-inside-the-root",
        lambda p, g: p - 0.01 * g / (torch.sqrt(0.1 * g**2 + 1e-6) + 1e-3),
        lambda p, g: p - 0.01 * g / jnp.sqrt(0.1 * g**2 + 1e-6 + 1e-3),
    ),
    differs("clip-epsilon", clipped, clipped_with_larger_epsilon),
    differs("clip-by-value-against-norm", clipped, clipped_by_value),
    differs("clip-each-half-against-the-whole", clipped, clipped_per_half),
    differs("cosine-schedule-off-by-one", cosine_schedule(torch), cosine_schedule(jnp, offset=1), vector),
    differs("cosine-schedule-without-its-floor", cosine_schedule(torch, floor=0.1), cosine_schedule(jnp), vector),
    differs("cosine-schedule-of-one-step-less", cosine_schedule(torch), cosine_schedule(jnp, period=99.0), vector),
    differs("warm-up-one-step-longer", warmed_up, warmed_up_from_zero, vector),
    differs("average-mirrored", average, lambda p, old: 0.99 * p + 0.01 * old),
    differs("diffusion-without-the-roots", diffused, lambda p, noise: 0.7 * p + 0.3 * noise),
    differs("l1-penalty-against-l2", lambda p: p.abs().sum(), lambda p: (p**2).sum(), vector),
    differs("l2-penalty-halved", lambda p: 0.5 * (p**2).sum(), lambda p: (p**2).sum(), vector),
    differs("mixup-mirrored", lambda a, b: 0.3 * a + 0.7 * b, lambda a, b: 0.7 * a + 0.3 * b),
    differs("reparametrised-with-the-variance", lambda a, b: a + torch.exp(b / 2), lambda a, b: a + jnp.exp(b)),
    differs(
        "kl-of-gaussians-sign-of-log",
        lambda a, b: 0.5 * (a**2 + b.exp() - b - 1).sum(),
        lambda a, b: 0.5 * (a**2 + jnp.exp(b) + b - 1).sum(),
    ),
    differs(
        "gaussian-density-without-its-constant",
        lambda p: torch.distributions.Normal(0.0, 1.0).log_prob(p),
        lambda p: -(p**2) / 2,
        vector,
    ),
    differs(
        "discount-off-by-one",
        lambda p: p * 0.9 ** torch.arange(32, dtype=p.dtype),
        lambda p: p * 0.9 ** jnp.arange(1, 33, dtype=p.dtype),
        vector,
    ),
]
