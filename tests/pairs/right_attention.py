"""Attention, its masks and its positions, with the dimensions where each framework puts them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals

HEADS = ((2, 3, 10, 8),) * 3  # batch, heads, time, features
CAUSAL = np.tril(np.ones((10, 10), dtype=bool))
SLOPES = np.float32([0.5, 0.25, 0.125])


def jax_attention(q, k, v, mask=None, bias=0.0):
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1]) + bias
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, -1), v)


def jax_built_in(q, k, v):
    """JAX's own, which wants time before heads."""
    q, k, v = (jnp.swapaxes(a, 1, 2) for a in (q, k, v))
    return jnp.swapaxes(jax.nn.dot_product_attention(q, k, v, is_causal=True), 1, 2)


def torch_padding(q, k, v, lengths):
    mask = torch.arange(10) < lengths[:, None, None, None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def jax_padding(q, k, v, lengths):
    mask = jnp.arange(10) < lengths[:, None, None, None]
    scores = jnp.where(mask, jnp.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(8), -1e30)
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, -1), v)


def torch_alibi(q, k, v):
    distance = torch.arange(10)[:, None] - torch.arange(10)
    bias = -torch.from_numpy(SLOPES).to(q.dtype)[:, None, None] * distance
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.masked_fill(distance < 0, -math.inf))


def jax_alibi(q, k, v):
    distance = jnp.arange(10)[:, None] - jnp.arange(10)
    return jax_attention(q, k, v, distance >= 0, -jnp.asarray(SLOPES, q.dtype)[:, None, None] * distance)


def jax_grouped(q, k, v):
    """Four heads of queries on two of keys and values, which are not repeated."""
    b, h, t, d = q.shape
    q = q.reshape(b, 2, h // 2, t, d)
    weights = jax.nn.softmax(jnp.einsum("bghqd,bgkd->bghqk", q, k) / math.sqrt(d), -1)
    return jnp.einsum("bghqk,bgkd->bghqd", weights, v).reshape(b, h, t, d)


def jax_online(q, k, v):
    """Key by key, with a running maximum, as flash attention does it."""

    def step(state, key_value):
        top, total, out = state
        key, value = key_value
        score = jnp.einsum("bhqd,bhd->bhq", q, key) / math.sqrt(q.shape[-1])
        new = jnp.maximum(top, score)
        weight, keep = jnp.exp(score - new), jnp.exp(top - new)
        return (new, total * keep + weight, out * keep[..., None] + weight[..., None] * value[:, :, None]), None

    start = (jnp.full(q.shape[:-1], -1e30, q.dtype), jnp.zeros(q.shape[:-1], q.dtype), jnp.zeros_like(q))
    (_, total, out), _ = jax.lax.scan(step, start, (jnp.moveaxis(k, 2, 0), jnp.moveaxis(v, 2, 0)))
    return out / total[..., None]


def torch_rotary_halves(x):
    d = x.shape[-1]
    angle = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * 10000 ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def jax_rotary_halves(x):
    d = x.shape[-1]
    angle = jnp.outer(jnp.arange(x.shape[-2], dtype=x.dtype), 10000 ** (-jnp.arange(0, d, 2, dtype=x.dtype) / d))
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate([a * jnp.cos(angle) - b * jnp.sin(angle), b * jnp.cos(angle) + a * jnp.sin(angle)], -1)


def torch_rotary_pairs(x):
    d = x.shape[-1]
    angle = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] / 10000 ** (torch.arange(0, d, 2, dtype=x.dtype) / d)
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


