"""A transformer encoder: ids and a mask of the padding in, features and logits out."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

from zoo.architecture import Architecture, Port, State, layers_of, of_layer
from zoo.plain import (
    Array,
    Params,
    embedding,
    gelu,
    layer_norm,
    linear,
    linear_of,
    multihead,
    multihead_of,
    norm_of,
)

HEADS = 4
LAYERS = 2


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: Any, padding: Any) -> Any:
        h = self.norm1(x)
        x = x + self.attention(h, h, h, key_padding_mask=padding, need_weights=False)[0]
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))


class Encoder(nn.Module):
    def __init__(self, layers: int = LAYERS, width: int = 16) -> None:
        super().__init__()
        self.tokens = nn.Embedding(17, width)
        self.positions = nn.Embedding(12, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3)

    def forward(self, ids: Any, padding: Any) -> Any:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x, padding)
        x = self.norm(x)
        seen = ~padding[..., None]
        return x, self.head((x * seen).sum(1) / seen.sum(1))


def params_of(state: State) -> Params:
    return {
        "tokens": norm_of(state, "tokens"),
        "positions": norm_of(state, "positions"),
        "blocks": [
            {
                "norm1": norm_of(state, f"blocks.{i}.norm1"),
                "attention": multihead_of(state, f"blocks.{i}.attention"),
                "norm2": norm_of(state, f"blocks.{i}.norm2"),
                "fc1": linear_of(state, f"blocks.{i}.fc1"),
                "fc2": linear_of(state, f"blocks.{i}.fc2"),
            }
            for i in layers_of(state, "blocks")
        ],
        "norm": norm_of(state, "norm"),
        "head": linear_of(state, "head"),
    }


def block(
    p: Params,
    x: Array,
    mask: Array,
    *,
    norm1: Callable[..., Array] = layer_norm,
    norm2: Callable[..., Array] = layer_norm,
    attention: Callable[..., Array] = multihead,
    act: Callable[[Array], Array] = gelu,
    second: Callable[[Array, Array], Array] = lambda _before, x: x,
) -> Array:
    """The option ``second`` says what the second residual is taken of: the block's input, or what came after attention."""
    before = x
    x = x + attention(p["attention"], norm1(p["norm1"], x), mask, HEADS)
    return second(before, x) + linear(p["fc2"], act(linear(p["fc1"], norm2(p["norm2"], x))))


def masked_mean(x: Array, seen: Array) -> Array:
    return (x * seen).sum(1) / seen.sum(1)


def encoder(
    p: Params,
    ids: Array,
    padding: Array,
    *,
    first_position: int = 0,
    pool: Callable[[Array, Array], Array] = masked_mean,
    **blocks: Any,
) -> tuple[Array, Array]:
    positions = first_position + jnp.arange(ids.shape[1])
    x = embedding(p["tokens"], ids) + embedding(p["positions"], positions)
    mask = ~padding[:, None, None, :]
    for i, own in enumerate(p["blocks"]):
        x = block(own, x, mask, **of_layer(blocks, i))
    x = layer_norm(p["norm"], x)
    return x, linear(p["head"], pool(x, ~padding[..., None]))


def plain(state: State, **options: Any) -> Port:
    return Port(jax.jit(lambda p, ids, padding: encoder(p, ids, padding, **options)), params_of(state))


def inputs(seed: int) -> list[Any]:
    ids = np.random.default_rng(seed).integers(0, 17, (3, 7)).astype(np.int32)
    lengths = np.array([7, 5, 4])
    return [ids, np.arange(7) >= lengths[:, None]]


ARCHITECTURE = Architecture("encoder", Encoder, inputs, plain, ("nnx", "haiku"), float32_inside=("nnx",))
TWELVE = replace(ARCHITECTURE, torch=partial(Encoder, 12, 24))
"""As many layers as a real one has, and heads of 6, by whose root no float divides without rounding."""
