"""Mistakes in ports of trainings: restarts of the rate, rates by depth, sums of gradients, frozen layers, averages."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from field.records import Optimizers, Trainings
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right
from explain.words import EXCHANGED, FLIPPED, FORGETS, number, other_side

WIDTH, HIDDEN, CLASSES, ROWS, STEPS, PARTS = 6, 10, 4, 5, 7, 2
RATE, LEAST, FIRST, DECAY, SHRINK, KEPT = 0.05, 0.01, 3, 0.1, 0.5, 0.9
LAYERS = ("0", "2", "4")
Array = Any
Weights = Mapping[str, Array]


def perceptron() -> nn.Module:
    layers = nn.Linear(WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
    return randomised(nn.Sequential(*layers)).train()


def params_of(model: nn.Module) -> dict[str, Array]:
    return {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}


def loss_of(p: Weights, x: Array, labels: Array) -> Array:
    for name in LAYERS[:-1]:
        x = jax.nn.relu(x @ p[f"{name}.weight"].T + p[f"{name}.bias"])
    logits = x @ p["4.weight"].T + p["4.bias"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def batches(*before: int) -> list[list[np.ndarray]]:
    labels = np.random.default_rng(1).integers(0, CLASSES, (STEPS, *before, ROWS)).astype(np.int32)
    return [[normals(*before, ROWS, WIDTH, seed=2 + k), labels[k]] for k in range(STEPS)]


def trained(model: nn.Module, optimizer: Any, transform: optax.GradientTransformation, *schedulers: Any) -> Trainings:
    """Cross-entropy of a batch, a step of the optimiser, a step of the schedule."""

    def torch_step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels.long())
        loss.backward()
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        return loss

    def jax_step(state: Any, x: Array, labels: Array) -> Any:
        params, held = state
        loss, by = jax.value_and_grad(loss_of)(params, x, labels)
        updates, held = transform.update(by, held, params)
        return (optax.apply_updates(params, updates), held), loss

    params = params_of(model)
    states = (model, optimizer, *schedulers), (params, transform.init(params))
    return Trainings(torch_step, jax_step, batches(), *states, {"controls": 0})


# a cosine that restarts


def restarted(step: Array, least: float = LEAST) -> Array:
    """Restarts after 3 steps, then after 6 more."""
    first = step < FIRST
    part = jnp.where(first, step / FIRST, (step - FIRST) / (2 * FIRST))
    return least + (RATE - least) * (1 + jnp.cos(jnp.pi * part)) / 2


def with_restarts(*, rate: Callable[[Array], Array] = restarted) -> Trainings:
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, FIRST, T_mult=2, eta_min=LEAST)
    return trained(model, optimizer, optax.sgd(rate, momentum=0.9), scheduler)


# a rate that is smaller for the layers below


def by_depth(*, order: tuple[str, ...] = LAYERS) -> Trainings:
    """The layer above has the whole rate, each layer below a half of that above it."""
    model = perceptron()
    rates = {name: RATE * SHRINK ** (len(LAYERS) - 1 - k) for k, name in enumerate(LAYERS)}
    optimizer = torch.optim.AdamW(
        [{"params": list(model.get_submodule(name).parameters()), "lr": rate} for name, rate in rates.items()],
        weight_decay=DECAY,
    )
    each = {name: optax.adamw(RATE * SHRINK ** (len(order) - 1 - k), weight_decay=DECAY) for k, name in enumerate(order)}
    return trained(
        model, optimizer, optax.multi_transform(each, lambda tree: {name: name.partition(".")[0] for name in tree})
    )


# a layer that is not trained


def frozen_rightly() -> optax.GradientTransformation:
    return optax.multi_transform({"held": optax.set_to_zero(), "trained": optax.adamw(RATE, weight_decay=DECAY)}, held_of)


def held_of(tree: Any) -> Any:
    return {name: "held" if name.startswith("0.") else "trained" for name in tree}


def gradient_alone() -> optax.GradientTransformation:
    held = optax.multi_transform({"held": optax.set_to_zero(), "trained": optax.identity()}, held_of)
    return optax.chain(held, optax.adamw(RATE, weight_decay=DECAY))


def frozen(*, transform: Callable[[], optax.GradientTransformation] = frozen_rightly) -> Trainings:
    model = perceptron()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad], lr=RATE, weight_decay=DECAY
    )
    return trained(model, optimizer, transform())


# gradients of several parts of a batch


def accumulated(*, divisor: int = PARTS) -> Trainings:
    """SGD with weight decay, after the mean of the gradients of two parts."""
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, weight_decay=DECAY)

    def torch_step(xs: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        total = 0.0
        for x, wanted in zip(xs, labels, strict=True):
            loss = F.cross_entropy(model(x), wanted.long()) / PARTS
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        return total

    transform = optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(RATE))

    def jax_step(state: Any, xs: Array, labels: Array) -> Any:
        params, held = state

        def add(total: Any, part: Any) -> Any:
            loss, by = jax.value_and_grad(loss_of)(params, *part)
            return jax.tree.map(jnp.add, total, by), loss

        total, losses = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), (xs, labels))
        updates, held = transform.update(jax.tree.map(lambda gradient: gradient / divisor, total), held, params)
        return (optax.apply_updates(params, updates), held), losses.mean()

    params = params_of(model)
    states = (model, optimizer), (params, transform.init(params))
    return Trainings(torch_step, jax_step, batches(PARTS), *states, {"controls": 0})


# an average of the weights that begins quickly


def quick(step: Array) -> Array:
    return jnp.minimum(KEPT, (1 + step) / (10 + step))


def averaged(*, kept: Callable[[Array], Array] = quick) -> Trainings:
    model = perceptron()
    average = copy.deepcopy(model).requires_grad_(False)
    average.register_buffer("count", torch.zeros((), dtype=torch.int32))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def torch_step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels.long())
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            share = torch.clamp((1 + average.count) / (10 + average.count), max=KEPT)
            for mean, new in zip(average.parameters(), model.parameters(), strict=True):
                mean.copy_(share * mean + (1 - share) * new)
            average.count += 1
        return loss

    def jax_step(state: Any, x: Array, labels: Array) -> Any:
        loss, by = jax.value_and_grad(loss_of)(state["params"], x, labels)
        params = jax.tree.map(lambda weight, gradient: weight - RATE * gradient, state["params"], by)
        share = kept(state["count"])
        mean = jax.tree.map(lambda old, new: share * old + (1 - share) * new, state["ema"], params)
        return {"params": params, "ema": mean, "count": state["count"] + 1}, loss

    params = params_of(model)
    state = {"params": params, "ema": jax.tree.map(jnp.array, params), "count": jnp.zeros((), jnp.int32)}
    return Trainings(torch_step, jax_step, batches(), (model, average, optimizer), state, {"controls": 0})


# an optimiser that holds the squares of a matrix as those of its rows and of its columns


class Factored(torch.optim.Optimizer):
    """Written by a user."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": RATE})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                held, squares = self.state[parameter], parameter.grad**2 + 1e-30
                held["step"] = held.get("step", 0) + 1
                kept = 1 - held["step"] ** -0.8
                if parameter.ndim < 2:
                    seen = held["seen"] = kept * held.get("seen", 0.0) + (1 - kept) * squares
                else:
                    row = held["row"] = kept * held.get("row", 0.0) + (1 - kept) * squares.mean(-1, keepdim=True)
                    column = held["column"] = kept * held.get("column", 0.0) + (1 - kept) * squares.mean(-2, keepdim=True)
                    seen = row * column / row.mean(-2, keepdim=True)
                update = parameter.grad / seen.sqrt()
                parameter.add_(update / update.pow(2).mean().sqrt().clamp(min=1.0), alpha=-group["lr"])


