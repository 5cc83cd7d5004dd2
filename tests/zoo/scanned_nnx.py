"""The scanned blocks in flax.nnx: one block whose weights are stacked."""

from typing import Any

from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State
from zoo.scanned import WIDTH, params_of


class Block(nnx.Module):
    def __init__(self, eps: float, approximate: bool) -> None:
        self.norm = nnx.LayerNorm(WIDTH, epsilon=eps, rngs=of_nnx.RNGS)
        self.fc1 = nnx.Linear(WIDTH, 2 * WIDTH, rngs=of_nnx.RNGS)
        self.fc2 = nnx.Linear(2 * WIDTH, WIDTH, rngs=of_nnx.RNGS)
        self.approximate = approximate

    def __call__(self, x: Any) -> Any:
        return x + self.fc2(nnx.gelu(self.fc1(self.norm(x)), approximate=self.approximate))


class Stack(nnx.Module):
    def __init__(self, state: State, eps: float, approximate: bool) -> None:
        own = params_of(state)["blocks"]
        self.fc = of_nnx.linear(state, "fc")
        self.blocks = Block(eps, approximate)
        of_nnx.carried(self.blocks.norm, scale=own["norm"]["weight"], bias=own["norm"]["bias"])
        for layer in ("fc1", "fc2"):
            of_nnx.carried(getattr(self.blocks, layer), **of_nnx.kernel(own[layer]))
        self.head = of_nnx.linear(state, "head")

    def __call__(self, x: Any) -> Any:
        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        @nnx.remat
        def through(block: Block, x: Any) -> Any:
            return block(x)

        return self.head(through(self.blocks, self.fc(x)))


def port(state: State, *, eps: float = 1e-5, approximate: bool = False) -> Port:
    return Port(Stack(state, eps, approximate))