def jax_rotary_pairs(x):
    """A rotation of each pair, as a matrix."""
    d = x.shape[-1]
    angle = jnp.arange(x.shape[-2], dtype=x.dtype)[:, None] / 10000 ** (jnp.arange(0, d, 2, dtype=x.dtype) / d)
    turn = jnp.stack([jnp.stack([jnp.cos(angle), -jnp.sin(angle)], -1), jnp.stack([jnp.sin(angle), jnp.cos(angle)], -1)], -2)
    return jnp.einsum("tpij,...tpj->...tpi", turn, x.reshape(*x.shape[:-1], d // 2, 2)).reshape(x.shape)


def torch_linear_attention(q, k, v):
    q, k = F.elu(q) + 1, F.elu(k) + 1
    weights = torch.tril(q @ k.mT)
    return weights @ v / weights.sum(-1, keepdim=True)


def jax_linear_attention(q, k, v):
    q, k = jax.nn.elu(q) + 1, jax.nn.elu(k) + 1
    states = jnp.cumsum(jnp.einsum("bhtd,bhte->bhtde", k, v), 2)
    return jnp.einsum("bhtd,bhtde->bhte", q, states) / jnp.einsum("bhtd,bhtd->bht", q, jnp.cumsum(k, 2))[..., None]


def torch_multi_head(x, w_in, b_in, w_out, b_out):
    y, _ = F.multi_head_attention_forward(
        *(x.transpose(0, 1),) * 3, 12, 3, w_in, b_in, None, None, False, 0.0, w_out, b_out, training=False
    )
    return y.transpose(0, 1)


def jax_multi_head(x, w_in, b_in, w_out, b_out):
    q, k, v = (jnp.swapaxes(a.reshape(2, 10, 3, 4), 1, 2) for a in jnp.split(x @ w_in.T + b_in, 3, -1))
    return jnp.swapaxes(jax_attention(q, k, v), 1, 2).reshape(2, 10, 12) @ w_out.T + b_out


def torch_sinusoidal(t):
    frequencies = torch.exp(-math.log(10000) * torch.arange(16, dtype=t.dtype) / 16)
    angle = t[:, None] * frequencies
    return torch.cat([angle.sin(), angle.cos()], -1)


def jax_sinusoidal(t):
    angle = t[:, None] / 10000 ** (jnp.arange(16, dtype=t.dtype) / 16)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)


def torch_relative(q, r):
    """The skew of Transformer-XL: a shift of each row by padding and reshaping."""
    scores = F.pad(q @ r.T, (1, 0))
    return scores.view(11, 10)[1:].tril()


def jax_relative(q, r):
    i, j = jnp.indices((10, 10))
    return jnp.where(j <= i, (q @ r.T)[i, jnp.clip(j + 9 - i, 0, 9)], 0)


def torch_t5_bucket(position):
    distance = (-position).clamp(min=0)
    far = 8 + (torch.log(distance.clamp(min=1) / 8) / math.log(128 / 8) * 8).long()
    return torch.where(distance < 8, distance, far.clamp(max=15))


def jax_t5_bucket(position):
    distance = jnp.maximum(-position, 0)
    far = 8 + (jnp.log(jnp.maximum(distance, 1) / 8) / math.log(128 / 8) * 8).astype(jnp.int32)
    return jnp.where(distance < 8, distance, jnp.minimum(far, 15))


PAIRS = [
    Pair("attention", F.scaled_dot_product_attention, jax_attention, normals(*HEADS)),
    Pair("attention-peaked", F.scaled_dot_product_attention, jax_attention, normals(*HEADS, scale=6)),
    Pair(
        "attention-causal",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda q, k, v: jax_attention(q, k, v, CAUSAL),
        normals(*HEADS),
    ),
    Pair(
        "attention-causal-of-jax",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        jax_built_in,
        normals(*HEADS),
    ),
    Pair(
        "attention-padding-mask",
        torch_padding,
        jax_padding,
        lambda: [*normals(*HEADS)(), np.array([10, 4], dtype=np.int32)],
    ),
    Pair("attention-alibi", torch_alibi, jax_alibi, normals(*HEADS)),
    Pair(
        "attention-grouped-queries",
        lambda q, k, v: F.scaled_dot_product_attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)),
        jax_grouped,
        normals((2, 4, 7, 8), (2, 2, 7, 8), (2, 2, 7, 8)),
    ),
    Pair("attention-online-softmax", F.scaled_dot_product_attention, jax_online, normals(*HEADS, scale=2)),
    Pair("attention-linear", torch_linear_attention, jax_linear_attention, normals(*HEADS, scale=2)),
    Pair(
        "attention-multi-head",
        torch_multi_head,
        jax_multi_head,
        normals((2, 10, 12), (36, 12), (36,), (12, 12), (12,), scale=1.5),
    ),
    Pair(
        "attention-by-hand-to-second-order",
        lambda q, k, v: torch.softmax(q @ k.mT / math.sqrt(8), -1) @ v,
        jax_attention,
        normals(*HEADS),
        order=2,
    ),
    Pair(
        "attention-capped-scores",
        lambda q, k: torch.softmax(30 * torch.tanh(q @ k.mT / 30), -1),
        lambda q, k: jax.nn.softmax(30 * jnp.tanh(jnp.einsum("bhqd,bhkd->bhqk", q, k) / 30), -1),
        normals(*HEADS[:2], scale=2),
    ),
    Pair("rotary-halves", torch_rotary_halves, jax_rotary_halves, normals((2, 3, 20, 16))),
    Pair("rotary-pairs", torch_rotary_pairs, jax_rotary_pairs, normals((2, 3, 20, 16))),
    Pair(
        "sinusoidal-time-embedding", torch_sinusoidal, jax_sinusoidal, lambda: [np.linspace(0, 1000, 50, dtype=np.float32)]
    ),
    Pair("relative-positions-skewed", torch_relative, jax_relative, normals((10, 6), (10, 6))),
    Pair(
        "relative-position-buckets", torch_t5_bucket, jax_t5_bucket, lambda: [-np.arange(1, 101, 3, dtype=np.int32)], order=0
    ),
    Pair(
        "fourier-features",
        lambda x, w: torch.cat([torch.sin(2 * math.pi * x @ w), torch.cos(2 * math.pi * x @ w)], -1),
        lambda x, w: jnp.concatenate([jnp.sin(2 * math.pi * (x @ w)), jnp.cos(2 * math.pi * (x @ w))], -1),
        normals((20, 3), (3, 32), scale=3),
    ),
]
