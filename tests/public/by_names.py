"""How a module of flax.nnx gets torch's weights, where its names are torch's but for the last word."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import torch
from flax import nnx

OURS = {"kernel": "weight", "scale": "weight", "embedding": "weight", "mean": "running_mean", "var": "running_var"}
"""torch's words for those of flax."""


def carried(model: Any, state: Mapping[str, torch.Tensor], *, stacked: str = "") -> Any:
    """The module with torch's values: matrices are turned over, kernels have their channels last.

    Layers under the path ``stacked`` have a first axis more in JAX, and a number each in torch's names.
    """
    graph, own = nnx.split(model)
    for path, leaf in own.flat_state():
        if not jnp.issubdtype(leaf.get_value().dtype, jnp.floating):
            continue
        *before, last = path
        names = [".".join(map(str, [*before, word])) for word in (last, OURS.get(last, last))]
        shape = leaf.get_value().shape
        if stacked and path[0] == stacked:
            layers = range(shape[0])
            values = [value_of(state, [n.replace(stacked, f"{stacked}.{i}", 1) for n in names], shape[1:]) for i in layers]
            leaf.set_value(jnp.stack(values))
        else:
            leaf.set_value(value_of(state, names, shape))
    return nnx.merge(graph, own)


def value_of(state: Mapping[str, torch.Tensor], names: Sequence[str], shape: tuple[int, ...]) -> jax.Array:
    """What torch holds by the first of the names that it knows, with its axes in flax's order: outputs last."""
    array = next(state[name] for name in names if name in state).detach().numpy()
    if array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
    elif array.ndim == 2:
        array = array.T
    return jnp.asarray(array.reshape(shape))
