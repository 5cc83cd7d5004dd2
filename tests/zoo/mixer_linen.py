"""The mixing block in flax.linen: made in ``setup``, called three times."""

from typing import Any

from flax import linen as nn

from zoo import of_linen
from zoo.architecture import Port, State, part
from zoo.mixer import TIMES, TOKENS, WIDTH


class Block(nn.Module):
    eps: float

    def setup(self) -> None:
        self.norm1 = nn.LayerNorm(epsilon=self.eps)
        self.tokens = nn.Dense(TOKENS)
        self.norm2 = nn.LayerNorm(epsilon=self.eps)
        self.features = nn.Dense(WIDTH)

    def __call__(self, x: Any) -> Any:
        x = x + nn.hard_swish(self.tokens(self.norm1(x).swapaxes(1, 2))).swapaxes(1, 2)
        h = self.features(self.norm2(x))
        return x + h * nn.tanh(nn.softplus(h))


class Mixer(nn.Module):
    eps: float = 1e-5
    times: int = TIMES

    def setup(self) -> None:
        self.block = Block(self.eps)
        self.head = nn.Dense(3)

    def __call__(self, x: Any) -> Any:
        for _ in range(self.times):
            x = self.block(x)
        return self.head(x.max(1))


def port(state: State, **options: Any) -> Port:
    own = part(state, "block")
    block = {
        **{name: of_linen.norm(own, name) for name in ("norm1", "norm2")},
        **{name: of_linen.dense(own, name) for name in ("tokens", "features")},
    }
    return Port(Mixer(**options).apply, {"params": {"block": block, "head": of_linen.dense(state, "head")}})
