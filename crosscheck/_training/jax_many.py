"""Many trainings at once in JAX: one training, scanned over the epochs, mapped over all of them by ``vmap``."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from crosscheck._arithmetic.formats import FloatArray
from crosscheck._frameworks.jax_backend import scope
from crosscheck._training.jax_losses import binary_cross_entropy_with_logits
from crosscheck._training.jax_model import apply
from crosscheck._training.many_setup import Many
from crosscheck._training.records import Progress


def train_many(many: Many, progress: Progress | None = None) -> FloatArray:
    """The logits (trainings, points, outputs) after the last epoch."""
    with scope(str(many.x.dtype), "cpu"):
        arrays = jax.tree.map(jnp.asarray, (dict(many.weights), many.x, many.y))
        logits = _program(many.epochs)(*arrays, jnp.asarray(many.learning_rate, many.x.dtype))
        found = np.asarray(logits)
    if progress:
        progress("jax", many.epochs)
    return found


@functools.lru_cache(maxsize=4)
def _program(epochs: int) -> Any:
    """(weights, x, y, learning rate) -> logits. It is kept, so that the control is not compiled again."""

    def loss(weights: Any, x: Any, y: Any) -> Any:
        return binary_cross_entropy_with_logits(apply(weights, x, logits=True), y).mean()

    def one(weights: Any, x: Any, y: Any, learning_rate: Any) -> Any:
        optimizer = optax.sgd(learning_rate)

        def step(carry: Any, _: None) -> tuple[Any, None]:
            weights, state = carry
            updates, state = optimizer.update(jax.grad(loss)(weights, x, y), state)
            return (optax.apply_updates(weights, updates), state), None

        (weights, _), _ = jax.lax.scan(step, (weights, optimizer.init(weights)), length=epochs)
        return apply(weights, x, logits=True)

    return jax.jit(jax.vmap(one, in_axes=(0, None, 0, None)))
