"""Mistakes in ports of trainings: a classifier with a warm-up, an average of the weights, statistics of batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from field.records import Trainings
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F
from trained import clip_exactly

from explain.records import Right
from explain.words import FORGETS, MOVED, SHIFTED, number, other_side

WIDTH, HIDDEN, CLASSES, ROWS, STEPS = 8, 12, 5, 6, 4
RATE, WARM_UP, DECAY, NORM, SMOOTH, KEPT = 0.01, 3, 0.1, 0.5, 0.1, 0.9
Array = Any
Weights = Mapping[str, Array]


def batches() -> list[list[np.ndarray]]:
    labels = np.random.default_rng(1).integers(0, CLASSES, (STEPS, ROWS)).astype(np.int32)
    return [[normals(ROWS, WIDTH, seed=2 + k), labels[k]] for k in range(STEPS)]


def linear(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


# a classifier


def torch_classifier() -> nn.Module:
    return randomised(nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, CLASSES))).train()


def is_matrix(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, tree)


def warmed_up(step: Array) -> Array:
    """From a rate of 0."""
    return RATE * jnp.minimum(step / WARM_UP, 1.0)


def classifier(
    *,
    rate: Callable[[Array], Array] = warmed_up,
    clip: optax.GradientTransformation = clip_exactly(NORM),  # noqa: B008
    mask: Any = is_matrix,
    smooth: float = SMOOTH,
    decay: float = DECAY,
) -> Trainings:
    """AdamW, which decays the matrices, after clipping by the norm. The arguments are JAX's."""
    model = torch_classifier()
    groups = [
        {
            "params": [parameter for parameter in model.parameters() if (parameter.ndim > 1) is matrices],
            "weight_decay": DECAY * matrices,
        }
        for matrices in (True, False)
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / WARM_UP, 1.0))

    def torch_step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels.long(), label_smoothing=SMOOTH)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), NORM)
        optimizer.step()
        scheduler.step()
        return loss

    transform = optax.chain(clip, optax.adamw(rate, weight_decay=decay, mask=mask))

    def loss_of(p: Weights, x: Array, labels: Array) -> Array:
        wanted = optax.smooth_labels(jax.nn.one_hot(labels, CLASSES), smooth)
        return optax.softmax_cross_entropy(linear(p, "2", jnp.tanh(linear(p, "0", x))), wanted).mean()

    def jax_step(state: Any, x: Array, labels: Array) -> Any:
        params, held = state
        loss, by = jax.value_and_grad(loss_of)(params, x, labels)
        updates, held = transform.update(by, held, params)
        return (optax.apply_updates(params, updates), held), loss

    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}
    states = (model, optimizer, scheduler), (params, transform.init(params))
    return Trainings(torch_step, jax_step, batches(), *states, {"controls": 0})


# an average of the weights


def averaged(*, kept: float = KEPT, late: bool = False) -> Trainings:
    """SGD, and a moving average of the weights. ``late``: JAX averages the weights before the step."""
    model = torch_classifier()
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def torch_step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels.long())
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mean, new in zip(average.parameters(), model.parameters(), strict=True):
                mean.mul_(KEPT).add_(new, alpha=1 - KEPT)
        return loss

    def loss_of(p: Weights, x: Array, labels: Array) -> Array:
        logits = linear(p, "2", jnp.tanh(linear(p, "0", x)))
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def jax_step(state: Any, x: Array, labels: Array) -> Any:
        loss, by = jax.value_and_grad(loss_of)(state["params"], x, labels)
        params = jax.tree.map(lambda weight, gradient: weight - RATE * gradient, state["params"], by)
        mean = optax.incremental_update(state["params"] if late else params, state["ema"], 1 - kept)
        return {"params": params, "ema": mean}, loss

    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}
    state = {"params": params, "ema": jax.tree.map(jnp.array, params)}
    return Trainings(torch_step, jax_step, batches(), (model, average, optimizer), state, {"controls": 0})


# statistics of batches


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.bn, self.out = nn.Linear(WIDTH, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.out(F.relu(self.bn(self.fc(x))))


def statistics(*, kept: float = 0.9, biased: bool = False) -> Trainings:
    """BatchNorm in training. The arguments are JAX's: what it keeps of the statistics, and how it divides the variance."""
    model = randomised(Normed()).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def torch_step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels.long())
        loss.backward()
        optimizer.step()
        return loss

    def loss_of(p: Weights, x: Array, labels: Array) -> Any:
        y = linear(p, "fc", x)
        mean, var = y.mean(0), y.var(0)
        y = jax.nn.relu((y - mean) / jnp.sqrt(var + 1e-5) * p["bn.weight"] + p["bn.bias"])
        loss = optax.softmax_cross_entropy_with_integer_labels(linear(p, "out", y), labels).mean()
        return loss, {"running_mean": mean, "running_var": var if biased else var * ROWS / (ROWS - 1)}

    def jax_step(state: Any, x: Array, labels: Array) -> Any:
        params, running = state
        (loss, new), by = jax.value_and_grad(loss_of, has_aux=True)(params, x, labels)
        running = jax.tree.map(lambda old, other: kept * old + (1 - kept) * other, running, new)
        return (jax.tree.map(lambda weight, gradient: weight - RATE * gradient, params, by), running), loss

    own = {name: jnp.asarray(weight) for name, weight in weights_of(model).items() if not name.endswith("tracked")}
    running = {name: own.pop(f"bn.{name}") for name in ("running_mean", "running_var")}
    return Trainings(torch_step, jax_step, batches(), (model, optimizer), (own, running), {"controls": 0})


