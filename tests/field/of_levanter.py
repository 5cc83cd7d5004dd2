"""Bugs of levanter, a library of language models in JAX: its decoders, in equinox.

They were mistakes in reading the configuration of a model: so the decoders of both sides take a ``Config``, and
the wrong port takes another one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import torch
from ported import randomised, weights_of
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from field.records import Bug, Check, Models

VOCABULARY, WIDTH, HIDDEN, HEADS, GROUPS, LAYERS, TOKENS = 29, 32, 48, 4, 2, 2, 16
HEAD = WIDTH // HEADS
EPSILON = 1e-6
Array = Any
State = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Config:
    """In what Gemma, Llama 3 and Qwen2 differ."""

    activation: str = "silu"
    offset: float = 0.0
    """What a norm adds to its weight: 1 in Gemma."""
    scaled: bool = False
    """Whether the embedding is multiplied by the root of the width, as in Gemma."""
    tied: bool = False
    """Whether the embedding is the last matrix too."""
    theta: float = 10000.0
    rope_factor: float = 1.0
    """By how much Llama 3.1 slows its slow rotations down."""
    qkv_bias: bool = False
    output_bias: bool = False


GEMMA = Config(activation="gelu_tanh", offset=1.0, scaled=True, tied=True)
LLAMA3 = Config(theta=500000.0)
LLAMA31 = Config(theta=500000.0, rope_factor=8.0)
QWEN2 = Config(qkv_bias=True, tied=True)


def frequencies(config: Config, original: int = 8192, low: float = 1.0, high: float = 4.0) -> np.ndarray:
    """Of the rotations. Llama 3.1 divides those whose wave is longer than the original context, and blends others."""
    own = config.theta ** (-np.arange(0, HEAD, 2) / HEAD)
    waves = original * own / (2 * math.pi)
    kept = np.clip((waves - low) / (high - low), 0.0, 1.0)
    return own * (kept + (1.0 - kept) / config.rope_factor)


# torch's side, as in transformers


class RMSNorm(nn.Module):
    def __init__(self, offset: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((WIDTH,), 1.0 - offset))
        self.offset = offset

    def forward(self, x: Any) -> Any:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * (self.offset + self.weight)


class Rotary(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.frequencies = torch.tensor(frequencies(config))

    def forward(self, positions: Any, dtype: torch.dtype) -> Any:
        angles = positions[..., None] * self.frequencies
        return angles.cos().to(dtype), angles.sin().to(dtype)


def turned(x: Any, cos: Any, sin: Any) -> Any:
    """Of (batch, head, token, feature): the first half of the features with the second."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Attention(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, HEADS * HEAD, bias=config.qkv_bias)
        self.k_proj = nn.Linear(WIDTH, GROUPS * HEAD, bias=config.qkv_bias)
        self.v_proj = nn.Linear(WIDTH, GROUPS * HEAD, bias=config.qkv_bias)
        self.o_proj = nn.Linear(HEADS * HEAD, WIDTH, bias=config.output_bias)

    def forward(self, x: Any, cos: Any, sin: Any, mask: Any) -> Any:
        q, k, v = (layer(x).unflatten(-1, (-1, HEAD)).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = turned(q, cos, sin), turned(k, cos, sin)
        k, v = (part.repeat_interleave(HEADS // GROUPS, 1) for part in (k, v))
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, WIDTH, bias=False)
        self.act_fn = nn.SiLU() if config.activation == "silu" else nn.GELU(approximate="tanh")

    def forward(self, x: Any) -> Any:
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.offset)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.offset)
        self.mlp = MLP(config)

    def forward(self, x: Any, cos: Any, sin: Any, mask: Any) -> Any:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.scale = math.sqrt(WIDTH) if config.scaled else 1.0
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.rotary_emb = Rotary(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(LAYERS))
        self.norm = RMSNorm(config.offset)
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        if config.tied:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(self, ids: Any, seen: Any = None) -> Any:
        """Of tokens (batch, token), of which the others see those that are ``seen``; all if it is None."""
        count = ids.shape[1]
        mask = torch.ones(count, count, dtype=torch.bool).tril()
        positions = torch.arange(count)[None]
        if seen is not None:
            mask = mask & seen[:, None, None, :]
            positions = (seen.cumsum(1) - 1).clamp(min=0)
        x = self.embed_tokens(ids) * self.scale
        cos, sin = (table[:, None] for table in self.rotary_emb(positions, x.dtype))
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.lm_head(self.norm(x))


