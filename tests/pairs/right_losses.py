"""Losses and likelihoods, with integer labels, weights, masks and several reductions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import Array, integers, normals, uniforms

LOGITS = (40, 10)
VECTORS = normals((200,), (200,))


def classes(scale=1.0):
    """Logits and the labels of their rows."""
    return lambda: [*normals(LOGITS, scale=scale)(), integers(10, 40)]


def probabilities() -> list[Array]:
    a, b = np.exp(normals(LOGITS, LOGITS)())
    return [a / a.sum(1, keepdims=True), b / b.sum(1, keepdims=True)]


def binary() -> list[Array]:
    return [*normals((200,), scale=3)(), integers(2, 200).astype(np.float32)]


def picked(x, labels):
    return jnp.take_along_axis(x, labels[:, None], 1)[:, 0]


def torch_cross_entropy(x, labels):
    return F.cross_entropy(x, labels.long())


def jax_cross_entropy(x, labels):
    return -jnp.mean(picked(jax.nn.log_softmax(x), labels))


def jax_cross_entropy_one_hot(x, labels):
    return jnp.mean(jax.nn.logsumexp(x, 1) - jnp.sum(jax.nn.one_hot(labels, 10, dtype=x.dtype) * x, 1))


def jax_smoothed(x, labels):
    target = 0.9 * jax.nn.one_hot(labels, 10, dtype=x.dtype) + 0.01
    return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(x), 1))


def torch_ignored(x, labels):
    return F.cross_entropy(x, torch.where(labels < 3, -100, labels).long())


def jax_ignored(x, labels):
    kept = labels >= 3
    return -jnp.sum(jnp.where(kept, picked(jax.nn.log_softmax(x), labels), 0)) / jnp.sum(kept)


def jax_weighted(x, labels, w):
    return -jnp.sum(w[labels] * picked(jax.nn.log_softmax(x), labels)) / jnp.sum(w[labels])


def weighted():
    return [*classes()(), *uniforms(0.5, 2, (10,))()]


def jax_bce(x, y):
    return jnp.mean(jnp.maximum(x, 0) - x * y + jnp.log1p(jnp.exp(-jnp.abs(x))))


def torch_focal(x, y):
    loss = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    p = torch.sigmoid(x)
    return ((1 - (p * y + (1 - p) * (1 - y))) ** 2 * loss).mean()


def jax_focal(x, y):
    sign = 2 * y - 1
    return -jnp.mean(jax.nn.sigmoid(-sign * x) ** 2 * jax.nn.log_sigmoid(sign * x))


def torch_contrastive(a, b):
    a, b = F.normalize(a), F.normalize(b)
    scores = a @ b.T / 0.07
    labels = torch.arange(len(a))
    return (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2


def jax_contrastive(a, b):
    a, b = (v / jnp.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    scores = jnp.einsum("id,jd->ij", a, b) / 0.07
    matching = jnp.diagonal(scores)
    return jnp.mean(jax.nn.logsumexp(scores, 0) + jax.nn.logsumexp(scores, 1) - 2 * matching) / 2


def jax_cosine(a, b):
    return jnp.sum(a * b, 1) / (jnp.linalg.norm(a, axis=1) * jnp.linalg.norm(b, axis=1))


def torch_mixture(x, logits, mean, log_scale):
    parts = torch.distributions.Normal(mean, log_scale.exp(), validate_args=False).log_prob(x[:, None])
    return torch.logsumexp(torch.log_softmax(logits, 0) + parts, 1)


def jax_mixture(x, logits, mean, log_scale):
    z = (x[:, None] - mean) * jnp.exp(-log_scale)
    parts = -0.5 * z * z - log_scale - 0.5 * math.log(2 * math.pi)
    return jax.nn.logsumexp(logits + parts, 1) - jax.nn.logsumexp(logits)


def torch_gaussian_kl(mean, log_var):
    p = torch.distributions.Normal(mean, (log_var / 2).exp(), validate_args=False)
    return torch.distributions.kl_divergence(p, torch.distributions.Normal(0.0, 1.0)).sum(-1)


def jax_gaussian_kl(mean, log_var):
    return 0.5 * jnp.sum(jnp.exp(log_var) + mean * mean - 1 - log_var, -1)


def torch_masked_mean(x, lengths):
    mask = (torch.arange(20) < lengths[:, None]).to(x.dtype)
    return (x * mask).sum(1) / mask.sum(1)


def jax_masked_mean(x, lengths):
    return jnp.mean(x, 1, where=jnp.arange(20) < lengths[:, None])


def torch_dice(x, y):
    p = torch.sigmoid(x)
    return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)


def jax_dice(x, y):
    p = 1 / (1 + jnp.exp(-x))
    return 1 - (2 * jnp.dot(p, y) + 1) / (jnp.sum(p + y) + 1)


def torch_preference(chosen, rejected):
    return -F.logsigmoid(0.1 * (chosen - rejected)).mean()


def jax_preference(chosen, rejected):
    return jnp.mean(jnp.logaddexp(0, -0.1 * (chosen - rejected)))


PAIRS = [
    Pair("cross-entropy", torch_cross_entropy, jax_cross_entropy, classes()),
    Pair("cross-entropy-one-hot", torch_cross_entropy, jax_cross_entropy_one_hot, classes()),
    Pair("cross-entropy-confident", torch_cross_entropy, jax_cross_entropy, classes(30)),
    Pair("cross-entropy-smoothed", lambda x, n: F.cross_entropy(x, n.long(), label_smoothing=0.1), jax_smoothed, classes()),
    Pair("cross-entropy-ignored-labels", torch_ignored, jax_ignored, classes()),
    Pair(
        "cross-entropy-weighted", lambda x, n, w: F.cross_entropy(x, n.long(), w), jax_weighted, weighted, options={"wrt": 0}
    ),
    Pair("cross-entropy-to-second-order", torch_cross_entropy, jax_cross_entropy, classes(), order=2),
    Pair(
        "cross-entropy-of-probabilities",
        F.cross_entropy,
        lambda x, p: -jnp.mean(jnp.sum(p * jax.nn.log_softmax(x), 1)),
        lambda: [*normals(LOGITS)(), probabilities()[0]],
    ),
    Pair(
        "negative-log-likelihood",
        lambda x, n: F.nll_loss(F.log_softmax(x, 1), n.long(), reduction="none"),
        lambda x, n: jax.nn.logsumexp(x, 1) - picked(x, n),
        classes(),
    ),
    Pair("binary-cross-entropy", F.binary_cross_entropy_with_logits, jax_bce, binary),
    Pair("focal-loss", torch_focal, jax_focal, binary, options={"wrt": 0}),
    Pair("dice-loss", torch_dice, jax_dice, binary),
    Pair(
        "kl-divergence",
        lambda p, q: F.kl_div(p.log(), q, reduction="batchmean"),
        lambda p, q: jnp.sum(q * (jnp.log(q) - jnp.log(p))) / 40,
        probabilities,
    ),
    Pair(
        "kl-divergence-of-close",
        lambda x, y: F.kl_div(F.log_softmax(x, 1), F.log_softmax(x + 1e-3 * y, 1), log_target=True, reduction="sum"),
        lambda x, y: jnp.sum(jax.nn.softmax(x + 1e-3 * y) * (jax.nn.log_softmax(x + 1e-3 * y) - jax.nn.log_softmax(x))),
        normals(LOGITS, LOGITS),
    ),
    Pair("kl-divergence-of-gaussians", torch_gaussian_kl, jax_gaussian_kl, normals((30, 8), (30, 8))),
    Pair(
        "entropy",
        lambda x: torch.distributions.Categorical(logits=x, validate_args=False).entropy(),
        lambda x: -jnp.sum(jax.nn.softmax(x) * jax.nn.log_softmax(x), 1),
        normals(LOGITS, scale=2),
    ),
    Pair(
        "mean-squared-error", F.mse_loss, lambda x, y: jnp.mean((x - y) ** 2), normals((200,), (200,), shift=1000), order=2
    ),
    Pair("mean-absolute-error", F.l1_loss, lambda x, y: jnp.mean(jnp.abs(x - y)), VECTORS),
    Pair(
        "huber",
        lambda x, y: F.huber_loss(x, y, delta=0.7, reduction="none"),
        lambda x, y: jnp.where(jnp.abs(x - y) < 0.7, 0.5 * (x - y) ** 2, 0.7 * (jnp.abs(x - y) - 0.35)),
        VECTORS,
    ),
    Pair(
        "smooth-l1",
        lambda x, y: F.smooth_l1_loss(x, y, beta=0.7),
        lambda x, y: jnp.mean(jnp.where(jnp.abs(x - y) < 0.7, (x - y) ** 2 / 1.4, jnp.abs(x - y) - 0.35)),
        VECTORS,
    ),
    Pair(
        "log-cosh",
        lambda x, y: torch.log(torch.cosh(x - y)).mean(),
        lambda x, y: jnp.mean(jnp.logaddexp(x - y, y - x) - math.log(2)),
        normals((200,), (200,), scale=3),
    ),
    Pair("cosine-similarity", F.cosine_similarity, jax_cosine, normals((20, 16), (20, 16))),
    Pair("contrastive", torch_contrastive, jax_contrastive, normals((16, 8), (16, 8), shift=1)),
    Pair("preference", torch_preference, jax_preference, normals((64,), (64,), scale=20)),
    Pair(
        "hinge",
        lambda x, y: (1 - (2 * y - 1) * x).clamp(min=0).mean(),
        lambda x, y: jnp.mean(jax.nn.relu(1 + (1 - 2 * y) * x)),
        binary,
        options={"wrt": 0},
    ),
    Pair(
        "triplet-margin",
        lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=2, eps=0),
        lambda a, p, n: jnp.mean(jax.nn.relu(jnp.linalg.norm(a - p, axis=1) - jnp.linalg.norm(a - n, axis=1) + 2)),
        normals((20, 8), (20, 8), (20, 8)),
    ),
    Pair(
        "gaussian-likelihood",
        lambda x, y, v: F.gaussian_nll_loss(x, y, v.exp(), full=True, eps=0),
        lambda x, y, v: jnp.mean(-jax.scipy.stats.norm.logpdf(y, x, jnp.exp(v / 2))),
        normals((100,), (100,), (100,)),
    ),
    Pair(
        "poisson-likelihood",
        lambda x, n: F.poisson_nll_loss(x, n.to(x.dtype)),
        lambda x, n: jnp.mean(jnp.exp(x) - n * x),
        lambda: [*normals((100,))(), integers(9, 100)],
    ),
    Pair("mixture-of-gaussians", torch_mixture, jax_mixture, normals((60,), (4,), (4,), (4,))),
    Pair("masked-mean", torch_masked_mean, jax_masked_mean, lambda: [*normals((8, 20))(), 1 + integers(20, 8)]),
    Pair(
        "perplexity",
        lambda x, n: torch.exp(F.cross_entropy(x, n.long())),
        lambda x, n: jnp.prod(1 / picked(jax.nn.softmax(x), n) ** (1 / 40)),
        classes(),
    ),
    Pair(
        "total-variation",
        lambda x: (x.diff(dim=0).square().sum() + x.diff(dim=1).square().sum()).sqrt(),
        lambda x: jnp.sqrt(jnp.sum((x[1:] - x[:-1]) ** 2) + jnp.sum((x[:, 1:] - x[:, :-1]) ** 2)),
        normals((20, 20)),
        order=2,
    ),
]
