"""The perceptron in plain JAX: a pytree of weights, a pure ``apply``, and a pure step of its training."""

from typing import Any

import jax
import jax.numpy as jnp

from crosscheck._catalogue.sigmoid import SIGMOID
from crosscheck._frameworks.jax_backend import scope
from crosscheck._training.perceptron.model import check_input
from crosscheck._training.records import Steps, TrainingSetup


def initialise(key: Any, input_dim: int, output_dim: int, *, dtype: Any = jnp.float32) -> dict[str, Any]:
    """Weights drawn from the distribution of ``torch.nn.Linear``: uniform in ±1/sqrt(input_dim), the bias too.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html, variables.
    """
    bound = input_dim**-0.5
    shapes = {"weight": (output_dim, input_dim), "bias": (output_dim,)}
    keys = jax.random.split(key)
    return {
        name: jax.random.uniform(k, shape, dtype, -bound, bound)
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def apply(weights: dict[str, Any], x: Any, *, logits: bool = False) -> Any:
    """The outputs (..., outputs) at one input (inputs,) or a batch (..., inputs); ``UsageError`` for another last axis."""
    check_input(x.shape, weights["weight"].shape[-1])
    z = x @ weights["weight"].T + weights["bias"]
    return z if logits else SIGMOID.jax(z)


def prepare(setup: TrainingSetup) -> Steps:
    """A step of ``optax.sgd`` on the whole batch, and the state that it starts from."""
    import optax  # the model does without it

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
