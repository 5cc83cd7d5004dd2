"""Bugs of the U-Net for MRI and of the translation model of mlcommons/algorithmic-efficiency."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F
from zoo.architecture import State, normals, part, randomise, state_of
from zoo.of_linen import attention, conv, dense, norm
from zoo.plain import conv_transpose_of

from field.records import Bug, Models

Array = Any
PROJECT = "mlcommons/algorithmic-efficiency"
SIZE, CHANNELS = 8, 4
VOCABULARY, WIDTH, HEADS, LAYERS, LENGTH = 20, 16, 2, 2, 6


def random_model(model: nn.Module) -> nn.Module:
    """The model in evaluation with random weights and statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        randomise(model)
    return model.eval()


# a U-Net with layer norm over channels, rows and columns


class ConvBlock(nn.Module):
    def __init__(self, channels: int, out: int, size: int, eps: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        self.norm1 = nn.LayerNorm([out, size, size], eps=eps)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.norm2 = nn.LayerNorm([out, size, size], eps=eps)

    def forward(self, x: Any) -> Any:
        x = F.leaky_relu(self.norm1(self.conv1(x)), 0.2)
        return F.leaky_relu(self.norm2(self.conv2(x)), 0.2)


class UNet(nn.Module):
    def __init__(self, eps: float) -> None:
        super().__init__()
        self.down = ConvBlock(1, CHANNELS, SIZE, eps)
        self.middle = ConvBlock(CHANNELS, 2 * CHANNELS, SIZE // 2, eps)
        self.up_conv = nn.ConvTranspose2d(2 * CHANNELS, CHANNELS, 2, 2, bias=False)
        self.up_norm = nn.LayerNorm([CHANNELS, SIZE, SIZE], eps=eps)
        self.up = ConvBlock(2 * CHANNELS, CHANNELS, SIZE, eps)
        self.out = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, image: Any) -> Any:
        kept = self.down(image[:, None])
        x = self.middle(F.avg_pool2d(kept, 2))
        x = F.leaky_relu(self.up_norm(self.up_conv(x)), 0.2)
        return self.out(self.up(torch.cat([x, kept], 1)))[:, 0]


def linen_norm(name: str) -> linen.LayerNorm:
    """With flax's own epsilon, 1e-6."""
    return linen.LayerNorm(reduction_axes=(1, 2, 3), feature_axes=(1, 2, 3), name=name)


class LinenConvBlock(linen.Module):
    features: int

    @linen.compact
    def __call__(self, x: Array) -> Array:
        for number in (1, 2):
            x = linen.Conv(self.features, (3, 3), use_bias=False, name=f"conv{number}")(x)
            x = linen.leaky_relu(linen_norm(f"norm{number}")(x), 0.2)
        return x


class LinenUNet(linen.Module):
    @linen.compact
    def __call__(self, image: Array) -> Array:
        kept = LinenConvBlock(CHANNELS, name="down")(image[..., None])
        x = LinenConvBlock(2 * CHANNELS, name="middle")(linen.avg_pool(kept, (2, 2), (2, 2)))  # type: ignore[no-untyped-call]
        x = linen.ConvTranspose(CHANNELS, (2, 2), (2, 2), use_bias=False, name="up_conv")(x)
        x = linen.leaky_relu(linen_norm("up_norm")(x), 0.2)
        x = LinenConvBlock(CHANNELS, name="up")(jnp.concatenate([x, kept], -1))
        return linen.Conv(1, (1, 1), name="out")(x)[..., 0]


def image_norm(state: State, path: str) -> dict[str, Array]:
    """torch's scale and bias are (channel, row, column)."""
    own = part(state, path)
    return {"scale": own["weight"].transpose(1, 2, 0), "bias": own["bias"].transpose(1, 2, 0)}


def block(state: State, path: str) -> dict[str, Any]:
    convs = {name: conv(state, f"{path}.{name}") for name in ("conv1", "conv2")}
    return convs | {name: image_norm(state, f"{path}.{name}") for name in ("norm1", "norm2")}


def unet(*, eps: float) -> Models:
    model = random_model(UNet(eps))
    state = state_of(model)
    params = {name: block(state, name) for name in ("down", "middle", "up")} | {
        "up_conv": {"kernel": conv_transpose_of(state, "up_conv")["weight"]},
        "up_norm": image_norm(state, "up_norm"),
        "out": conv(state, "out"),
    }
    return Models(model, LinenUNet().apply, normals(1, (2, SIZE, SIZE)), params={"params": params})


# a transformer for translation, whose norms are after its sums


def positions() -> np.ndarray:
    angle = np.arange(LENGTH)[:, None] / 10000 ** (np.arange(WIDTH // 2) / (WIDTH // 2))
    return np.concatenate([np.sin(angle), np.cos(angle)], -1).astype(np.float32)


class EncoderLayer(nn.Module):
    """With ``norm_first``, a norm is before each part, otherwise after each sum."""

    def __init__(self, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.self_attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.linear1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear2 = nn.Linear(2 * WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)

    def added(self, x: Any, layer: Any, norm: nn.Module) -> Any:
        return x + layer(norm(x)) if self.norm_first else norm(x + layer(x))

    def attended(self, x: Any, mask: Any = None) -> Any:
        return self.self_attn(x, x, x, attn_mask=mask, need_weights=False)[0]

    def mlp(self, x: Any) -> Any:
        return self.linear2(F.relu(self.linear1(x)))

    def forward(self, x: Any) -> Any:
        return self.added(self.added(x, self.attended, self.norm1), self.mlp, self.norm2)


class DecoderLayer(EncoderLayer):
    def __init__(self, norm_first: bool) -> None:
        super().__init__(norm_first)
        self.cross_attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.norm3 = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, x: Any, encoded: Any = None) -> Any:
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        x = self.added(x, lambda y: self.attended(y, later), self.norm1)
        x = self.added(x, lambda y: self.cross_attn(y, encoded, encoded, need_weights=False)[0], self.norm2)
        return self.added(x, self.mlp, self.norm3)


class Stack(nn.Module):
    """Layers, and the norm behind them, which layers without ``norm_first`` do not need."""

    def __init__(self, kind: type[EncoderLayer], norm_first: bool, final_norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(kind(norm_first) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6) if final_norm else None

    def forward(self, x: Any, *encoded: Any) -> Any:
        for layer in self.layers:
            x = layer(x, *encoded)
        return x if self.norm is None else self.norm(x)


class Translation(nn.Module):
    positions: torch.Tensor

    def __init__(self, *, final_norm: bool, norm_first: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.register_buffer("positions", torch.tensor(positions()), persistent=False)
        self.encoder = Stack(EncoderLayer, norm_first, final_norm)
        self.decoder = Stack(DecoderLayer, norm_first, final_norm)

    def forward(self, source: Any, target: Any) -> Any:
        encoded = self.encoder(self.embedding(source) + self.positions)
        shifted = F.pad(target, (1, 0))[:, :-1]
        y = self.decoder(self.embedding(shifted) + self.positions, encoded)
        return F.linear(y, self.embedding.weight) / math.sqrt(WIDTH)


def added(x: Array, layer: Callable[[Array], Array], norm: linen.LayerNorm, norm_first: bool) -> Array:
    return x + layer(norm(x)) if norm_first else norm(x + layer(x))


class LinenMlp(linen.Module):
    @linen.compact
    def __call__(self, x: Array) -> Array:
        return linen.Dense(WIDTH, name="linear2")(linen.relu(linen.Dense(2 * WIDTH, name="linear1")(x)))


class LinenEncoderLayer(linen.Module):
    norm_first: bool

    @linen.compact
    def __call__(self, x: Array) -> Array:
        attend = linen.MultiHeadDotProductAttention(HEADS, name="self_attn")
        x = added(x, lambda y: attend(y, y), linen.LayerNorm(name="norm1"), self.norm_first)
        return added(x, LinenMlp(name="mlp"), linen.LayerNorm(name="norm2"), self.norm_first)


class LinenDecoderLayer(linen.Module):
    norm_first: bool

    @linen.compact
    def __call__(self, x: Array, encoded: Array) -> Array:
        mask = linen.make_causal_mask(x[..., 0])
        attend = linen.MultiHeadDotProductAttention(HEADS, name="self_attn")
        cross = linen.MultiHeadDotProductAttention(HEADS, name="cross_attn")
        x = added(x, lambda y: attend(y, y, mask=mask), linen.LayerNorm(name="norm1"), self.norm_first)
        x = added(x, lambda y: cross(y, encoded), linen.LayerNorm(name="norm2"), self.norm_first)
        return added(x, LinenMlp(name="mlp"), linen.LayerNorm(name="norm3"), self.norm_first)


class LinenTranslation(linen.Module):
    norm_first: bool = False

    @linen.compact
    def __call__(self, source: Array, target: Array) -> Array:
        embedding = linen.Embed(VOCABULARY, WIDTH, name="embedding")
        encoded = embedding(source) + positions()
        for number in range(LAYERS):
            encoded = LinenEncoderLayer(self.norm_first, name=f"encoder_{number}")(encoded)
        if self.norm_first:
            encoded = linen.LayerNorm(name="encoder_norm")(encoded)
        y = embedding(jnp.pad(target, ((0, 0), (1, 0)))[:, :-1]) + positions()
        for number in range(LAYERS):
            y = LinenDecoderLayer(self.norm_first, name=f"decoder_{number}")(y, encoded)
        if self.norm_first:
            y = linen.LayerNorm(name="decoder_norm")(y)
        return embedding.attend(y) / math.sqrt(WIDTH)


def layer_params(state: State, path: str) -> dict[str, Any]:
    own = part(state, path)
    attentions = {
        name: attention(own[f"{name}.in_proj_weight"], own[f"{name}.in_proj_bias"], part(own, f"{name}.out_proj"), HEADS)
        for name in ("self_attn", "cross_attn")
        if f"{name}.in_proj_weight" in own
    }
    norms = {name: norm(own, name) for name in ("norm1", "norm2", "norm3") if f"{name}.weight" in own}
    return attentions | norms | {"mlp": {name: dense(own, name) for name in ("linear1", "linear2")}}


def translation(*, final_norm: bool) -> Models:
    """torch's norms behind the last layers have no partner in JAX, whose layers are not ``norm_first``."""
    model = random_model(Translation(final_norm=final_norm))
    state = state_of(model)
    params = {"embedding": {"embedding": jnp.asarray(state["embedding.weight"])}} | {
        f"{stack}_{number}": layer_params(state, f"{stack}.layers.{number}")
        for stack in ("encoder", "decoder")
        for number in range(LAYERS)
    }
    rng = np.random.default_rng(2)
    tokens = [rng.integers(1, VOCABULARY, (2, LENGTH)).astype(np.int32) for _ in range(2)]
    return Models(model, LinenTranslation().apply, tokens, params={"params": params})


BUGS = (
    Bug(
        name="algoperf_layer_norm_epsilon",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/commit/d2bd2541",
        what="The layer norms of the U-Net in PyTorch have the epsilon 1e-5, where those of flax have 1e-6.",
        shows="values",
        right=lambda: unet(eps=1e-6),
        wrong=lambda: unet(eps=1e-5),
        cause=(r"\beps", r"1e-0?[56]\b"),
        where=r"down\.norm1",
    ),
    Bug(
        name="algoperf_final_norm_of_post_norm",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/commit/76d0f44b",
        what="The encoder and the decoder in PyTorch end with a norm in post-norm mode too, where those in JAX do not.",
        shows="values",
        right=lambda: translation(final_norm=False),
        wrong=lambda: translation(final_norm=True),
        cause=(
            r"norm\b.*(missing|left out|leaves out|omit|skip|lacks|not appl|no partner|only in PyTorch)",
            r"(misses|lacks|forgets|leaves out|omits|skips|without|does not (apply|have|use|compute)|has no)\b.*norm",
            r"(extra|additional|one more|second|another)\b.*norm",
        ),
        where=r"encoder\.norm",
    ),
)
