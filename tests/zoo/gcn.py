"""A graph convolution: features of nodes and a list of edges in, features of nodes and one vector of the graph out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

from zoo.architecture import Architecture, Port, State, normals, of_layer
from zoo.plain import Array, Params, layer_norm, linear, linear_of, norm_of

NODES, EDGES, WIDTHS = 7, 12, (8, 16, 16)
LAYERS = len(WIDTHS) - 1


class Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.norm = nn.LayerNorm(outputs)
        self.act = nn.ELU()

    def forward(self, x: Any, edges: Any) -> Any:
        sources, targets = edges
        degrees = torch.ones(len(x), dtype=x.dtype).index_add(0, targets, torch.ones(len(targets), dtype=x.dtype))
        scale = degrees.rsqrt()[:, None]
        h = self.fc(x) * scale
        return self.act(self.norm((h + torch.zeros_like(h).index_add(0, targets, h[sources])) * scale))


class Graph(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Convolution(WIDTHS[i], WIDTHS[i + 1]) for i in range(LAYERS))
        self.head = nn.Linear(WIDTHS[-1], 3)

    def forward(self, x: Any, edges: Any) -> Any:
        for layer in self.layers:
            x = layer(x, edges)
        return x, self.head(x.mean(0))


def params_of(state: State) -> Params:
    return {
        "layers": [
            {"fc": linear_of(state, f"layers.{i}.fc"), "norm": norm_of(state, f"layers.{i}.norm")} for i in range(LAYERS)
        ],
        "head": linear_of(state, "head"),
    }


def degrees_of(targets: Array, nodes: int, dtype: Any) -> Array:
    """How many edges end at each node, and one more: its own."""
    return 1 + jax.ops.segment_sum(jnp.ones(targets.shape, dtype), targets, nodes)


def spread(
    h: Array, edges: Array, *, degrees: Callable[..., Array] = degrees_of, gather: Callable[..., Array] = jax.ops.segment_sum
) -> Array:
    """The features of each node and of those that have an edge to it, by D^-1/2 (A + I) D^-1/2."""
    sources, targets = edges
    scale = jax.lax.rsqrt(degrees(targets, len(h), h.dtype))[:, None]
    h = h * scale
    return (h + gather(h[sources], targets, len(h))) * scale


def convolution(
    p: Params,
    x: Array,
    edges: Array,
    *,
    norm: Callable[..., Array] = layer_norm,
    act: Callable[[Array], Array] = jax.nn.elu,
    **options: Any,
) -> Array:
    return act(norm(p["norm"], spread(linear(p["fc"], x), edges, **options)))


def graph(
    p: Params, x: Array, edges: Array, *, pool: Callable[[Array], Array] = lambda x: x.mean(0), **layers: Any
) -> tuple[Array, Array]:
    for i, own in enumerate(p["layers"]):
        x = convolution(own, x, edges, **of_layer(layers, i))
    return x, linear(p["head"], pool(x))


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x, edges: graph(p, x, edges, **options), params_of(state))


def inputs(seed: int) -> list[Any]:
    edges = np.random.default_rng(seed).integers(0, NODES, (2, EDGES)).astype(np.int32)
    return [*normals(seed, (NODES, WIDTHS[0])), edges]


ARCHITECTURE = Architecture("gcn", Graph, inputs, plain, ("haiku", "nnx"))
