"""A vision transformer: patches by convolution, a class token, learned positions; queries, keys and values of one matrix."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import torch
from torch import nn

from zoo.architecture import Architecture, Port, State, channels_last, normals, of_layer
from zoo.plain import (
    Array,
    Params,
    conv,
    conv_of,
    gelu,
    layer_norm,
    linear,
    linear_of,
    merge_heads,
    norm_of,
    softmax_attention,
    split_heads,
)

WIDTH, HEADS, LAYERS = 16, 4, 2


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, tokens, -1))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.attention = Attention()
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.fc1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.norm1(x))
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))


class VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, WIDTH))
        self.positions = nn.Parameter(torch.zeros(5, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(len(x), 1, -1), x), 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def params_of(state: State) -> Params:
    return {
        "patches": conv_of(state, "patches"),
        "token": jnp.asarray(state["token"]),
        "positions": jnp.asarray(state["positions"]),
        "blocks": [
            {
                "norm1": norm_of(state, f"blocks.{i}.norm1"),
                "attention": {name: linear_of(state, f"blocks.{i}.attention.{name}") for name in ("qkv", "out")},
                "norm2": norm_of(state, f"blocks.{i}.norm2"),
                "fc1": linear_of(state, f"blocks.{i}.fc1"),
                "fc2": linear_of(state, f"blocks.{i}.fc2"),
            }
            for i in range(LAYERS)
        ],
        "norm": norm_of(state, "norm"),
        "head": linear_of(state, "head"),
    }


norm_6 = partial(layer_norm, eps=1e-6)


def attention(
    p: Params,
    x: Array,
    *,
    attend: Callable[..., Array] = softmax_attention,
    split: Callable[[Array, int], Array] = split_heads,
    merge: Callable[[Array], Array] = merge_heads,
) -> Array:
    q, k, v = (split(part, HEADS) for part in jnp.split(linear(p["qkv"], x), 3, -1))
    return linear(p["out"], merge(attend(q, k, v)))


def block(
    p: Params,
    x: Array,
    *,
    norm1: Callable[..., Array] = norm_6,
    norm2: Callable[..., Array] = norm_6,
    act: Callable[[Array], Array] = gelu,
    **options: Any,
) -> Array:
    x = x + attention(p["attention"], norm1(p["norm1"], x), **options)
    return x + linear(p["fc2"], act(linear(p["fc1"], norm2(p["norm2"], x))))


def vision_transformer(
    p: Params,
    x: Array,
    *,
    flatten: Callable[[Array], Array] = lambda x: x.reshape(len(x), -1, WIDTH),
    pool: Callable[[Array], Array] = lambda x: x[:, 0],
    **blocks: Any,
) -> Array:
    x = flatten(conv(p["patches"], x, stride=4))
    token = jnp.broadcast_to(p["token"], (len(x), 1, WIDTH))
    x = jnp.concatenate((token, x), 1) + p["positions"]
    for i, own in enumerate(p["blocks"]):
        x = block(own, x, **of_layer(blocks, i))
    return linear(p["head"], pool(norm_6(p["norm"], x)))


def plain(state: State, **options: Any) -> Port:
    return Port(jax.jit(lambda p, x: vision_transformer(p, x, **options)), params_of(state), channels_last)


def inputs(seed: int) -> list[Any]:
    return normals(seed, (2, 3, 8, 8))


ARCHITECTURE = Architecture("vit", VisionTransformer, inputs, plain, ("equinox", "linen"))
