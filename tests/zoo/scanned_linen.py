"""The scanned blocks in flax.linen."""

from typing import Any

from flax import linen as nn

from zoo.architecture import Port, State
from zoo.scanned import LAYERS, WIDTH, params_of


class Block(nn.Module):
    eps: float
    approximate: bool

    @nn.compact
    def __call__(self, x: Any, _: None) -> Any:
        h = nn.LayerNorm(epsilon=self.eps, name="norm")(x)
        h = nn.gelu(nn.Dense(2 * WIDTH, name="fc1")(h), approximate=self.approximate)
        return x + nn.Dense(WIDTH, name="fc2")(h), None


class Stack(nn.Module):
    eps: float = 1e-5
    approximate: bool = False

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Dense(WIDTH, name="fc")(x)
        scanned = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=LAYERS)
        x, _ = scanned(self.eps, self.approximate, name="blocks")(x, None)
        return nn.Dense(3, name="head")(x)


def dense(own: Any) -> dict[str, Any]:
    return {"kernel": own["weight"], "bias": own["bias"]}


def port(state: State, **options: Any) -> Port:
    own = params_of(state)
    blocks = own["blocks"]
    params = {
        "fc": dense(own["fc"]),
        "blocks": {
            "norm": {"scale": blocks["norm"]["weight"], "bias": blocks["norm"]["bias"]},
            "fc1": dense(blocks["fc1"]),
            "fc2": dense(blocks["fc2"]),
        },
        "head": dense(own["head"]),
    }
    return Port(Stack(**options).apply, {"params": params})
