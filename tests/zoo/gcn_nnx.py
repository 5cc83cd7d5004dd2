"""The graph convolution in flax.nnx."""

from typing import Any

import jax
from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State
from zoo.gcn import LAYERS, spread


class Convolution(nnx.Module):
    def __init__(self, state: State, path: str, eps: float) -> None:
        self.fc = of_nnx.linear(state, f"{path}.fc")
        self.norm = of_nnx.layer_norm(state, f"{path}.norm", eps)

    def __call__(self, x: Any, edges: Any) -> Any:
        return jax.nn.elu(self.norm(spread(self.fc(x), edges)))


class Graph(nnx.Module):
    def __init__(self, state: State, eps: float) -> None:
        self.layers = nnx.List(Convolution(state, f"layers.{i}", eps) for i in range(LAYERS))
        self.head = of_nnx.linear(state, "head")

    def __call__(self, x: Any, edges: Any) -> Any:
        for layer in self.layers:
            x = layer(x, edges)
        return x, self.head(x.mean(0))


def port(state: State, *, eps: float = 1e-5) -> Port:
    return Port(Graph(state, eps))
