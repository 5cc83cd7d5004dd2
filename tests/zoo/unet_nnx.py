"""The U-Net in flax.nnx."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State, channels_last
from zoo.unet import CONVOLUTIONS, bilinear


class UNet(nnx.Module):
    def __init__(self, state: State, eps: float) -> None:
        for name in CONVOLUTIONS:
            setattr(self, name, of_nnx.conv(state, name, padding=0 if name == "out" else 1))
        self.norm = of_nnx.group_norm(state, "norm", 4, eps)
        # torch's padding of 1 takes as much away from a kernel of 4: what is padded is 4 - 1 - 1
        self.up2 = of_nnx.conv_transpose(state, "up2", stride=2, padding=2)

    def __call__(self, x: Any) -> Any:
        act, pool = jax.nn.silu, lambda x: nnx.max_pool(x, (2, 2), (2, 2))
        high = act(self.enc1(x))
        low = act(self.enc2(pool(high)))
        x = act(self.norm(self.middle(pool(low))))
        x = act(self.dec2(jnp.concatenate((self.up2(x), low), -1)))
        x = act(self.dec1(jnp.concatenate((bilinear(x), high), -1)))
        return jnp.moveaxis(self.out(x), -1, 1)


def port(state: State, *, eps: float = 1e-5) -> Port:
    return Port(UNet(state, eps), torch_to_jax=channels_last)
