"""Layers: axes, statistics, layouts, padding, gates, and modules in the wrong mode."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals

rows = normals((16, 16))
image = normals((2, 4, 8, 8))
dense = normals((4, 16), (16, 16))
kernel = normals((2, 4, 8, 8), (4, 4, 3, 3))
recurrent = normals((4, 8), (4, 8), (24, 8), (24, 8), (24,), (24,), scale=0.7)
gated = normals((4, 8), (4, 8), (4, 8), (32, 8), (32, 8), scale=0.7)


def differs(name: str, torch_fn: Any, jax_fn: Any, make: Any = rows, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="definition", **rest)


def normalise(x: Any, axis: Any, eps: float = 1e-5, ddof: int = 0) -> Any:
    return (x - x.mean(axis, keepdims=True)) / jnp.sqrt(x.var(axis, ddof=ddof, keepdims=True) + eps)


def layer_norm(x: Any) -> Any:
    return F.layer_norm(x, (16,))


def eps_outside_the_root(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-5)


def rms_norm(x: Any, eps: float) -> Any:
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + eps)


def low_rows() -> list[Any]:
    """Rows so small that the epsilon counts."""
    return [1e-2 * rows()[0]]


def group_norm_of_strided_groups(x: Any) -> Any:
    """Channels 0, 2 and 1, 3 together instead of 0, 1 and 2, 3."""
    return normalise(x.reshape(2, 2, 2, 8, 8), (1, 3, 4)).reshape(x.shape)


def running_statistics(x: Any, mean: Any) -> Any:
    """The batch normalised, and the running mean after it."""
    moving = mean.clone()
    y = F.batch_norm(x, moving, torch.ones_like(mean), training=True, momentum=0.1)
    return y, moving


def running_statistics_of_decay(x: Any, mean: Any) -> Any:
    """0.1 taken for what is kept, not for what is new."""
    return normalise(x, 0), 0.1 * mean + 0.9 * x.mean(0)


def running_variance_unbiased(x: Any) -> Any:
    moving = torch.ones(16, dtype=x.dtype)
    F.batch_norm(x.detach(), torch.zeros_like(moving), moving, training=True, momentum=0.1)
    return moving


class Normed(torch.nn.Module):
    """A batch norm in eval mode, whose running statistics are those of a new module."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(16).eval()

    def forward(self, x: Any) -> Any:
        return self.norm(x)


