"""The GRU in equinox: a cell, which is scanned over time; of its biases only that of the new state is two."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from zoo import of_equinox
from zoo.architecture import Port, State, part
from zoo.gru import DIRECTIONS


def cell(state: State, direction: str) -> Any:
    own = part(state, "gru")
    inputs, hidden = own["weight_ih_l0"].shape[1], own["weight_hh_l0"].shape[1]
    of_input, of_hidden = own[f"bias_ih_l0{direction}"], own[f"bias_hh_l0{direction}"].copy()
    bias_n = of_hidden[2 * hidden :].copy()
    of_hidden[2 * hidden :] = 0
    return of_equinox.carried(
        eqx.nn.GRUCell(inputs, hidden, key=of_equinox.KEY),
        weight_ih=own[f"weight_ih_l0{direction}"],
        weight_hh=own[f"weight_hh_l0{direction}"],
        bias=of_input + of_hidden,
        bias_n=bias_n,
    )


class Recurrent(eqx.Module):
    forwards: eqx.nn.GRUCell
    backwards: eqx.nn.GRUCell
    head: eqx.nn.Linear
    reverse: bool = eqx.field(static=True)

    def of_one(self, x: Any, h: Any) -> Any:
        def step(cell: Any) -> Any:
            return lambda h, x: (cell(x, h),) * 2

        h0, y0 = lax.scan(step(self.forwards), h[0], x)
        h1, y1 = lax.scan(step(self.backwards), h[1], x, reverse=self.reverse)
        return jax.vmap(self.head)(jnp.concatenate((y0, y1), -1)), jnp.stack((h0, h1))

    def __call__(self, x: Any, h: Any) -> Any:
        return jax.vmap(self.of_one, in_axes=(0, 1), out_axes=(0, 1))(x, h)


def port(state: State, *, reverse: bool = True) -> Port:
    """The option ``reverse`` says whether the second direction runs backwards."""
    return Port(Recurrent(*(cell(state, direction) for direction in DIRECTIONS), of_equinox.linear(state, "head"), reverse))
