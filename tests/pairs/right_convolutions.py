"""Convolutions, pooling, padding, resampling and Fourier transforms, in both layouts and as products."""

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from jax import lax

from pairs.records import Pair
from pairs.seeded import normals, shuffled

IMAGES = ((2, 3, 10, 9), (4, 3, 3, 3))  # NCHW, OIHW


def conv(x, w, stride=1, padding=0, dilation=1, groups=1):
    """JAX's convolution with PyTorch's arguments."""
    return lax.conv_general_dilated(
        x, w, (stride,) * 2, [(padding,) * 2] * 2, rhs_dilation=(dilation,) * 2, feature_group_count=groups
    )


def jax_channels_last(x, w, b):
    x, w = jnp.transpose(x, (0, 2, 3, 1)), jnp.transpose(w, (2, 3, 1, 0))
    y = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b
    return jnp.transpose(y, (0, 3, 1, 2))


def torch_unfolded(x, w):
    columns = F.unfold(x, 3)
    return (w.flatten(1) @ columns).unflatten(2, (8, 7))


def jax_shifted(x, w):
    return sum(jnp.einsum("nchw,oc->nohw", x[:, :, i : i + 8, j : j + 7], w[:, :, i, j]) for i in range(3) for j in range(3))


def jax_patches(x, w):
    patches = lax.conv_general_dilated_patches(x, (3, 3), (1, 1), "VALID")
    return jnp.einsum("nkhw,ok->nohw", patches, w.reshape(4, -1))


def jax_transposed(x, w):
    # PyTorch's weight is (in, out, height, width), and it correlates where the gradient of a convolution convolves
    return lax.conv_general_dilated(
        x, jnp.flip(jnp.transpose(w, (1, 0, 2, 3)), (2, 3)), (1, 1), [(2, 2)] * 2, lhs_dilation=(2, 2)
    )


def jax_causal(x, w):
    y = jnp.pad(x, ((0, 0), (0, 0), (4, 0)))
    return jnp.stack([jnp.einsum("nct,oct->no", y[:, :, t : t + 5], w) for t in range(x.shape[2])], 2)


def jax_depthwise(x, w):
    return jnp.stack([conv(x[:, c : c + 1], w[c : c + 1], padding=1)[:, 0] for c in range(x.shape[1])], 1)


def pool(x, start, combine, size, stride):
    return lax.reduce_window(x, start, combine, (1, 1, size, size), (1, 1, stride, stride), "VALID")


