"""The encoder in haiku."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from zoo import of_haiku
from zoo.architecture import Port, State, layers_of, part
from zoo.encoder import HEADS


def norm(name: str) -> Any:
    return hk.LayerNorm(-1, True, True, name=name)


class Block(hk.Module):
    def __init__(self, approximate: bool, name: str) -> None:
        super().__init__(name)
        self.approximate = approximate

    def __call__(self, x: Any, mask: Any) -> Any:
        width = x.shape[-1]
        drawn = hk.initializers.VarianceScaling()
        h = norm("norm1")(x)
        x = x + hk.MultiHeadAttention(HEADS, width // HEADS, w_init=drawn, name="attention")(h, h, h, mask)
        h = hk.Linear(2 * width, name="fc1")(norm("norm2")(x))
        return x + hk.Linear(width, name="fc2")(jax.nn.gelu(h, approximate=self.approximate))


def block_of(state: State, path: str) -> dict[str, Any]:
    own = part(state, path)
    return {
        **{name: of_haiku.layer_norm(own, name) for name in ("norm1", "norm2")},
        **{f"attention/{name}": layer for name, layer in of_haiku.multihead(own, "attention").items()},
        **{name: of_haiku.linear(own, name) for name in ("fc1", "fc2")},
    }


def port(state: State, *, approximate: bool = False) -> Port:
    layers, width = layers_of(state, "blocks"), len(state["norm.weight"])

    def encoder(ids: Any, padding: Any) -> Any:
        x = hk.Embed(17, width, name="tokens")(ids) + hk.Embed(12, width, name="positions")(jnp.arange(ids.shape[1]))
        for i in layers:
            x = Block(approximate, name=f"block_{i}")(x, ~padding[:, None, None, :])
        x = norm("norm")(x)
        seen = ~padding[..., None]
        return x, hk.Linear(3, name="head")((x * seen).sum(1) / seen.sum(1))

    params = {
        **{name: {"embeddings": jnp.asarray(state[f"{name}.weight"])} for name in ("tokens", "positions")},
        **{f"block_{i}/{name}": own for i in layers for name, own in block_of(state, f"blocks.{i}").items()},
        "norm": of_haiku.layer_norm(state, "norm"),
        "head": of_haiku.linear(state, "head"),
    }
    return Port(hk.without_apply_rng(hk.transform(encoder)).apply, params)
