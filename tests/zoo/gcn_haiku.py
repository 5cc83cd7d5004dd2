"""The graph convolution in haiku."""

from typing import Any

import haiku as hk
import jax

from zoo import of_haiku
from zoo.architecture import Port, State
from zoo.gcn import LAYERS, WIDTHS, spread


def port(state: State, *, eps: float = 1e-5) -> Port:
    def graph(x: Any, edges: Any) -> Any:
        for i in range(LAYERS):
            h = spread(hk.Linear(WIDTHS[i + 1], name=f"fc_{i}")(x), edges)
            x = jax.nn.elu(hk.LayerNorm(-1, True, True, eps, name=f"norm_{i}")(h))
        return x, hk.Linear(3, name="head")(x.mean(0))

    params = {
        **{f"fc_{i}": of_haiku.linear(state, f"layers.{i}.fc") for i in range(LAYERS)},
        **{f"norm_{i}": of_haiku.layer_norm(state, f"layers.{i}.norm") for i in range(LAYERS)},
        "head": of_haiku.linear(state, "head"),
    }
    return Port(hk.without_apply_rng(hk.transform(graph)).apply, params)