def jax_adaptive(x):
    """Means over windows that start at floor(i n / 3) and end at ceil((i + 1) n / 3)."""
    n = x.shape[2]
    bounds = [(i * n // 3, -((-(i + 1) * n) // 3)) for i in range(3)]
    rows = [[jnp.mean(x[:, :, a:b, c:d], (2, 3)) for c, d in bounds] for a, b in bounds]
    return jnp.stack([jnp.stack(row, -1) for row in rows], 2)


def jax_bilinear(x):
    return jax.image.resize(x, (2, 3, 14, 12), "bilinear")


def jax_corners(x):
    """Linear interpolation along the last axis from 7 to 13 points with the corners aligned."""
    middle = (x[..., 1:] + x[..., :-1]) / 2
    return jnp.concatenate([jnp.stack([x[..., :-1], middle], -1).reshape(*x.shape[:-1], -1), x[..., -1:]], -1)


def jax_pixel_shuffle(x):
    n, c, h, w = x.shape
    return jnp.transpose(x.reshape(n, c // 4, 2, 2, h, w), (0, 1, 4, 2, 5, 3)).reshape(n, c // 4, 2 * h, 2 * w)


def torch_circular(x, k):
    return torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(k), n=64)


def jax_circular(x, k):
    index = jnp.arange(64)
    return k[(index[:, None] - index) % 64] @ x


def torch_long_convolution(x, k):
    return torch.fft.irfft(torch.fft.rfft(x, n=128) * torch.fft.rfft(k, n=128), n=128)[:64]


def torch_cosine_transform(x):
    n, k = torch.arange(16), torch.arange(16)[:, None]
    parts = (k * (2 * n + 1) % 64).to(x.dtype)  # of a turn of 64: small angles keep their digits
    return 2 * torch.cos(torch.pi / 32 * parts) @ x


def image_pool():
    return [shuffled(2, 3, 8, 8)]


PAIRS = [
    Pair("conv2d", F.conv2d, conv, normals((2, 16, 10, 9), (8, 16, 3, 3), scale=10)),
    Pair(
        "conv2d-strided-padded-dilated",
        lambda x, w: F.conv2d(x, w, stride=2, padding=2, dilation=2),
        lambda x, w: conv(x, w, 2, 2, 2),
        normals(*IMAGES),
    ),
    Pair(
        "conv2d-channels-last",
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        jax_channels_last,
        normals(*IMAGES, (4,), scale=10),
    ),
    Pair("conv2d-as-unfolded-product", torch_unfolded, conv, normals(*IMAGES, scale=30)),
    Pair("conv2d-as-patches", F.conv2d, jax_patches, normals(*IMAGES, scale=30)),
    Pair("conv2d-as-shifted-sums", F.conv2d, jax_shifted, normals(*IMAGES), order=2),
    Pair(
        "conv2d-grouped",
        lambda x, w: F.conv2d(x, w, groups=2),
        lambda x, w: conv(x, w, groups=2),
        normals((2, 6, 7, 7), (4, 3, 3, 3)),
    ),
    Pair(
        "conv2d-depthwise-channel-by-channel",
        lambda x, w: F.conv2d(x, w, padding=1, groups=4),
        jax_depthwise,
        normals((2, 4, 8, 8), (4, 1, 3, 3)),
    ),
    Pair(
        "conv2d-pointwise-as-product",
        F.conv2d,
        lambda x, w: jnp.einsum("nchw,oc->nohw", x, w[:, :, 0, 0]),
        normals((2, 16, 6, 6), (8, 16, 1, 1), scale=10),
    ),
    Pair(
        "conv2d-transposed",
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        jax_transposed,
        normals((2, 3, 5, 6), (3, 4, 3, 3), scale=10),
    ),
    Pair("conv1d-causal", lambda x, w: F.conv1d(F.pad(x, (4, 0)), w), jax_causal, normals((2, 3, 8), (4, 3, 5))),
    Pair(
        "conv3d",
        F.conv3d,
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1, 1), "VALID"),
        normals((1, 2, 5, 6, 5), (3, 2, 2, 3, 2)),
    ),
    Pair(
        "patch-embedding",
        lambda x, w: F.conv2d(x, w, stride=4).flatten(2).mT,
        lambda x, w: jnp.einsum("nchpwq,ocpq->nhwo", x.reshape(2, 3, 2, 4, 2, 4), w).reshape(2, 4, 10),
        normals((2, 3, 8, 8), (10, 3, 4, 4), scale=10),
    ),
    Pair("max-pool", lambda x: F.max_pool2d(x, 2), lambda x: pool(x, -jnp.inf, lax.max, 2, 2), image_pool),
    Pair("max-pool-overlapping", lambda x: F.max_pool2d(x, 3, 2), lambda x: pool(x, -jnp.inf, lax.max, 3, 2), image_pool),
    Pair(
        "max-pool-by-reshape",
        lambda x: F.max_pool2d(x, 2),
        lambda x: jnp.max(x.reshape(2, 3, 4, 2, 4, 2), (3, 5)),
        image_pool,
    ),
    Pair("average-pool", lambda x: F.avg_pool2d(x, 3, 1), lambda x: pool(x, 0.0, lax.add, 3, 1) / 9, normals((2, 3, 9, 9))),
    Pair("average-pool-adaptive", lambda x: F.adaptive_avg_pool2d(x, 3), jax_adaptive, normals((2, 3, 8, 8))),
    Pair(
        "average-pool-global",
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: x.mean((2, 3), keepdims=True),
        normals((2, 3, 30, 30)),
    ),
    Pair(
        "lp-pool",
        lambda x: F.lp_pool2d(x, 2, 2),
        lambda x: jnp.sqrt(pool(x * x, 0.0, lax.add, 2, 2)),
        normals((2, 3, 8, 8)),
    ),
    Pair(
        "pad-reflect",
        lambda x: F.pad(x, (3, 2), "reflect"),
        lambda x: jnp.pad(x, ((0, 0), (3, 2)), "reflect"),
        normals((4, 16)),
    ),
    Pair(
        "pad-replicate",
        lambda x: F.pad(x, (3, 2), "replicate"),
        lambda x: jnp.pad(x, ((0, 0), (3, 2)), "edge"),
        normals((4, 16)),
    ),
    Pair(
        "pad-circular",
        lambda x: F.pad(x, (3, 2), "circular"),
        lambda x: jnp.pad(x, ((0, 0), (3, 2)), "wrap"),
        normals((4, 16)),
    ),
    Pair(
        "upsample-nearest",
        lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        lambda x: jnp.repeat(jnp.repeat(x, 2, 2), 2, 3),
        normals((2, 3, 5, 5)),
    ),
    Pair(
        "upsample-bilinear",
        lambda x: F.interpolate(x, size=(14, 12), mode="bilinear", align_corners=False),
        jax_bilinear,
        normals((2, 3, 7, 6)),
    ),
    Pair(
        "upsample-linear-corners-aligned",
        lambda x: F.interpolate(x, size=13, mode="linear", align_corners=True),
        jax_corners,
        normals((2, 3, 7)),
    ),
    Pair("pixel-shuffle", lambda x: F.pixel_shuffle(x, 2), jax_pixel_shuffle, normals((2, 8, 4, 3))),
    Pair("fft-magnitude", lambda x: torch.fft.rfft(x).abs(), lambda x: jnp.abs(jnp.fft.rfft(x)), normals((4, 64), scale=10)),
    Pair("fft-circular-convolution", torch_circular, jax_circular, normals((64,), (64,), scale=10)),
    Pair(
        "fft-long-convolution", torch_long_convolution, lambda x, k: jnp.convolve(x, k)[:64], normals((64,), (64,), scale=10)
    ),
    Pair("cosine-transform", torch_cosine_transform, jax.scipy.fft.dct, normals((16,))),
]