def torch_decoder(config: Config) -> Any:
    """With random weights: norms and biases too. The embedding is small, as those of language models are."""
    torch.manual_seed(0)
    model: Any = randomised(Decoder(config))
    with torch.no_grad():
        model.embed_tokens.weight.mul_(0.2)
    return model


# JAX's side, in equinox: matrices are (out, in), as torch's

ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "silu": jax.nn.silu,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
}


class JaxLinear(eqx.Module):
    weight: Array
    bias: Array | None

    def __init__(self, state: State, path: str, *, bias: bool = False) -> None:
        """A bias that torch lacks starts at zero."""
        self.weight = jnp.asarray(state[f"{path}.weight"])
        self.bias = jnp.asarray(state.get(f"{path}.bias", np.zeros(len(self.weight), np.float32))) if bias else None

    def __call__(self, x: Array) -> Array:
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class JaxRMSNorm(eqx.Module):
    weight: Array
    offset: float = eqx.field(static=True)

    def __init__(self, state: State, path: str, config: Config) -> None:
        self.weight, self.offset = jnp.asarray(state[f"{path}.weight"]), config.offset

    def __call__(self, x: Array) -> Array:
        return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + EPSILON) * (self.offset + self.weight)


def rotated(x: Array, config: Config) -> Array:
    """Of (batch, token, head, feature)."""
    angles = np.arange(x.shape[1])[:, None] * frequencies(config)
    cos, sin = (jnp.asarray(f(angles), x.dtype)[:, None, :] for f in (np.cos, np.sin))
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), -1)


class JaxAttention(eqx.Module):
    q_proj: JaxLinear
    k_proj: JaxLinear
    v_proj: JaxLinear
    o_proj: JaxLinear
    config: Config = eqx.field(static=True)

    def __init__(self, state: State, path: str, config: Config) -> None:
        self.config = config
        self.q_proj, self.k_proj, self.v_proj = (
            JaxLinear(state, f"{path}.{name}_proj", bias=config.qkv_bias) for name in "qkv"
        )
        self.o_proj = JaxLinear(state, f"{path}.o_proj", bias=config.output_bias)

    def __call__(self, x: Array) -> Array:
        q, k, v = (layer(x).reshape(*x.shape[:2], -1, HEAD) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotated(q, self.config), rotated(k, self.config)
        k, v = (jnp.repeat(part, HEADS // GROUPS, 2) for part in (k, v))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(HEAD)
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)
        y = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), v)
        return self.o_proj(y.reshape(*x.shape[:2], -1))


class JaxMLP(eqx.Module):
    gate_proj: JaxLinear
    up_proj: JaxLinear
    down_proj: JaxLinear
    activation: str = eqx.field(static=True)

    def __init__(self, state: State, path: str, config: Config) -> None:
        self.gate_proj, self.up_proj, self.down_proj = (
            JaxLinear(state, f"{path}.{name}_proj") for name in ("gate", "up", "down")
        )
        self.activation = config.activation

    def __call__(self, x: Array) -> Array:
        return self.down_proj(ACTIVATIONS[self.activation](self.gate_proj(x)) * self.up_proj(x))


class JaxLayer(eqx.Module):
    ln_1: JaxRMSNorm
    attention: JaxAttention
    ln_2: JaxRMSNorm
    mlp: JaxMLP

    def __init__(self, state: State, path: str, config: Config) -> None:
        self.ln_1 = JaxRMSNorm(state, f"{path}.input_layernorm", config)
        self.attention = JaxAttention(state, f"{path}.self_attn", config)
        self.ln_2 = JaxRMSNorm(state, f"{path}.post_attention_layernorm", config)
        self.mlp = JaxMLP(state, f"{path}.mlp", config)

    def __call__(self, x: Array) -> Array:
        x = x + self.attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class JaxDecoder(eqx.Module):
    embeddings: Array
    layers: list[JaxLayer]
    norm: JaxRMSNorm
    head: JaxLinear | None
    scaled: bool = eqx.field(static=True)

    def __init__(self, state: State, config: Config) -> None:
        self.embeddings = jnp.asarray(state["embed_tokens.weight"])
        self.layers = [JaxLayer(state, f"layers.{k}", config) for k in range(LAYERS)]
        self.norm = JaxRMSNorm(state, "norm", config)
        self.head = None if config.tied else JaxLinear(state, "lm_head")
        self.scaled = config.scaled

    def __call__(self, ids: Array) -> Array:
        x = self.embeddings[ids]
        if self.scaled:
            x = x * jnp.sqrt(WIDTH).astype(x.dtype)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return x @ self.embeddings.T if self.head is None else self.head(x)


