"""The decoder in flax.linen."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from zoo.architecture import Port, State, layers_of
from zoo.decoder import GROUPS, HEAD, HEADS, VOCABULARY, WIDTH, angles, rotate_halves


class Attention(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        q = nn.DenseGeneral((HEADS, HEAD), use_bias=False, name="q")(x)
        k = nn.DenseGeneral((GROUPS, HEAD), use_bias=False, name="k")(x)
        v = nn.DenseGeneral((GROUPS, HEAD), use_bias=False, name="v")(x)
        angle = angles(x.shape[1])
        y = jax.nn.dot_product_attention(rotate_halves(q, angle), rotate_halves(k, angle), v, is_causal=True)
        return nn.DenseGeneral(WIDTH, axis=(-2, -1), use_bias=False, name="out")(y)


class Block(nn.Module):
    eps: float

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = x + Attention(name="attention")(nn.RMSNorm(epsilon=self.eps, name="norm1")(x))
        h = nn.RMSNorm(epsilon=self.eps, name="norm2")(x)
        gate = nn.Dense(2 * WIDTH, use_bias=False, name="gate")(h)
        up = nn.Dense(2 * WIDTH, use_bias=False, name="up")(h)
        return x + nn.Dense(WIDTH, use_bias=False, name="down")(nn.silu(gate) * up)


class Decoder(nn.Module):
    layers: int
    eps: float = 1e-6

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        tokens = nn.Embed(VOCABULARY, WIDTH, name="tokens")
        x = tokens(ids)
        for i in range(self.layers):
            x = nn.remat(Block)(self.eps, name=f"block_{i}")(x)
        return tokens.attend(nn.RMSNorm(epsilon=self.eps, name="norm")(x))


def block_of(state: State, path: str) -> dict[str, Any]:
    def kernel(name: str, *shape: int) -> dict[str, Any]:
        matrix = state[f"{path}.{name}.weight"].T
        return {"kernel": jnp.asarray(matrix.reshape(shape) if shape else matrix)}

    return {
        "norm1": {"scale": jnp.asarray(state[f"{path}.norm1.weight"])},
        "attention": {
            "q": kernel("attention.q", WIDTH, HEADS, HEAD),
            "k": kernel("attention.k", WIDTH, GROUPS, HEAD),
            "v": kernel("attention.v", WIDTH, GROUPS, HEAD),
            "out": kernel("attention.out", HEADS, HEAD, WIDTH),
        },
        "norm2": {"scale": jnp.asarray(state[f"{path}.norm2.weight"])},
        **{name: kernel(name) for name in ("gate", "up", "down")},
    }


def port(state: State, **options: Any) -> Port:
    layers = layers_of(state, "blocks")
    params = {
        "tokens": {"embedding": jnp.asarray(state["tokens.weight"])},
        **{f"block_{i}": block_of(state, f"blocks.{i}") for i in layers},
        "norm": {"scale": jnp.asarray(state["norm.weight"])},
    }
    return Port(Decoder(len(layers), **options).apply, {"params": params})
