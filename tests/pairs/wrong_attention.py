"""Attention: scales, masks, rotary and sinusoidal positions, the axis of a softmax, temperatures."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals

qkv = normals((2, 8, 16), (2, 8, 16), (2, 8, 16))
square = normals((8, 8))
tokens = normals((8, 16))
CAUSAL = np.tri(8, dtype=bool)


def differs(name: str, torch_fn: Any, jax_fn: Any, make: Any = qkv, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="definition", **rest)


def attend(scale: float = 0.25, mask: Any = True, axis: int = -1, bias: Any = 0.0) -> Any:
    """softmax(q k^T scale + bias) v, a quarter being right for 16 features."""

    def attention(q: Any, k: Any, v: Any) -> Any:
        scores = jnp.where(mask, q @ k.mT * scale + jnp.asarray(bias, q.dtype), -1e9)
        return jax.nn.softmax(scores, axis) @ v

    return attention


def attention(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v)


def causal(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def causal_by_softmax(q: Any, k: Any, v: Any) -> Any:
    return (q @ k.mT / 4).masked_fill(~torch.from_numpy(CAUSAL), -torch.inf).softmax(-1) @ v


def masked_after_softmax(q: Any, k: Any, v: Any) -> Any:
    return jnp.where(CAUSAL, jax.nn.softmax(q @ k.mT / 4), 0) @ v


def scaled_after_softmax(q: Any, k: Any, v: Any) -> Any:
    return jax.nn.softmax(q @ k.mT) / 4 @ v


def heads_torch(q: Any, k: Any, v: Any) -> Any:
    """Four heads of four features."""
    q, k, v = (each.reshape(2, 8, 4, 4).transpose(1, 2) for each in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 8, 16)


def heads_reshaped_not_moved(q: Any, k: Any, v: Any) -> Any:
    q, k, v = (each.reshape(2, 4, 8, 4) for each in (q, k, v))
    return (jax.nn.softmax(q @ k.mT / 2) @ v).reshape(2, 8, 16)


def heads_scaled_by_the_model(q: Any, k: Any, v: Any) -> Any:
    """Divided by the root of 16, not of the head's 4 features."""
    q, k, v = (each.reshape(2, 8, 4, 4).swapaxes(1, 2) for each in (q, k, v))
    return (jax.nn.softmax(q @ k.mT / 4) @ v).swapaxes(1, 2).reshape(2, 8, 16)


def heads_of_strided_features(q: Any, k: Any, v: Any) -> Any:
    q, k, v = (each.reshape(2, 8, 4, 4).transpose(0, 3, 1, 2) for each in (q, k, v))
    return (jax.nn.softmax(q @ k.mT / 2) @ v).transpose(0, 2, 3, 1).reshape(2, 8, 16)


def grouped_queries_torch(q: Any, k: Any, v: Any) -> Any:
    """Four heads of queries share two of keys and values, neighbours with neighbours."""
    q = q.reshape(2, 8, 4, 4).transpose(1, 2)
    k, v = (each[..., :8].reshape(2, 8, 2, 4).transpose(1, 2).repeat_interleave(2, 1) for each in (k, v))
    return F.scaled_dot_product_attention(q, k, v)


def grouped_queries_tiled(q: Any, k: Any, v: Any) -> Any:
    q = q.reshape(2, 8, 4, 4).swapaxes(1, 2)
    k, v = (jnp.tile(each[..., :8].reshape(2, 8, 2, 4).swapaxes(1, 2), (1, 2, 1, 1)) for each in (k, v))
    return jax.nn.softmax(q @ k.mT / 2) @ v


def rotary_torch(x: Any) -> Any:
    """Neighbouring features form a pair."""
    angle = torch.arange(8, dtype=x.dtype)[:, None] * 10000.0 ** (-torch.arange(8, dtype=x.dtype) / 8)
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


def angles(x: Any, base: float = 10000.0, start: int = 0) -> Any:
    return jnp.arange(start, start + 8, dtype=x.dtype)[:, None] * base ** (-jnp.arange(8, dtype=x.dtype) / 8)


def rotary(base: float = 10000.0, start: int = 0, sign: int = 1) -> Any:
    def rotate(x: Any) -> Any:
        cos, sin = jnp.cos(angles(x, base, start)), sign * jnp.sin(angles(x, base, start))
        a, b = x[..., ::2], x[..., 1::2]
        return jnp.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)

    return rotate


def rotary_of_halves(x: Any) -> Any:
    cos, sin = jnp.cos(angles(x)), jnp.sin(angles(x))
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


def sinusoids_torch(x: Any) -> Any:
    """Sine and cosine in turn."""
    angle = torch.arange(8, dtype=x.dtype)[:, None] * 10000.0 ** (-torch.arange(8, dtype=x.dtype) / 8)
    return x + torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)


def sinusoids(base: float = 10000.0, interleaved: bool = True, start: int = 0) -> Any:
    def add(x: Any) -> Any:
        sin, cos = jnp.sin(angles(x, base, start)), jnp.cos(angles(x, base, start))
        return x + (jnp.stack([sin, cos], -1).reshape(x.shape) if interleaved else jnp.concatenate([sin, cos], -1))

    return add


