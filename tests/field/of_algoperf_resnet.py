"""Bugs of the ImageNet workload of mlcommons/algorithmic-efficiency: its ResNet-50, and what happens to images before it."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F
from zoo.architecture import State, channels_last, state_of
from zoo.architecture import normals as drawn
from zoo.of_linen import conv, dense
from zoo.plain import batch_norm_of

from field.of_algoperf import PROJECT, random_model
from field.records import Bug, Functions, Models

Array = Any
Padding = Any
FILTERS, CLASSES = 4, 6
ONE = ((1, 1), (1, 1))
THREE = ((3, 3), (3, 3))


# the model in torch


class Bottleneck(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv3 = nn.Conv2d(filters, 4 * filters, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * filters)
        self.proj = nn.Conv2d(channels, 4 * filters, 1, stride, bias=False)
        self.bn_proj = nn.BatchNorm2d(4 * filters)

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.bn_proj(self.proj(x)))


class ResNet(nn.Module):
    """Two stages of one block. With ``pad_after``, the max pool pads below and to the right alone, as SAME does."""

    def __init__(self, *, pad_after: bool = False) -> None:
        super().__init__()
        self.pad_after = pad_after
        self.conv1 = nn.Conv2d(3, FILTERS, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(FILTERS)
        self.maxpool = nn.MaxPool2d(3, 2, padding=0 if pad_after else 1)
        self.layer1 = Bottleneck(FILTERS, FILTERS, 1)
        self.layer2 = Bottleneck(4 * FILTERS, 2 * FILTERS, 2)
        self.fc = nn.Linear(8 * FILTERS, CLASSES)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.bn1(self.conv1(x)))
        if self.pad_after:
            x = F.pad(x, (0, 1, 0, 1), value=-torch.inf)
        x = self.layer2(self.layer1(self.maxpool(x)))
        return self.fc(x.mean((2, 3)))


# the model in flax


class LinenBottleneck(linen.Module):
    filters: int
    strides: tuple[int, int]
    padding: Padding

    @linen.compact
    def __call__(self, x: Array) -> Array:
        conv = partial(linen.Conv, use_bias=False)
        norm = partial(linen.BatchNorm, use_running_average=True, epsilon=1e-5)
        y = linen.relu(norm(name="bn1")(conv(self.filters, (1, 1), name="conv1")(x)))
        y = conv(self.filters, (3, 3), self.strides, padding=self.padding, name="conv2")(y)
        y = linen.relu(norm(name="bn2")(y))
        y = norm(name="bn3")(conv(4 * self.filters, (1, 1), name="conv3")(y))
        residual = norm(name="bn_proj")(conv(4 * self.filters, (1, 1), self.strides, name="proj")(x))
        return linen.relu(y + residual)


class LinenResNet(linen.Module):
    """``stem``, ``pool`` and ``inner`` are the paddings of the first convolution, the pool and the 3 x 3 convolutions."""

    stem: Padding = THREE
    pool: Padding = ONE
    inner: Padding = ONE

    @linen.compact
    def __call__(self, x: Array) -> Array:
        x = linen.Conv(FILTERS, (7, 7), (2, 2), padding=self.stem, use_bias=False, name="conv1")(x)
        x = linen.relu(linen.BatchNorm(use_running_average=True, epsilon=1e-5, name="bn1")(x))
        x = linen.max_pool(x, (3, 3), (2, 2), padding=self.pool)  # type: ignore[no-untyped-call]
        x = LinenBottleneck(FILTERS, (1, 1), self.inner, name="layer1")(x)
        x = LinenBottleneck(2 * FILTERS, (2, 2), self.inner, name="layer2")(x)
        return linen.Dense(CLASSES, name="fc")(x.mean((1, 2)))


def resnet_variables(state: State) -> dict[str, Any]:
    """torch's weights and statistics in flax's two trees."""
    params: dict[str, Any] = {"fc": dense(state, "fc")}
    statistics: dict[str, Any] = {}
    for path in ("", "layer1.", "layer2."):
        inner = ("conv1",) if not path else ("conv1", "conv2", "conv3", "proj")
        norms = {name: batch_norm_of(state, path + name) for name in map(norm_after, inner)}
        convs = {name: conv(state, path + name) for name in inner}
        scales = {name: {kind: own[kind] for kind in ("scale", "bias")} for name, own in norms.items()}
        kept = {name: {kind: own[kind] for kind in ("mean", "var")} for name, own in norms.items()}
        if path:
            params[path[:-1]], statistics[path[:-1]] = convs | scales, kept
        else:
            params, statistics = params | convs | scales, statistics | kept
    return {"params": params, "batch_stats": statistics}


def norm_after(convolution: str) -> str:
    """The name of the batch norm that follows a convolution."""
    return "bn_" + convolution if convolution == "proj" else convolution.replace("conv", "bn")


def resnet(size: int, *, pad_after: bool = False, **paddings: Padding) -> Models:
    """Both models with the same weights, in evaluation, for images of this size."""
    model = random_model(ResNet(pad_after=pad_after))
    variables = resnet_variables(state_of(model))
    images = drawn(1, (2, 3, size, size))
    return Models(model, LinenResNet(**paddings).apply, images, params=variables, torch_to_jax=channels_last)


# initial weights


def torch_initial(first: Any, middle: Any, last: Any, *, zero: bool) -> dict[str, Any]:
    """The weights of a residual branch from normal numbers in the shapes of its kernels."""
    weights = {}
    for number, draw in enumerate((first, middle, last), 1):
        weights[f"conv{number}"] = draw / draw[0].numel() ** 0.5
        weights[f"bn{number}.weight"] = draw.new_ones(len(draw))
        weights[f"bn{number}.bias"] = draw.new_zeros(len(draw))
    if zero:
        weights["bn3.weight"] = torch.zeros_like(weights["bn3.weight"])
    return weights


def jax_initial(first: Array, middle: Array, last: Array) -> dict[str, Array]:
    """The same; the last scale is 0, so that the block begins as its shortcut."""
    weights = {}
    for number, draw in enumerate((first, middle, last), 1):
        start = linen.initializers.zeros if number == 3 else linen.initializers.ones
        weights[f"conv{number}"] = draw / np.prod(draw.shape[1:]) ** 0.5
        weights[f"bn{number}.weight"] = start(jax.random.key(0), (len(draw),), draw.dtype)
        weights[f"bn{number}.bias"] = jnp.zeros(len(draw), draw.dtype)
    return weights


def initial(*, zero: bool) -> Functions:
    draws = drawn(2, (4, 8, 1, 1), (4, 4, 3, 3), (16, 4, 1, 1))
    return Functions(partial(torch_initial, zero=zero), jax_initial, draws, order=0)


# augmentation

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def torch_augmented(image: Any, level: Any) -> Any:
    """Invert what is bright, then make each image brighter: both are made for values from 0 to 255."""
    image = torch.where(image < 128, image, 255 - image)
    return (image * level[:, None, None, None]).clamp(0, 255)


def torch_images(image: Any, level: Any, *, convert_first: bool) -> Any:
    """``convert_first`` makes values from 0 to 1 of the image, then augments it."""
    image = image.to(level.dtype)
    image = torch_augmented(image / 255, level) if convert_first else torch_augmented(image, level) / 255
    return (image - image.new_tensor(MEAN)) / image.new_tensor(DEVIATION)


def jax_images(image: Array, level: Array) -> Array:
    image = image.astype(level.dtype)
    image = jnp.where(image < 128, image, 255 - image)
    image = jnp.clip(image * level[:, None, None, None], 0, 255) / 255
    return (image - jnp.array(MEAN, level.dtype)) / jnp.array(DEVIATION, level.dtype)


def augmentation(*, convert_first: bool) -> Functions:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (2, 6, 6, 3)).astype(np.int32)
    level = rng.uniform(1.2, 1.9, 2).astype(np.float32)
    return Functions(partial(torch_images, convert_first=convert_first), jax_images, [image, level], order=0)


BUGS = (
    Bug(
        name="algoperf_resnet_padding",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/pull/231",
        what="ResNet-50 in PyTorch pads its max pool on all sides, where JAX (SAME) pads below and to the right alone.",
        shows="values",
        right=lambda: resnet(16, pad_after=True, pool="SAME"),
        wrong=lambda: resnet(16, pool="SAME"),
        cause=(r"\bpad", r"\bSAME\b"),
        where=r"maxpool|max_pool",
    ),
    Bug(
        name="algoperf_max_pool_padding",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/pull/248",
        what="The max pool of ResNet-50 in JAX has the padding SAME, where PyTorch pads by 1 on all sides.",
        shows="values",
        right=lambda: resnet(24),
        wrong=lambda: resnet(24, pool="SAME"),
        cause=(r"\bpad", r"\bSAME\b"),
        where=r"maxpool|max_pool",
    ),
    Bug(
        name="algoperf_last_scale_not_zero",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/pull/231",
        what="PyTorch starts the scale of the last batch norm of each residual block at 1, where JAX starts it at 0.",
        shows="weights",
        right=lambda: initial(zero=True),
        wrong=lambda: initial(zero=False),
        cause=(
            r"bn3\.weight\b.*\b(zeros?|ones?|(is|are|gives|computes|returns|has|JAX) 0|0 (where|against|for))\b",
            r"\bzeros?\b.*\bones?\b",
            r"\bones?\b.*\bzeros?\b",
        ),
    ),
    Bug(
        name="algoperf_augmented_after_conversion",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/commit/43f80d09",
        what="PyTorch converts images to values from 0 to 1 first, then augments them with rules for 0 to 255.",
        shows="preprocessing",
        right=lambda: augmentation(convert_first=False),
        wrong=lambda: augmentation(convert_first=True),
        cause=(
            r"(by|times|factor|/) ?255\b|\b255 times",
            r"(before|after) .*(conver|divi|scal)",
            r"(converted|divided|scaled) (before|after)",
        ),
    ),
)
