"""How modules of equinox get torch's weights; they take one example, without the batch."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from zoo.architecture import State, part

KEY = jax.random.key(0)
"""Of the initial weights, all of which are replaced."""


def carried(module: Any, **arrays: Any) -> Any:
    """The module with these arrays as its weights."""
    names = list(arrays)
    return eqx.tree_at(
        lambda one: [getattr(one, name) for name in names], module, [jnp.asarray(value) for value in arrays.values()]
    )


def linear(state: State, path: str) -> Any:
    """Equinox keeps torch's layout."""
    own = part(state, path)
    outputs, inputs = own["weight"].shape
    return carried(eqx.nn.Linear(inputs, outputs, use_bias="bias" in own, key=KEY), **own)


def layer_norm(state: State, path: str, eps: float = 1e-5) -> Any:
    own = part(state, path)
    return carried(eqx.nn.LayerNorm(own["weight"].shape, eps=eps), **own)


def conv(state: State, path: str, stride: int = 1, padding: int = 0) -> Any:
    """The bias has the axes of the image."""
    own = part(state, path)
    outputs, inputs, *size = own["weight"].shape
    module = eqx.nn.Conv2d(inputs, outputs, size, stride, padding, key=KEY)
    return carried(module, weight=own["weight"], bias=own["bias"][:, None, None])
