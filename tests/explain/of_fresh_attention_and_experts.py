"""Mistakes in ports of attention with a cache, and of experts of which each token asks two."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import torch
from field.records import Models
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right
from explain.words import FORGETS, SHIFTED, number

BATCH, HELD, TOKENS, WIDTH, HEADS, GROUPS, HEAD, EXPERTS, HIDDEN = 2, 3, 4, 8, 4, 2, 4, 4, 10
Array = Any
Weights = Mapping[str, Array]


# attention to tokens of before, whose keys and values are held


class Cached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.o = nn.Linear(WIDTH, HEADS * HEAD, bias=False), nn.Linear(HEADS * HEAD, WIDTH, bias=False)
        self.k, self.v = (nn.Linear(WIDTH, GROUPS * HEAD, bias=False) for _ in range(2))

    def forward(self, x: Any, keys: Any, values: Any) -> Any:
        q, k, v = (projection(x).unflatten(-1, (-1, HEAD)).transpose(1, 2) for projection in (self.q, self.k, self.v))
        k, v = torch.cat([keys, rotated(k)], 2), torch.cat([values, v], 2)
        every, each = (part.repeat_interleave(HEADS // GROUPS, 1) for part in (k, v))
        seen = torch.ones(TOKENS, HELD + TOKENS, dtype=torch.bool).tril(HELD)
        y = F.scaled_dot_product_attention(rotated(q), every, each, attn_mask=seen)
        return self.o(y.transpose(1, 2).flatten(2)), k, v


def rotated(x: Any) -> Any:
    rates = 10000.0 ** (-torch.arange(0, HEAD, 2, dtype=x.dtype) / HEAD)
    angles = torch.outer(torch.arange(HELD, HELD + TOKENS, dtype=x.dtype), rates).repeat(1, 2)
    left, right = x.chunk(2, -1)
    return x * angles.cos() + torch.cat([-right, left], -1) * angles.sin()


@dataclass(frozen=True)
class CachedPort:
    """The same in JAX. A mistake replaces some of these parts."""

    first: int = HELD
    """The place of the first new token."""
    diagonal: int = HELD

    def rotated(self, x: Array) -> Array:
        rates = 10000.0 ** (-jnp.arange(0, HEAD, 2) / HEAD)
        angles = jnp.tile(jnp.outer(self.first + jnp.arange(TOKENS), rates), (1, 2))
        left, right = jnp.split(x, 2, -1)
        return x * jnp.cos(angles) + jnp.concatenate([-right, left], -1) * jnp.sin(angles)

    def outputs(self, p: Weights, x: Array, keys: Array, values: Array) -> Any:
        made = ((x @ p[f"{name}.weight"].T).reshape(BATCH, TOKENS, -1, HEAD).swapaxes(1, 2) for name in "qkv")
        q, k, v = made
        k, v = jnp.concatenate([keys, self.rotated(k)], 2), jnp.concatenate([values, v], 2)
        q = self.rotated(q).reshape(BATCH, GROUPS, -1, TOKENS, HEAD)
        scores = jnp.einsum("bgmqd,bgkd->bgmqk", q, k) / math.sqrt(HEAD)
        seen = jnp.tril(jnp.ones((TOKENS, HELD + TOKENS), bool), self.diagonal)
        weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1)
        y = jnp.einsum("bgmqk,bgkd->bqgmd", weights, v).reshape(BATCH, TOKENS, -1)
        return y @ p["o.weight"].T, k, v


def cached(**change: Any) -> Models:
    held = normals(2, BATCH, GROUPS, HELD, HEAD, seed=2)
    return made(Cached, CachedPort(**change).outputs, normals(BATCH, TOKENS, WIDTH, seed=1), *held)


# experts


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.up = nn.Parameter(0.3 * torch.ones(EXPERTS, WIDTH, HIDDEN))
        self.down = nn.Parameter(0.3 * torch.ones(EXPERTS, HIDDEN, WIDTH))

    def forward(self, x: Any) -> Any:
        odds, chosen = self.router(x).softmax(-1).topk(2, -1)
        odds = odds / odds.sum(-1, keepdim=True)
        share = torch.zeros(*x.shape[:-1], EXPERTS, dtype=x.dtype).scatter(-1, chosen, odds)
        every = torch.einsum("bteh,ehw->btew", F.silu(torch.einsum("btw,ewh->bteh", x, self.up)), self.down)
        return x + (share[..., None] * every).sum(-2)


def renormalised(odds: Array) -> Array:
    return odds / odds.sum(-1, keepdims=True)


@dataclass(frozen=True)
class ExpertsPort:
    """The same in JAX. A mistake replaces some of these parts."""

    odds: Callable[[Array], Array] = renormalised

    def outputs(self, p: Weights, x: Array) -> Array:
        odds, chosen = jax.lax.top_k(jax.nn.softmax(x @ p["router.weight"].T, -1), 2)
        share = (jax.nn.one_hot(chosen, EXPERTS, dtype=x.dtype) * self.odds(odds)[..., None]).sum(-2)
        every = jax.nn.silu(jnp.einsum("btw,ewh->bteh", x, p["up"]))
        return x + jnp.einsum("bte,bteh,ehw->btw", share, every, p["down"])


def experts(**change: Any) -> Models:
    return made(Experts, ExpertsPort(**change).outputs, normals(BATCH, TOKENS, WIDTH, seed=1))


def made(of: Callable[[], nn.Module], port: Callable[..., Any], *inputs: Array) -> Models:
    torch.manual_seed(0)
    model = randomised(of())
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}
    return Models(model, port, list(inputs), params)


CACHED = Right("attention with a cache", "model", cached)
EXPERT = Right("experts", "model", experts)

CASES = (
    CACHED.case(
        "new tokens rotated from place 0",
        {"first": 0},
        "after k: the places of rotary start at 0 in JAX, at 3 in PyTorch",
        (r"start|first|from|arange|places?\b|position|offset|angle", number(0.0), number(3.0)),
        (SHIFTED, r"places?\b|position|angle|arange|rotar|cos|constant", number(3.0)),
        where=r"\b[kq]\b|cat|rotar|output 1",
        claims="shifted",
        false=("JAX forgets",),
    ),
    CACHED.case(
        "mask without the held tokens",
        {"diagonal": 0},
        "after q: the mask's diagonal is 0 in JAX, 3 in PyTorch",
        ("mask|diagonal|tril", number(0.0), number(3.0)),
        ("mask|diagonal|tril", SHIFTED + "|" + FORGETS, number(3.0)),
        where=r"\b[qko]\b|attention|cat",
        claims="mask shifted",
    ),
    EXPERT.case(
        "odds not made to sum to 1",
        {"odds": lambda odds: odds},
        "after router: JAX forgets to divide the odds of topk by their sum",
        (FORGETS, r"divi|\bdiv\b|\bsum|normali"),
        where=r"\brouter\b|topk|\bdiv|scatter",
        claims="forgets",
    ),
)