def at_least_one(size: Array) -> Array:
    return jnp.maximum(size, 1.0)


def factored(limit: Callable[[Array], Array] = at_least_one) -> optax.GradientTransformation:
    def init_one(leaf: Array) -> Any:
        if leaf.ndim < 2:
            return (jnp.zeros_like(leaf),)
        return jnp.zeros_like(leaf[..., :1]), jnp.zeros_like(leaf[..., :1, :])

    def step(gradient: Array, held: Any, kept: Array) -> Any:
        squares = gradient**2 + 1e-30
        means = (squares,) if gradient.ndim < 2 else (squares.mean(-1, keepdims=True), squares.mean(-2, keepdims=True))
        held = tuple(kept * old + (1 - kept) * new for old, new in zip(held, means, strict=True))
        seen = held[0] if gradient.ndim < 2 else held[0] * held[1] / held[0].mean(-2, keepdims=True)
        update = gradient / jnp.sqrt(seen)
        return -RATE * update / limit(jnp.sqrt((update**2).mean())), held

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        count, held = state
        leaves, tree = jax.tree.flatten(updates)
        kept = 1 - (count + 1.0) ** -0.8
        steps = [step(gradient, old, kept) for gradient, old in zip(leaves, held, strict=True)]
        return jax.tree.unflatten(tree, [change for change, _ in steps]), (count + 1, [old for _, old in steps])

    def init(params: Any) -> Any:
        return jnp.zeros((), jnp.int32), [init_one(leaf) for leaf in jax.tree.leaves(params)]

    return optax.GradientTransformation(init, update)


