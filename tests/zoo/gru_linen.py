"""The GRU in flax.linen, which has a matrix for each gate, and a bias of the hidden part for the new state only."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from zoo import of_linen
from zoo.architecture import Port, State
from zoo.gru import DIRECTIONS, direction_of


class Recurrent(nn.Module):
    keep_order: bool

    @nn.compact
    def __call__(self, x: Any, h: Any) -> Any:
        def rnn(name: str, **options: Any) -> Any:
            return nn.RNN(nn.GRUCell(8, name=name), return_carry=True, **options)

        h0, y0 = rnn("forwards")(x, initial_carry=h[0])
        h1, y1 = rnn("backwards", reverse=True, keep_order=self.keep_order)(x, initial_carry=h[1])
        return nn.Dense(4, name="head")(jnp.concatenate((y0, y1), -1)), jnp.stack((h0, h1))


def cell(state: State, direction: str) -> dict[str, Any]:
    own = direction_of(state, direction)
    inputs, hiddens, of_input, of_hidden = (
        jnp.split(own[name], 3, -1) for name in ("input", "hidden", "input_bias", "hidden_bias")
    )
    gates: dict[str, Any] = {}
    for k, gate in enumerate("rzn"):
        new = gate == "n"
        gates[f"i{gate}"] = {"kernel": inputs[k], "bias": of_input[k] if new else of_input[k] + of_hidden[k]}
        gates[f"h{gate}"] = {"kernel": hiddens[k], **({"bias": of_hidden[k]} if new else {})}
    return gates


def port(state: State, *, keep_order: bool = True) -> Port:
    """The option ``keep_order`` gives the outputs of the second direction in the order of the inputs, not in its own."""
    cells = {name: cell(state, own) for name, own in zip(("forwards", "backwards"), DIRECTIONS, strict=True)}
    return Port(Recurrent(keep_order).apply, {"params": {**cells, "head": of_linen.dense(state, "head")}})
