"""A U-Net: two levels down by max pooling, one up by a transposed convolution, one by bilinear upsampling."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
from torch import nn

from zoo.architecture import Architecture, Port, State, channels_last, normals
from zoo.plain import Array, Params, conv, conv_of, conv_transpose, conv_transpose_of, max_pool, norm_of

CONVOLUTIONS = ("enc1", "enc2", "middle", "dec2", "dec1", "out")


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enc1 = nn.Conv2d(2, 8, 3, padding=1)
        self.enc2 = nn.Conv2d(8, 16, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.middle = nn.Conv2d(16, 16, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.act = nn.SiLU()
        self.up2 = nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1)
        self.dec2 = nn.Conv2d(32, 8, 3, padding=1)
        self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.dec1 = nn.Conv2d(16, 8, 3, padding=1)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, x: Any) -> Any:
        high = self.act(self.enc1(x))
        low = self.act(self.enc2(self.pool(high)))
        x = self.act(self.norm(self.middle(self.pool(low))))
        x = self.act(self.dec2(torch.cat((self.up2(x), low), 1)))
        x = self.act(self.dec1(torch.cat((self.up1(x), high), 1)))
        return self.out(x)


def params_of(state: State) -> Params:
    return {
        **{name: conv_of(state, name) for name in CONVOLUTIONS},
        "norm": norm_of(state, "norm"),
        "up2": conv_transpose_of(state, "up2"),
    }


def group_norm(p: Params, x: Array, groups: int = 4, *, eps: float = 1e-5) -> Array:
    """torch's groups are of neighbouring channels; each is normalised over its channels and the whole image."""
    split = x.reshape(*x.shape[:-1], groups, -1)
    mean = split.mean((1, 2, 4), keepdims=True)
    centred = split - mean
    variance = (centred**2).mean((1, 2, 4), keepdims=True)
    return (centred / jnp.sqrt(variance + eps)).reshape(x.shape) * p["weight"] + p["bias"]


def bilinear(x: Array) -> Array:
    """Twice the size; pixels are squares, so that samples are half a pixel from the border."""
    batch, height, width, channels = x.shape
    return jax.image.resize(x, (batch, 2 * height, 2 * width, channels), "bilinear")


def unet(
    p: Params,
    x: Array,
    *,
    norm: Callable[..., Array] = group_norm,
    up1: Callable[[Array], Array] = bilinear,
    up2: Callable[..., Array] = conv_transpose,
    join2: Callable[[Array, Array], Array] = lambda x, kept: jnp.concatenate((x, kept), -1),
) -> Array:
    """The result has its channels first, as torch's has."""
    act = jax.nn.silu
    high = act(conv(p["enc1"], x, padding=1))
    low = act(conv(p["enc2"], max_pool(high, 2), padding=1))
    x = act(norm(p["norm"], conv(p["middle"], max_pool(low, 2), padding=1)))
    x = act(conv(p["dec2"], join2(up2(p["up2"], x, stride=2, padding=1), low), padding=1))
    x = act(conv(p["dec1"], jnp.concatenate((up1(x), high), -1), padding=1))
    return jnp.moveaxis(conv(p["out"], x), -1, 1)


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x: unet(p, x, **options), params_of(state), channels_last)


def inputs(seed: int) -> list[Any]:
    return normals(seed, (2, 2, 8, 8))


ARCHITECTURE = Architecture("unet", UNet, inputs, plain, ("nnx", "equinox"))
