"""Mistakes in ports of recurrent modules to scans: a GRU in both directions, and a cell by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import torch
from field.records import Models
from jax.nn import sigmoid
from ported import normals, randomised, weights_of
from torch import nn

from explain.records import Right
from explain.words import EXCHANGED, FLIPPED, FORGETS, MOVED, number, other_side

WIDTH, HIDDEN, STEPS, DECAY = 5, 6, 4, 0.8
Array = Any
Weights = Mapping[str, Array]


class Recurrent(nn.Module):
    """A GRU, then a leaky cell by hand, and what it ends with."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
        self.i, self.r = nn.Linear(2 * HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.head = nn.Linear(HIDDEN, 3)

    def forward(self, x: Any) -> Any:
        y = self.gru(x)[0]
        h = y.new_zeros(len(x), HIDDEN)
        for t in range(STEPS):
            h = DECAY * h + (1 - DECAY) * torch.tanh(self.i(y[:, t]) + self.r(h))
        return self.head(h)


def multiplied(h: Array, r: Array, p: Weights, end: str) -> Array:
    """The reset gate after the matrix, as PyTorch has it."""
    return r * (h @ p[f"gru.weight_hh_{end}"].T + p[f"gru.bias_hh_{end}"])[..., 2 * HIDDEN :]


def reset_before(h: Array, r: Array, p: Weights, end: str) -> Array:
    matrix, bias = (p[f"gru.{name}_hh_{end}"][2 * HIDDEN :] for name in ("weight", "bias"))
    return (r * h) @ matrix.T + bias


def without_bias(h: Array, r: Array, p: Weights, end: str) -> Array:
    return r * (h @ p[f"gru.weight_hh_{end}"].T)[..., 2 * HIDDEN :]


@dataclass(frozen=True)
class Port:
    """The same in JAX, in scans. A mistake replaces some of these parts."""

    new: Callable[..., Array] = multiplied
    gates: Callable[[Array, Array], tuple[Array, Array]] = lambda r, z: (r, z)
    turned_back: bool = True
    order: Callable[[Array, Array], list[Array]] = lambda there, back: [there, back]
    decay: float = DECAY
    inner: Callable[[Array], Array] = jnp.tanh
    last: Callable[[Array], Array] = lambda hs: hs[-1]

    def passed(self, p: Weights, x: Array, end: str) -> Array:
        def step(h: Array, x: Array) -> tuple[Array, Array]:
            from_input = x @ p[f"gru.weight_ih_{end}"].T + p[f"gru.bias_ih_{end}"]
            from_state = h @ p[f"gru.weight_hh_{end}"].T + p[f"gru.bias_hh_{end}"]
            r, z = self.gates(*(sigmoid(from_input + from_state)[:, k * HIDDEN : (k + 1) * HIDDEN] for k in range(2)))
            h = (1 - z) * jnp.tanh(from_input[:, 2 * HIDDEN :] + self.new(h, r, p, end)) + z * h
            return h, h

        return jax.lax.scan(step, jnp.zeros((x.shape[1], HIDDEN), x.dtype), x)[1]

    def logits(self, p: Weights, x: Array) -> Array:
        x = x.swapaxes(0, 1)
        back = self.passed(p, x[::-1], "l0_reverse")
        y = jnp.concatenate(self.order(self.passed(p, x, "l0"), back[::-1] if self.turned_back else back), -1)

        def step(h: Array, y: Array) -> tuple[Array, Array]:
            h = self.decay * h + (1 - self.decay) * self.inner(y @ p["i.weight"].T + p["i.bias"] + h @ p["r.weight"].T)
            return h, h

        hs = jax.lax.scan(step, jnp.zeros((x.shape[1], HIDDEN), x.dtype), y)[1]
        return self.last(hs) @ p["head.weight"].T + p["head.bias"]


def port(**change: Any) -> Models:
    torch.manual_seed(0)
    model = randomised(Recurrent())
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}
    return Models(model, Port(**change).logits, [normals(3, STEPS, WIDTH, seed=1)], params)


RECURRENT = Right("recurrences in scans", "model", port)

CASES = (
    RECURRENT.case(
        "reset before the matrix",
        {"new": reset_before},
        "gru: JAX applies the reset gate before the matrix, PyTorch after it",
        (r"reset|\br\b|gate|mul|matrix|product", MOVED),
        where="gru",
    ),
    RECURRENT.case(
        "reset and update gates exchanged",
        {"gates": lambda r, z: (z, r)},
        "gru: JAX has gates 0 and 1 exchanged (reset and update)",
        (EXCHANGED, r"gates?\b|reset|\b0\b|weight|rows|split|chunk"),
        where="gru",
        claims="exchanged",
        false=("JAX forgets",),
    ),
    RECURRENT.case(
        "bias of the new gate forgotten",
        {"new": without_bias},
        "gru: JAX forgets the part of bias_hh that belongs to the new gate",
        (FORGETS, "bias"),
        where="gru",
        claims="bias forgets",
    ),
    RECURRENT.case(
        "results of the second direction not turned back",
        {"turned_back": False},
        "gru: the results of its reverse direction are reversed along time in JAX",
        FLIPPED,
        where=r"gru|cat\b|\bi\b",
        claims="reversed forgets",
    ),
    RECURRENT.case(
        "directions joined in another order",
        {"order": lambda there, back: [back, there]},
        "gru: JAX has both directions exchanged in the concatenation",
        (EXCHANGED + "|order|concat", r"concat|cat\b|directions|parts|halves|columns|weight"),
        where=r"gru|cat\b|\bi\b",
        claims="exchanged",
        false=("along time",),
    ),
    RECURRENT.case(
        "another decay",
        {"decay": 0.9},
        "r: the state's factor is 0.9 in JAX, 0.8 in PyTorch",
        (number(0.9), number(DECAY)),
        where=r"\br\b|\bi\b|itself",
        false=other_side(DECAY, 0.9),
    ),
    RECURRENT.case(
        "relu for tanh",
        {"inner": jax.nn.relu},
        "r: relu in JAX, tanh in PyTorch, in 4 steps alike",
        (r"\brelu", "tanh"),
        where=r"\br\b|\bi\b|itself",
        claims="activation",
    ),
    RECURRENT.case(
        "mean over the steps",
        {"last": lambda hs: hs.mean(0)},
        "head: the mean over the steps in JAX, the last step in PyTorch",
        ("mean|average", r"last|step|-1|\b3\b|index|head"),
        where=r"head|\br\b|itself",
        claims="axis",
    ),
)
