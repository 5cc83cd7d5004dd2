"""The vision transformer in equinox: images keep their channels first, and the joined matrix becomes three."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from zoo import of_equinox
from zoo.architecture import Port, State
from zoo.vit import HEADS, LAYERS, WIDTH


def attention(state: State, path: str) -> Any:
    """Equinox has no biases in its attention unless it is asked for them."""
    biases = dict.fromkeys(("use_query_bias", "use_key_bias", "use_value_bias", "use_output_bias"), True)
    module = eqx.nn.MultiheadAttention(HEADS, WIDTH, **biases, key=of_equinox.KEY)
    weights, biases = jnp.split(state[f"{path}.qkv.weight"], 3), jnp.split(state[f"{path}.qkv.bias"], 3)
    projections = {
        name: of_equinox.carried(getattr(module, name), weight=weight, bias=bias)
        for name, weight, bias in zip(("query_proj", "key_proj", "value_proj"), weights, biases, strict=True)
    }
    return eqx.tree_at(
        lambda layer: [getattr(layer, name) for name in (*projections, "output_proj")],
        module,
        [*projections.values(), of_equinox.linear(state, f"{path}.out")],
    )


class Block(eqx.Module):
    norm1: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    norm2: eqx.nn.LayerNorm
    fc1: eqx.nn.Linear
    fc2: eqx.nn.Linear
    approximate: bool = eqx.field(static=True)

    def of_one(self, x: Any) -> Any:
        return self.fc2(jax.nn.gelu(self.fc1(self.norm2(x)), approximate=self.approximate))

    def __call__(self, x: Any) -> Any:
        h = jax.vmap(self.norm1)(x)
        x = x + self.attention(h, h, h)
        return x + jax.vmap(self.of_one)(x)


class VisionTransformer(eqx.Module):
    patches: eqx.nn.Conv2d
    token: Any
    positions: Any
    blocks: list[Block]
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def of_one(self, x: Any) -> Any:
        x = self.patches(x).reshape(WIDTH, -1).T
        x = jnp.concatenate((self.token, x)) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[0]))

    def __call__(self, x: Any) -> Any:
        return jax.vmap(self.of_one)(x)


def port(state: State, *, eps: float = 1e-6, approximate: bool = False) -> Port:
    blocks = [
        Block(
            of_equinox.layer_norm(state, f"blocks.{i}.norm1", eps),
            attention(state, f"blocks.{i}.attention"),
            of_equinox.layer_norm(state, f"blocks.{i}.norm2", eps),
            of_equinox.linear(state, f"blocks.{i}.fc1"),
            of_equinox.linear(state, f"blocks.{i}.fc2"),
            approximate,
        )
        for i in range(LAYERS)
    ]
    patches = of_equinox.conv(state, "patches", stride=4)
    token, positions = jnp.asarray(state["token"]), jnp.asarray(state["positions"])
    norm, head = of_equinox.layer_norm(state, "norm", eps), of_equinox.linear(state, "head")
    return Port(VisionTransformer(patches, token, positions, blocks, norm, head))
