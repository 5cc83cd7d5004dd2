"""The perceptron in equinox."""

from typing import Any

import equinox as eqx
import jax

from zoo.architecture import Port, State
from zoo.of_equinox import linear


class Perceptron(eqx.Module):
    fc1: eqx.nn.Linear
    fc2: eqx.nn.Linear
    fc3: eqx.nn.Linear
    approximate: bool = eqx.field(static=True)

    def of_one(self, x: Any) -> Any:
        x = jax.nn.gelu(self.fc1(x), approximate=self.approximate)
        x = jax.nn.silu(self.fc2(x))
        return jax.nn.log_softmax(self.fc3(x))

    def __call__(self, x: Any) -> Any:
        return jax.vmap(self.of_one)(x)


def port(state: State, *, approximate: bool = False) -> Port:
    return Port(Perceptron(*(linear(state, name) for name in ("fc1", "fc2", "fc3")), approximate))
