"""The perceptron in plain JAX: a pytree of weights and a pure ``apply``."""

from typing import Any

import jax
import jax.numpy as jnp

from crosscheck._catalogue.sigmoid import SIGMOID
from crosscheck._training.perceptron.model import check_input


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