def slopes_of_alibi(rate: float) -> Any:
    """A bias that falls with the distance."""
    return -rate * np.abs(np.arange(8)[:, None] - np.arange(8))


def alibi(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=torch.from_numpy(slopes_of_alibi(0.5)).to(q.dtype))


def windowed(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=torch.from_numpy(CAUSAL & ~np.tri(8, k=-3, dtype=bool)))


PAIRS = [
    differs("attention-without-scale", attention, attend(1.0)),
    differs("attention-scaled-by-the-width", attention, attend(1 / 16)),
    differs("attention-scale-of-three-digits", attention, attend(0.2499)),
    differs("attention-scaled-after-softmax", attention, scaled_after_softmax),
    differs("attention-softmax-over-queries", attention, attend(axis=-2)),
    differs("attention-softmax-over-the-batch", attention, attend(axis=0)),
    differs("attention-keys-and-values-swapped", attention, lambda q, k, v: attend()(q, v, k)),
    differs("attention-of-keys-to-queries", attention, lambda q, k, v: attend()(k, q, v)),
    differs("causal-mask-off-by-one", causal, attend(mask=np.tri(8, k=1, dtype=bool))),
    differs("causal-mask-missing", causal, attend()),
    differs("causal-mask-transposed", causal, attend(mask=CAUSAL.T)),
    differs("causal-mask-inverted", causal, attend(mask=~CAUSAL | np.eye(8, dtype=bool))),
    differs("causal-mask-after-softmax", causal, masked_after_softmax),
    differs("causal-mask-weak", causal, attend(bias=-5.0 * ~CAUSAL)),
    differs("causal-mask-added-as-boolean", causal, attend(bias=1.0 * CAUSAL)),
    differs("window-one-too-wide", windowed, attend(mask=CAUSAL & ~np.tri(8, k=-4, dtype=bool))),
    differs("alibi-slope-halved", alibi, attend(bias=slopes_of_alibi(0.25))),
    differs("alibi-sign", alibi, attend(bias=slopes_of_alibi(-0.5))),
    differs("alibi-scaled-with-the-scores", alibi, attend(bias=slopes_of_alibi(0.125))),
    differs("heads-reshaped-not-moved", heads_torch, heads_reshaped_not_moved),
    differs("heads-scaled-by-the-model", heads_torch, heads_scaled_by_the_model),
    differs("heads-of-strided-features", heads_torch, heads_of_strided_features),
    differs("grouped-queries-tiled", grouped_queries_torch, grouped_queries_tiled),
    differs("attention-without-scale-bfloat16", attention, attend(1.0), dtype="bfloat16"),
    differs("attention-scale-of-seven-digits-float64", attention, attend(0.2500001), dtype="float64"),
    differs("causal-mask-off-by-one-second-derivative", causal_by_softmax, attend(mask=np.tri(8, k=1, dtype=bool)), order=2),
    differs("rotary-interleaved-against-halves", rotary_torch, rotary_of_halves, tokens),
    differs("rotary-base-of-thousand", rotary_torch, rotary(base=1000.0), tokens),
    differs("rotary-the-other-way", rotary_torch, rotary(sign=-1), tokens),
    differs("rotary-positions-from-one", rotary_torch, rotary(start=1), tokens),
    differs("sinusoids-interleaved-against-halves", sinusoids_torch, sinusoids(interleaved=False), tokens, order=0),
    differs("sinusoids-base-of-thousand", sinusoids_torch, sinusoids(base=1000.0), tokens),
    differs("sinusoids-positions-from-one", sinusoids_torch, sinusoids(start=1), tokens),
    differs("softmax-over-the-other-axis", lambda x: x.softmax(-1), lambda x: jax.nn.softmax(x, 0), square),
    differs("softmax-over-everything", lambda x: x.softmax(-1), lambda x: jax.nn.softmax(x, (0, 1)), square),
    differs(
        "softmax-of-one-more-in-the-sum",
        lambda x: x.softmax(-1),
        lambda x: jnp.exp(x) / (1 + jnp.exp(x).sum(-1, keepdims=True)),
        square,
    ),
    differs("softmax-in-base-two", lambda x: x.softmax(-1), lambda x: jax.nn.softmax(x * jnp.log(2)), square),
    differs("softmax-against-log-softmax", lambda x: x.softmax(-1), jax.nn.log_softmax, square),
    differs("softmin", lambda x: F.softmin(x, -1), jax.nn.softmax, square),
    differs("temperature-multiplied", lambda x: (x / 0.7).softmax(-1), lambda x: jax.nn.softmax(x * 0.7), square),
    differs("temperature-after-softmax", lambda x: (x / 0.7).softmax(-1), lambda x: jax.nn.softmax(x) / 0.7, square),
    differs("soft-cap-of-thirty-against-fifty", lambda x: 30 * torch.tanh(x / 30), lambda x: 50 * jnp.tanh(x / 50), square),
]
