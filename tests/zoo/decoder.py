"""A decoder of language: RMSNorm, rotary positions, grouped queries, a gated feed-forward, tied embeddings."""

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
    linear,
    linear_of,
    merge_heads,
    norm_of,
    rms_norm,
    softmax_attention,
    split_heads,
)

VOCABULARY, WIDTH, HEADS, GROUPS, LAYERS = 23, 32, 4, 2, 2
HEAD = WIDTH // HEADS


def turn(x: Any, cos: Any, sin: Any) -> Any:
    """Each feature of the first half with its partner in the second half, by the angle of the position."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q = nn.Linear(WIDTH, HEADS * HEAD, bias=False)
        self.k = nn.Linear(WIDTH, GROUPS * HEAD, bias=False)
        self.v = nn.Linear(WIDTH, GROUPS * HEAD, bias=False)
        self.out = nn.Linear(HEADS * HEAD, WIDTH, bias=False)

    def forward(self, x: Any, cos: Any, sin: Any) -> Any:
        batch, tokens, _ = x.shape
        q = turn(self.q(x).view(batch, tokens, HEADS, HEAD).transpose(1, 2), cos, sin)
        k = turn(self.k(x).view(batch, tokens, GROUPS, HEAD).transpose(1, 2), cos, sin)
        v = self.v(x).view(batch, tokens, GROUPS, HEAD).transpose(1, 2)
        k, v = (heads.repeat_interleave(HEADS // GROUPS, 1) for heads in (k, v))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, tokens, -1))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(WIDTH, eps=1e-6)
        self.attention = Attention()
        self.norm2 = nn.RMSNorm(WIDTH, eps=1e-6)
        self.gate = nn.Linear(WIDTH, 2 * WIDTH, bias=False)
        self.act = nn.SiLU()
        self.up = nn.Linear(WIDTH, 2 * WIDTH, bias=False)
        self.down = nn.Linear(2 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Any, cos: Any, sin: Any) -> Any:
        x = x + self.attention(self.norm1(x), cos, sin)
        h = self.norm2(x)
        return x + self.down(self.act(self.gate(h)) * self.up(h))


class Decoder(nn.Module):
    def __init__(self, layers: int = LAYERS) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.norm = nn.RMSNorm(WIDTH, eps=1e-6)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Any) -> Any:
        x = self.tokens(ids)
        frequencies = 10000.0 ** (-torch.arange(0, HEAD, 2, dtype=torch.float64) / HEAD)
        angles = torch.arange(ids.shape[1], dtype=torch.float64)[:, None] * frequencies
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x))


def params_of(state: State) -> Params:
    """The embedding is the last matrix too: it is there once."""
    return {
        "tokens": norm_of(state, "tokens"),
        "blocks": [
            {
                "norm1": norm_of(state, f"blocks.{i}.norm1"),
                "attention": {name: linear_of(state, f"blocks.{i}.attention.{name}") for name in ("q", "k", "v", "out")},
                "norm2": norm_of(state, f"blocks.{i}.norm2"),
                **{name: linear_of(state, f"blocks.{i}.{name}") for name in ("gate", "up", "down")},
            }
            for i in layers_of(state, "blocks")
        ],
        "norm": norm_of(state, "norm"),
    }


def angles(tokens: int, *, first: int = 0, base: float = 10000.0) -> np.ndarray:
    """(token, feature of half a head), in float64 on the host: a table of constants."""
    return np.arange(first, first + tokens)[:, None] * base ** (-np.arange(0, HEAD, 2) / HEAD)


def rotate_halves(x: Array, angle: np.ndarray) -> Array:
    """Of (batch, token, head, feature)."""
    cos, sin = (jnp.asarray(f(angle), x.dtype)[:, None, :] for f in (np.cos, np.sin))
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), -1)


def causal(tokens: int) -> Array:
    """Which key (column) a query (row) sees."""
    return jnp.tril(jnp.ones((tokens, tokens), bool))


def repeat_groups(x: Array, times: int) -> Array:
    """Neighbouring heads of the queries share a head of the keys."""
    return jnp.repeat(x, times, axis=2)


def grouped_attention(
    p: Params,
    x: Array,
    *,
    rotate: Callable[[Array, np.ndarray], Array] = rotate_halves,
    first: int = 0,
    base: float = 10000.0,
    mask: Callable[[int], Array] = causal,
    repeat: Callable[[Array, int], Array] = repeat_groups,
    attend: Callable[..., Array] = softmax_attention,
) -> Array:
    tokens = x.shape[1]
    angle = angles(tokens, first=first, base=base)
    q = rotate(split_heads(linear(p["q"], x), HEADS), angle)
    k = rotate(split_heads(linear(p["k"], x), GROUPS), angle)
    v = split_heads(linear(p["v"], x), GROUPS)
    k, v = (repeat(heads, HEADS // GROUPS) for heads in (k, v))
    return linear(p["out"], merge_heads(attend(q, k, v, mask(tokens))))


def block(
    p: Params,
    x: Array,
    *,
    norm1: Callable[..., Array] = rms_norm,
    norm2: Callable[..., Array] = rms_norm,
    act: Callable[[Array], Array] = jax.nn.silu,
    **attention: Any,
) -> Array:
    x = x + grouped_attention(p["attention"], norm1(p["norm1"], x), **attention)
    h = norm2(p["norm2"], x)
    return x + linear(p["down"], act(linear(p["gate"], h)) * linear(p["up"], h))


def decoder(
    p: Params,
    ids: Array,
    *,
    embed: Callable[..., Array] = embedding,
    norm: Callable[..., Array] = rms_norm,
    **blocks: Any,
) -> Array:
    """Each block is computed again in the backward pass, to save memory."""
    x = embed(p["tokens"], ids)
    for i, own in enumerate(p["blocks"]):
        x = jax.checkpoint(partial(block, **of_layer(blocks, i)))(own, x)
    head = p.get("head", {"weight": p["tokens"]["weight"].T})
    return linear(head, norm(p["norm"], x))


def plain(state: State, *, untied: bool = False, **options: Any) -> Port:
    """The option ``untied`` gives the last matrix values of its own."""
    params = params_of(state)
    if untied:
        params = {**params, "head": {"weight": params["tokens"]["weight"][::-1].T}}
    return Port(lambda p, ids: decoder(p, ids, **options), params)


def inputs(seed: int) -> list[Any]:
    return [np.random.default_rng(seed).integers(0, VOCABULARY, (2, 9)).astype(np.int32)]


ARCHITECTURE = Architecture("decoder", Decoder, inputs, plain, ("linen", "equinox"), float32_inside=("linen", "equinox"))
TWELVE = replace(ARCHITECTURE, torch=partial(Decoder, 12))
"""As many layers as a real one has."""
