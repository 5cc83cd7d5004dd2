"""Bugs of vision models: PoolFormer's pooling in flax, and the position embeddings of timm's NaFlexViT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F
from zoo.architecture import channels_last, normals, state_of
from zoo.of_linen import conv, dense, norm
from zoo.plain import gelu, layer_norm, linear, linear_of, merge_heads, norm_of, softmax_attention, split_heads

from field.of_algoperf import random_model
from field.records import Bug, Models

Array = Any
Params = Mapping[str, Any]
CHANNELS, LAYERS, CLASSES = 8, 2, 5
PATCH, GRID, WIDTH, HEADS = 4, 3, 16, 2


# PoolFormer: a pool mixes the pixels


class Pooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Any) -> Any:
        return self.pool(x) - x


class PoolBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(1, CHANNELS)
        self.token_mixer = Pooling()
        self.norm2 = nn.GroupNorm(1, CHANNELS)
        self.fc1 = nn.Conv2d(CHANNELS, 2 * CHANNELS, 1)
        self.fc2 = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)

    def forward(self, x: Any) -> Any:
        x = x + self.token_mixer(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class PoolFormer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, CHANNELS, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(PoolBlock() for _ in range(LAYERS)))
        self.head = nn.Linear(CHANNELS, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(self.patch_embed(x)).mean((-2, -1)))


class LinenPoolFormer(linen.Module):
    count_include_pad: bool

    @linen.compact
    def __call__(self, x: Array) -> Array:
        x = linen.Conv(CHANNELS, (3, 3), 2, padding=1, name="patch_embed")(x)
        for k in range(LAYERS):
            y = linen.GroupNorm(num_groups=1, epsilon=1e-5, name=f"norm1_{k}")(x)
            pooled = linen.avg_pool(y, (3, 3), (1, 1), "SAME", count_include_pad=self.count_include_pad)
            x = x + pooled - y
            y = linen.GroupNorm(num_groups=1, epsilon=1e-5, name=f"norm2_{k}")(x)
            y = linen.gelu(linen.Conv(2 * CHANNELS, (1, 1), name=f"fc1_{k}")(y), approximate=False)
            x = x + linen.Conv(CHANNELS, (1, 1), name=f"fc2_{k}")(y)
        return linen.Dense(CLASSES, name="head")(x.mean((1, 2)))


def poolformer(*, count_include_pad: bool) -> Models:
    model = random_model(PoolFormer())
    state = state_of(model)
    params = {"patch_embed": conv(state, "patch_embed"), "head": dense(state, "head")}
    for k in range(LAYERS):
        params |= {f"{name}_{k}": norm(state, f"blocks.{k}.{name}") for name in ("norm1", "norm2")}
        params |= {f"{name}_{k}": conv(state, f"blocks.{k}.{name}") for name in ("fc1", "fc2")}
    port = LinenPoolFormer(count_include_pad)
    return Models(model, port.apply, normals(1, (2, 3, 12, 12)), {"params": params}, torch_to_jax=channels_last)


# a vision transformer for images of any shape


class NaFlexViT(nn.Module):
    """The grid of position embeddings is resized to that of the patches."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.proj = nn.Linear(3 * PATCH**2, WIDTH)
        self.pos_embed = nn.Parameter(torch.zeros(1, GRID, GRID, WIDTH))
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.attn_out = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.fc1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.fc2 = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, patches: Any) -> Any:
        """Of (batch, row, column, feature)."""
        batch, rows, columns, _ = patches.shape
        places = self.pos_embed.permute(0, 3, 1, 2)
        places = F.interpolate(places, size=(rows, columns), mode=self.mode, align_corners=False, antialias=True)
        x = self.proj(patches).flatten(1, 2) + places.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm1(x)).reshape(batch, rows * columns, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.attn_out(y)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


def jax_vit(p: Params, patches: Array) -> Array:
    """As SigLIP 2 has it in JAX."""
    batch, rows, columns, _ = patches.shape
    places = jax.image.resize(p["pos_embed"][0], (rows, columns, WIDTH), "bilinear", antialias=True)
    x = linear(p["proj"], patches.reshape(batch, rows * columns, -1)) + places.reshape(1, -1, WIDTH)
    q, k, v = jnp.split(linear(p["qkv"], layer_norm(p["norm1"], x, eps=1e-6)), 3, -1)
    y = softmax_attention(*(split_heads(part, HEADS) for part in (q, k, v)))
    x = x + linear(p["attn_out"], merge_heads(y))
    return x + linear(p["fc2"], gelu(linear(p["fc1"], layer_norm(p["norm2"], x, eps=1e-6))))


def vit(mode: str) -> Models:
    model = NaFlexViT(mode)
    random_model(model)
    state = state_of(model)
    params = {name: linear_of(state, name) for name in ("proj", "qkv", "attn_out", "fc1", "fc2")}
    params |= {name: norm_of(state, name) for name in ("norm1", "norm2")}
    params |= {"pos_embed": jnp.asarray(state["pos_embed"])}
    return Models(model, jax_vit, normals(2, (2, 4, 5, 3 * PATCH**2)), params)


BUGS = (
    Bug(
        name="flax_count_include_pad",
        project="google/flax",
        place="https://github.com/google/flax/issues/2448",
        what="flax's average pool counts the padding, which PoolFormer does not.",
        shows="values",
        right=lambda: poolformer(count_include_pad=False),
        wrong=lambda: poolformer(count_include_pad=True),
        cause=(r"count_include_pad", r"\bpadding\b"),
        where=r"blocks\.0\.token_mixer",
    ),
    Bug(
        name="timm_naflex_interpolation",
        project="huggingface/pytorch-image-models",
        place="https://github.com/huggingface/pytorch-image-models/pull/2543",
        what="NaFlexViT resizes its position embeddings by a bicubic interpolation, SigLIP 2 by a bilinear one.",
        shows="values",
        right=lambda: vit("bilinear"),
        wrong=lambda: vit("bicubic"),
        cause=(r"\b(bi)?cubic\b", r"\b(bi)?linear\b"),
        where=r"pos_embed|interpolate|resize",
    ),
)
