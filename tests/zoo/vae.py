"""A variational autoencoder as it is evaluated: what it decodes is the mean, so that nothing is drawn at random."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
from torch import nn

from zoo.architecture import Architecture, Port, State, normals
from zoo.plain import Array, Params, linear, linear_of

LAYERS = ("enc", "mean", "log_variance", "dec1", "dec2")


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enc = nn.Linear(12, 16)
        self.act1 = nn.Softplus()
        self.dropout = nn.Dropout(0.1)
        self.mean = nn.Linear(16, 4)
        self.log_variance = nn.Linear(16, 4)
        self.dec1 = nn.Linear(4, 16)
        self.act2 = nn.Tanh()
        self.dec2 = nn.Linear(16, 12)
        self.out = nn.Sigmoid()

    def forward(self, x: Any) -> Any:
        h = self.dropout(self.act1(self.enc(x)))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp() if self.training else mean
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)
        return self.out(self.dec2(self.act2(self.dec1(z)))), mean, kl


def params_of(state: State) -> Params:
    return {name: linear_of(state, name) for name in LAYERS}


def divergence(mean: Array, log_variance: Array) -> Array:
    """Of the normal distribution with these from the standard one, of each example."""
    return 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum(-1)


def autoencoder(
    p: Params,
    x: Array,
    *,
    dropout: Callable[[Array], Array] = lambda h: h,
    act1: Callable[[Array], Array] = jax.nn.softplus,
    kl: Callable[[Array, Array], Array] = divergence,
    out: Callable[[Array], Array] = jax.nn.sigmoid,
) -> tuple[Array, Array, Array]:
    h = dropout(act1(linear(p["enc"], x)))
    mean, log_variance = linear(p["mean"], h), linear(p["log_variance"], h)
    decoded = out(linear(p["dec2"], jnp.tanh(linear(p["dec1"], mean))))
    return decoded, mean, kl(mean, log_variance)


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x: autoencoder(p, x, **options), params_of(state))


def inputs(seed: int) -> list[Any]:
    return normals(seed, (5, 12))


ARCHITECTURE = Architecture("vae", Autoencoder, inputs, plain, ("haiku", "nnx"))
