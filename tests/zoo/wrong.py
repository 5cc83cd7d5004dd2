"""Layers as they are ported wrongly: each planted bug has one of these instead of the right one."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from zoo.plain import Array, Params, batch_norm, gelu, layer_norm, merge_heads, multihead, softmax_attention

Function = Callable[..., Any]


# normalisation


def layer_norm_outside(p: Params, x: Array, *, eps: float = 1e-5) -> Array:
    """With epsilon beside the root instead of under it."""
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / (x.std(-1, keepdims=True) + eps) * p["weight"] + p["bias"]


def layer_norm_unbiased(p: Params, x: Array, *, eps: float = 1e-5) -> Array:
    """With a variance that is divided by n - 1."""
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(x.var(-1, keepdims=True, ddof=1) + eps) * p["weight"] + p["bias"]


def layer_norm_uncentred(p: Params, x: Array, *, eps: float = 1e-5) -> Array:
    """RMSNorm, where LayerNorm is right."""
    return x * lax.rsqrt((x**2).mean(-1, keepdims=True) + eps) * p["weight"] + p["bias"]


def layer_norm_stopped(p: Params, x: Array) -> Array:
    """The values are right; no gradient flows through the statistics."""
    mean = lax.stop_gradient(x.mean(-1, keepdims=True))
    variance = lax.stop_gradient(x.var(-1, keepdims=True))
    return (x - mean) * lax.rsqrt(variance + 1e-5) * p["weight"] + p["bias"]


def rms_norm_centred(p: Params, x: Array, *, eps: float = 1e-6) -> Array:
    """LayerNorm, where RMSNorm is right."""
    return layer_norm({"weight": p["weight"], "bias": 0}, x, eps=eps)


def rms_norm_one_more(p: Params, x: Array, *, eps: float = 1e-6) -> Array:
    """The scale is 1 + weight, as in models that store it so."""
    return x * lax.rsqrt((x**2).mean(-1, keepdims=True) + eps) * (1 + p["weight"])


def batch_norm_outside(p: Params, x: Array, *, eps: float = 1e-5) -> Array:
    return (x - p["mean"]) / (jnp.sqrt(p["var"]) + eps) * p["scale"] + p["bias"]


def batch_norm_of_the_batch(p: Params, x: Array) -> Array:
    """In training mode, where the model is evaluated."""
    axes = tuple(range(x.ndim - 1))
    return batch_norm({**p, "mean": x.mean(axes), "var": x.var(axes)}, x)


def group_norm_of_strides(p: Params, x: Array, groups: int = 4) -> Array:
    """The groups are of every fourth channel instead of neighbours."""
    split = x.reshape(*x.shape[:-1], -1, groups)
    mean, variance = (f(split, axis=(1, 2, 3), keepdims=True) for f in (jnp.mean, jnp.var))
    return ((split - mean) * lax.rsqrt(variance + 1e-5)).reshape(x.shape) * p["weight"] + p["bias"]


# attention


def attention_with(**options: Any) -> Function:
    """Self-attention whose inner part has these options."""

    def attention(p: Params, x: Array, mask: Array, heads: int) -> Array:
        return multihead(p, x, mask, heads, attention=lambda *given: softmax_attention(*given, **options))

    return attention


def attention_without_mask(p: Params, x: Array, _mask: Array, heads: int) -> Array:
    return multihead(p, x, None, heads)


def attention_in_bfloat16(p: Params, x: Array, mask: Array, heads: int) -> Array:
    def attend(q: Array, k: Array, v: Array, mask: Array) -> Array:
        q, k, v = (array.astype(jnp.bfloat16) for array in (q, k, v))
        return softmax_attention(q, k, v, mask).astype(x.dtype)

    return multihead(p, x, mask, heads, attention=attend)


def split_heads_last(x: Array, heads: int) -> Array:
    """The head is the fast part of the features."""
    return x.reshape(*x.shape[:-1], -1, heads).swapaxes(-1, -2)


def merge_heads_last(x: Array) -> Array:
    return merge_heads(x.swapaxes(-1, -2))


def causal_and_next(tokens: int) -> Array:
    """The mask is off by one: a token sees the next."""
    return jnp.tril(jnp.ones((tokens, tokens), bool), 1)


def tile_groups(x: Array, times: int) -> Array:
    """The heads of the keys take turns."""
    return jnp.tile(x, (1, 1, times, 1))


def rotate_neighbours(x: Array, angle: Any) -> Array:
    """Each feature is turned with its neighbour instead of with its partner in the other half."""
    cos, sin = (jnp.asarray(f(angle), x.dtype)[:, None, :] for f in (jnp.cos, jnp.sin))
    first, second = x[..., ::2], x[..., 1::2]
    return jnp.stack((first * cos - second * sin, second * cos + first * sin), -1).reshape(x.shape)


# activations, gates


def in_bfloat16(function: Function) -> Function:
    return lambda x: function(x.astype(jnp.bfloat16)).astype(x.dtype)


def stopped(function: Function) -> Function:
    """The values are right, the gradients are 0."""
    return lambda x: lax.stop_gradient(function(x))


def gelu_tanh(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=True)


def quick_gelu(x: Array) -> Array:
    return x * jax.nn.sigmoid(1.702 * x)


def gelu_straight(x: Array) -> Array:
    """The values are right; the gradient is that of the identity."""
    return x + lax.stop_gradient(gelu(x) - x)


def dropout(x: Array) -> Array:
    """Left on, with a fixed key."""
    kept = jax.random.bernoulli(jax.random.key(0), 0.9, x.shape)
    return jnp.where(kept, x / 0.9, 0)


def gates_ifog(gates: Array) -> tuple[Array, ...]:
    """The output gate is taken to come before the cell's."""
    i, f, o, g = jnp.split(gates, 4, -1)
    return i, f, g, o


def gates_zrn(gates: Array) -> tuple[Array, ...]:
    """The update gate is taken to come before the reset gate."""
    z, r, n = jnp.split(gates, 3, -1)
    return r, z, n


# images and graphs


def bilinear_of_corners(x: Array) -> Array:
    """Twice the size, where the corners of both images are the same points: torch's ``align_corners=True``."""
    for axis in (1, 2):
        size = x.shape[axis]
        at = jnp.linspace(0, size - 1, 2 * size)
        below = jnp.clip(at.astype(int), 0, size - 2)
        share = (at - below).astype(x.dtype).reshape([-1 if k == axis else 1 for k in range(4)])
        x = x.take(below, axis) * (1 - share) + x.take(below + 1, axis) * share
    return x


def nearest(x: Array) -> Array:
    return x.repeat(2, 1).repeat(2, 2)


def segment_mean(x: Array, segments: Array, count: int) -> Array:
    total = jax.ops.segment_sum(x, segments, count)
    return total / jnp.maximum(jax.ops.segment_sum(jnp.ones_like(x), segments, count), 1)


def degrees_without_itself(targets: Array, nodes: int, dtype: Any) -> Array:
    return jnp.maximum(jax.ops.segment_sum(jnp.ones(targets.shape, dtype), targets, nodes), 1)
