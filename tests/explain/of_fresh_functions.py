"""Mistakes in ports of losses, of biases of attention and of standardised kernels, as functions."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from ported import normals
from torch.nn import functional as F

from explain.records import functions
from explain.words import EXCHANGED, FORGETS, MORE, NEGATIVE, number

Array = Any
ALPHA, HEADS, TOKENS, HEAD, BUCKETS, FARTHEST = 0.25, 4, 7, 3, 8, 16
LOGITS, ANSWERS = normals(6, 5, seed=1), np.random.default_rng(2).integers(0, 2, (6, 5)).astype(np.float32)
WEIGHTS = (1.5, 3.0, 0.5, 2.0, 4.0)


# a focal loss


def torch_focal(x: Any, y: Any) -> Any:
    p = torch.sigmoid(x)
    right = p * y + (1 - p) * (1 - y)
    weight = ALPHA * y + (1 - ALPHA) * (1 - y)
    return (weight * (1 - right) ** 2 * F.binary_cross_entropy_with_logits(x, y, reduction="none")).mean()


def focal(x: Array, y: Array, of_all: bool = False) -> Array:
    p = jax.nn.sigmoid(x)
    right = p * y + (1 - p) * (1 - y)
    weight = ALPHA if of_all else ALPHA * y + (1 - ALPHA) * (1 - y)
    losses = jnp.maximum(x, 0) - x * y + jnp.log1p(jnp.exp(-jnp.abs(x)))
    return (weight * (1 - right) ** 2 * losses).mean()


FOCAL = functions("focal loss", torch_focal, focal, LOGITS, ANSWERS)


# a loss that weighs what is there more than what is not


def torch_weighed(x: Any, y: Any) -> Any:
    return F.binary_cross_entropy_with_logits(x, y, pos_weight=torch.tensor(WEIGHTS, dtype=x.dtype))


def weighed(x: Array, y: Array, of_both: bool = False) -> Array:
    weight = jnp.asarray(WEIGHTS, x.dtype)
    here, absent = y * jax.nn.log_sigmoid(x), (1 - y) * jax.nn.log_sigmoid(-x)
    return -(weight * (here + absent) if of_both else weight * here + absent).mean()


WEIGHED = functions("weighed loss", torch_weighed, weighed, LOGITS, ANSWERS)


# the likelihood of a normal distribution


def torch_likelihood(mean: Any, logs: Any, y: Any) -> Any:
    return F.gaussian_nll_loss(mean, y, torch.exp(logs))


def likelihood(mean: Array, logs: Array, y: Array, deviation: bool = False) -> Array:
    far = (mean - y) ** 2
    return 0.5 * (logs + far / jnp.exp(logs / 2 if deviation else logs)).mean()


LIKELIHOOD = functions("likelihood", torch_likelihood, likelihood, *(normals(6, 4, seed=seed) for seed in (3, 4, 5)))


# images against texts


def torch_matched(x: Any, y: Any, scale: Any) -> Any:
    logits = F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).T * scale.exp()
    wanted = torch.arange(len(x))
    return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2


def unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def matched(x: Array, y: Array, scale: Array, second: Any = unit) -> Array:
    logits = unit(x) @ second(y).T * jnp.exp(scale)
    losses = [-jnp.diagonal(jax.nn.log_softmax(logits, axis)).mean() for axis in (1, 0)]
    return (losses[0] + losses[1]) / 2


MATCHED = functions(
    "images against texts", torch_matched, matched, normals(5, 6, seed=6), normals(5, 6, seed=7), np.float32(0.7)
)


# attention with a bias by distance


def torch_by_distance(q: Any, k: Any, v: Any) -> Any:
    slopes = 2.0 ** (-8.0 * torch.arange(1, HEADS + 1, dtype=q.dtype) / HEADS)
    places = torch.arange(TOKENS)
    far = (places[None, :] - places[:, None]).to(q.dtype)
    scores = q @ k.transpose(-1, -2) / math.sqrt(HEAD) + slopes[:, None, None] * far
    return scores.masked_fill(far > 0, -math.inf).softmax(-1) @ v


def by_distance(q: Array, k: Array, v: Array, first: int = 1) -> Array:
    slopes = 2.0 ** (-8.0 * jnp.arange(first, HEADS + first) / HEADS)
    places = jnp.arange(TOKENS)
    far = places[None, :] - places[:, None]
    scores = jnp.einsum("hqd,hkd->hqk", q, k) / math.sqrt(HEAD) + slopes[:, None, None] * far
    return jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(jnp.where(far > 0, -jnp.inf, scores), -1), v)


QKV = tuple(normals(HEADS, TOKENS, HEAD, seed=seed) for seed in (8, 9, 10))
BY_DISTANCE = functions("attention by distance", torch_by_distance, by_distance, *QKV)


# attention with a learned bias for each bucket of distances


def torch_bucketed(scores: Any, table: Any) -> Any:
    places = torch.arange(TOKENS)
    far = places[None, :] - places[:, None]
    half = BUCKETS // 2
    buckets, far = (far > 0).long() * half, far.abs()
    near = half // 2
    logs = torch.log(far.clamp(min=1).float() / near) / math.log(FARTHEST / near) * (half - near)
    buckets = buckets + torch.where(far < near, far, (near + logs.long()).clamp(max=half - 1))
    return (scores + table[buckets].permute(2, 0, 1)).softmax(-1)


def bucketed(scores: Array, table: Array, sign: int = 1) -> Array:
    places = jnp.arange(TOKENS)
    far = sign * (places[None, :] - places[:, None])
    half = BUCKETS // 2
    buckets, far = (far > 0) * half, jnp.abs(far)
    near = half // 2
    logs = jnp.log(jnp.maximum(far, 1) / near) / math.log(FARTHEST / near) * (half - near)
    buckets = buckets + jnp.where(far < near, far, jnp.minimum(near + logs.astype(int), half - 1))
    return jax.nn.softmax(scores + table[buckets].transpose(2, 0, 1), -1)


BUCKETED = functions(
    "buckets of distances", torch_bucketed, bucketed, normals(2, TOKENS, TOKENS, seed=11), normals(BUCKETS, 2, seed=12)
)


# a convolution whose kernel is standardised


def torch_standardised(x: Any, kernel: Any) -> Any:
    var, mean = torch.var_mean(kernel, (1, 2, 3), correction=0, keepdim=True)
    return F.conv2d(x, (kernel - mean) * torch.rsqrt(var + 1e-5), padding=1)


def standardised(x: Array, kernel: Array, axes: Any = (0, 1, 2)) -> Array:
    kernel = kernel.transpose(2, 3, 1, 0)
    mean, var = kernel.mean(axes, keepdims=True), kernel.var(axes, keepdims=True)
    kernel = (kernel - mean) * jax.lax.rsqrt(var + 1e-5)
    numbers = ("NCHW", "HWIO", "NCHW")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), [(1, 1), (1, 1)], dimension_numbers=numbers)


STANDARDISED = functions(
    "standardised kernel", torch_standardised, standardised, normals(2, 3, 6, 6, seed=13), normals(4, 3, 3, 3, seed=14)
)


# attention by cosines, with a learned temperature that has a limit


def torch_cosines(q: Any, k: Any, v: Any, logs: Any) -> Any:
    scale = torch.clamp(logs, max=math.log(100.0)).exp()[:, None, None]
    return (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-1, -2) * scale).softmax(-1) @ v


def limited(logs: Array) -> Array:
    return jnp.minimum(logs, math.log(100.0))


def cosines(q: Array, k: Array, v: Array, logs: Array, limit: Any = limited) -> Array:
    scores = unit(q) @ jnp.swapaxes(unit(k), -1, -2) * jnp.exp(limit(logs))[:, None, None]
    return jax.nn.softmax(scores, -1) @ v


COSINES = functions("attention by cosines", torch_cosines, cosines, *QKV, np.array([0.5, 2, 5.2, 6], np.float32))

CASES = (
    FOCAL.case(
        "weight of one class for both",
        {"port": partial(focal, of_all=True)},
        "JAX weighs by 0.25 where PyTorch weighs by 0.25 * y + 0.75 * (1 - y)",
        (r"weigh|multipl|factor|times|\bmul|by 0\.25|scale", rf"{number(0.25)}|{number(0.75)}|1 - |alpha"),
        (FORGETS, rf"{number(0.75)}|1 - y"),
        claims="forgets",
    ),
    WEIGHED.case(
        "both terms weighed",
        {"port": partial(weighed, of_both=True)},
        "binary_cross_entropy_with_logits: JAX multiplies by pos_weight (x2) the term of 1 - y too",
        (r"as weight in JAX", r"pos_weight in PyTorch"),
        (r"pos_weight|x2|input 2|\bweight", MORE + r"|too\b|both|whole|all|sum|negative|absent|1 - |before|after"),
        claims="more exchanged",
    ),
    LIKELIHOOD.case(
        "divided by the deviation",
        {"port": partial(likelihood, deviation=True)},
        "gaussian_nll_loss: JAX divides by the deviation, sqrt(var), PyTorch by the variance",
        (r"sqrt|root|deviation|squared?\b|power|\*\* ?\(?0\.5|/ 2\b|half|\b0\.5 \*|x1 \* 0\.5|0\.5 in JAX"),
        claims="more",
        false=("deviation in PyTorch",),
    ),
    MATCHED.case(
        "one side not normalised",
        {"port": partial(matched, second=lambda y: y)},
        "JAX forgets normalize of x1",
        (FORGETS, r"normali[sz]e|\bnorm\b|unit|divi"),
        claims="forgets",
        false=("normali[sz]e of x0",),
    ),
    BY_DISTANCE.case(
        "slopes from the power of 0",
        {"port": partial(by_distance, first=0)},
        "a constant array (the slopes) is 4 times as large in JAX: [1, 0.25, 0.0625, ...], PyTorch [0.25, 0.0625, ...]",
        (r"times|factor|multipl|larger|\bslopes?\b|constant|entr|array", f"{number(4.0)}|{number(0.25)}"),
        ("arange|start|first|from", number(0.0), number(1.0)),
        claims="shifted bias",
        false=("JAX forgets",),
    ),
    BUCKETED.case(
        "distances of the other sign",
        {"port": partial(bucketed, sign=-1)},
        "the indices into x1 (table[...]) are transposed in JAX: query minus key, PyTorch key minus query",
        (
            NEGATIVE + "|" + EXCHANGED + "|transpos|flip",
            r"index|indices|\bfar\b|table|x1|input 1|gather|place|axis|axes|dist|arange",
        ),
        claims="transposed exchanged negative reversed axis bias",
    ),
    STANDARDISED.case(
        "standardised over the outputs",
        {"port": partial(standardised, axes=(0, 1, 3))},
        "the kernel's mean and variance: over axes (0, 2, 3) in JAX, (1, 2, 3) in PyTorch",
        (r"axis|axes|\bdims?\b|over |channel", r"mean|var|reduc|normali|standardi", r"\b0\b|\b3\b|out|other|another|input"),
        claims="axis transposed exchanged",
    ),
    COSINES.case(
        "limit of the temperature forgotten",
        {"port": partial(cosines, limit=lambda logs: logs)},
        "JAX forgets clamp(max=4.60517) of x3",
        (FORGETS, r"clamp|clip|minimum|\bmin\b|limit|bound|4\.605"),
        claims="forgets clipping",
        false=("normali[sz]e",),
    ),
)
