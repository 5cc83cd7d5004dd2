"""The encoder in flax.nnx."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State, layers_of
from zoo.encoder import HEADS


class Block(nnx.Module):
    def __init__(self, state: State, path: str, eps: float, approximate: bool) -> None:
        self.norm1 = of_nnx.layer_norm(state, f"{path}.norm1", eps)
        self.attention = of_nnx.multihead(state, f"{path}.attention", HEADS)
        self.norm2 = of_nnx.layer_norm(state, f"{path}.norm2", eps)
        self.fc1 = of_nnx.linear(state, f"{path}.fc1")
        self.fc2 = of_nnx.linear(state, f"{path}.fc2")
        self.approximate = approximate

    def __call__(self, x: Any, mask: Any) -> Any:
        x = x + self.attention(self.norm1(x), mask=mask)
        return x + self.fc2(jax.nn.gelu(self.fc1(self.norm2(x)), approximate=self.approximate))


class Encoder(nnx.Module):
    def __init__(self, state: State, eps: float, approximate: bool) -> None:
        self.tokens = of_nnx.embed(state, "tokens")
        self.positions = of_nnx.embed(state, "positions")
        self.blocks = nnx.List(Block(state, f"blocks.{i}", eps, approximate) for i in layers_of(state, "blocks"))
        self.norm = of_nnx.layer_norm(state, "norm", eps)
        self.head = of_nnx.linear(state, "head")

    def __call__(self, ids: Any, padding: Any) -> Any:
        x = self.tokens(ids) + self.positions(jnp.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x, ~padding[:, None, None, :])
        x = self.norm(x)
        seen = ~padding[..., None]
        return x, self.head((x * seen).sum(1) / seen.sum(1))


def port(state: State, *, eps: float = 1e-5, approximate: bool = False) -> Port:
    return Port(Encoder(state, eps, approximate))
