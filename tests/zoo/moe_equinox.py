"""The mixture of experts in equinox: one expert whose arrays are stacked, and which is mapped over."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from zoo import of_equinox
from zoo.architecture import Port, State
from zoo.moe import EXPERTS, LAYERS, gates_of


class Expert(eqx.Module):
    fc1: eqx.nn.Linear
    fc2: eqx.nn.Linear

    def __init__(self, state: State, path: str) -> None:
        self.fc1 = of_equinox.linear(state, f"{path}.fc1")
        self.fc2 = of_equinox.linear(state, f"{path}.fc2")

    def __call__(self, x: Any) -> Any:
        return self.fc2(jax.nn.silu(self.fc1(x)))


class Block(eqx.Module):
    norm: eqx.nn.LayerNorm
    router: eqx.nn.Linear
    experts: Expert
    gates: Callable[[Any], Any]

    def __init__(self, state: State, path: str, gates: Callable[[Any], Any]) -> None:
        self.norm = of_equinox.layer_norm(state, f"{path}.norm")
        self.router = of_equinox.linear(state, f"{path}.mixture.router")
        self.experts = of_equinox.stacked([Expert(state, f"{path}.mixture.experts.{i}") for i in range(EXPERTS)])
        self.gates = gates

    def __call__(self, x: Any) -> Any:
        h = self.norm(x)
        y = eqx.filter_vmap(lambda expert: expert(h))(self.experts)
        return x + self.gates(self.router(h)) @ y


class Sparse(eqx.Module):
    blocks: list[Block]
    head: eqx.nn.Linear

    def of_token(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def __call__(self, x: Any) -> Any:
        return jax.vmap(jax.vmap(self.of_token))(x)


def port(state: State, *, gates: Callable[[Any], Any] = gates_of) -> Port:
    blocks = [Block(state, f"blocks.{i}", gates) for i in range(LAYERS)]
    return Port(Sparse(blocks, of_equinox.linear(state, "head")))
