"""The training in JAX: a pure step."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from crosscheck._frameworks.jax_backend import scope
from crosscheck._training.perceptron.jax_model import apply
from crosscheck._training.records import Steps, TrainingSetup


def prepare(setup: TrainingSetup) -> Steps:
    """A step of ``optax.sgd`` on the whole batch, and the state that it starts from."""
    reduced = {"mean": jnp.mean, "sum": jnp.sum}[setup.reduction]
    optimizer = optax.sgd(setup.learning_rate)

    def objective(weights: Any, x: Any, y: Any) -> Any:
        return reduced(optax.sigmoid_binary_cross_entropy(apply(weights, x, logits=True), y))

    def step(state: Any, x: Any, y: Any) -> Any:
        weights, held, *before = state
        loss, gradient = jax.value_and_grad(objective)(weights, x, y)
        for previous in before:
            gradient = jax.tree.map(jnp.add, previous, gradient)
        updates, held = optimizer.update(gradient, held)
        return (optax.apply_updates(weights, updates), held, *(gradient for _ in before)), loss

    with scope(setup.dtype, "cpu"):
        weights = jax.tree.map(jnp.asarray, dict(setup.weights))
        before = () if setup.reset_gradient else (jax.tree.map(jnp.zeros_like, weights),)
        return step, (weights, optimizer.init(weights), *before)
