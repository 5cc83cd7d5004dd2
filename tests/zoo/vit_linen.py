"""The vision transformer in flax.linen."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from zoo import of_linen
from zoo.architecture import Port, State, channels_last, part
from zoo.vit import HEADS, LAYERS, WIDTH


class Block(nn.Module):
    eps: float

    @nn.compact
    def __call__(self, x: Any) -> Any:
        h = nn.LayerNorm(epsilon=self.eps, name="norm1")(x)
        x = x + nn.MultiHeadDotProductAttention(HEADS, name="attention")(h)
        h = nn.Dense(2 * WIDTH, name="fc1")(nn.LayerNorm(epsilon=self.eps, name="norm2")(x))
        return x + nn.Dense(WIDTH, name="fc2")(nn.gelu(h, approximate=False))


class VisionTransformer(nn.Module):
    eps: float = 1e-6

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(WIDTH, (4, 4), 4, padding="VALID", name="patches")(x).reshape(len(x), -1, WIDTH)
        token = self.param("token", nn.initializers.zeros, (1, WIDTH))
        positions = self.param("positions", nn.initializers.normal(0.02), (5, WIDTH))
        x = jnp.concatenate((jnp.broadcast_to(token, (len(x), 1, WIDTH)), x), 1) + positions
        for i in range(LAYERS):
            x = Block(self.eps, name=f"block_{i}")(x)
        return nn.Dense(5, name="head")(nn.LayerNorm(epsilon=self.eps, name="norm")(x)[:, 0])


def block_of(state: State) -> dict[str, Any]:
    joined = part(state, "attention.qkv")
    return {
        "norm1": of_linen.norm(state, "norm1"),
        "attention": of_linen.attention(joined["weight"], joined["bias"], part(state, "attention.out"), HEADS),
        "norm2": of_linen.norm(state, "norm2"),
        "fc1": of_linen.dense(state, "fc1"),
        "fc2": of_linen.dense(state, "fc2"),
    }


def port(state: State, **options: Any) -> Port:
    params = {
        "patches": of_linen.conv(state, "patches"),
        **{name: jnp.asarray(state[name]) for name in ("token", "positions")},
        **{f"block_{i}": block_of(part(state, f"blocks.{i}")) for i in range(LAYERS)},
        "norm": of_linen.norm(state, "norm"),
        "head": of_linen.dense(state, "head"),
    }
    return Port(VisionTransformer(**options).apply, {"params": params}, channels_last)
