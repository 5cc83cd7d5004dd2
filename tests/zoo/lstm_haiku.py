"""The LSTM in haiku: one matrix for the input and the state, gates in another order, and 1 added to the forget gate."""

from typing import Any

import haiku as hk
import jax.numpy as jnp
import numpy as np

from zoo import of_haiku
from zoo.architecture import Port, State
from zoo.lstm import LAYERS, layer_of

WIDTH = 8


def layer(state: State, number: int, gates: tuple[int, ...], forget_bias: float) -> dict[str, Any]:
    own = layer_of(state, number)
    order = np.arange(4 * WIDTH).reshape(4, WIDTH)[list(gates)].ravel()
    added = np.repeat(np.array([0, 0, forget_bias, 0], own["bias"].dtype), WIDTH)
    return {"w": jnp.concatenate((own["input"], own["hidden"]))[:, order], "b": own["bias"][order] - added}


def port(state: State, *, gates: tuple[int, ...] = (0, 2, 1, 3), forget_bias: float = 1.0) -> Port:
    """torch's gates are input, forget, cell, output; haiku's are input, cell, forget, output.

    The option ``forget_bias`` is what is taken from the bias, since haiku adds 1.
    """

    def recurrent(x: Any) -> Any:
        hs, cs = [], []
        for number in range(LAYERS):
            core = hk.LSTM(WIDTH, name=f"lstm_{number}")
            zeros = jnp.zeros((len(x), WIDTH), x.dtype)
            x, (h, c) = hk.dynamic_unroll(core, x, hk.LSTMState(zeros, zeros), time_major=False)
            hs.append(h)
            cs.append(c)
        return hk.Linear(4, name="head")(x), jnp.stack(hs), jnp.stack(cs)

    params = {f"lstm_{number}/linear": layer(state, number, gates, forget_bias) for number in range(LAYERS)}
    model = hk.without_apply_rng(hk.transform(recurrent))
    return Port(model.apply, params | {"head": of_haiku.linear(state, "head")})