class Silent(torch.nn.Module):
    """Dropout in eval mode: the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.25).eval()

    def forward(self, x: Any) -> Any:
        return self.dropout(x)


class Dense(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        weight = np.random.default_rng(7).standard_normal((16, 16))
        self.linear = torch.nn.Linear(16, 16)
        self.linear.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.ones(16)})

    def forward(self, x: Any) -> Any:
        return self.linear(x)


def dense_of_the_same_weight_transposed(x: Any) -> Any:
    return x @ np.random.default_rng(7).standard_normal((16, 16)).astype(x.dtype) + 1


def convolve(x: Any, w: Any, padding: Any = 1, stride: int = 1, layout: str = "OIHW") -> Any:
    return jax.lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        padding if isinstance(padding, str) else [(padding,) * 2] * 2,
        dimension_numbers=("NCHW", layout, "NCHW"),
    )


def conv(x: Any, w: Any) -> Any:
    return F.conv2d(x, w, padding=1)


def pool(x: Any, start: float, combine: Any, window: int, stride: int, padding: Any) -> Any:
    return jax.lax.reduce_window(x, start, combine, (1, 1, window, window), (1, 1, stride, stride), padding)


def average_of_what_is_there(x: Any) -> Any:
    """The padding is not counted."""
    same = ((0, 0), (0, 0), (1, 1), (1, 1))
    return pool(x, 0.0, jax.lax.add, 3, 1, same) / pool(jnp.ones_like(x), 0.0, jax.lax.add, 3, 1, same)


def max_pool_of_zero_padding(x: Any) -> Any:
    return pool(jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), -jnp.inf, jax.lax.max, 3, 2, "VALID")


def gru_with_reset_before(x: Any, h: Any, wi: Any, wh: Any, bi: Any, bh: Any) -> Any:
    (ri, zi, ni), (rh, zh, _) = jnp.split(x @ wi.T + bi, 3, -1), jnp.split(h @ wh.T + bh, 3, -1)
    r, z = jax.nn.sigmoid(ri + rh), jax.nn.sigmoid(zi + zh)
    n = jnp.tanh(ni + (r * h) @ wh[16:].T + bh[16:])
    return (1 - z) * n + z * h


def gru_with_update_mirrored(x: Any, h: Any, wi: Any, wh: Any, bi: Any, bh: Any) -> Any:
    (ri, zi, ni), (rh, zh, nh) = jnp.split(x @ wi.T + bi, 3, -1), jnp.split(h @ wh.T + bh, 3, -1)
    r, z = jax.nn.sigmoid(ri + rh), jax.nn.sigmoid(zi + zh)
    return z * jnp.tanh(ni + r * nh) + (1 - z) * h


def gru_with_gates_swapped(x: Any, h: Any, wi: Any, wh: Any, bi: Any, bh: Any) -> Any:
    (zi, ri, ni), (zh, rh, nh) = jnp.split(x @ wi.T + bi, 3, -1), jnp.split(h @ wh.T + bh, 3, -1)
    r, z = jax.nn.sigmoid(ri + rh), jax.nn.sigmoid(zi + zh)
    return (1 - z) * jnp.tanh(ni + r * nh) + z * h


def lstm_torch(x: Any, h: Any, c: Any, wi: Any, wh: Any) -> Any:
    i, f, g, o = (x @ wi.T + h @ wh.T).chunk(4, -1)
    new = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * new.tanh(), new


def lstm(order: str, forget_bias: float = 0) -> Any:
    def cell(x: Any, h: Any, c: Any, wi: Any, wh: Any) -> Any:
        gates = dict(zip(order, jnp.split(x @ wi.T + h @ wh.T, 4, -1), strict=True))
        i, f, o = (jax.nn.sigmoid(each) for each in (gates["i"], gates["f"] + forget_bias, gates["o"]))
        new = f * c + i * jnp.tanh(gates["g"])
        return o * jnp.tanh(new), new

    return cell


def table() -> list[Any]:
    """An embedding table and indices, some of them 0."""
    return [*normals((8, 4))(), np.array([0, 1, 0, 5, 7, 1], np.int32)]


def resized(x: Any) -> Any:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


PAIRS = [
    differs("linear-with-square-weight-transposed", lambda x, w: x @ w.T, lambda x, w: x @ w, dense),
    differs("linear-module-with-square-weight-transposed", Dense(), dense_of_the_same_weight_transposed),
    differs("residual-forgotten", lambda x, w: x + torch.tanh(x @ w), lambda x, w: jnp.tanh(x @ w), dense),
    differs("layer-norm-over-the-batch", layer_norm, lambda x: normalise(x, 0)),
    differs("layer-norm-over-everything", layer_norm, lambda x: normalise(x, (0, 1))),
    differs("layer-norm-epsilon", layer_norm, lambda x: normalise(x, -1, 1e-6), low_rows),
    differs("layer-norm-epsilon-on-ordinary-rows", layer_norm, lambda x: normalise(x, -1, 1e-6)),
    differs("layer-norm-epsilon-outside-the-root", layer_norm, eps_outside_the_root, low_rows),
    differs("layer-norm-unbiased-variance", layer_norm, lambda x: normalise(x, -1, ddof=1)),
    differs("layer-norm-without-its-mean", layer_norm, lambda x: rms_norm(x, 1e-5)),
    differs(
        "layer-norm-gain-of-one-more",
        lambda x, w: F.layer_norm(x, (16,), w),
        lambda x, w: normalise(x, -1) * (1 + w),
        normals((8, 16), (16,)),
    ),
    differs("layer-norm-epsilon-float64", layer_norm, lambda x: normalise(x, -1, 1.001e-5), dtype="float64"),
    differs("layer-norm-unbiased-variance-second-derivative", layer_norm, lambda x: normalise(x, -1, ddof=1), order=2),
    differs("layer-norm-over-the-batch-bfloat16", layer_norm, lambda x: normalise(x, 0), dtype="bfloat16"),
    differs("rms-norm-epsilon", lambda x: F.rms_norm(x, (16,), eps=1e-6), lambda x: rms_norm(x, 1e-5), low_rows),
    differs(
        "rms-norm-of-the-sum",
        lambda x: F.rms_norm(x, (16,), eps=1e-6),
        lambda x: x / jnp.sqrt((x * x).sum(-1, keepdims=True) + 1e-6),
    ),
    differs("group-norm-of-strided-groups", lambda x: F.group_norm(x, 2), group_norm_of_strided_groups, image),
    differs("instance-norm-over-channels", F.instance_norm, lambda x: normalise(x, 1), image),
    differs(
        "batch-norm-over-one-axis", lambda x: F.batch_norm(x, None, None, training=True), lambda x: normalise(x, 0), image
    ),
    differs(
        "batch-norm-momentum-of-the-old", running_statistics, running_statistics_of_decay, normals((16, 16), (16,)), order=0
    ),
    differs("batch-norm-running-variance-biased", running_variance_unbiased, lambda x: 0.9 + 0.1 * x.var(0), order=0),
    differs("batch-norm-eval-against-train", Normed(), lambda x: normalise(x, 0)),
    differs("dropout-eval-against-scaled", Silent(), lambda x: 0.75 * x),
    differs(
        "weight-norm-over-the-other-axis",
        lambda x, w: x @ (w / w.norm(dim=1, keepdim=True)).T,
        lambda x, w: x @ (w / jnp.linalg.norm(w, axis=0)).T,
        dense,
    ),
    differs("convolution-flipped", conv, lambda x, w: convolve(x, w[..., ::-1, ::-1]), kernel),
    differs(
        "convolution-of-one-dimension-flipped",
        lambda x, w: F.conv1d(x[None, None], w[None, None], padding=1)[0, 0],
        lambda x, w: jnp.convolve(x, w, "same"),
        normals((16,), (3,)),
    ),
    differs("convolution-channels-swapped", conv, lambda x, w: convolve(x, w, layout="IOHW"), kernel),
    differs("convolution-kernel-transposed", conv, lambda x, w: convolve(x, w.mT), kernel),
    differs(
        "convolution-kernel-reshaped-to-hwio", conv, lambda x, w: convolve(x, w.reshape(3, 3, 4, 4), layout="HWIO"), kernel
    ),
    differs(
        "convolution-same-padding-of-stride-two",
        lambda x, w: F.conv2d(x, w, padding=1, stride=2),
        lambda x, w: convolve(x, w, "SAME", 2),
        kernel,
    ),
    differs(
        "convolution-padding-circular",
        conv,
        lambda x, w: convolve(jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), "wrap"), w, 0),
        kernel,
    ),
    differs("average-pool-without-its-padding", lambda x: F.avg_pool2d(x, 3, 1, 1), average_of_what_is_there, image),
    differs(
        "max-pool-padded-with-zero", lambda x: F.max_pool2d(x, 3, 2, 1), max_pool_of_zero_padding, lambda: [image()[0] - 2]
    ),
    differs("interpolate-corners-aligned", resized, lambda x: jax.image.resize(x, (2, 4, 16, 16), "bilinear"), image),
    differs(
        "interpolate-nearest-against-linear",
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: jax.image.resize(x, (2, 4, 16, 16), "linear"),
        image,
    ),
    differs(
        "pixel-shuffle-of-the-other-order",
        lambda x: F.pixel_shuffle(x, 2),
        lambda x: x.reshape(2, 2, 2, 1, 8, 8).transpose(0, 3, 4, 2, 5, 1).reshape(2, 1, 16, 16),
        image,
    ),
    differs("flatten-of-the-other-layout", lambda x: x.flatten(1), lambda x: x.transpose(0, 2, 3, 1).reshape(2, -1), image),
    differs("channels-reshaped-not-moved", lambda x: x.permute(0, 2, 3, 1), lambda x: x.reshape(2, 8, 8, 4), image),
    differs("gru-reset-before-the-product", torch.gru_cell, gru_with_reset_before, recurrent),
    differs("gru-update-mirrored", torch.gru_cell, gru_with_update_mirrored, recurrent),
    differs("gru-gates-swapped", torch.gru_cell, gru_with_gates_swapped, recurrent),
    differs("lstm-gates-in-another-order", lstm_torch, lstm("ifog"), gated),
    differs("lstm-gates-as-in-tensorflow", lstm_torch, lstm("igfo"), gated),
    differs("lstm-forget-bias-of-one", lstm_torch, lstm("ifgo", 1.0), gated),
    differs("embedding-scaled", lambda t, i: F.embedding(i.long(), t), lambda t, i: 2 * t[i], table),
    differs(
        "embedding-padding-with-a-gradient",
        lambda t, i: F.embedding(i.long(), t, padding_idx=0),
        lambda t, i: t[i],
        table,
        side="torch",
    ),
    differs("embedding-indices-from-one", lambda t, i: F.embedding(i.long(), t), lambda t, i: t[i - 1], table),
    differs(
        "embedding-bag-sum-against-mean", lambda t, i: F.embedding_bag(i.long()[None], t)[0], lambda t, i: t[i].sum(0), table
    ),
]
