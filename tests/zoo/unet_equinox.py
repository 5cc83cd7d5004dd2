"""The U-Net in equinox: images keep their channels first."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from zoo import of_equinox
from zoo.architecture import Port, State


class UNet(eqx.Module):
    enc1: eqx.nn.Conv2d
    enc2: eqx.nn.Conv2d
    pool: eqx.nn.MaxPool2d
    middle: eqx.nn.Conv2d
    norm: eqx.nn.GroupNorm
    up2: eqx.nn.ConvTranspose2d
    dec2: eqx.nn.Conv2d
    dec1: eqx.nn.Conv2d
    out: eqx.nn.Conv2d
    method: str = eqx.field(static=True)

    def __init__(self, state: State, method: str) -> None:
        for name in ("enc1", "enc2", "middle", "dec2", "dec1"):
            setattr(self, name, of_equinox.conv(state, name, padding=1))
        self.out = of_equinox.conv(state, "out")
        self.pool = eqx.nn.MaxPool2d(2, 2)
        self.norm = of_equinox.group_norm(state, "norm", 4)
        self.up2 = of_equinox.conv_transpose(state, "up2", stride=2, padding=1)
        self.method = method

    def of_one(self, x: Any) -> Any:
        act = jax.nn.silu
        high = act(self.enc1(x))
        low = act(self.enc2(self.pool(high)))
        x = act(self.norm(self.middle(self.pool(low))))
        x = act(self.dec2(jnp.concatenate((self.up2(x), low))))
        x = jax.image.resize(x, (len(x), *high.shape[1:]), self.method)
        return self.out(act(self.dec1(jnp.concatenate((x, high)))))

    def __call__(self, x: Any) -> Any:
        return jax.vmap(self.of_one)(x)


def port(state: State, *, method: str = "bilinear") -> Port:
    return Port(UNet(state, method))
