"""The sixty layers in equinox."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from zoo import of_equinox
from zoo.architecture import Port, State
from zoo.deep import GAIN, LAYERS


class Deep(eqx.Module):
    norms: list[eqx.nn.LayerNorm]
    layers: list[eqx.nn.Linear]
    head: eqx.nn.Linear

    def of_one(self, x: Any) -> Any:
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = jnp.tanh(GAIN * layer(norm(x)))
        return self.head(x)

    def __call__(self, x: Any) -> Any:
        return jax.vmap(self.of_one)(x)


def port(state: State, *, eps: float = 1e-5) -> Port:
    norms = [of_equinox.layer_norm(state, f"layers.{i}.norm", eps) for i in range(LAYERS)]
    layers = [of_equinox.linear(state, f"layers.{i}.fc") for i in range(LAYERS)]
    return Port(Deep(norms, layers, of_equinox.linear(state, "head")))
