"""The perceptron in flax.linen."""

from typing import Any

from flax import linen as nn

from zoo import of_linen
from zoo.architecture import Port, State


class Perceptron(nn.Module):
    approximate: bool = False

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.gelu(nn.Dense(16, name="fc1")(x), approximate=self.approximate)
        x = nn.silu(nn.Dense(16, name="fc2")(x))
        return nn.log_softmax(nn.Dense(5, name="fc3")(x))


def port(state: State, **options: Any) -> Port:
    params = {name: of_linen.dense(state, name) for name in ("fc1", "fc2", "fc3")}
    return Port(Perceptron(**options).apply, {"params": params})
