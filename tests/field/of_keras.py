"""Bugs of Keras and keras-hub: epsilons, rotary positions, a transposed convolution and a resize of the torch backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from jax import lax
from ported import normals, weights_of
from torch import nn
from zoo.architecture import State
from zoo.plain import as_arrays, conv, conv_of, gelu, layer_norm, linear, linear_of, norm_of, softmax_attention, split_heads

from field.of_transformers import EPS, HEADS, IDS, LAYERS, TYPES, Bert, seeded
from field.of_transformers_gemma import ROUNDING, Config, gemma
from field.records import Bug, Check, Functions, Models

Array = Any
Params = Mapping[str, Any]
DEFAULT = 1e-5
"""The epsilon of keras-hub's encoder, if none is passed on."""
SIZE, FILL = 8, 0.3


# the epsilons of BERT's layers


def encoder(p: Params, x: Array, eps: float) -> Array:
    """One encoder's layer, which norms behind its sums."""
    q, k, v = (split_heads(linear(p[name], x), HEADS) for name in ("query", "key", "value"))
    y = linear(p["output"], softmax_attention(q, k, v).reshape(x.shape))
    x = layer_norm(p["attention_norm"], x + y, eps=eps)
    return layer_norm(p["output_norm"], x + linear(p["down"], gelu(linear(p["up"], x))), eps=eps)


def backbone(p: Params, ids: Array, types: Array, eps: float) -> Array:
    """BERT, which norms its embeddings and its head with the right epsilon."""
    x = p["words"][ids] + p["places"][: ids.shape[1]] + p["types"][types]
    x = layer_norm(p["norm"], x, eps=EPS)
    for own in p["layers"]:
        x = encoder(own, x, eps)
    x = layer_norm(p["transform_norm"], gelu(linear(p["transform"], x)), eps=EPS)
    return x @ p["words"].T + p["bias"]


def encoder_params(own: State, path: str) -> Params:
    attention = {name: linear_of(own, f"{path}.attention.{name}") for name in ("query", "key", "value", "output")}
    denses = {name: linear_of(own, f"{path}.{name}") for name in ("up", "down")}
    return attention | denses | {name: norm_of(own, f"{path}.{name}") for name in ("attention_norm", "output_norm")}


def bert(*, eps: float) -> Models:
    model = seeded(Bert)
    own = weights_of(model)
    params = {
        **{name: jnp.asarray(own[f"{name}.weight"]) for name in ("words", "places", "types")},
        **{name: norm_of(own, name) for name in ("norm", "transform_norm")},
        "layers": [encoder_params(own, f"layers.{k}") for k in range(LAYERS)],
        "transform": linear_of(own, "transform"),
        "bias": jnp.asarray(own["decoder.bias"]),
    }
    return Models(model, lambda p, ids, types: backbone(p, ids, types, eps), [IDS[0], TYPES], params)


# a transposed convolution


class Upscaler(nn.Module):
    """Doubles images twice, with channels last, as Keras' torch backend computes ``padding="same"``.

    The result is that of JAX if the transposed convolution is cut at its end; padding on both sides shifts it by one.
    """

    def __init__(self, *, cut: bool) -> None:
        super().__init__()
        self.cut = cut
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        padding = {} if cut else {"padding": 1, "output_padding": 1}
        self.up1 = nn.ConvTranspose2d(6, 5, 3, 2, **padding)
        self.up2 = nn.ConvTranspose2d(5, 4, 3, 2, **padding)
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x.permute(0, 3, 1, 2)))
        for up in (self.up1, self.up2):
            x = up(x)
            x = torch.relu(x[..., :-1, :-1] if self.cut else x)
        return self.last(x).permute(0, 2, 3, 1)


def upscaled(p: Params, x: Array) -> Array:
    """The same by Keras' JAX backend."""
    x = jax.nn.relu(conv(p["first"], x, padding=1))
    for own in (p["up1"], p["up2"]):
        y = lax.conv_transpose(x, own["weight"], (2, 2), "SAME", transpose_kernel=True)
        x = jax.nn.relu(y + own["bias"])
    return conv(p["last"], x, padding=1)


