"""Two layers of LSTM over a sequence: all outputs, and the last hidden and cell states."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from torch import nn

from zoo.architecture import Architecture, Port, State, normals, of_layer, part
from zoo.plain import Array, Params, as_arrays, linear, linear_of

LAYERS = 2


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=LAYERS, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        y, (h, c) = self.lstm(x)
        return self.head(y), h, c


def layer_of(state: State, layer: int) -> Params:
    """torch has two biases, of which only the sum counts; the gates are in the order input, forget, cell, output."""
    own = part(state, "lstm")
    return as_arrays(
        {
            "input": own[f"weight_ih_l{layer}"].T,
            "hidden": own[f"weight_hh_l{layer}"].T,
            "bias": own[f"bias_ih_l{layer}"] + own[f"bias_hh_l{layer}"],
        }
    )


def params_of(state: State) -> Params:
    return {"layers": [layer_of(state, layer) for layer in range(LAYERS)], "head": linear_of(state, "head")}


def split_gates(gates: Array) -> tuple[Array, ...]:
    """Input, forget, cell, output."""
    return tuple(jnp.split(gates, 4, -1))


def lstm_layer(
    p: Params,
    x: Array,
    *,
    split: Callable[[Array], tuple[Array, ...]] = split_gates,
    forget_bias: float = 0.0,
    reverse: bool = False,
) -> tuple[Array, Array, Array]:
    """Of (batch, time, feature): the outputs, and the last hidden and cell states."""

    def step(carried: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], Array]:
        h, c = carried
        i, f, g, o = split(x @ p["input"] + h @ p["hidden"] + p["bias"])
        c = jax.nn.sigmoid(f + forget_bias) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((len(x), p["hidden"].shape[0]), x.dtype)
    (h, c), y = lax.scan(step, (zeros, zeros), x.swapaxes(0, 1), reverse=reverse)
    return y.swapaxes(0, 1), h, c


def recurrent(p: Params, x: Array, *, swapped: bool = False, **layers: Any) -> tuple[Array, Array, Array]:
    """The option ``swapped`` returns the cell state where the hidden state belongs, and the other way round."""
    hs, cs = [], []
    for k, own in enumerate(p["layers"]):
        x, h, c = lstm_layer(own, x, **of_layer(layers, k))
        hs.append(h)
        cs.append(c)
    h, c = jnp.stack(hs), jnp.stack(cs)
    return (linear(p["head"], x), c, h) if swapped else (linear(p["head"], x), h, c)


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x: recurrent(p, x, **options), params_of(state))


def inputs(seed: int) -> list[Any]:
    return normals(seed, (3, 7, 6))


ARCHITECTURE = Architecture("lstm", Recurrent, inputs, plain, ("nnx", "haiku"))
