"""Bugs of transformers' Gemma: PyTorch has them, and the port is right, for Gemma was written in JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from flax import linen
from ported import weights_of
from torch import nn
from zoo.of_linen import dense

from field.of_transformers import seeded
from field.records import Bug, Models

Array = Any
WORDS, WIDTH, HEADS, HEAD, INNER, LAYERS, WINDOW = 31, 24, 2, 12, 48, 2, 4
EPS = 1e-6
LONG, SHORT = 1e6, 1e4
"""The bases of the rotary frequencies: Gemma 3's layers that see everything have the longer one."""
IDS = np.random.default_rng(1).integers(0, WORDS, size=(2, 9))
POSITIONS = (np.arange(9) + np.array([[3], [517]])).astype(np.int64)
"""Of two sequences, the second of which goes on behind a long beginning."""


@dataclass(frozen=True)
class Config:
    """Of both sides; the last four are those of PyTorch's side, where a bug may be."""

    third: bool = False
    """Gemma 3: norms of queries and keys, norms behind each part, and layers that see a window."""
    gelu: str = "tanh"
    early: bool = False
    rounded: bool = True
    precise: bool = True


class Norm(nn.Module):
    """An RMSNorm whose scale is ``1 + weight``. An early one goes back to the model's dtype before it scales."""

    def __init__(self, width: int, *, early: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.early = early

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + EPS)
        if self.early:
            return y.type_as(x) * (1 + self.weight)
        return (y * (1 + self.weight.float())).type_as(x)


