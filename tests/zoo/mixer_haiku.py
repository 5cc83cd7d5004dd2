"""The mixing block in haiku: a module that is made once and called three times."""

from typing import Any

import haiku as hk
import jax

from zoo import of_haiku
from zoo.architecture import Port, State, part
from zoo.mixer import TIMES, TOKENS, WIDTH


class Block(hk.Module):
    def __call__(self, x: Any) -> Any:
        h = hk.LayerNorm(-1, True, True, name="norm1")(x).swapaxes(1, 2)
        x = x + jax.nn.hard_swish(hk.Linear(TOKENS, name="tokens")(h)).swapaxes(1, 2)
        h = hk.LayerNorm(-1, True, True, name="norm2")(x)
        return x + jax.nn.mish(hk.Linear(WIDTH, name="features")(h))


def port(state: State, *, times: int = TIMES) -> Port:
    def mixer(x: Any) -> Any:
        block = Block(name="block")
        for _ in range(times):
            x = block(x)
        return hk.Linear(3, name="head")(x.max(1))

    own = part(state, "block")
    params = {
        **{f"block/{name}": of_haiku.layer_norm(own, name) for name in ("norm1", "norm2")},
        **{f"block/{name}": of_haiku.linear(own, name) for name in ("tokens", "features")},
        "head": of_haiku.linear(state, "head"),
    }
    return Port(hk.without_apply_rng(hk.transform(mixer)).apply, params)