CLASSIFIER = Right("training of a classifier", "training", classifier)
AVERAGED = Right("training with an average", "training", averaged)
STATISTICS = Right("training with statistics", "training", statistics)

MOMENTUM = STATISTICS.case(
    "another momentum",
    {"kept": 0.99},
    "bn: BatchNorm's momentum: JAX keeps 0.99 of the statistics, PyTorch 0.9",
    ("momentum|keeps?", f"{number(0.99)}|{number(0.01)}", f"{number(0.9)}|{number(0.1)}"),
    where=r"\bbn\b|statistics|running",
    claims="momentum statistics",
    false=other_side(0.9, 0.99),
)
BIASED = STATISTICS.case(
    "biased variance",
    {"biased": True},
    "bn: JAX divides the variance by n, PyTorch by n - 1",
    r"n - 1|unbiased|biased|ddof|correction|Bessel",
    where=r"\bbn\b|statistics|running",
    claims="divisor statistics",
    false=(r"JAX (divides )?(the variance )?by n - 1",),
)
CASES = (
    CLASSIFIER.case(
        "warm-up one step early",
        {"rate": lambda step: warmed_up(step + 1)},
        "the schedule: JAX's learning rate is that of the step after",
        (r"schedule|learning rate|\brate\b", SHIFTED + r"|step (after|before|early|late)|next step|steps? ahead"),
        claims="rate shifted",
        false=("the optimiser does",),
    ),
    CLASSIFIER.case(
        "clipped without 1e-6",
        {"clip": optax.clip_by_global_norm(NORM)},
        "clipping: PyTorch adds 1e-06 to the norm, JAX does not",
        (r"clip|norm", number(1e-6)),
        claims="clipping epsilon",
        false=(r"JAX (forgets|does not clip|has no clip|lacks)|those themselves",),
    ),
    CLASSIFIER.case(
        "clipped to another norm",
        {"clip": clip_exactly(1.0)},
        "clipping: the norm is 1 in JAX, 0.5 in PyTorch",
        (r"clip", number(1.0), number(NORM)),
        claims="clipping",
        false=(*other_side(NORM, 1.0), r"JAX (forgets|does not clip|has no clip|lacks)|those themselves"),
    ),
    CLASSIFIER.case(
        "biases decayed too",
        {"mask": None},
        "the optimiser: JAX decays 0.bias and 2.bias too, PyTorch only the matrices (weight decay 0.1)",
        (r"decay", r"bias|vector|mask|only|too\b|all|group"),
        claims="decay bias",
    ),
    CLASSIFIER.case(
        "decay a tenth",
        {"decay": DECAY / 10},
        "the optimiser: weight decay 0.01 in JAX, 0.1 in PyTorch",
        ("decay", number(DECAY / 10), number(DECAY)),
        claims="decay",
        false=other_side(DECAY, DECAY / 10),
    ),
    CLASSIFIER.case(
        "label smoothing forgotten",
        {"smooth": 0.0},
        "the loss: label smoothing is 0 in JAX, 0.1 in PyTorch",
        ("smooth", f"{number(SMOOTH)}|{FORGETS}"),
        claims="smoothing forgets",
        false=other_side(SMOOTH, 0.0),
    ),
    AVERAGED.case(
        "another decay of the average",
        {"kept": 0.99},
        "the EMA of the weights: JAX keeps 0.99 of it, PyTorch 0.9",
        ("EMA|average|ema", number(0.99), number(KEPT)),
        ("EMA|average|ema", "not compared|not judged|cannot be compared"),
        claims="average decay",
        false=other_side(KEPT, 0.99),
    ),
    AVERAGED.case(
        "average of the weights before the step",
        {"late": True},
        "the EMA of the weights: JAX averages the weights of before the step, PyTorch those after it",
        ("EMA|average|ema", MOVED + "|" + SHIFTED + "|step before|old (weights|parameters)"),
        ("EMA|average|ema", "not compared|not judged|cannot be compared"),
        claims="average shifted",
    ),
    MOMENTUM,
    BIASED,
)
