"""The convolutions with batch normalisation in flax.nnx."""

from typing import Any

import jax
from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State, channels_last
from zoo.plain import flattened_linear_of


class ConvNet(nnx.Module):
    def __init__(self, state: State, eps: float, padding: Any) -> None:
        self.conv1 = of_nnx.conv(state, "conv1", padding=1)
        self.bn1 = of_nnx.batch_norm(state, "bn1", eps)
        self.conv2 = of_nnx.conv(state, "conv2", stride=2, padding=padding)
        self.bn2 = of_nnx.batch_norm(state, "bn2", eps)
        head = flattened_linear_of(state, "head", channels=16, height=2, width=2)
        self.head = of_nnx.carried(nnx.Linear(*head["weight"].shape, rngs=of_nnx.RNGS), **of_nnx.kernel(head))

    def __call__(self, x: Any) -> Any:
        x = jax.nn.relu(self.bn1(self.conv1(x)))
        x = nnx.avg_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)), count_include_pad=True)
        x = jax.nn.leaky_relu(self.bn2(self.conv2(x)))
        return self.head(x.reshape(len(x), -1))


def port(state: State, *, eps: float = 1e-5, padding: Any = 1) -> Port:
    return Port(ConvNet(state, eps, padding), torch_to_jax=channels_last)
