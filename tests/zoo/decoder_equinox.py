"""The decoder in equinox: of one sequence, with the embedding shared with the last matrix."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from zoo import of_equinox
from zoo.architecture import Port, State, layers_of
from zoo.decoder import GROUPS, HEAD, HEADS


class Attention(eqx.Module):
    q: eqx.nn.Linear
    k: eqx.nn.Linear
    v: eqx.nn.Linear
    out: eqx.nn.Linear
    rotary: eqx.nn.RotaryPositionalEmbedding

    def __init__(self, state: State, path: str) -> None:
        for name in ("q", "k", "v", "out"):
            setattr(self, name, of_equinox.linear(state, f"{path}.{name}"))
        self.rotary = eqx.nn.RotaryPositionalEmbedding(HEAD, dtype=self.q.weight.dtype)

    def __call__(self, x: Any) -> Any:
        tokens = len(x)
        q, k, v = (
            jax.vmap(layer)(x).reshape(tokens, heads, HEAD)
            for layer, heads in ((self.q, HEADS), (self.k, GROUPS), (self.v, GROUPS))
        )
        q, k = (jax.vmap(self.rotary, in_axes=1, out_axes=1)(heads) for heads in (q, k))
        y = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        return jax.vmap(self.out)(y.reshape(tokens, -1))


class Block(eqx.Module):
    norm1: eqx.nn.RMSNorm
    attention: Attention
    norm2: eqx.nn.RMSNorm
    gate: eqx.nn.Linear
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, state: State, path: str, eps: float) -> None:
        self.norm1 = of_equinox.rms_norm(state, f"{path}.norm1", eps)
        self.attention = Attention(state, f"{path}.attention")
        self.norm2 = of_equinox.rms_norm(state, f"{path}.norm2", eps)
        for name in ("gate", "up", "down"):
            setattr(self, name, of_equinox.linear(state, f"{path}.{name}"))

    def feed_forward(self, x: Any) -> Any:
        h = self.norm2(x)
        return self.down(jax.nn.silu(self.gate(h)) * self.up(h))

    def __call__(self, x: Any) -> Any:
        x = x + self.attention(jax.vmap(self.norm1)(x))
        return x + jax.vmap(self.feed_forward)(x)


class Decoder(eqx.Module):
    ends: eqx.nn.Shared
    blocks: list[Block]
    norm: eqx.nn.RMSNorm

    def __init__(self, state: State, eps: float) -> None:
        tokens = eqx.nn.Embedding(weight=jnp.asarray(state["tokens.weight"]))
        head = of_equinox.linear(state, "head")
        self.ends = eqx.nn.Shared((tokens, head), lambda both: both[1].weight, lambda both: both[0].weight)
        self.blocks = [Block(state, f"blocks.{i}", eps) for i in layers_of(state, "blocks")]
        self.norm = of_equinox.rms_norm(state, "norm", eps)

    def of_one(self, ids: Any) -> Any:
        tokens, head = self.ends()
        x = jax.vmap(tokens)(ids)
        for block in self.blocks:
            x = eqx.filter_checkpoint(block)(x)
        return jax.vmap(lambda x: head(self.norm(x)))(x)

    def __call__(self, ids: Any) -> Any:
        return jax.vmap(self.of_one)(ids)


def port(state: State, *, eps: float = 1e-6) -> Port:
    """Equinox's own epsilon is 1e-5."""
    return Port(Decoder(state, eps))
