"""Sixty layers that amplify: the rounding of the first is thousands of times larger at the end, and yet all is right."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from torch import nn

from zoo.architecture import Architecture, Port, State, normals, of_layer
from zoo.plain import Array, Params, layer_norm, linear, linear_of, norm_of

WIDTH, LAYERS, GAIN = 32, 60, 1.75


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.fc = nn.Linear(WIDTH, WIDTH)
        self.act = nn.Tanh()

    def forward(self, x: Any) -> Any:
        return self.act(GAIN * self.fc(self.norm(x)))


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def params_of(state: State) -> Params:
    return {
        "layers": [
            {"norm": norm_of(state, f"layers.{i}.norm"), "fc": linear_of(state, f"layers.{i}.fc")} for i in range(LAYERS)
        ],
        "head": linear_of(state, "head"),
    }


def layer(
    p: Params, x: Array, *, norm: Callable[..., Array] = layer_norm, act: Callable[[Array], Array] = jnp.tanh
) -> Array:
    return act(GAIN * linear(p["fc"], norm(p["norm"], x)))


def deep(p: Params, x: Array, **layers: Any) -> Array:
    for i, own in enumerate(p["layers"]):
        x = layer(own, x, **of_layer(layers, i))
    return linear(p["head"], x)


def plain(state: State, **options: Any) -> Port:
    return Port(jax.jit(lambda p, x: deep(p, x, **options)), params_of(state))


def inputs(seed: int) -> list[Any]:
    return normals(seed, (4, WIDTH))


# In bfloat16 nothing of the inputs is left at the end.
ARCHITECTURE = Architecture(
    "deep", Deep, inputs, plain, ("equinox", "haiku"), tolerances={"float64": 1e-10, "float32": 0.05}
)
