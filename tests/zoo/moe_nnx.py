"""The mixture of experts in flax.nnx: each expert is a module of its own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State
from zoo.moe import EXPERTS, LAYERS, gates_of


class Expert(nnx.Module):
    def __init__(self, state: State, path: str) -> None:
        self.fc1 = of_nnx.linear(state, f"{path}.fc1")
        self.fc2 = of_nnx.linear(state, f"{path}.fc2")

    def __call__(self, x: Any) -> Any:
        return self.fc2(jax.nn.silu(self.fc1(x)))


class Block(nnx.Module):
    def __init__(self, state: State, path: str, gates: Callable[[Any], Any]) -> None:
        self.norm = of_nnx.layer_norm(state, f"{path}.norm")
        self.router = of_nnx.linear(state, f"{path}.mixture.router")
        self.experts = nnx.List(Expert(state, f"{path}.mixture.experts.{i}") for i in range(EXPERTS))
        self.gates = gates

    def __call__(self, x: Any) -> Any:
        h = self.norm(x)
        y = jnp.stack([expert(h) for expert in self.experts], -1)
        return x + (y * self.gates(self.router(h))[..., None, :]).sum(-1)


class Sparse(nnx.Module):
    def __init__(self, state: State, gates: Callable[[Any], Any]) -> None:
        self.blocks = nnx.List(Block(state, f"blocks.{i}", gates) for i in range(LAYERS))
        self.head = of_nnx.linear(state, "head")

    def __call__(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def port(state: State, *, gates: Callable[[Any], Any] = gates_of) -> Port:
    return Port(Sparse(state, gates))
