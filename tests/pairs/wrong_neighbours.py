"""Digits that are lost beside something large: constants, columns, rows and other elements that excuse nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals

MASK = np.random.default_rng(1).random((16, 32)) < 0.3
WIDE = np.random.default_rng(2).random((16, 64)) < 0.3


def torch_norm(x):
    return F.layer_norm(x, (x.shape[-1],))


def jax_fast_norm(x):
    """The variance as a difference of moments, as flax's ``use_fast_variance`` computes it."""
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean(x * x, -1, keepdims=True) - mean * mean
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5)


def torch_narrow(x, w):
    return (x.bfloat16() @ w.bfloat16()).float()


def level():
    """Rows whose mean is far above their spread."""
    return normals((16, 64), shift=300)()[0]


def large(*shape):
    return normals(shape, scale=1e6, seed=1)()[0]


products = normals((16, 64), (64, 32))


def one_large_row():
    x = level()
    x[3] *= 1e4
    return [x]


def torch_mean_taken_away(x):
    return x - x.mean(-1, keepdim=True)


def jax_narrow_mean_taken_away(x):
    return (x.astype(jnp.bfloat16) - x.mean(-1, keepdims=True).astype(jnp.bfloat16)).astype(jnp.float32)


JAX_LOSES = {"passes": False, "cause": "inaccurate", "side": "jax", "order": 0}
TORCH_LOSES = {"passes": False, "cause": "inaccurate", "side": "torch"}

PAIRS = [
    Pair(
        "narrow-product-masked-by-a-constant",
        lambda x, w: torch_narrow(x, w).masked_fill(torch.tensor(MASK), -1e9),
        lambda x, w: jnp.where(MASK, -1e9, x @ w),
        products,
        **TORCH_LOSES,
    ),
    Pair(
        "narrow-product-masked-by-infinity",
        lambda x, w: torch_narrow(x, w).masked_fill(torch.tensor(MASK), float("-inf")),
        lambda x, w: jnp.where(MASK, -jnp.inf, x @ w),
        products,
        order=0,
        **TORCH_LOSES,
    ),
    Pair(
        "narrow-product-padded-with-a-constant",
        lambda x, w: F.pad(torch_narrow(x, w), (0, 4), value=1e9),
        lambda x, w: jnp.pad(x @ w, ((0, 0), (0, 4)), constant_values=1e9),
        products,
        order=0,
        **TORCH_LOSES,
    ),
    Pair(
        "fast-variance-beside-large-columns",
        lambda x, b: torch.cat([torch_norm(x), b * 2], -1),
        lambda x, b: jnp.concatenate([jax_fast_norm(x), b * 2], -1),
        lambda: [level(), large(16, 4)],
        **JAX_LOSES,
    ),
    Pair(
        "fast-variance-behind-large-columns-of-its-own-input",
        lambda x: torch.cat([x[:, :4] * 4e3, torch_norm(x)], -1),
        lambda x: jnp.concatenate([x[:, :4] * 4e3, jax_fast_norm(x)], -1),
        lambda: [level()],
        **JAX_LOSES,
    ),
    Pair(
        "fast-variance-above-large-rows",
        lambda x, b: torch.cat([torch_norm(x), b * 2]),
        lambda x, b: jnp.concatenate([jax_fast_norm(x), b * 2]),
        lambda: [level(), large(4, 64)],
        **JAX_LOSES,
    ),
    Pair(
        "fast-variance-among-large-elements",
        lambda x, b: torch.where(torch.tensor(WIDE), b * 2, torch_norm(x)),
        lambda x, b: jnp.where(WIDE, b * 2, jax_fast_norm(x)),
        lambda: [level(), large(16, 64)],
        **JAX_LOSES,
    ),
    Pair(
        "fast-variance-among-large-constants",
        lambda x: torch.where(torch.tensor(WIDE), 1e6, torch_norm(x)),
        lambda x: jnp.where(WIDE, 1e6, jax_fast_norm(x)),
        lambda: [level()],
        **JAX_LOSES,
    ),
    Pair(
        "fast-variance-in-one-flat-result",
        lambda x, b: torch.cat([torch_norm(x).ravel(), b.ravel() * 2]),
        lambda x, b: jnp.concatenate([jax_fast_norm(x).ravel(), b.ravel() * 2]),
        lambda: [level(), large(16, 4)],
        **JAX_LOSES,
    ),
    Pair(
        "narrow-differences-beside-a-large-row",
        torch_mean_taken_away,
        jax_narrow_mean_taken_away,
        one_large_row,
        **JAX_LOSES,
    ),
]
