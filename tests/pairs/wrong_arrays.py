"""Array functions whose names agree and whose meaning does not: statistics, order, rounding, shapes, linear algebra."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import integers, normals, shuffled, uniforms

rows = normals((8, 8))
two = normals((8, 8), (8, 8))
line = normals((32,))
positive = uniforms(0.5, 3, (32,))


def differs(name: str, torch_fn: Any, jax_fn: Any, make: Any = rows, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="definition", **rest)


def distinct() -> list[Any]:
    return [shuffled(8, 8)]


def halves() -> list[Any]:
    """Dividends of both signs, no multiples of their divisors."""
    return [np.linspace(-7.3, 7.9, 20, dtype=np.float32), np.where(np.arange(20) % 3, 2.5, -1.5).astype(np.float32)]


def whole() -> list[Any]:
    return [np.arange(-10, 11, dtype=np.int32), np.full(21, 3, np.int32)]


def labels() -> list[Any]:
    return [integers(4, 16)]


def spd() -> list[Any]:
    """A matrix that is symmetric and positive definite, and a right side."""
    a, b = two()
    return [a @ a.T + 8 * np.eye(8, dtype=np.float32), b]


def cubic(coefficient: float) -> Any:
    def polynomial(x: Any) -> Any:
        return ((0.125 * x - coefficient) * x + 0.5) * x + 1.0

    return polynomial


PAIRS = [
    differs("variance-unbiased-against-biased", lambda x: x.var(-1), lambda x: x.var(-1)),
    differs("deviation-unbiased-against-biased", lambda x: x.std(-1), lambda x: x.std(-1)),
    differs("deviation-unbiased-against-biased-second-derivative", lambda x: x.std(-1), lambda x: x.std(-1), order=2),
    differs("covariance-of-columns-against-rows", torch.cov, lambda x: jnp.cov(x, rowvar=False)),
    differs("mean-over-the-other-axis", lambda x: x.mean(0), lambda x: x.mean(1)),
    differs("centred-over-the-other-axis", lambda x: x - x.mean(1, keepdim=True), lambda x: x - x.mean(1)),
    differs("median-of-even-lower-against-mean", lambda x: x.median(-1).values, lambda x: jnp.median(x, -1), distinct),
    differs(
        "quantile-lower-against-linear",
        lambda x: x.quantile(0.3, -1, interpolation="lower"),
        lambda x: jnp.quantile(x, 0.3, -1),
        distinct,
    ),
    differs("quantile-in-percent", lambda x: x.quantile(0.3, -1), lambda x: jnp.percentile(x, 0.3, -1), distinct),
    differs("norm-of-columns-against-frobenius", torch.linalg.matrix_norm, lambda x: jnp.linalg.norm(x, 1)),
    differs("sort-descending", lambda x: x.sort(-1, descending=True).values, lambda x: jnp.sort(x, -1), distinct),
    differs("sort-over-the-other-axis", lambda x: x.sort(-1).values, lambda x: jnp.sort(x, 0), distinct),
    differs(
        "argsort-descending", lambda x: x.argsort(-1, descending=True).int(), lambda x: jnp.argsort(x, -1), distinct, order=0
    ),
    differs(
        "rank-against-argsort",
        lambda x: x.argsort(-1).int(),
        lambda x: jnp.argsort(jnp.argsort(x, -1), -1),
        distinct,
        order=0,
    ),
    differs("top-three-of-the-smallest", lambda x: x.topk(3, -1).values, lambda x: -jax.lax.top_k(-x, 3)[0], distinct),
    differs("top-three-ascending", lambda x: x.topk(3, -1).values, lambda x: jnp.sort(x, -1)[..., -3:], distinct),
    differs("argmax-over-the-other-axis", lambda x: x.argmax(-1).int(), lambda x: x.argmax(0), distinct, order=0),
    differs(
        "argmax-last-of-ties",
        lambda x: x.argmax(-1).int(),
        lambda x: 3 - x[::-1].argmax(-1),
        lambda: [np.array([1, 5, 5, 0], np.int32)],
        order=0,
    ),
    differs("cumulative-sum-exclusive", lambda x: x.cumsum(-1), lambda x: jnp.cumsum(x, -1) - x),
    differs("cumulative-sum-reversed", lambda x: x.cumsum(-1), lambda x: jnp.cumsum(x[..., ::-1], -1)[..., ::-1]),
    differs("difference-backwards", lambda x: x.diff(dim=-1), lambda x: x[..., :-1] - x[..., 1:]),
    differs("roll-the-other-way", lambda x: x.roll(1, -1), lambda x: jnp.roll(x, -1, -1)),
    differs("roll-of-the-flattened", lambda x: x.roll(1, -1), lambda x: jnp.roll(x, 1)),
    differs("triangle-with-its-diagonal", lambda x: x.triu(1), jnp.triu),
    differs("repeat-against-tile", lambda x: x.repeat_interleave(2, 0), lambda x: jnp.tile(x, (2, 1))),
    differs("repeat-as-in-torch-against-numpy", lambda x: x.repeat(2), lambda x: jnp.repeat(x, 2), line),
    differs("reshape-against-transpose", lambda x: x.mT, lambda x: x.reshape(8, 4), normals((4, 8))),
    differs("reshape-in-fortran-order", lambda x: x.reshape(4, 16), lambda x: x.reshape(4, 16, order="F")),
    differs(
        "stack-on-the-other-axis",
        lambda x: torch.stack([x, 2 * x], 1).flatten(),
        lambda x: jnp.stack([x, 2 * x], 0).ravel(),
        line,
    ),
    differs("pad-of-the-other-axis", lambda x: F.pad(x, (1, 0))[:, :8], lambda x: jnp.pad(x, ((1, 0), (0, 0)))[:8]),
    differs(
        "pad-reflect-against-edge",
        lambda x: F.pad(x[None], (2, 2), mode="reflect")[0],
        lambda x: jnp.pad(x, ((0, 0), (2, 2)), "edge"),
    ),
    differs(
        "pad-reflect-against-symmetric",
        lambda x: F.pad(x[None], (2, 2), mode="reflect")[0],
        lambda x: jnp.pad(x, ((0, 0), (2, 2)), "symmetric"),
    ),
    differs("gather-from-the-end", lambda x: x[:, :3], lambda x: x[:, -3:]),
    differs(
        "scatter-sets-against-adds",
        lambda x: torch.zeros_like(x).index_add(0, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), x),
        lambda x: jnp.zeros_like(x).at[jnp.arange(4)].set(x[1::2]),
    ),
    differs(
        "one-hot-off-by-one",
        lambda i: F.one_hot(i.long(), 4).int(),
        lambda i: jax.nn.one_hot(i - 1, 4, dtype=jnp.int32),
        labels,
        order=0,
    ),
    differs(
        "histogram-of-other-edges",
        lambda x: x.histc(4, 0, 4).int(),
        lambda x: jnp.histogram(x, 4)[0].astype(jnp.int32),
        lambda: [np.array([0.5, 0.7, 1.2, 2.9, 3.1], np.float32)],
        order=0,
    ),
    differs(
        "counts-weighted", lambda i: i.bincount(minlength=4).int(), lambda i: jnp.bincount(i, i, length=4), labels, order=0
    ),
    differs(
        "integer-division-truncated",
        lambda a, b: torch.div(a, b, rounding_mode="trunc"),
        lambda a, b: a // b,
        whole,
        order=0,
    ),
    differs("integer-remainder-of-the-dividend", torch.fmod, jnp.remainder, whole, order=0),
    differs(
        "shift-against-division",
        lambda a, b: torch.div(a, 2, rounding_mode="trunc") + 0 * b,
        lambda a, b: (a >> 1) + 0 * b,
        whole,
        order=0,
    ),
    differs("remainder-of-the-dividend", torch.fmod, jnp.remainder, halves),
    differs("remainder-of-the-divisor-against-ieee", torch.remainder, lambda a, b: a - b * jnp.round(a / b), halves),
    differs(
        "floor-division-truncated", lambda a, b: torch.div(a, b, rounding_mode="trunc"), jnp.floor_divide, halves, order=0
    ),
    differs("floor-against-trunc", torch.floor, jnp.trunc, line, order=0),
    differs(
        "round-to-one-decimal-against-two", lambda x: torch.round(x, decimals=1), lambda x: jnp.round(x, 2), line, order=0
    ),
    differs("arctangent-arguments-swapped", torch.atan2, lambda a, b: jnp.arctan2(b, a), two),
    differs("power-arguments-swapped", torch.pow, lambda a, b: b**a, uniforms(0.5, 3, (32,), (32,))),
    differs("log-in-base-ten", torch.log, jnp.log10, positive),
    differs("degrees-against-radians", lambda x: torch.sin(torch.deg2rad(x)), jnp.sin, line),
    differs("sinc-unnormalised", torch.sinc, lambda x: jnp.sin(x) / x, positive),
    differs("pi-of-four-digits", lambda x: torch.sin(torch.pi * x), lambda x: jnp.sin(3.1416 * x), positive),
    differs("cube-root-of-power-third", lambda x: x.pow(1 / 3), lambda x: x**0.3333, positive),
    differs("polynomial-sixth-digit", cubic(0.333333), cubic(0.333338), line),
    differs("polynomial-sixth-digit-float64", cubic(0.333333), cubic(0.3333331), line, dtype="float64"),
    differs("scaled-by-one-part-in-a-hundred-thousand", torch.tanh, lambda x: 1.00001 * jnp.tanh(x), line),
    differs("scaled-by-three-parts-in-a-million", torch.exp, lambda x: 1.000003 * jnp.exp(x), line),
    differs("shifted-by-a-millionth-float64", torch.cos, lambda x: jnp.cos(x + 1e-6), line, dtype="float64"),
    differs(
        "epsilon-of-a-norm",
        lambda x: x / (x.norm(dim=-1, keepdim=True) + 1e-12),
        lambda x: x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-4),
    ),
    differs(
        "probability-clamped",
        lambda x: torch.log(x.clamp_min(1e-7)),
        lambda x: jnp.log(jnp.maximum(x, 1e-3)),
        uniforms(2e-4, 0.01, (32,)),
    ),
    differs("matrix-against-elementwise-product", torch.matmul, jnp.multiply, two),
    differs("product-in-the-other-order", torch.matmul, lambda a, b: b @ a, two),
    differs(
        "einsum-of-the-transpose",
        lambda a, b: torch.einsum("ij,kj->ik", a, b),
        lambda a, b: jnp.einsum("ij,jk->ik", a, b),
        two,
    ),
    differs(
        "logarithm-of-the-determinant-doubled",
        lambda a, b: torch.linalg.slogdet(a)[1],
        lambda a, b: 2 * jnp.log(jnp.diagonal(jnp.linalg.cholesky(a)) ** 2).sum(),
        spd,
        options={"wrt": 0},
    ),
    differs(
        "convolution-against-correlation",
        lambda x, k: F.conv1d(x[None, None], k[None, None])[0, 0],
        lambda x, k: jnp.convolve(x, k, "valid"),
        normals((32,), (5,)),
    ),
    differs("distance-without-its-root", torch.cdist, lambda a, b: ((a[:, None] - b) ** 2).sum(-1), two),
    differs(
        "sum-a-quarter-too-large-float16",
        lambda x: x.sum(-1),
        lambda x: 1.25 * x.sum(-1),
        uniforms(0.5, 3, (8, 8)),
        dtype="float16",
    ),
    differs("variance-unbiased-against-biased-bfloat16", lambda x: x.var(-1), lambda x: x.var(-1), dtype="bfloat16"),
]
