"""The LSTM in flax.nnx, which carries (cell, hidden) and adds a bias to the hidden part only."""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State
from zoo.lstm import LAYERS, layer_of


def rnn(state: State, layer: int) -> Any:
    own = layer_of(state, layer)
    inputs, hidden = len(own["input"]), len(own["hidden"])
    cell = nnx.OptimizedLSTMCell(inputs, hidden, rngs=of_nnx.RNGS)
    of_nnx.carried(cell.dense_i, kernel=own["input"])
    of_nnx.carried(cell.dense_h, kernel=own["hidden"], bias=own["bias"])
    return nnx.RNN(cell, return_carry=True, rngs=False)


class Recurrent(nnx.Module):
    def __init__(self, state: State, swapped: bool) -> None:
        self.layers = nnx.List(rnn(state, layer) for layer in range(LAYERS))
        self.head = of_nnx.linear(state, "head")
        self.swapped = swapped

    def __call__(self, x: Any) -> Any:
        hs, cs = [], []
        for layer in self.layers:
            zeros = jnp.zeros((len(x), layer.cell.hidden_features), x.dtype)
            (c, h), x = layer(x, initial_carry=(zeros, zeros))
            hs.append(h)
            cs.append(c)
        h, c = jnp.stack(hs), jnp.stack(cs)
        return (self.head(x), c, h) if self.swapped else (self.head(x), h, c)


def port(state: State, *, swapped: bool = False) -> Port:
    return Port(Recurrent(state, swapped))
