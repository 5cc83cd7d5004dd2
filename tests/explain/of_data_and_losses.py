"""Mistakes in ports of losses, of what prepares data, and of scans, as functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from ported import normals
from torch.nn import functional as F

from explain.records import functions
from explain.words import EXCHANGED, FLIPPED, FORGETS, SHIFTED, number, other_side

Array = Any
CLASSES, SMOOTH = 7, 0.1
LOGITS, LABELS = normals(3, 6, CLASSES, seed=1), np.random.default_rng(2).integers(0, CLASSES, (3, 6)).astype(np.int32)


# the loss of a language model, of the next token


def torch_next_token(logits: Any, tokens: Any) -> Any:
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten().long(), label_smoothing=SMOOTH)


def next_token(logits: Array, tokens: Array, smooth: float = SMOOTH, shift: int = 1, total: bool = False) -> Array:
    logits, tokens = logits[:, :-1], tokens[:, shift : tokens.shape[1] - 1 + shift]
    logs = jax.nn.log_softmax(logits, -1)
    chosen = jnp.take_along_axis(logs, tokens[..., None], -1)[..., 0]
    losses = -(1 - smooth) * chosen - smooth * logs.mean(-1)
    return losses.sum() if total else losses.mean()


NEXT_TOKEN = functions("loss of the next token", torch_next_token, next_token, LOGITS, LABELS)


# a loss that leaves out padding


def torch_masked(logits: Any, labels: Any, counts: Any) -> Any:
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten().long(), reduction="none") * counts.flatten()
    return losses.sum() / counts.sum()


def masked(logits: Array, labels: Array, counts: Array, by_all: bool = False) -> Array:
    logs = jnp.take_along_axis(jax.nn.log_softmax(logits, -1), labels[..., None], -1)[..., 0]
    return -(logs * counts).sum() / (counts.size if by_all else counts.sum())


COUNTS = (np.arange(6) < np.array([[6], [4], [3]])).astype(np.float32)
MASKED = functions("loss without padding", torch_masked, masked, LOGITS, LABELS, COUNTS)


# a divergence, and a distance


def torch_divergence(left: Any, right: Any) -> Any:
    p, q = F.log_softmax(left, -1), F.log_softmax(right, -1)
    return (p.exp() * (p - q)).sum(-1).mean()


def divergence(left: Array, right: Array) -> Array:
    p, q = jax.nn.log_softmax(left, -1), jax.nn.log_softmax(right, -1)
    return (jnp.exp(p) * (p - q)).sum(-1).mean()


DIVERGENCE = functions("divergence", torch_divergence, divergence, normals(4, 5, seed=3), normals(4, 5, seed=4))


def torch_distance(x: Any, y: Any) -> Any:
    return F.huber_loss(x, y, delta=0.7)


def distance(x: Array, y: Array, delta: float = 0.7) -> Array:
    far = jnp.abs(x - y)
    return jnp.where(far < delta, far * far / 2, delta * (far - delta / 2)).mean()


DISTANCE = functions("distance", torch_distance, distance, normals(4, 5, seed=5), normals(4, 5, seed=6))


# a target that is not trained


def torch_target(x: Any, w: Any, v: Any) -> Any:
    return ((torch.tanh(x @ w) - torch.tanh(x @ v).detach()) ** 2).mean()


def target(x: Array, w: Array, v: Array, held: Any = jax.lax.stop_gradient) -> Array:
    return ((jnp.tanh(x @ w) - held(jnp.tanh(x @ v))) ** 2).mean()


TARGET = functions("held target", torch_target, target, normals(4, 6, seed=7), normals(6, 3, seed=8), normals(6, 3, seed=9))


# images

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGES = np.random.default_rng(10).uniform(size=(2, 3, 9, 9)).astype(np.float32)


def torch_normalised(images: Any) -> Any:
    mean, deviation = (torch.tensor(values, dtype=images.dtype)[:, None, None] for values in (MEAN, DEVIATION))
    return (images - mean) / deviation


def normalised(images: Array, mean: Sequence[float] = MEAN, deviation: Sequence[float] = DEVIATION) -> Array:
    return (images - jnp.asarray(mean)[:, None, None]) / jnp.asarray(deviation)[:, None, None]


NORMALISED = functions("normalised images", torch_normalised, normalised, IMAGES)


def torch_resized(images: Any, mode: str, aligned: bool) -> Any:
    return F.interpolate(images, size=(13, 13), mode=mode, align_corners=aligned)


def cubic(distance: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(distance)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def linear(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(distance), 0.0)


def interpolation(kernel: Any, aligned: bool, reach: int, size: int = 9, new: int = 13) -> np.ndarray:
    """The matrix that interpolates a row. Places beyond the edge count as the edge."""
    at = np.arange(new) * (size - 1) / (new - 1) if aligned else (np.arange(new) + 0.5) * size / new - 0.5
    at = at if aligned or kernel is not linear else np.clip(at, 0, size - 1)
    matrix = np.zeros((new, size))
    for step in range(1 - reach, reach + 1):
        place = np.floor(at).astype(int) + step
        matrix[np.arange(new), np.clip(place, 0, size - 1)] += kernel(at - place)
    return matrix.astype(np.float32)


def resized(images: Array, matrix: np.ndarray) -> Array:
    return jnp.einsum("...hw,yh,xw->...yx", images, matrix, matrix)


def resized_cubic(a: float) -> Any:
    return partial(resized, matrix=interpolation(partial(cubic, a=a), False, 2))


def resized_linear(aligned: bool) -> Any:
    return partial(resized, matrix=interpolation(linear, aligned, 1))


LINEAR = functions("bilinear resize", partial(torch_resized, mode="bilinear", aligned=True), resized_linear(True), IMAGES)
CUBIC = functions("bicubic resize", partial(torch_resized, mode="bicubic", aligned=False), resized_cubic(-0.75), IMAGES)


def torch_shrunk(images: Any) -> Any:
    return F.interpolate(images, size=(4, 4), mode="bilinear", antialias=True)


def shrunk(images: Array, antialias: bool = True) -> Array:
    return jax.image.resize(images, (2, 3, 4, 4), "linear", antialias=antialias)


SHRUNK = functions("shrunk images", torch_shrunk, shrunk, IMAGES)


def torch_padded(x: Any) -> Any:
    return F.pad(x, (2, 1), mode="reflect") ** 2


def padded(x: Array, left: int = 2, right: int = 1, mode: str = "reflect") -> Array:
    return jnp.pad(x, [(0, 0), (left, right)], mode=mode) ** 2


PADDED = functions("padded rows", torch_padded, padded, normals(3, 6, seed=11))


# scans


def torch_scanned(x: Any) -> Any:
    return torch.exp(F.pad(x.cumsum(-1), (1, 0))[..., :-1])


def scanned(x: Array, inclusive: bool = False) -> Array:
    total = jnp.cumsum(x, -1)
    return jnp.exp(total if inclusive else jnp.pad(total, [(0, 0), (1, 0)])[..., :-1])


SCANNED = functions("sums before each place", torch_scanned, scanned, 0.3 * normals(3, 8, seed=12))


def torch_returns(rewards: Any) -> Any:
    returns, after = [], torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        after = rewards[:, t] + 0.9 * after
        returns.append(after)
    return torch.stack(returns[::-1], 1)


def returns(rewards: Array, gamma: float = 0.9, reverse: bool = True) -> Array:
    def step(after: Array, reward: Array) -> tuple[Array, Array]:
        after = reward + gamma * after
        return after, after

    return jax.lax.scan(step, jnp.zeros_like(rewards[:, 0]), rewards.T, reverse=reverse)[1].T


RETURNS = functions("discounted returns", torch_returns, returns, normals(3, 6, seed=13))


def torch_positions(x: Any) -> Any:
    rates = torch.exp(torch.arange(4, dtype=x.dtype) * (-math.log(10000.0) / 4))
    angles = x[:, None] * rates
    return torch.cat([torch.sin(angles), torch.cos(angles)], -1)


def positions(x: Array, parts: Any = (jnp.sin, jnp.cos), count: int = 4) -> Array:
    angles = x[:, None] * jnp.exp(jnp.arange(4) * (-math.log(10000.0) / count))
    return jnp.concatenate([part(angles) for part in parts], -1)


POSITIONS = functions("positions as waves", torch_positions, positions, np.arange(6, dtype=np.float32) + 0.5)

CASES = (
    NEXT_TOKEN.case(
        "label smoothing forgotten",
        {"port": partial(next_token, smooth=0.0)},
        "the loss has label smoothing 0 in JAX, 0.1 in PyTorch",
        ("smooth", f"{number(0.1)}|{FORGETS}"),
        claims="smoothing forgets",
        false=other_side(0.1, 0.0),
    ),
    NEXT_TOKEN.case(
        "labels not shifted",
        {"port": partial(next_token, shift=0)},
        "JAX's labels (tokens) are shifted by one place against PyTorch's",
        (r"labels?\b|tokens?\b|x1|input 1|slice|index|start", SHIFTED + r"|\b0\b.*\b1\b|\b1\b.*\b0\b"),
        claims="shifted axis",
    ),
    NEXT_TOKEN.case(
        "sum for the mean",
        {"port": partial(next_token, total=True)},
        "sum in JAX, mean in PyTorch: 15 times",
        (r"\bsum", r"mean|average|\bn\b|number of"),
        (f"times|{number(15)}", "mean"),
        false=("mean in JAX",),
    ),
    MASKED.case(
        "divided by all tokens",
        {"port": partial(masked, by_all=True)},
        "JAX divides by 18, the number of all tokens; PyTorch by the sum of counts, 13",
        (r"divi|mean|average", f"{number(18)}|all|count|size|number of"),
        claims="mask",
    ),
    DIVERGENCE.case(
        "both arguments exchanged",
        {"port": lambda left, right: divergence(right, left)},
        "JAX has x0 and x1 exchanged",
        EXCHANGED,
        claims="exchanged reversed",
    ),
    DISTANCE.case(
        "another delta",
        {"port": partial(distance, delta=1.0)},
        "huber_loss's delta: 1 in JAX, 0.7 in PyTorch",
        (number(1.0), number(0.7)),
        false=(*other_side(0.7, 1.0), "JAX forgets"),
    ),
    TARGET.case(
        "target trained",
        {"port": partial(target, held=lambda x: x)},
        "the gradient by v: JAX does not stop the gradient where PyTorch detaches tanh(x @ v)",
        ("gradient", r"stop|detach|no gradient|lets|flows?|only (in )?JAX|zero in PyTorch"),
        claims="stop forgets",
        false=(r"JAX (stops|detaches)",),
    ),
    NORMALISED.case(
        "one entry of a constant",
        {"port": partial(normalised, mean=(0.485, 0.465, 0.406))},
        "entry 1 of a constant array is 0.465 in JAX, 0.456 in PyTorch",
        (number(0.465), number(0.456)),
        false=other_side(0.456, 0.465),
    ),
    NORMALISED.case(
        "two constants exchanged",
        {"port": partial(normalised, mean=DEVIATION, deviation=MEAN)},
        "JAX has two constants exchanged: [0.485, 0.456, 0.406] and [0.229, 0.224, 0.225]",
        EXCHANGED,
        claims="exchanged",
    ),
    NORMALISED.case(
        "channels of a constant reversed",
        {"port": partial(normalised, mean=MEAN[::-1], deviation=DEVIATION[::-1])},
        "both constants are reversed in JAX: blue, green, red",
        FLIPPED + "|channel.*order|order.*channel|permut",
        claims="reversed",
    ),
    LINEAR.case(
        "corners not aligned",
        {"port": resized_linear(False)},
        "interpolate: align_corners is False in JAX, True in PyTorch",
        r"align_corners|corners",
        false=(r"align_corners\W+True in JAX",),
    ),
    CUBIC.case(
        "another coefficient",
        {"port": resized_cubic(-0.5)},
        "bicubic's coefficient: -0.5 in JAX, -0.75 in PyTorch",
        (r"cubic|coefficient|\ba\b", number(-0.5), number(-0.75)),
        false=("antialias", *other_side(-0.75, -0.5)),
    ),
    SHRUNK.case(
        "antialias off",
        {"port": partial(shrunk, antialias=False)},
        "interpolate: antialias is False in JAX, True in PyTorch",
        "antialias",
        false=(r"antialias\W+True in JAX", "align_corners"),
    ),
    PADDED.case(
        "another mode",
        {"port": partial(padded, mode="symmetric")},
        "pad: the mode is symmetric in JAX, reflect in PyTorch",
        ("reflect|mirror", r"symmetric|repeat|edge|border"),
        claims="padding",
        false=("symmetric in PyTorch",),
    ),
    PADDED.case(
        "left for right",
        {"port": partial(padded, left=1, right=2)},
        "pad: (1, 2) in JAX, (2, 1) in PyTorch",
        (r"\bpad", r"\(?1, 2|left|before|\b1\b.*\b2\b|\b2\b.*\b1\b"),
        (r"shift|roll", r"\bby -?1|one"),
        claims="padding shifted exchanged",
        false=(r"\(2, 1\) in JAX",),
    ),
    SCANNED.case(
        "inclusive for exclusive",
        {"port": partial(scanned, inclusive=True)},
        "cumsum is inclusive in JAX, exclusive in PyTorch",
        "inclusive|exclusive",
        (SHIFTED, r"cumsum|cumulative|scan|sum"),
        claims="shifted forgets",
        false=("exclusive in JAX",),
    ),
    RETURNS.case(
        "another discount",
        {"port": partial(returns, gamma=0.99)},
        "the factor of the scan is 0.99 in JAX, 0.9 in PyTorch",
        (number(0.99), number(0.9)),
        false=other_side(0.9, 0.99),
    ),
    RETURNS.case(
        "steps taken forward",
        {"port": partial(returns, reverse=False)},
        "the scan runs forward in JAX, from the last step back in PyTorch: reversed along axis 1",
        FLIPPED + "|forward|direction",
        claims="reversed",
        false=("JAX forgets",),
    ),
    POSITIONS.case(
        "cosine first",
        {"port": partial(positions, parts=(jnp.cos, jnp.sin))},
        "JAX has sin and cos exchanged in the concatenation",
        (EXCHANGED + "|order|concat", r"sin|cos|cat\b|halves|parts"),
        claims="exchanged shifted",
    ),
    POSITIONS.case(
        "rates up to the last",
        {"port": partial(positions, count=3)},
        "the divisor of the rates is 3 in JAX, 4 in PyTorch",
        (number(3), number(4)),
        (r"-2\.30\d*", r"-3\.07\d*"),
        false=other_side(4, 3),
    ),
)
