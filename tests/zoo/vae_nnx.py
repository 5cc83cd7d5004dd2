"""The variational autoencoder in flax.nnx, whose dropout is a module that is switched off."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State
from zoo.vae import LAYERS, divergence


class Autoencoder(nnx.Module):
    def __init__(self, state: State) -> None:
        for name in LAYERS:
            setattr(self, name, of_nnx.linear(state, name))
        self.dropout = nnx.Dropout(0.1, rngs=nnx.Rngs(0))

    def __call__(self, x: Any) -> Any:
        h = self.dropout(jax.nn.softplus(self.enc(x)))
        mean, log_variance = self.mean(h), self.log_variance(h)
        decoded = jax.nn.sigmoid(self.dec2(jnp.tanh(self.dec1(mean))))
        return decoded, mean, divergence(mean, log_variance)


def port(state: State, *, evaluated: bool = True) -> Port:
    """With ``evaluated`` the module is put into evaluation mode, without dropout. flax makes modules in training mode."""
    model = Autoencoder(state)
    if evaluated:
        model.eval()
    return Port(model)