def factors(port: Callable[[], optax.GradientTransformation] = factored) -> Optimizers:
    return Optimizers(Factored, port())


RESTARTS = Right("training with restarts", "training", with_restarts)
DEPTHS = Right("training with rates by depth", "training", by_depth)
FROZEN = Right("training of the upper layers", "training", frozen)
ACCUMULATED = Right("training with accumulation", "training", accumulated)
AVERAGED = Right("training with a quick average", "training", averaged)
FACTORED = Right("factored optimiser", "training", factors)

CASES = (
    RESTARTS.case(
        "down to a rate of 0",
        {"rate": partial(restarted, least=0.0)},
        "the schedule: the cosine's lowest learning rate (eta_min) is 0 in JAX, 0.01 in PyTorch",
        (r"schedule|learning rate|\brate\b|\blr\b|eta_min", rf"{number(0.0)}|{FORGETS}", number(LEAST)),
        (r"eta_min|lowest|minimum|\bleast|\bfloor", FORGETS + "|" + number(0.0)),
        claims="rate forgets",
        false=other_side(LEAST, 0.0),
    ),
    DEPTHS.case(
        "rates from the top down",
        {"order": LAYERS[::-1]},
        "the optimiser: the learning rates of the layers are reversed: 0 has 0.05 in JAX, 0.0125 in PyTorch",
        (r"\brates?\b|\blr\b", EXCHANGED + "|" + FLIPPED),
        (r"\brates?\b|\blr\b", number(RATE), f"{number(RATE / 4)}|{number(4.0)}"),
        (
            r"\brates?\b|\blr\b|steps?\b|updates?\b",
            f"{number(4.0)}|4 times",
            r"(?<![\d.])0\.(weight|bias)",
            r"(?<![\d.])4\.(weight|bias)",
        ),
        claims="rate exchanged reversed",
    ),
    FROZEN.case(
        "frozen layer decays",
        {"transform": gradient_alone},
        "the optimiser: JAX decays 0.weight and 0.bias, which are frozen in PyTorch (weight decay 0.1)",
        (r"decay", r"(?<![\d.])0\.(weight|bias)|frozen|freez|requires_grad|not trained|no gradient|group|only|too\b"),
        (r"(?<![\d.])0\.(weight|bias)|first layer", r"frozen|freez|requires_grad|not trained|does not train|fixed"),
        claims="decay bias more",
    ),
    ACCUMULATED.case(
        "sum of the gradients for their mean",
        {"divisor": 1},
        "the gradient is 2 times as large in JAX: a sum of the parts, PyTorch their mean",
        (r"gradient", r"\bsum|twice|times 2|2 times|factor (of )?2|doubl|mean|accumul|" + number(2.0)),
        claims="more forgets",
        false=(r"mean in JAX", r"learning rate"),
    ),
    AVERAGED.case(
        "decay of the average without a warm-up",
        {"kept": lambda step: KEPT},
        "the EMA of the weights: JAX keeps 0.9 of it, PyTorch 0.1 at the first step: no warm-up",
        (r"\bEMA\b|average", r"warm|constant|step|schedule|grows|each step", number(KEPT)),
        (r"\bEMA\b|average", number(KEPT), number(0.1)),
        (r"\bEMA\b|average", "not compared|not judged|cannot be compared"),
        claims="average decay rate",
        false=("learning rate",),
    ),
    FACTORED.case(
        "limit of an update forgotten",
        {"port": partial(factored, limit=lambda size: 1.0)},
        "JAX forgets to divide the update by max(1, its root mean square): clipping",
        (FORGETS, r"\bclip|\bclamp|root mean|\brms\b|\bmax|limit|bound|divi"),
        claims="forgets clipping",
    ),
)