def upscaler(*, cut: bool) -> Models:
    model = seeded(lambda: Upscaler(cut=cut))
    own = weights_of(model)
    ups = {
        name: as_arrays({"weight": own[f"{name}.weight"].transpose(2, 3, 1, 0), "bias": own[f"{name}.bias"]})
        for name in ("up1", "up2")
    }
    params = {**ups, **{name: conv_of(own, name) for name in ("first", "last")}}
    return Models(model, upscaled, [normals(2, 5, 4, 3, seed=1)], params)


# a resize


def padded_resize(*, centred: bool) -> Functions:
    """Images of (batch, channel, height, width) are filled up to the shape of a square, and then resized.

    The bug of PyTorch's side: the canvas is too large by the image's own height and width.
    """

    def in_torch(images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[-2:]
        tall, wide = max(height, width), max(width, height)
        shape = (tall, wide) if centred else (tall + height, wide + width)
        canvas = torch.full((*images.shape[:2], *shape), FILL, dtype=images.dtype)
        top, left = (tall - height) // 2, (wide - width) // 2
        canvas[:, :, top : top + height, left : left + width] = images
        return F.interpolate(canvas, (SIZE, SIZE), mode="bilinear", align_corners=False)

    def in_jax(images: Array) -> Array:
        height, width = images.shape[-2:]
        down, aside = max(width - height, 0) // 2, max(height - width, 0) // 2
        canvas = jnp.pad(images, ((0, 0), (0, 0), (down, down), (aside, aside)), constant_values=FILL)
        return jax.image.resize(canvas, (*images.shape[:2], SIZE, SIZE), "bilinear", antialias=False)

    return Functions(in_torch, in_jax, [normals(2, 3, 6, 10, seed=2)], order=0)


BUGS = (
    Bug(
        name="keras_hub_epsilon",
        project="keras-team/keras-hub",
        place="https://github.com/keras-team/keras-hub/issues/642",
        what="BERT's encoder layers keep their default epsilon, 1e-5, where BERT has 1e-12: it is not passed on to them.",
        shows="values",
        right=lambda: bert(eps=EPS),
        wrong=lambda: bert(eps=DEFAULT),
        cause=(r"\beps(ilon)?\b", r"1e-0?5|1e-12"),
        where=r"layers\.0\.attention_norm",
    ),
    Bug(
        name="keras_hub_rotary",
        project="keras-team/keras-hub",
        place="https://github.com/keras-team/keras-hub/pull/1508",
        what="keras-hub's Gemma and Mistral compute rotary positions and angles in bfloat16.",
        shows="values",
        right=lambda: gemma(Config()),
        wrong=lambda: gemma(Config(), precise=False),
        cause=(
            r"\bposition",
            r"\bangle",
            r"\b(cos|sin)\b",
            r"rotary|rope",
            *ROUNDING,
        ),
        where=r"layers\.0\.attention",
    ),
    Bug(
        name="keras_conv_transpose",
        project="keras-team/keras",
        place="https://github.com/keras-team/keras/pull/22876",
        what="The torch backend pads a transposed convolution of stride 2 on both sides: its result is shifted by one.",
        shows="values",
        right=lambda: upscaler(cut=True),
        wrong=lambda: upscaler(cut=False),
        cause=(r"\bshift(s|ed)?\b", r"\bpad(s|ded|ding)?\b", r"\b(cut|crop)", r"\boffset\b"),
        where=r"up1",
        check=Check(1e-6, 1e-5, "keras/src/layers/convolutional/conv_transpose_test.py: assertAllClose(..., atol=1e-5)"),
    ),
    Bug(
        name="keras_resize_padding",
        project="keras-team/keras",
        place="https://github.com/keras-team/keras/pull/20797",
        what="The torch backend's canvas for a padded resize is too large by the image itself, which is not in its centre.",
        shows="preprocessing",
        right=lambda: padded_resize(centred=True),
        wrong=lambda: padded_resize(centred=False),
        cause=(r"\bpad(s|ded|ding)?\b", r"\bborder|\bmargin|\bcanvas\b", r"\bfill(s|ed)?\b", r"\bcent(re|er)"),
    ),
)
