"""Bugs of MaxText: the rotary frequencies of YaRN, in the decoders of gpt-oss and OLMo 3."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from ported import weights_of
from torch import nn

from field.of_transformers import seeded
from field.records import Bug, Check, Models

Array = Any
WORDS, WIDTH, HEADS, HEAD, INNER, LAYERS, WINDOW = 31, 32, 2, 16, 48, 2, 4
EPS = 1e-6
BASE, FACTOR, TRAINED, FAST, SLOW = 150_000.0, 32.0, 4096, 32.0, 1.0
"""YaRN's settings in gpt-oss: the context of 4096 tokens is stretched 32 times."""
SCALING = 0.1 * math.log(FACTOR) + 1.0
IDS = np.random.default_rng(1).integers(0, WORDS, size=(2, 11))


def ends(*, truncate: bool) -> tuple[float, float]:
    """The frequencies between which YaRN goes from those of the training to stretched ones; whole numbers if truncated."""
    low, high = (HEAD * math.log(TRAINED / (turns * 2 * math.pi)) / (2 * math.log(BASE)) for turns in (FAST, SLOW))
    return (math.floor(low), math.ceil(high)) if truncate else (low, high)


class Yarn(nn.Module):
    """Cosines and sines of (token, frequency), with the factor for attention."""

    def __init__(self, *, truncate: bool) -> None:
        super().__init__()
        self.low, self.high = ends(truncate=truncate)

    def forward(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        kept = BASE ** (-torch.arange(0, HEAD, 2) / HEAD)
        ramp = ((torch.arange(HEAD // 2) - self.low) / (self.high - self.low)).clamp(0, 1)
        angles = torch.arange(count)[:, None] * (kept * (1 - ramp) + kept / FACTOR * ramp)
        return angles.cos() * SCALING, angles.sin() * SCALING


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * self.weight


class Attention(nn.Module):
    """Norms of all queries and all keys, across heads. Every second layer sees a window."""

    def __init__(self, *, local: bool) -> None:
        super().__init__()
        self.local = local
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.query_norm, self.key_norm = Norm(WIDTH), Norm(WIDTH)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        projected = self.query_norm(self.query(x)), self.key_norm(self.key(x)), self.value(x)
        q, k, v = (projection.unflatten(-1, (HEADS, HEAD)).transpose(1, 2) for projection in projected)
        scores = rotated(q, cos, sin) @ rotated(k, cos, sin).transpose(-1, -2) * HEAD**-0.5
        seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        if self.local:
            seen = seen & ~seen.tril(-WINDOW)
        y = scores.masked_fill(~seen, -math.inf).softmax(-1) @ v
        return self.output(y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(WIDTH, INNER, bias=False), nn.Linear(WIDTH, INNER, bias=False)
        self.down = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(nn.functional.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    """Its norms are behind its parts, before the sums."""

    def __init__(self, *, local: bool) -> None:
        super().__init__()
        self.attention, self.mlp = Attention(local=local), FeedForward()
        self.attention_norm, self.mlp_norm = Norm(WIDTH), Norm(WIDTH)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        x = x + self.attention_norm(self.attention(x, cos, sin))
        return x + self.mlp_norm(self.mlp(x))


class Decoder(nn.Module):
    """All of its layers turn queries and keys by the same angles."""

    def __init__(self, *, truncate: bool) -> None:
        super().__init__()
        self.rotary = Yarn(truncate=truncate)
        self.words = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(Layer(local=k % 2 == 0) for k in range(LAYERS))
        self.norm, self.head = Norm(WIDTH), nn.Linear(WIDTH, WORDS, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.words(ids)
        cos, sin = self.rotary(ids.shape[1])
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.head(self.norm(x))


@dataclass(frozen=True)
class Rotary:
    """How the port turns queries and keys."""

    truncate: bool = False
    scaled: bool = True
    interleaved: bool = False
    everywhere: bool = True
    """In layers with a window too; else those keep the frequencies of the training."""

    def angles(self, count: int) -> Array:
        low, high = ends(truncate=self.truncate)
        kept = BASE ** (-jnp.arange(0, HEAD, 2) / HEAD)
        ramp = jnp.clip((jnp.arange(HEAD // 2) - low) / (high - low), 0, 1)
        return jnp.arange(count)[:, None] * (kept * (1 - ramp) + kept / FACTOR * ramp)

    def __call__(self, x: Array, *, local: bool) -> Array:
        """Of (batch, token, head, feature)."""
        count = x.shape[1]
        if local and not self.everywhere:
            angles, scale = jnp.arange(count)[:, None] * BASE ** (-jnp.arange(0, HEAD, 2) / HEAD), 1.0
        else:
            angles, scale = self.angles(count), SCALING if self.scaled else 1.0
        cos, sin = jnp.cos(angles)[:, None] * scale, jnp.sin(angles)[:, None] * scale
        if self.interleaved:
            first, second = x[..., ::2], x[..., 1::2]
            return jnp.stack([first * cos - second * sin, second * cos + first * sin], -1).reshape(x.shape)
        first, second = jnp.split(x, 2, -1)
        return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def linear(own: dict[str, np.ndarray], path: str) -> nnx.Linear:
    weight = own[f"{path}.weight"]
    made = nnx.Linear(weight.shape[1], weight.shape[0], use_bias=False, rngs=nnx.Rngs(0))
    made.kernel[...] = jnp.asarray(weight.T)
    return made


def rms_norm(own: dict[str, np.ndarray], path: str) -> nnx.RMSNorm:
    made = nnx.RMSNorm(len(own[f"{path}.weight"]), epsilon=EPS, rngs=nnx.Rngs(0))
    made.scale = nnx.Param(jnp.asarray(own[f"{path}.weight"]))
    return made


class MaxAttention(nnx.Module):
    def __init__(self, own: dict[str, np.ndarray], path: str, rotary: Rotary, *, local: bool) -> None:
        self.rotary, self.local = rotary, local
        made = partial(linear, own)
        self.query, self.key = made(f"{path}.query"), made(f"{path}.key")
        self.value, self.output = made(f"{path}.value"), made(f"{path}.output")
        self.query_norm, self.key_norm = rms_norm(own, f"{path}.query_norm"), rms_norm(own, f"{path}.key_norm")

    def __call__(self, x: Array) -> Array:
        projected = self.query_norm(self.query(x)), self.key_norm(self.key(x)), self.value(x)
        q, k, v = (projection.reshape(*x.shape[:2], HEADS, HEAD) for projection in projected)
        q, k = self.rotary(q, local=self.local), self.rotary(k, local=self.local)
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * HEAD**-0.5
        steps = jnp.arange(x.shape[1])
        back = steps[:, None] - steps
        seen = (back >= 0) & (back < WINDOW) if self.local else back >= 0
        weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1)
        return self.output(jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape))


class MaxLayer(nnx.Module):
    def __init__(self, own: dict[str, np.ndarray], path: str, rotary: Rotary, *, local: bool) -> None:
        self.attention = MaxAttention(own, f"{path}.attention", rotary, local=local)
        self.gate, self.up = linear(own, f"{path}.mlp.gate"), linear(own, f"{path}.mlp.up")
        self.down = linear(own, f"{path}.mlp.down")
        self.attention_norm = rms_norm(own, f"{path}.attention_norm")
        self.mlp_norm = rms_norm(own, f"{path}.mlp_norm")

    def __call__(self, x: Array) -> Array:
        x = x + self.attention_norm(self.attention(x))
        return x + self.mlp_norm(self.down(jax.nn.silu(self.gate(x)) * self.up(x)))


class MaxDecoder(nnx.Module):
    def __init__(self, own: dict[str, np.ndarray], rotary: Rotary) -> None:
        self.words = nnx.Embed(WORDS, WIDTH, rngs=nnx.Rngs(0))
        self.words.embedding[...] = jnp.asarray(own["words.weight"])
        self.layers = nnx.List([MaxLayer(own, f"layers.{k}", rotary, local=k % 2 == 0) for k in range(LAYERS)])
        self.norm, self.head = rms_norm(own, "norm"), linear(own, "head")

    def __call__(self, ids: Array) -> Array:
        x = self.words(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def decoder(rotary: Rotary, *, truncate: bool = False) -> Models:
    """``truncate`` is of PyTorch's side: gpt-oss does not, OLMo 3 does."""
    model = seeded(lambda: Decoder(truncate=truncate))
    return Models(model, MaxDecoder(weights_of(model), rotary), [IDS])


def gpt_oss(name: str, what: str, wrong: Rotary, cause: tuple[str, ...]) -> Bug:
    return Bug(
        name=f"maxtext_yarn_{name}",
        project="AI-Hypercomputer/maxtext",
        place="https://github.com/AI-Hypercomputer/maxtext/pull/2294",
        what=what,
        shows="values",
        right=lambda: decoder(Rotary()),
        wrong=lambda: decoder(wrong),
        cause=cause,
        where=r"rotary|layers\.0\.attention",
        check=Check(1e-5, 1e-3, "tests/unit/gpt_vs_reference_test.py: test_yarn, rtol=1e-5, atol=1e-3"),
    )


BUGS = (
    gpt_oss(
        "interleaved",
        "MaxText turns neighbouring features together, where PyTorch turns those of the two halves.",
        Rotary(interleaved=True),
        (
            r"interleav",
            r"\bpair(s|ed)?\b|neighbour",
            r"\bhal(f|ves)\b",
            r"every second|even and odd",
            r"\brotat.*(order|layout)",
        ),
    ),
    gpt_oss(
        "truncated",
        "MaxText rounds the ends of YaRN's ramp to whole frequencies, where PyTorch's gpt-oss does not.",
        Rotary(truncate=True),
        (r"trunc", r"\bfloor|\bceil|\brounds?\b", r"frequenc", r"\bramp\b"),
    ),
    gpt_oss(
        "unscaled",
        "MaxText leaves out YaRN's factor for attention, 1.3466, by which PyTorch multiplies cosines and sines.",
        Rotary(scaled=False),
        (r"\bscal(e|ed|ing)\b", r"1\.34(66|7)|0\.742|0\.743|1\.81|0\.55", r"\bfactor\b"),
    ),
    Bug(
        name="maxtext_olmo3_rotary",
        project="AI-Hypercomputer/maxtext",
        place="https://github.com/AI-Hypercomputer/maxtext/pull/3832",
        what="MaxText's OLMo 3 keeps YaRN from layers with a window, as a comment says; PyTorch has it in all layers.",
        shows="values",
        right=lambda: decoder(Rotary(truncate=True), truncate=True),
        wrong=lambda: decoder(Rotary(truncate=True, everywhere=False), truncate=True),
        cause=(
            r"\bscal(e|ed|ing)\b",
            r"1\.34(66|7)|0\.742|0\.743|1\.81|0\.55",
            r"frequenc",
            r"yarn|rotary|rope",
            r"\bangles?\b",
        ),
        where=r"rotary|layers\.0\.attention",
        check=Check(0.1, 0.1, "tests/utils/forward_pass_logit_checker.py: --rtol and --atol are 0.1 by default"),
    ),
)
