"""Normalisation with the eps in the same place, on ordinary, far and nearly constant inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import Array, normals

ROWS = ((12, 32), (32,), (32,))
IMAGES = ((4, 6, 5, 5), (6,), (6,))


def standardize(x, axis, eps=1e-5):
    mean = jnp.mean(x, axis, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(jnp.mean((x - mean) ** 2, axis, keepdims=True) + eps)


def channels(w):
    return w[:, None, None]


def jax_layer_norm(x, w, b, eps=1e-5):
    return standardize(x, -1, eps) * w + b


def jax_layer_norm_by_squares(x, w, b):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt((x * x).mean(-1, keepdims=True) - mean * mean + 1e-5) * w + b


def jax_group_norm(x, w, b):
    n, c, h, width = x.shape
    return standardize(x.reshape(n, 3, -1), -1).reshape(n, c, h, width) * channels(w) + channels(b)


def torch_batch_norm(x, w, b):
    return F.batch_norm(x, None, None, w, b, training=True)


def torch_running(x, w, b):
    mean, var = torch.zeros(6, dtype=x.dtype), torch.ones(6, dtype=x.dtype)
    y = F.batch_norm(x.detach(), mean, var, w, b, training=True, momentum=0.3)
    return y, mean, var


def jax_running(x, w, b):
    x = jax.lax.stop_gradient(x)
    y = standardize(x, (0, 2, 3)) * channels(w) + channels(b)
    return y, 0.3 * jnp.mean(x, (0, 2, 3)), 0.7 + 0.3 * jnp.var(x, (0, 2, 3), ddof=1)


def torch_evaluated(x, w, b, mean, root):
    return F.batch_norm(x, mean, root.square(), w, b)


def jax_folded(x, w, b, mean, root):
    """The statistics folded into one scale and one shift, as for inference."""
    scale = w / jnp.sqrt(root * root + 1e-5)
    return x * channels(scale) + channels(b - mean * scale)


def torch_weight_standardized(x, w):
    var, mean = torch.var_mean(w, (1, 2, 3), keepdim=True, correction=0)
    return F.conv2d(x, (w - mean) / torch.sqrt(var + 1e-5))


def jax_weight_standardized(x, w):
    return jax.lax.conv_general_dilated(x, standardize(w, (1, 2, 3)), (1, 1), "VALID")


def torch_weight_norm(x, v, g):
    return F.linear(x, torch._weight_norm(v, g, 0))


def jax_adaptive(x, condition, w):
    shift, scale = jnp.split(condition @ w, 2, -1)
    return standardize(x, -1, 1e-6) * (1 + scale[:, None]) + shift[:, None]


def torch_adaptive(x, condition, w):
    shift, scale = (condition @ w).chunk(2, -1)
    return F.layer_norm(x, (8,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


def nearly_constant() -> list[Array]:
    x, w, b = normals(*ROWS)()
    return [1 + np.float32(1e-5) * x, w, b]


def torch_layer_norm(x, w, b):
    return F.layer_norm(x, (32,), w, b)


PAIRS = [
    Pair("layer-norm", torch_layer_norm, jax_layer_norm, normals(*ROWS)),
    Pair("layer-norm-far-from-zero", torch_layer_norm, jax_layer_norm, normals(*ROWS, shift=300)),
    Pair("layer-norm-nearly-constant", torch_layer_norm, jax_layer_norm, nearly_constant),
    Pair("layer-norm-tiny", torch_layer_norm, jax_layer_norm, normals(*ROWS, scale=1e-4)),
    Pair("layer-norm-mean-of-squares", torch_layer_norm, jax_layer_norm_by_squares, normals(*ROWS)),
    Pair(
        "layer-norm-by-hand-to-second-order",
        lambda x: (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True, correction=0) + 1e-5),
        lambda x: standardize(x, -1),
        normals((12, 32)),
        order=2,
    ),
    Pair("layer-norm-adaptive", torch_adaptive, jax_adaptive, normals((3, 6, 8), (3, 5), (5, 16))),
    Pair(
        "rms-norm",
        lambda x, w: F.rms_norm(x, (32,), w, eps=1e-6),
        lambda x, w: x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * w,
        normals(*ROWS[:2], scale=3),
    ),
    Pair("group-norm", lambda x, w, b: F.group_norm(x, 3, w, b), jax_group_norm, normals(*IMAGES)),
    Pair(
        "instance-norm",
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
        lambda x, w, b: standardize(x, (2, 3)) * channels(w) + channels(b),
        normals(*IMAGES),
    ),
    Pair(
        "batch-norm-training",
        torch_batch_norm,
        lambda x, w, b: standardize(x, (0, 2, 3)) * channels(w) + channels(b),
        normals(*IMAGES),
    ),
    Pair(
        "batch-norm-far-from-zero",
        torch_batch_norm,
        lambda x, w, b: standardize(x, (0, 2, 3)) * channels(w) + channels(b),
        normals(*IMAGES, shift=50),
    ),
    Pair("batch-norm-running-statistics", torch_running, jax_running, normals(*IMAGES), options={"wrt": [1, 2]}),
    Pair("batch-norm-folded", torch_evaluated, jax_folded, normals(*IMAGES, (6,), (6,)), options={"wrt": [0, 1, 2]}),
    Pair(
        "local-response-norm",
        lambda x: F.local_response_norm(x, 3, 0.1, 0.75, 1.0),
        lambda x: x / (1 + 0.1 / 3 * sum(jnp.pad(x * x, ((0, 0), (1, 1), (0, 0)))[:, i : i + 8] for i in range(3))) ** 0.75,
        normals((2, 8, 6), scale=3),
    ),
    Pair(
        "normalize-rows",
        lambda x: F.normalize(x, dim=1),
        lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12),
        normals((20, 16)),
        order=2,
    ),
    Pair(
        "normalize-short-rows",
        lambda x: x / (x.norm(dim=1, keepdim=True) + 1e-8),
        lambda x: x / (jnp.sqrt(jnp.sum(x * x, 1, keepdims=True)) + 1e-8),
        normals((20, 16), scale=1e-7),
    ),
    Pair("weight-standardisation", torch_weight_standardized, jax_weight_standardized, normals((2, 3, 6, 6), (4, 3, 3, 3))),
    Pair(
        "weight-norm",
        torch_weight_norm,
        lambda x, v, g: x @ (v * (g / jnp.linalg.norm(v, axis=1, keepdims=True))).T,
        normals((9, 12), (7, 12), (7, 1)),
    ),
]
