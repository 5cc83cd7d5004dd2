"""A perceptron of three layers."""

from collections.abc import Callable
from typing import Any

import jax
from torch import nn

from zoo.architecture import Architecture, Port, State, normals
from zoo.plain import Array, Params, gelu, linear, linear_of


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(8, 16)
        self.act1 = nn.GELU()
        self.fc2 = nn.Linear(16, 16)
        self.act2 = nn.SiLU()
        self.fc3 = nn.Linear(16, 5)
        self.logs = nn.LogSoftmax(-1)

    def forward(self, x: Any) -> Any:
        x = self.act1(self.fc1(x))
        x = self.act2(self.fc2(x))
        return self.logs(self.fc3(x))


def perceptron(
    p: Params,
    x: Array,
    *,
    act1: Callable[[Array], Array] = gelu,
    act2: Callable[[Array], Array] = jax.nn.silu,
    logs: Callable[[Array], Array] = jax.nn.log_softmax,
) -> Array:
    x = act1(linear(p["fc1"], x))
    x = act2(linear(p["fc2"], x))
    return logs(linear(p["fc3"], x))


def plain(state: State, **options: Any) -> Port:
    params = {name: linear_of(state, name) for name in ("fc1", "fc2", "fc3")}
    return Port(lambda p, x: perceptron(p, x, **options), params)


def inputs(seed: int) -> list[Any]:
    return normals(seed, (6, 8))


ARCHITECTURE = Architecture("mlp", Perceptron, inputs, plain, ("equinox", "linen"))
