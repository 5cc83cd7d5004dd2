"""The variational autoencoder in haiku."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from zoo import of_haiku
from zoo.architecture import Port, State
from zoo.vae import LAYERS, divergence


def port(state: State, *, dropout: float = 0.0) -> Port:
    """The option ``dropout`` is the rate of one that was left on, its key fixed."""

    def autoencoder(x: Any) -> Any:
        h = jax.nn.softplus(hk.Linear(16, name="enc")(x))
        if dropout:
            h = hk.dropout(jax.random.key(0), dropout, h)
        mean = hk.Linear(4, name="mean")(h)
        log_variance = hk.Linear(4, name="log_variance")(h)
        h = jnp.tanh(hk.Linear(16, name="dec1")(mean))
        return jax.nn.sigmoid(hk.Linear(12, name="dec2")(h)), mean, divergence(mean, log_variance)

    params = {name: of_haiku.linear(state, name) for name in LAYERS}
    return Port(hk.without_apply_rng(hk.transform(autoencoder)).apply, params)
