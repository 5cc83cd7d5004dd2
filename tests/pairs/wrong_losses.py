"""Losses: reductions, weights, smoothing, thresholds, the order of arguments, and an epsilon in the wrong place."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import integers, normals

two = normals((16, 8), (16, 8))
CLASS_WEIGHTS = np.linspace(0.5, 2, 8, dtype=np.float32)


def classified() -> list[Any]:
    """Logits and labels."""
    return [*normals((16, 8))(), integers(8, 16, seed=1)]


def with_weights() -> list[Any]:
    return [*classified(), CLASS_WEIGHTS.copy()]


def with_probabilities() -> list[Any]:
    """Logits and targets between 0 and 1."""
    logits, targets = two()
    return [logits, 1 / (1 + np.exp(-targets))]


def two_distributions() -> list[Any]:
    p, q = (np.exp(each) for each in two())
    return [p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)]


def differs(name: str, torch_fn: Any, jax_fn: Any, make: Any = two, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="definition", **rest)


def negative_log_likelihood(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], -1)[:, 0]


def cross_entropy(x: Any, y: Any, **how: Any) -> Any:
    return F.cross_entropy(x, y.long(), **how)


def weighted_by_count(x: Any, y: Any, w: Any) -> Any:
    """torch divides by the sum of the weights; this divides by the number of rows."""
    return (w[y] * negative_log_likelihood(x, y)).mean()


def smoothed_over_the_others(x: Any, y: Any) -> Any:
    """torch spreads the 0.1 over all classes; this spreads it over the seven wrong ones."""
    target = jnp.where(jax.nn.one_hot(y, 8) > 0, 0.9, 0.1 / 7)
    return -(target * jax.nn.log_softmax(x)).sum(-1).mean()


def ignoring_in_the_mean(x: Any, y: Any) -> Any:
    """Ignored rows count in the mean."""
    return jnp.where(y == 3, 0, negative_log_likelihood(x, y)).mean()


def huber(delta: float) -> Any:
    def loss(x: Any, y: Any) -> Any:
        d = jnp.abs(x - y)
        return jnp.where(d < delta, d**2 / 2, delta * (d - delta / 2)).mean()

    return loss


def smooth_l1(x: Any, y: Any, beta: float) -> Any:
    d = jnp.abs(x - y)
    return jnp.where(d < beta, d**2 / (2 * beta), d - beta / 2).mean()


def binary_cross_entropy(p: Any, y: Any) -> Any:
    return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p)).mean()


def cosine(x: Any, y: Any, eps: float) -> Any:
    return (x * y).sum(-1) / (jnp.linalg.norm(x, axis=-1) * jnp.linalg.norm(y, axis=-1) + eps)


def focal(x: Any, y: Any, gamma: float) -> Any:
    log_p = F.log_softmax(x, -1).gather(1, y.long()[:, None])
    return -((1 - log_p.exp()) ** gamma * log_p).mean()


def focal_of_gamma_one(x: Any, y: Any) -> Any:
    log_p = -negative_log_likelihood(x, y)
    return -((1 - jnp.exp(log_p)) * log_p).mean()


def triplet(x: Any, y: Any) -> Any:
    return F.triplet_margin_loss(x, y, y.roll(1, 0), margin=1.0)


def triplet_of_squares(x: Any, y: Any) -> Any:
    near, far = (jnp.sum((x - other + 1e-6) ** 2, -1) for other in (y, jnp.roll(y, 1, 0)))
    return jnp.maximum(near - far + 1, 0).mean()


PAIRS = [
    differs("mse-mean-against-sum", F.mse_loss, lambda x, y: ((x - y) ** 2).sum()),
    differs("mse-mean-over-rows-only", F.mse_loss, lambda x, y: ((x - y) ** 2).sum(-1).mean()),
    differs("mse-halved", F.mse_loss, lambda x, y: ((x - y) ** 2).mean() / 2),
    differs("mse-against-rmse", F.mse_loss, lambda x, y: jnp.sqrt(((x - y) ** 2).mean())),
    differs(
        "mse-of-a-row-against-a-column",
        lambda x, y: ((x - y) ** 2).mean(),
        lambda x, y: ((x[:, None] - y) ** 2).mean(),
        make=normals((16,), (16,)),
    ),
    differs("huber-delta", lambda x, y: F.huber_loss(x, y, delta=1.0), huber(0.5)),
    differs("huber-against-smooth-l1", lambda x, y: F.huber_loss(x, y, delta=0.5), lambda x, y: smooth_l1(x, y, 0.5)),
    differs("smooth-l1-beta", F.smooth_l1_loss, lambda x, y: smooth_l1(x, y, 1 / 9)),
    differs("cross-entropy-mean-against-sum", cross_entropy, lambda x, y: negative_log_likelihood(x, y).sum(), classified),
    differs(
        "cross-entropy-weighted-over-rows",
        lambda x, y, w: cross_entropy(x, y, weight=w),
        weighted_by_count,
        with_weights,
        options={"wrt": 0},
    ),
    differs(
        "cross-entropy-without-class-weights",
        lambda x, y: cross_entropy(x, y, weight=torch.from_numpy(CLASS_WEIGHTS).to(x.dtype)),
        lambda x, y: negative_log_likelihood(x, y).mean(),
        classified,
    ),
    differs(
        "cross-entropy-ignored-rows-in-mean",
        lambda x, y: cross_entropy(x, y, ignore_index=3),
        ignoring_in_the_mean,
        classified,
    ),
    differs(
        "label-smoothing-over-the-others",
        lambda x, y: cross_entropy(x, y, label_smoothing=0.1),
        smoothed_over_the_others,
        classified,
    ),
    differs(
        "cross-entropy-without-smoothing",
        lambda x, y: cross_entropy(x, y, label_smoothing=0.01),
        lambda x, y: negative_log_likelihood(x, y).mean(),
        classified,
    ),
    differs(
        "cross-entropy-given-probabilities",
        cross_entropy,
        lambda x, y: negative_log_likelihood(jax.nn.softmax(x), y).mean(),
        classified,
    ),
    differs(
        "cross-entropy-in-bits", cross_entropy, lambda x, y: negative_log_likelihood(x, y).mean() / jnp.log(2), classified
    ),
    differs("focal-gamma", lambda x, y: focal(x, y, 2.0), focal_of_gamma_one, classified),
    differs(
        "kl-arguments-swapped",
        lambda p, q: F.kl_div(p.log(), q, reduction="sum"),
        lambda p, q: (p * jnp.log(p / q)).sum(),
        two_distributions,
    ),
    differs(
        "kl-mean-against-batchmean",
        lambda p, q: F.kl_div(p.log(), q, reduction="none").mean(),
        lambda p, q: (q * jnp.log(q / p)).sum() / len(p),
        two_distributions,
    ),
    differs(
        "kl-without-the-entropy",
        lambda p, q: F.kl_div(p.log(), q, reduction="sum"),
        lambda p, q: -(q * jnp.log(p)).sum(),
        two_distributions,
    ),
    differs(
        "bce-arguments-swapped",
        lambda p, y: F.binary_cross_entropy(p, y.detach()),
        lambda p, y: binary_cross_entropy(jax.lax.stop_gradient(y), p),
        two_distributions,
        options={"wrt": 0},
    ),
    differs(
        "bce-of-logits-as-tanh",
        F.binary_cross_entropy_with_logits,
        lambda x, y: binary_cross_entropy(0.5 + 0.499 * jnp.tanh(x / 2), y),
        with_probabilities,
    ),
    differs(
        "bce-positive-weight-on-all",
        lambda x, y: F.binary_cross_entropy_with_logits(x, y, pos_weight=torch.tensor(3.0)),
        lambda x, y: 3 * binary_cross_entropy(jax.nn.sigmoid(x), y),
        with_probabilities,
    ),
    differs(
        "bce-epsilon-in-the-log",
        F.binary_cross_entropy,
        lambda p, y: -(y * jnp.log(p + 1e-3) + (1 - y) * jnp.log(1 - p + 1e-3)).mean(),
        two_distributions,
    ),
    differs("cosine-epsilon-added", F.cosine_similarity, lambda x, y: cosine(x, y, 1e-3)),
    differs(
        "cosine-of-the-other-axis",
        lambda x, y: F.cosine_similarity(x, y, dim=1),
        lambda x, y: cosine(x.T, y.T, 0),
        normals((12, 12), (12, 12)),
    ),
    differs("cosine-distance-against-similarity", F.cosine_similarity, lambda x, y: 1 - cosine(x, y, 0)),
    differs("triplet-of-squared-distances", triplet, triplet_of_squares),
    differs("hinge-squared", lambda x, y: F.relu(1 - x * y).mean(), lambda x, y: (jnp.maximum(1 - x * y, 0) ** 2).mean()),
    differs("poisson-without-exponential", F.poisson_nll_loss, lambda x, y: (x - y * jnp.log(jnp.abs(x) + 1e-8)).mean()),
    differs(
        "gaussian-nll-of-the-deviation",
        lambda x, y: F.gaussian_nll_loss(x, torch.zeros_like(x), y.exp()),
        lambda x, y: 0.5 * (y + x**2 / jnp.exp(y) ** 2).mean(),
    ),
    differs(
        "log-cosh-halved",
        lambda x, y: torch.log(torch.cosh(x - y)).mean(),
        lambda x, y: 0.5 * jnp.log(jnp.cosh(x - y)).mean(),
        dtype="float64",
        order=2,
    ),
    differs("mse-mean-against-sum-bfloat16", F.mse_loss, lambda x, y: ((x - y) ** 2).sum(), dtype="bfloat16"),
    differs("mse-mean-against-sum-float16", F.mse_loss, lambda x, y: ((x - y) ** 2).sum(), dtype="float16"),
    differs("mse-biased-by-eight-parts-in-a-million", F.mse_loss, lambda x, y: ((x - y) ** 2).sum() / 128.001),
]
