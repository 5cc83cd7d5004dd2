"""Bugs of goodfire-ai/spd, of cmmd-pytorch and of timm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen
from ported import randomised, weights_of
from torch import nn
from torch.nn.functional import interpolate, pad, rms_norm, scaled_dot_product_attention

from field.records import Bug, Functions, Models

Array = Any
State = Mapping[str, np.ndarray]


# spd: a transformer says which components of a network are important, as in plain functions of JAX

WIDTH, HIDDEN, HEADS, BLOCKS, COMPONENTS = 16, 32, 2, 2, 10
LEAK = 0.01


def normalised(x: Any) -> Any:
    """Without a weight; PyTorch's own epsilon is that of the dtype."""
    return rms_norm(x, (WIDTH,))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.up = nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Any) -> Any:
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in self.qkv(normalised(x)).chunk(3, -1))
        x = x + self.out(scaled_dot_product_attention(q, k, v).transpose(-2, -3).flatten(-2))
        return x + self.down(torch.relu(self.up(normalised(x))))


class Importance(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(COMPONENTS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.head = nn.Linear(WIDTH, COMPONENTS)

    def forward(self, x: Any) -> Any:
        x = self.project(x)
        for block in self.blocks:
            x = block(x)
        x = self.head(normalised(x))
        return torch.where(x < 0, LEAK * x, torch.where(x < 1, x, 1 + LEAK * (x - 1)))


def dense(params: Mapping[str, Array], path: str, x: Array) -> Array:
    return x @ params[f"{path}.weight"].T + params[f"{path}.bias"]


def weightless_rms_norm(x: Array, eps: float | None) -> Array:
    eps = float(jnp.finfo(x.dtype).eps) if eps is None else eps
    return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + eps)


def importance(params: Mapping[str, Array], x: Array, *, eps: float | None) -> Array:
    x = dense(params, "project", x)
    for k in range(BLOCKS):
        joined = jnp.split(dense(params, f"blocks.{k}.qkv", weightless_rms_norm(x, eps)), 3, -1)
        q, k_, v = (part.reshape(*part.shape[:-1], HEADS, -1) for part in joined)
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k_) / math.sqrt(WIDTH // HEADS)
        y = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), v)
        x = x + dense(params, f"blocks.{k}.out", y.reshape(x.shape))
        hidden = jax.nn.relu(dense(params, f"blocks.{k}.up", weightless_rms_norm(x, eps)))
        x = x + dense(params, f"blocks.{k}.down", hidden)
    x = dense(params, "head", weightless_rms_norm(x, eps))
    return jnp.where(x < 0, LEAK * x, jnp.where(x < 1, x, 1 + LEAK * (x - 1)))


def importances(eps: float | None) -> Models:
    torch.manual_seed(0)
    model = randomised(Importance())
    params = {name: jnp.asarray(value) for name, value in weights_of(model).items()}
    x = np.random.default_rng(1).normal(size=(3, 6, COMPONENTS)).astype(np.float32)
    return Models(model, lambda own, given: importance(own, given, eps=eps), [x], params)


# spd: the learning rate at a step

TOTAL, RATE, LEAST = 400_000, 3e-4, 0.1


def torch_cosine(step: Any) -> Any:
    """The last step has the least rate."""
    done = step / (TOTAL - 1)
    return RATE * (LEAST + (1 - LEAST) * 0.5 * (1 + torch.cos(math.pi * done)))


def cosine(steps: int) -> Functions:
    """optax reaches the least rate after so many steps."""
    schedule = optax.cosine_decay_schedule(RATE, steps, LEAST)
    return Functions(torch_cosine, schedule, [np.linspace(0, TOTAL - 1, 512).round().astype(np.float32)], order=0)


# cmmd-pytorch: images are resized for the encoder

SIDE = 14


