"""Mistakes in a port of a GRU and an LSTM cell, unrolled by hand over three steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import torch
from field.records import Models
from jax.nn import sigmoid
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right, together
from explain.words import EXCHANGED, FLIPPED, FORGETS, MOVED

BATCH, STEPS, WIDTH = 3, 3, 8
Array = Any
Weights = Mapping[str, Array]


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g, self.l, self.head = nn.GRUCell(WIDTH, WIDTH), nn.LSTMCell(WIDTH, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, x: Any) -> Any:
        h = c = k = x.new_zeros(len(x), WIDTH)
        for t in range(STEPS):
            ir, iz, new = F.linear(x[:, t], self.g.weight_ih, self.g.bias_ih).chunk(3, -1)
            hr, hz, old = F.linear(h, self.g.weight_hh, self.g.bias_hh).chunk(3, -1)
            z = torch.sigmoid(iz + hz)
            h = (1 - z) * torch.tanh(new + torch.sigmoid(ir + hr) * old) + z * h
            gates = F.linear(h, self.l.weight_ih, self.l.bias_ih) + F.linear(k, self.l.weight_hh, self.l.bias_hh)
            i, f, n, o = gates.chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
            k = torch.sigmoid(o) * torch.tanh(c)
        return self.head(k)


def linear(p: Weights, name: str, side: str, x: Array) -> Array:
    return x @ p[f"{name}.weight_{side}"].T + p[f"{name}.bias_{side}"]


def candidate(r: Array, new: Array, old: Array) -> Array:
    return jnp.tanh(new + r * old)


def updated(z: Array, n: Array, h: Array) -> Array:
    return (1 - z) * n + z * h


@dataclass(frozen=True)
class Port:
    """The same in JAX. A mistake replaces some of these parts."""

    candidate: Callable[[Array, Array, Array], Array] = candidate
    update: Callable[[Array, Array, Array], Array] = updated
    gates: Sequence[int] = (0, 1, 2, 3)
    """Where the LSTM's input, forget, cell and output gates are."""
    forget: Callable[[Array], Array] = sigmoid
    output: Callable[[Array], Array] = jnp.tanh
    steps: Sequence[int] = range(STEPS)

    def logits(self, p: Weights, x: Array) -> Array:
        h = c = k = jnp.zeros((BATCH, WIDTH), x.dtype)
        for t in self.steps:
            ir, iz, new = jnp.split(linear(p, "g", "ih", x[:, t]), 3, -1)
            hr, hz, old = jnp.split(linear(p, "g", "hh", h), 3, -1)
            h = self.update(sigmoid(iz + hz), self.candidate(sigmoid(ir + hr), new, old), h)
            parts = jnp.split(linear(p, "l", "ih", h) + linear(p, "l", "hh", k), 4, -1)
            i, f, n, o = (parts[at] for at in self.gates)
            c = self.forget(f) * c + sigmoid(i) * jnp.tanh(n)
            k = sigmoid(o) * self.output(c)
        return k @ p["head.weight"].T + p["head.bias"]


def port(**change: Any) -> Models:
    torch.manual_seed(0)
    model = randomised(Cells())
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}
    return Models(model, Port(**change).logits, [normals(BATCH, STEPS, WIDTH, seed=1)], params)


CELLS = Right("recurrent cells", "model", port, blind=False)
GRU, LSTM = r"(?<![\w'])g(?![\w'])|\bGRU|split|chunk", r"(?<![\w'])l(?![\w'])|LSTM|split|chunk"

OTHER_CANDIDATE = CELLS.case(
    "sigmoid for tanh",
    {"candidate": lambda r, new, old: sigmoid(new + r * old)},
    "g: sigmoid in JAX, tanh in PyTorch, in 3 steps alike",
    ("sigmoid", "tanh"),
    where=GRU,
    claims="activation",
    false=("sigmoid in PyTorch",),
)
OTHER_UPDATE = CELLS.case(
    "update gate the other way round",
    {"update": lambda z, n, h: z * n + (1 - z) * h},
    "g: JAX has z and 1 - z exchanged",
    EXCHANGED,
    (r"1 - |rsub", FORGETS),
    where=GRU,
    claims="exchanged reversed forgets",
)
CASES = (
    CELLS.case(
        "reset after the sum",
        {"candidate": lambda r, new, old: jnp.tanh(r * (new + old))},
        "g: JAX multiplies by r after the sum, PyTorch before it",
        (r"mul|times|reset|product|\br\b", MOVED),
        where=GRU,
        claims="exchanged",
    ),
    CELLS.case(
        "reset forgotten",
        {"candidate": lambda r, new, old: jnp.tanh(new + old)},
        "g: JAX forgets to multiply by the reset gate r",
        (FORGETS, r"mul|times|reset|product|gate|sigmoid"),
        where=GRU,
        claims="forgets",
    ),
    OTHER_CANDIDATE,
    OTHER_UPDATE,
    CELLS.case(
        "cell and output gates exchanged",
        {"gates": (0, 1, 3, 2)},
        "l: JAX has parts 2 and 3 of the gates exchanged",
        (EXCHANGED, r"\b2\b.*\b3\b|\b3\b.*\b2\b|cell|output|\b16\b.*\b24\b"),
        where=LSTM,
        claims="exchanged",
        false=(r"\[0\] and \S*\[1\]|input.* forget",),
    ),
    CELLS.case(
        "input and forget gates exchanged",
        {"gates": (1, 0, 2, 3)},
        "l: JAX has parts 0 and 1 of the gates exchanged",
        (EXCHANGED, r"\b0\b.*\b1\b|\b1\b.*\b0\b|input.*forget|forget.*input"),
        where=LSTM,
        claims="exchanged",
        false=(r"\[2\] and \S*\[3\]|output gate",),
    ),
    CELLS.case(
        "forget gate plus one",
        {"forget": lambda f: sigmoid(f + 1)},
        "l: JAX adds 1 to the forget gate",
        r"1 \+|\+ 1|plus (1|one)|adds? (1|one)|(offset|more).*\b1\b|\b1\b.*(offset|more)",
        where=LSTM,
        claims="more bias",
    ),
    CELLS.case(
        "tanh of the cell forgotten",
        {"output": lambda c: c},
        "l: JAX forgets tanh of the cell",
        (FORGETS, "tanh"),
        where=LSTM,
        claims="forgets",
    ),
    CELLS.case(
        "steps taken backward",
        {"steps": (2, 1, 0)},
        "JAX takes the steps of x backward: 2 for 0, 0 for 2",
        FLIPPED + r"|other order|another order|\b2\b.*\b0\b|\b0\b.*\b2\b",
        claims="reversed exchanged",
    ),
    together(OTHER_CANDIDATE, OTHER_UPDATE),
)
