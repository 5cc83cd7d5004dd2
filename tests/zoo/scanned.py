"""Five equal blocks, which JAX scans over: each weight is stacked, with the layer as its first axis."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from torch import nn

from zoo.architecture import Architecture, Port, State, normals, part
from zoo.plain import Array, Params, gelu, layer_norm, linear, linear_of, norm_of

WIDTH, LAYERS = 16, 5


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.fc1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        return x + self.fc2(self.act(self.fc1(self.norm(x))))


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Any) -> Any:
        x = self.fc(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def block_of(state: State) -> Params:
    return {"norm": norm_of(state, "norm"), "fc1": linear_of(state, "fc1"), "fc2": linear_of(state, "fc2")}


def params_of(state: State) -> Params:
    blocks = [block_of(part(state, f"blocks.{i}")) for i in range(LAYERS)]
    stacked = jax.tree.map(lambda *layers: jnp.stack(layers), *blocks)
    return {"fc": linear_of(state, "fc"), "blocks": stacked, "head": linear_of(state, "head")}


def block(p: Params, x: Array, *, norm: Callable[..., Array] = layer_norm, act: Callable[[Array], Array] = gelu) -> Array:
    return x + linear(p["fc2"], act(linear(p["fc1"], norm(p["norm"], x))))


def stack(p: Params, x: Array, **options: Any) -> Array:
    def step(x: Array, own: Params) -> tuple[Array, None]:
        return jax.checkpoint(lambda own, x: block(own, x, **options))(own, x), None

    return linear(p["head"], lax.scan(step, linear(p["fc"], x), p["blocks"])[0])


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x: stack(p, x, **options), params_of(state))


def inputs(seed: int) -> list[Any]:
    return normals(seed, (4, 6))


ARCHITECTURE = Architecture("scanned", Stack, inputs, plain, ("linen", "nnx"))
