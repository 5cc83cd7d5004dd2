"""How layers of haiku get torch's weights: each is a dict in the dict of parameters, by the path of its module."""

from typing import Any

import jax.numpy as jnp

from zoo.architecture import State
from zoo.plain import batch_norm_of, conv_of, linear_of, multihead_of, norm_of


def linear(state: State, path: str) -> dict[str, Any]:
    own = linear_of(state, path)
    return {"w": own["weight"], **({"b": own["bias"]} if "bias" in own else {})}


def layer_norm(state: State, path: str) -> dict[str, Any]:
    own = norm_of(state, path)
    return {"scale": own["weight"], "offset": own["bias"]}


def conv(state: State, path: str) -> dict[str, Any]:
    own = conv_of(state, path)
    return {"w": own["weight"], **({"b": own["bias"]} if "bias" in own else {})}


def batch_norm(state: State, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters, and the state: by their paths. All have the axes of the images."""
    own = {name: value.reshape(1, 1, 1, -1) for name, value in batch_norm_of(state, path).items()}
    averages = {
        f"{path}/~/{kind}_ema": {"average": own[kind], "hidden": own[kind], "counter": jnp.zeros((), jnp.int32)}
        for kind in ("mean", "var")
    }
    return {path: {"scale": own["scale"], "offset": own["bias"]}}, averages


def multihead(state: State, path: str) -> dict[str, Any]:
    """The layers of an attention by name; the last one has no name of its own."""
    own = multihead_of(state, path)
    names = {"query": "query", "key": "key", "value": "value", "linear": "out"}
    return {ours: {"w": own[name]["weight"], "b": own[name]["bias"]} for ours, name in names.items()}
