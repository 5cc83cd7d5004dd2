"""One block that mixes tokens, then features, called three times with the same weights."""

from collections.abc import Callable
from typing import Any

import jax
from torch import nn

from zoo.architecture import Architecture, Port, State, normals, of_layer, part
from zoo.plain import Array, Params, layer_norm, linear, linear_of, norm_of

TOKENS, WIDTH, TIMES = 8, 8, 3


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.tokens = nn.Linear(TOKENS, TOKENS)
        self.act1 = nn.Hardswish()
        self.norm2 = nn.LayerNorm(WIDTH)
        self.features = nn.Linear(WIDTH, WIDTH)
        self.act2 = nn.Mish()

    def forward(self, x: Any) -> Any:
        x = x + self.act1(self.tokens(self.norm1(x).transpose(1, 2))).transpose(1, 2)
        return x + self.act2(self.features(self.norm2(x)))


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Any) -> Any:
        for _ in range(TIMES):
            x = self.block(x)
        return self.head(x.amax(1))


def params_of(state: State) -> Params:
    own = part(state, "block")
    return {
        "block": {
            "norm1": norm_of(own, "norm1"),
            "tokens": linear_of(own, "tokens"),
            "norm2": norm_of(own, "norm2"),
            "features": linear_of(own, "features"),
        },
        "head": linear_of(state, "head"),
    }


def block(
    p: Params,
    x: Array,
    *,
    act1: Callable[[Array], Array] = jax.nn.hard_swish,
    act2: Callable[[Array], Array] = jax.nn.mish,
    mixed: Callable[[Array], Array] = lambda x: x.swapaxes(1, 2),
) -> Array:
    """The option ``mixed`` brings the tokens to the last axis; it is used to bring them back too."""
    x = x + mixed(act1(linear(p["tokens"], mixed(layer_norm(p["norm1"], x)))))
    return x + act2(linear(p["features"], layer_norm(p["norm2"], x)))


def mixer(
    p: Params, x: Array, *, times: int = TIMES, pool: Callable[[Array], Array] = lambda x: x.max(1), **calls: Any
) -> Array:
    for i in range(times):
        x = block(p["block"], x, **of_layer(calls, i))
    return linear(p["head"], pool(x))


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x: mixer(p, x, **options), params_of(state))


def inputs(seed: int) -> list[Any]:
    return normals(seed, (2, TOKENS, WIDTH))


ARCHITECTURE = Architecture("mixer", Mixer, inputs, plain, ("haiku", "linen"))