# pairs


def decoders(config: Config, **read: Any) -> Models:
    """A decoder and its port, which reads the configuration with some mistakes."""
    model = torch_decoder(config)
    port = JaxDecoder(weights_of(model), dataclasses.replace(config, **read))
    ids = np.random.default_rng(1).integers(0, VOCABULARY, (2, TOKENS), np.int32)
    return Models(model, port, [ids])


LLAMA_TEST = Check(1e-4, 1e-4, "levanter, tests/test_llama3.py: a whole model")
MINE = "https://github.com/stanford-crfm/levanter"

BUGS = (
    Bug(
        name="levanter_gemma_gelu",
        project="stanford-crfm/levanter",
        place=f"{MINE}/pull/618",
        what="Gemma's gelu is the exact one, where PyTorch has the one with tanh.",
        shows="values",
        right=lambda: decoders(GEMMA),
        wrong=lambda: decoders(GEMMA, activation="gelu"),
        cause=(r"gelu_tanh", r"tanh"),
        where=r"mlp",
    ),
    Bug(
        name="levanter_gemma_embedding",
        project="stanford-crfm/levanter",
        place=f"{MINE}/pull/978",
        what="Gemma's embedding is not multiplied by the root of the width.",
        shows="values",
        right=lambda: decoders(GEMMA),
        wrong=lambda: decoders(GEMMA, scaled=False),
        cause=(r"5\.65", r"0\.17\d", r"sqrt\(32\)", r"root of (the width|32)"),
        where=r"embed_tokens|embedding",
    ),
    Bug(
        name="levanter_gemma_head",
        project="stanford-crfm/levanter",
        place=f"{MINE}/pull/978",
        what="A Gemma whose last matrix is its own is read as one whose embedding is the last matrix.",
        shows="values",
        right=lambda: decoders(dataclasses.replace(GEMMA, tied=False)),
        wrong=lambda: decoders(dataclasses.replace(GEMMA, tied=False), tied=True),
        cause=(
            r"\btied?\b",
            r"shared?\b",
            r"(takes|uses|multiplies by|has|holds) \S*embed\S*",
            r"embed\S* (instead|in the place|where)",
            r"lm_head\S* .*(missing|lacks|without|no partner|not used|unused|nowhere)",
        ),
        where=r"lm_head",
    ),
    Bug(
        name="levanter_llama_rotary_base",
        project="stanford-crfm/levanter",
        place=f"{MINE}/pull/649",
        what="The base of the rotations stays 10000, where Llama 3 has 500000.",
        shows="values",
        right=lambda: decoders(LLAMA3),
        wrong=lambda: decoders(LLAMA3, theta=10000.0),
        cause=(r"\bbase\b", r"theta", r"10,?000\b"),
        where=r"self_attn|rotary",
        check=LLAMA_TEST,
    ),
    Bug(
        name="levanter_llama_rotary_scaling",
        project="stanford-crfm/levanter",
        place=f"{MINE}/pull/740",
        what="Llama 3.1 slows its slow rotations down by 8; the port does not.",
        shows="values",
        right=lambda: decoders(LLAMA31),
        wrong=lambda: decoders(LLAMA31, rope_factor=1.0),
        cause=(
            r"(rotary|rope|rotations?|angles?|frequenc\w+)\b.*\b(scal\w+|factor|divided|slow\w*|fast\w*|smaller|larger|times)",
            r"(scal\w+|factor|divided|times)\b.*\b(rotary|rope|rotations?|angles?|frequenc\w+)",
        ),
        where=r"self_attn|rotary",
        check=LLAMA_TEST,
    ),
)
