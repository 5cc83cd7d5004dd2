"""Mistakes in the choice of an optimiser of optax, or in writing one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
import torch
from field.records import Optimizers

from explain.records import Right
from explain.words import FORGETS, number, other_side

RATE = 0.01


class Signed(torch.optim.Optimizer):
    """Steps along a momentum that is divided by its own mean size; written by a user."""

    def __init__(self, params: Any, epsilon: float = 1e-6) -> None:
        super().__init__(params, {"lr": RATE, "beta": 0.8, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                held = self.state[parameter].setdefault("held", torch.zeros_like(parameter))
                held.mul_(group["beta"]).add_(parameter.grad, alpha=1 - group["beta"])
                parameter.add_(held / (held.abs().mean() + group["epsilon"]), alpha=-group["lr"])


def signed(epsilon: float = 1e-6, beta: float = 0.8) -> optax.GradientTransformation:
    def update(updates: Any, state: Any, params: Any = None) -> Any:
        state = jax.tree.map(lambda held, gradient: beta * held + (1 - beta) * gradient, state, updates)
        return jax.tree.map(lambda held: -RATE * held / (jnp.abs(held).mean() + epsilon), state), state

    return optax.GradientTransformation(lambda params: jax.tree.map(jnp.zeros_like, params), update)


def right(name: str, original: Callable[..., Any], port: Callable[..., optax.GradientTransformation]) -> Right:
    """A case's change is another ``port``, without arguments."""

    def make(port: Callable[..., optax.GradientTransformation] = port) -> Optimizers:
        return Optimizers(original, port())

    return Right(name, "training", make)


def adamw(**options: Any) -> optax.GradientTransformation:
    return optax.adamw(RATE, **{"weight_decay": 0.05, **options})


def decayed_at_full_rate() -> optax.GradientTransformation:
    return optax.chain(optax.adam(RATE), optax.add_decayed_weights(-0.05))


def uncorrected() -> optax.GradientTransformation:
    def update(updates: Any, state: Any, params: Any = None) -> Any:
        means = jax.tree.map(lambda held, gradient: 0.9 * held + 0.1 * gradient, state[0], updates)
        squares = jax.tree.map(lambda held, gradient: 0.999 * held + 0.001 * gradient**2, state[1], updates)
        return jax.tree.map(lambda mean, square: mean / (jnp.sqrt(square) + 1e-8), means, squares), (means, squares)

    def init(params: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)

    return optax.chain(optax.GradientTransformation(init, update), optax.add_decayed_weights(0.05), optax.scale(-RATE))


momentum = partial(optax.sgd, RATE, momentum=0.9, nesterov=True)
rmsprop = partial(optax.rmsprop, RATE, decay=0.95, eps=1e-8, eps_in_sqrt=False)

ADAMW = right("AdamW", partial(torch.optim.AdamW, lr=RATE, weight_decay=0.05), adamw)
MOMENTUM = right("SGD", partial(torch.optim.SGD, lr=RATE, momentum=0.9, nesterov=True), momentum)
RMSPROP = right("RMSprop", partial(torch.optim.RMSprop, lr=RATE, alpha=0.95), rmsprop)
SIGNED = right("own optimiser", Signed, signed)

CASES = (
    ADAMW.case(
        "epsilon of Keras",
        {"port": partial(adamw, eps=1e-7)},
        "AdamW's epsilon: 1e-07 in JAX, 1e-08 in PyTorch",
        (r"\beps", number(1e-7), number(1e-8)),
        claims="epsilon",
        false=other_side(1e-8, 1e-7),
    ),
    ADAMW.case(
        "second beta",
        {"port": partial(adamw, b2=0.95)},
        "AdamW's second beta: 0.95 in JAX, 0.999 in PyTorch",
        (r"\bbeta|\bb2\b", number(0.95), number(0.999)),
        false=other_side(0.999, 0.95),
    ),
    ADAMW.case(
        "decay not times the rate",
        {"port": decayed_at_full_rate},
        "the weight decay is not multiplied by the learning rate in JAX: 0.05, PyTorch 0.05 * 0.01",
        ("decay", f"rate|{number(0.0005)}|{number(5.0)}|{number(100)}|{number(0.01)}"),
        claims="decay rate",
    ),
    ADAMW.case(
        "no bias correction",
        {"port": uncorrected},
        "JAX forgets the bias correction",
        ("bias.correct|debias|correction", FORGETS),
        claims="bias forgets",
    ),
    MOMENTUM.case(
        "nesterov forgotten",
        {"port": partial(momentum, nesterov=False)},
        "SGD: nesterov is False in JAX, True in PyTorch",
        "nesterov",
        claims="forgets",
        false=(r"nesterov\W+True in JAX",),
    ),
    MOMENTUM.case(
        "another momentum",
        {"port": partial(momentum, momentum=0.99)},
        "SGD's momentum: 0.99 in JAX, 0.9 in PyTorch",
        ("momentum", number(0.99), number(0.9)),
        claims="momentum",
        false=other_side(0.9, 0.99),
    ),
    RMSPROP.case(
        "default decay of optax",
        {"port": partial(rmsprop, decay=0.9)},
        "RMSprop's alpha: 0.9 in JAX, 0.95 in PyTorch",
        (r"alpha|decay", number(0.9), number(0.95)),
        false=other_side(0.95, 0.9),
    ),
    RMSPROP.case(
        "epsilon in the root",
        {"port": partial(rmsprop, eps_in_sqrt=True)},
        "RMSprop's epsilon is inside the root in JAX, outside it in PyTorch",
        (r"\beps", r"inside|outside|root|sqrt"),
        claims="epsilon",
    ),
    SIGNED.case(
        "another epsilon",
        {"port": partial(signed, 1e-3)},
        "epsilon: 0.001 in JAX, 1e-06 in PyTorch",
        (r"\beps", number(1e-3), number(1e-6)),
        claims="epsilon",
        false=other_side(1e-6, 1e-3),
    ),
    SIGNED.case(
        "another beta",
        {"port": partial(signed, beta=0.9)},
        "beta: 0.9 in JAX, 0.8 in PyTorch",
        (r"\bbeta|momentum|decay", number(0.9), number(0.8)),
        claims="momentum",
        false=other_side(0.8, 0.9),
    ),
)
