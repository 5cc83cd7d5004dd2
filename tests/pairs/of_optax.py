"""Losses and optimizers of optax beside those of PyTorch."""

import math

import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import integers, normals, uniforms


def rows(*shape):
    return normals(shape, shape)


def with_labels():
    return [*normals((12, 10))(), integers(10, 12)]


def with_probabilities():
    logits, other = normals((12, 10), (12, 10))()
    return [logits, (np.exp(other) / np.exp(other).sum(-1, keepdims=True)).astype(np.float32)]


def with_bits():
    return [*normals((40,))(), integers(2, 40).astype(np.float32)]


def with_signs():
    return [*normals((40,))(), (2 * integers(2, 40) - 1).astype(np.float32)]


def torch_log_cosh(prediction, target):
    error = prediction - target
    return error + F.softplus(-2 * error) - math.log(2)


def torch_poly_loss(logits, target):
    """The cross entropy, and twice how improbable the target is."""
    return F.cross_entropy(logits, target, reduction="none") + 2 * (target * (1 - torch.softmax(logits, -1))).sum(-1)


def torch_kl(log_prediction, target):
    return F.kl_div(torch.log_softmax(log_prediction, -1), target, reduction="none").sum(-1)


def jax_kl(log_prediction, target):
    return optax.losses.kl_divergence(log_prediction - jnp.log(jnp.exp(log_prediction).sum(-1, keepdims=True)), target)


def torch_steps(make, steps=3):
    """Parameters after a few steps of an optimizer of torch, along the same gradient each time."""

    def run(parameter, gradient):
        value = parameter.detach().clone().requires_grad_()
        optimizer = make([value])
        for _ in range(steps):
            value.grad = gradient.clone()
            optimizer.step()
        return value.detach()

    return run


def jax_steps(optimizer, steps=3):
    def run(parameter, gradient):
        state = optimizer.init(parameter)
        for _ in range(steps):
            updates, state = optimizer.update(gradient, state, parameter)
            parameter = optax.apply_updates(parameter, updates)
        return parameter

    return run


GRADIENTS = rows(5, 4)


def step(name, torch_make, optax_make, make=GRADIENTS, **keywords):
    return Pair(f"optax-{name}", torch_steps(torch_make), jax_steps(optax_make), make, order=0, **keywords)


def torch_cosine(step):
    return 0.05 + 0.95 * (1 + torch.cos(math.pi * step / 100)) / 2


WRONG = {"passes": False, "cause": "definition"}

PAIRS = [
    Pair("optax-l2-loss", lambda p, t: (p - t) ** 2 / 2, optax.losses.l2_loss, rows(30)),
    Pair(
        "optax-l2-loss-against-mse", lambda p, t: F.mse_loss(p, t, reduction="none"), optax.losses.l2_loss, rows(30), **WRONG
    ),
    Pair("optax-huber-loss", lambda p, t: F.huber_loss(p, t, reduction="none"), optax.losses.huber_loss, rows(30)),
    Pair(
        "optax-huber-loss-against-smooth-l1",
        lambda p, t: F.smooth_l1_loss(p, t, reduction="none", beta=0.5),
        lambda p, t: optax.losses.huber_loss(p, t, delta=0.5),
        rows(30),
        **WRONG,
    ),
    Pair("optax-log-cosh", torch_log_cosh, optax.losses.log_cosh, rows(30)),
    Pair(
        "optax-sigmoid-cross-entropy",
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
        optax.losses.sigmoid_binary_cross_entropy,
        with_bits,
    ),
    Pair(
        "optax-cross-entropy-of-labels",
        lambda x, t: F.cross_entropy(x, t.long(), reduction="none"),
        optax.losses.softmax_cross_entropy_with_integer_labels,
        with_labels,
    ),
    Pair(
        "optax-cross-entropy-of-labels-against-its-mean",
        lambda x, t: F.cross_entropy(x, t.long()),
        lambda x, t: optax.losses.softmax_cross_entropy_with_integer_labels(x, t).sum(),
        with_labels,
        **WRONG,
    ),
    Pair(
        "optax-cross-entropy-of-probabilities",
        lambda x, t: F.cross_entropy(x, t, reduction="none"),
        optax.losses.softmax_cross_entropy,
        with_probabilities,
    ),
    Pair(
        "optax-smooth-labels",
        lambda x, t: F.cross_entropy(x, t.long(), label_smoothing=0.1),
        lambda x, t: optax.losses.softmax_cross_entropy(x, optax.smooth_labels(jnp.eye(10, dtype=x.dtype)[t], 0.1)).mean(),
        with_labels,
    ),
    Pair("optax-poly-loss", torch_poly_loss, optax.losses.poly_loss_cross_entropy, with_probabilities),
    Pair("optax-kl-divergence", torch_kl, jax_kl, with_probabilities),
    Pair("optax-hinge-loss", lambda x, t: torch.relu(1 - x * t), optax.losses.hinge_loss, with_signs, options={"wrt": 0}),
    Pair("optax-cosine-similarity", lambda a, b: F.cosine_similarity(a, b, -1), optax.losses.cosine_similarity, rows(6, 16)),
    Pair(
        "optax-cosine-distance-against-similarity",
        lambda a, b: F.cosine_similarity(a, b, -1),
        optax.losses.cosine_distance,
        rows(6, 16),
        **WRONG,
    ),
    Pair(
        "optax-global-norm",
        lambda a, b: (a.square().sum() + b.square().sum()).sqrt(),
        lambda *x: optax.global_norm(x),
        rows(7, 5),
    ),
    Pair("optax-cosine-schedule", torch_cosine, optax.cosine_decay_schedule(1.0, 100, 0.05), uniforms(1, 99, (50,))),
    step("sgd-with-momentum", lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), optax.sgd(0.1, momentum=0.9)),
    step("adam", lambda p: torch.optim.Adam(p, 0.01), optax.adam(0.01)),
    step("adamw", lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1), optax.adamw(0.01, weight_decay=0.1)),
    step("adamw-of-other-decay", lambda p: torch.optim.AdamW(p, 0.1), optax.adamw(0.1), **WRONG),
    step(
        "adagrad-of-other-start",
        lambda p: torch.optim.Adagrad(p, 0.1, eps=1e-7),
        optax.adagrad(0.1, initial_accumulator_value=0.1),
        **WRONG,
    ),
    step(
        "rmsprop-with-epsilon-in-the-root",
        lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-8),
        optax.rmsprop(0.01, decay=0.9, eps=1e-8),
        normals((5, 4), (5, 4), scale=1e-4),
        **WRONG,
    ),
]