def torch_resized(images: Any, *, antialias: bool) -> Any:
    given = images.permute(0, 3, 1, 2)
    resized = interpolate(given, size=(SIDE, SIDE), mode="bicubic", align_corners=False, antialias=antialias)
    return resized.permute(0, 2, 3, 1)


def jax_resized(images: Array) -> Array:
    return jax.image.resize(images, (images.shape[0], SIDE, SIDE, images.shape[3]), "bicubic")


def resized(*, antialias: bool) -> Functions:
    images = np.random.default_rng(2).uniform(size=(2, 24, 24, 3)).astype(np.float32)
    return Functions(lambda x: torch_resized(x, antialias=antialias), jax_resized, [images], order=0)


# timm: the encoder of images of Gemma 3n, MobileNetV5, whose original is in JAX

STEM, MIDDLE = 8, 16


class RmsNorm2d(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Any) -> Any:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6) * self.weight[:, None, None]


class ConvNormAct(nn.Module):
    """The padding is that of SAME in JAX: with a stride of 2, only behind."""

    def __init__(self, inputs: int, outputs: int, size: int, act: str | None, *, groups: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        self.conv = nn.Conv2d(inputs, outputs, size, stride, groups=groups, bias=stride == 2)
        self.norm = RmsNorm2d(outputs)
        self.act = nn.Identity() if act is None else nn.GELU(approximate=act)

    def forward(self, x: Any) -> Any:
        total = self.size - self.stride if self.stride > 1 else self.size - 1
        before = total // 2
        x = pad(x, (before, total - before) * 2)
        return self.act(self.norm(self.conv(x)))


class InvertedResidual(nn.Module):
    def __init__(self, approximate: str) -> None:
        super().__init__()
        self.expand = ConvNormAct(STEM, MIDDLE, 1, approximate)
        self.depthwise = ConvNormAct(MIDDLE, MIDDLE, 3, approximate, groups=MIDDLE)
        self.project = ConvNormAct(MIDDLE, STEM, 1, None)
        self.layer_scale = nn.Parameter(torch.ones(STEM))

    def forward(self, x: Any) -> Any:
        return x + self.project(self.depthwise(self.expand(x))) * self.layer_scale[:, None, None]


class Encoder(nn.Module):
    def __init__(self, approximate: str) -> None:
        super().__init__()
        self.conv_stem = ConvNormAct(3, STEM, 3, approximate, stride=2)
        self.blocks = nn.ModuleList(InvertedResidual(approximate) for _ in range(2))
        self.norm = RmsNorm2d(STEM)

    def forward(self, x: Any) -> Any:
        x = self.conv_stem(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x).mean((2, 3))


class JaxRmsNorm(linen.Module):
    @linen.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param("scale", linen.initializers.ones, (x.shape[-1],), x.dtype)
        return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-6) * scale


class JaxConvNormAct(linen.Module):
    outputs: int
    size: int
    act: bool = True
    groups: int = 1
    stride: int = 1

    @linen.compact
    def __call__(self, x: Array) -> Array:
        sizes, strides = (self.size,) * 2, (self.stride,) * 2
        conv = linen.Conv(
            self.outputs, sizes, strides, feature_group_count=self.groups, use_bias=self.stride == 2, name="conv"
        )
        x = JaxRmsNorm(name="norm")(conv(x))
        return linen.gelu(x) if self.act else x


class JaxInvertedResidual(linen.Module):
    @linen.compact
    def __call__(self, x: Array) -> Array:
        y = JaxConvNormAct(MIDDLE, 1, name="expand")(x)
        y = JaxConvNormAct(MIDDLE, 3, groups=MIDDLE, name="depthwise")(y)
        y = JaxConvNormAct(STEM, 1, act=False, name="project")(y)
        return x + y * self.param("layer_scale", linen.initializers.ones, (STEM,), x.dtype)


class JaxEncoder(linen.Module):
    @linen.compact
    def __call__(self, x: Array) -> Array:
        x = JaxConvNormAct(STEM, 3, stride=2, name="conv_stem")(x)
        for k in range(2):
            x = JaxInvertedResidual(name=f"blocks_{k}")(x)
        return JaxRmsNorm(name="norm")(x).mean((1, 2))


