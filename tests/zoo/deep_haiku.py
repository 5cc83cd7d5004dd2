"""The sixty layers in haiku, which numbers modules of one name: ``layer``, ``layer_1``, ``layer_2``."""

from typing import Any

import haiku as hk
import jax.numpy as jnp

from zoo import of_haiku
from zoo.architecture import Port, State
from zoo.deep import GAIN, LAYERS, WIDTH


class Layer(hk.Module):
    def __call__(self, x: Any) -> Any:
        return jnp.tanh(GAIN * hk.Linear(WIDTH, name="fc")(hk.LayerNorm(-1, True, True, name="norm")(x)))


def port(state: State) -> Port:
    def deep(x: Any) -> Any:
        for _ in range(LAYERS):
            x = Layer()(x)
        return hk.Linear(3, name="head")(x)

    params = {"head": of_haiku.linear(state, "head")}
    for i in range(LAYERS):
        path = f"layer_{i}" if i else "layer"
        params[f"{path}/norm"] = of_haiku.layer_norm(state, f"layers.{i}.norm")
        params[f"{path}/fc"] = of_haiku.linear(state, f"layers.{i}.fc")
    return Port(hk.without_apply_rng(hk.transform(deep)).apply, params)