def rotated(x: torch.Tensor, positions: torch.Tensor, base: float, *, precise: bool) -> torch.Tensor:
    """Queries or keys, turned by angles that are computed in float32, or else in the dtype of ``x``."""
    dtype = torch.float32 if precise else x.dtype
    inverse = base ** (-torch.arange(0, HEAD, 2).float() / HEAD)
    angles = positions.to(dtype)[:, None, :, None] * inverse.to(dtype)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Attention(nn.Module):
    def __init__(self, config: Config, *, local: bool) -> None:
        super().__init__()
        self.config, self.local = config, local
        self.query = nn.Linear(WIDTH, HEADS * HEAD, bias=False)
        self.key, self.value = nn.Linear(WIDTH, HEAD, bias=False), nn.Linear(WIDTH, HEAD, bias=False)
        self.output = nn.Linear(HEADS * HEAD, WIDTH, bias=False)
        if config.third:
            self.query_norm, self.key_norm = Norm(HEAD, early=config.early), Norm(HEAD, early=config.early)

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            projection(x).unflatten(-1, (-1, HEAD)).transpose(1, 2) for projection in (self.query, self.key, self.value)
        )
        if self.config.third:
            q, k = self.query_norm(q), self.key_norm(k)
        base = LONG if self.config.third and not self.local else SHORT
        q, k = (rotated(part, positions, base, precise=self.config.precise) for part in (q, k))
        scores = q @ k.transpose(-1, -2) * HEAD**-0.5
        seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        if self.local:
            seen = seen & ~seen.tril(-WINDOW)
        weights = scores.masked_fill(~seen, -math.inf).softmax(-1, dtype=torch.float32).to(x.dtype)
        return self.output((weights @ v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, gelu: str) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(WIDTH, INNER, bias=False), nn.Linear(WIDTH, INNER, bias=False)
        self.down = nn.Linear(INNER, WIDTH, bias=False)
        self.act = nn.GELU(approximate=gelu)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.act(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    def __init__(self, config: Config, *, local: bool) -> None:
        super().__init__()
        self.attention, self.mlp = Attention(config, local=local), FeedForward(config.gelu)
        self.attention_norm, self.mlp_norm = Norm(WIDTH, early=config.early), Norm(WIDTH, early=config.early)
        if config.third:
            self.attention_after, self.mlp_after = Norm(WIDTH, early=config.early), Norm(WIDTH, early=config.early)
        else:
            self.attention_after, self.mlp_after = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        x = x + self.attention_after(self.attention(self.attention_norm(x), positions))
        return x + self.mlp_after(self.mlp(self.mlp_norm(x)))


class Gemma(nn.Module):
    """A decoder whose head is the table of words. Its logits are in float32."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(Layer(config, local=config.third and k % 2 == 0) for k in range(LAYERS))
        self.norm = Norm(WIDTH, early=config.early)

    def forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        x = self.words(ids)
        x = x * (torch.tensor(WIDTH**0.5, dtype=x.dtype) if self.config.rounded else WIDTH**0.5)
        for layer in self.layers:
            x = layer(x, positions)
        return F.linear(self.norm(x), self.words.weight).float()


class FlaxNorm(linen.Module):
    @linen.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param("scale", linen.initializers.zeros, (x.shape[-1],))
        y = x.astype(jnp.float32)
        y = y * jax.lax.rsqrt((y**2).mean(-1, keepdims=True) + EPS)
        return (y * (1 + scale.astype(jnp.float32))).astype(x.dtype)


def flax_rotated(x: Array, positions: Array, base: float, *, precise: bool) -> Array:
    dtype = jnp.float32 if precise else x.dtype
    inverse = base ** (-jnp.arange(0, HEAD, 2).astype(jnp.float32) / HEAD)
    angles = positions.astype(dtype)[:, :, None, None] * inverse.astype(dtype)
    cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


class FlaxAttention(linen.Module):
    third: bool
    local: bool
    precise: bool

    @linen.compact
    def __call__(self, x: Array, positions: Array) -> Array:
        q = linen.Dense(HEADS * HEAD, use_bias=False, name="query")(x).reshape(*x.shape[:2], HEADS, HEAD)
        k = linen.Dense(HEAD, use_bias=False, name="key")(x)[:, :, None]
        v = linen.Dense(HEAD, use_bias=False, name="value")(x)
        if self.third:
            q, k = FlaxNorm(name="query_norm")(q), FlaxNorm(name="key_norm")(k)
        base = LONG if self.third and not self.local else SHORT
        q, k = (flax_rotated(part, positions, base, precise=self.precise) for part in (q, k))
        scores = jnp.einsum("bqhd,bkd->bhqk", q, k[:, :, 0]) * HEAD**-0.5
        steps = jnp.arange(x.shape[1])
        back = steps[:, None] - steps
        seen = (back >= 0) & (back < WINDOW) if self.local else back >= 0
        scores = jnp.where(seen, scores, -jnp.inf).astype(jnp.float32)
        weights = jax.nn.softmax(scores, -1).astype(x.dtype)
        y = jnp.einsum("bhqk,bkd->bqhd", weights, v)
        return linen.Dense(WIDTH, use_bias=False, name="output")(y.reshape(*x.shape[:2], -1))


class FlaxFeedForward(linen.Module):
    @linen.compact
    def __call__(self, x: Array) -> Array:
        gate, up = (linen.Dense(INNER, use_bias=False, name=name)(x) for name in ("gate", "up"))
        return linen.Dense(WIDTH, use_bias=False, name="down")(linen.gelu(gate, approximate=True) * up)


class FlaxGemma(linen.Module):
    third: bool
    precise: bool = True

    @linen.compact
    def __call__(self, ids: Array, positions: Array) -> Array:
        words = linen.Embed(WORDS, WIDTH, name="words")
        x = words(ids)
        x = x * jnp.sqrt(jnp.float32(WIDTH)).astype(x.dtype)
        for k in range(LAYERS):
            attention = FlaxAttention(self.third, self.third and k % 2 == 0, self.precise, name=f"attention_{k}")
            y = attention(FlaxNorm(name=f"attention_norm_{k}")(x), positions)
            x = x + (FlaxNorm(name=f"attention_after_{k}")(y) if self.third else y)
            y = FlaxFeedForward(name=f"mlp_{k}")(FlaxNorm(name=f"mlp_norm_{k}")(x))
            x = x + (FlaxNorm(name=f"mlp_after_{k}")(y) if self.third else y)
        return words.attend(FlaxNorm(name="norm")(x)).astype(jnp.float32)


def flax_params(own: dict[str, np.ndarray], *, third: bool) -> dict[str, Any]:
    """torch's weights by the names of ``FlaxGemma``."""

    def norm(path: str) -> dict[str, Array]:
        return {"scale": jnp.asarray(own[f"{path}.weight"])}

    params: dict[str, Any] = {"words": {"embedding": jnp.asarray(own["words.weight"])}, "norm": norm("norm")}
    for k in range(LAYERS):
        path = f"layers.{k}"
        attention = {name: dense(own, f"{path}.attention.{name}") for name in ("query", "key", "value", "output")}
        inside = {name: norm(f"{path}.attention.{name}") for name in ("query_norm", "key_norm")} if third else {}
        params[f"attention_{k}"] = attention | inside
        params[f"mlp_{k}"] = {name: dense(own, f"{path}.mlp.{name}") for name in ("gate", "up", "down")}
        for name in ("attention_norm", "mlp_norm", *(("attention_after", "mlp_after") if third else ())):
            params[f"{name}_{k}"] = norm(f"{path}.{name}")
    return params


def gemma(config: Config, dtype: str = "bfloat16", *, precise: bool = True) -> Models:
    """Both sides hold their weights in the dtype in which people run Gemma. ``precise`` is of the port's rotary angles."""
    model = seeded(lambda: Gemma(config)).to(getattr(torch, dtype))
    params = flax_params(weights_of(model.float()), third=config.third)
    model.to(getattr(torch, dtype))
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    port = FlaxGemma(config.third, precise).bind({"params": params})
    return Models(model, port, [IDS, POSITIONS], dtype=dtype)


def bug(
    name: str, number: int, what: str, wrong: Config, cause: tuple[str, ...], where: str, dtype: str = "bfloat16"
) -> Bug:
    """None of them had a test that compares numbers with JAX's."""
    return Bug(
        name=f"transformers_{name}",
        project="huggingface/transformers",
        place=f"https://github.com/huggingface/transformers/pull/{number}",
        what=what,
        shows="values",
        right=lambda: gemma(Config(third=wrong.third), dtype),
        wrong=lambda: gemma(wrong, dtype),
        cause=cause,
        where=where,
    )


ROUNDING = (r"\b(in|to|of) (bfloat16|float32)\b", r"\b(another|other|lower|higher|wider|narrower) (dtype|precision)\b")
BUGS = (
    bug(
        "gemma_gelu",
        29402,
        "PyTorch's Gemma computes the exact gelu, where JAX's computes the tanh form.",
        Config(gelu="none"),
        (r"gelu_tanh", r"tanh (form|approximation)", r"approximate"),
        r"layers\.0\.mlp",
        "float32",
    ),
    bug(
        "gemma_norm_in_bfloat16",
        29402,
        "PyTorch's Gemma rounds the normalised values and 1 + weight to bfloat16 before it multiplies them.",
        Config(early=True),
        ROUNDING,
        r"norm",
    ),
    bug(
        "gemma_scale",
        29402,
        "PyTorch's Gemma scales embeddings by the square root of the width, which JAX's rounds to bfloat16.",
        Config(rounded=False),
        (r"\bscale", r"\bsqrt\b|square root", r"4\.8(98|99)|4\.9", *ROUNDING),
        r"words|mul|scale",
    ),
    bug(
        "rotary_in_bfloat16",
        29285,
        "PyTorch's Llama and Gemma compute rotary positions and angles in bfloat16.",
        Config(precise=False),
        (r"\bposition", r"\bangle", r"\b(cos|sin)\b", r"rotary|rope", *ROUNDING),
        r"layers\.0\.attention",
    ),
    bug(
        "gemma3_scale",
        37109,
        "PyTorch's Gemma 3 scales embeddings by a number of Python, where JAX rounds it to bfloat16.",
        Config(third=True, rounded=False),
        (r"\bscale", r"\bsqrt\b|square root", r"4\.8(98|99)|4\.9", *ROUNDING),
        r"words|mul|scale",
    ),
)