def convolution_of(state: State, path: str) -> dict[str, Any]:
    conv = {"kernel": state[f"{path}.conv.weight"].transpose(2, 3, 1, 0)}
    if f"{path}.conv.bias" in state:
        conv["bias"] = state[f"{path}.conv.bias"]
    return {"conv": conv, "norm": {"scale": state[f"{path}.norm.weight"]}}


def params_of(state: State) -> Any:
    blocks = {
        f"blocks_{k}": {name: convolution_of(state, f"blocks.{k}.{name}") for name in ("expand", "depthwise", "project")}
        | {"layer_scale": state[f"blocks.{k}.layer_scale"]}
        for k in range(2)
    }
    stem = {"conv_stem": convolution_of(state, "conv_stem"), "norm": {"scale": state["norm.weight"]}}
    return {"params": jax.tree.map(jnp.asarray, stem | blocks)}


def encoder(*, approximate: str = "tanh", stem_bias: bool = True) -> Models:
    """The mistakes are those of torch's side: JAX's has the original weights, with a bias in the stem."""
    torch.manual_seed(0)
    model: Any = randomised(Encoder(approximate))
    params = params_of(weights_of(model))
    if not stem_bias:
        model.conv_stem.conv.bias = None
    images = np.random.default_rng(3).normal(size=(2, 3, 10, 10)).astype(np.float32)
    return Models(model, JaxEncoder().apply, [images], params, torch_to_jax=lambda x: [x[0].transpose(0, 2, 3, 1)])


BUGS = (
    Bug(
        name="spd_rms_norm_epsilon",
        project="goodfire-ai/spd",
        place="https://github.com/goodfire-ai/spd/issues/625",
        what="RMSNorm adds 1e-5, where PyTorch adds the epsilon of the dtype, 1.2e-7.",
        shows="values",
        right=lambda: importances(None),
        wrong=lambda: importances(1e-5),
        cause=(r"\beps(ilon)?\b", r"1e-0?5"),
        where=r"blocks\.0|rms_norm|project",
    ),
    Bug(
        name="spd_cosine_schedule",
        project="goodfire-ai/spd",
        place="https://github.com/goodfire-ai/spd/issues/642",
        what="The learning rate reaches its end one step too late: of 400,000.",
        shows="training",
        right=lambda: cosine(TOTAL - 1),
        wrong=lambda: cosine(TOTAL),
        cause=(r"399[,_]?999", r"400[,_]?000", r"one step", r"off by one"),
    ),
    Bug(
        name="cmmd_antialias",
        project="sayakpaul/cmmd-pytorch",
        place="https://github.com/sayakpaul/cmmd-pytorch/issues/4",
        what="PyTorch resizes without antialiasing, which JAX's resize does.",
        shows="preprocessing",
        right=lambda: resized(antialias=True),
        wrong=lambda: resized(antialias=False),
        cause=(r"anti-?alias",),
    ),
    Bug(
        name="timm_mobilenetv5_gelu",
        project="huggingface/pytorch-image-models",
        place="https://github.com/huggingface/pytorch-image-models/pull/2533",
        what="PyTorch has the exact gelu, where the original has the one with tanh.",
        shows="values",
        right=encoder,
        wrong=lambda: encoder(approximate="none"),
        cause=(r"gelu_tanh", r"tanh"),
        where=r"conv_stem\.act",
    ),
    Bug(
        name="timm_mobilenetv5_stem_bias",
        project="huggingface/pytorch-image-models",
        place="https://github.com/huggingface/pytorch-image-models/pull/2533",
        what="PyTorch's first convolution has no bias; the original has one.",
        shows="values",
        right=encoder,
        wrong=lambda: encoder(stem_bias=False),
        cause=(r"\bbias\b",),
        where=r"conv_stem",
    ),
)
