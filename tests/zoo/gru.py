"""A GRU in both directions, from given states: a sequence and two states in, all outputs and the last states out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from torch import nn

from zoo.architecture import Architecture, Port, State, normals, part
from zoo.plain import Array, Params, as_arrays, linear, linear_of

DIRECTIONS = ("", "_reverse")


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(6, 8, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Any, h: Any) -> Any:
        y, h = self.gru(x, h)
        return self.head(y), h


def direction_of(state: State, direction: str) -> Params:
    """The gates are in the order reset, update, new. The biases stay two: the reset gate multiplies one of them."""
    own = part(state, "gru")
    return as_arrays(
        {
            "input": own[f"weight_ih_l0{direction}"].T,
            "hidden": own[f"weight_hh_l0{direction}"].T,
            "input_bias": own[f"bias_ih_l0{direction}"],
            "hidden_bias": own[f"bias_hh_l0{direction}"],
        }
    )


def params_of(state: State) -> Params:
    return {
        "directions": [direction_of(state, direction) for direction in DIRECTIONS],
        "head": linear_of(state, "head"),
    }


def split_gates(gates: Array) -> tuple[Array, ...]:
    """Reset, update, new."""
    return tuple(jnp.split(gates, 3, -1))


def gru_layer(
    p: Params,
    x: Array,
    h: Array,
    *,
    reverse: bool,
    split: Callable[[Array], tuple[Array, ...]] = split_gates,
    reset_after: bool = True,
) -> tuple[Array, Array]:
    """The option ``reset_after`` says whether the reset gate multiplies the product, as in torch, or the state before it."""

    def step(h: Array, x: Array) -> tuple[Array, Array]:
        xr, xz, xn = split(x @ p["input"] + p["input_bias"])
        hr, hz, hn = split(h @ p["hidden"] + p["hidden_bias"])
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        if not reset_after:
            hn = split((r * h) @ p["hidden"] + p["hidden_bias"])[2]
        n = jnp.tanh(xn + (r * hn if reset_after else hn))
        h = (1 - z) * n + z * h
        return h, h

    h, y = lax.scan(step, h, x.swapaxes(0, 1), reverse=reverse)
    return y.swapaxes(0, 1), h


def recurrent(p: Params, x: Array, h: Array, **options: Any) -> tuple[Array, Array]:
    forwards, backwards = p["directions"]
    y0, h0 = gru_layer(forwards, x, h[0], reverse=False, **options)
    y1, h1 = gru_layer(backwards, x, h[1], reverse=True, **options)
    return linear(p["head"], jnp.concatenate((y0, y1), -1)), jnp.stack((h0, h1))


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x, h: recurrent(p, x, h, **options), params_of(state))


def inputs(seed: int) -> list[Any]:
    return normals(seed, (3, 7, 6), (2, 3, 8))


ARCHITECTURE = Architecture("gru", Recurrent, inputs, plain, ("equinox", "linen"))
