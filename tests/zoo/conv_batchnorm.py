"""Convolutions with batch normalisation and pooling, then a matrix over the flattened image."""

from collections.abc import Callable
from typing import Any

import jax
from torch import nn

from zoo.architecture import Architecture, Port, State, channels_last, normals
from zoo.plain import (
    Array,
    Params,
    average_pool,
    batch_norm,
    batch_norm_of,
    batch_norm_train,
    conv,
    conv_of,
    flattened_linear_of,
    linear,
)


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.act1 = nn.ReLU()
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.bn2 = nn.BatchNorm2d(16)
        self.act2 = nn.LeakyReLU(0.01)
        self.head = nn.Linear(16 * 2 * 2, 5)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.act1(self.bn1(self.conv1(x))))
        x = self.act2(self.bn2(self.conv2(x)))
        return self.head(x.flatten(1))


def params_of(state: State) -> Params:
    return {
        "conv1": conv_of(state, "conv1"),
        "bn1": batch_norm_of(state, "bn1"),
        "conv2": conv_of(state, "conv2"),
        "bn2": batch_norm_of(state, "bn2"),
        "head": flattened_linear_of(state, "head", channels=16, height=2, width=2),
    }


def convnet(
    p: Params,
    x: Array,
    *,
    bn1: Callable[..., Any] = batch_norm,
    bn2: Callable[..., Any] = batch_norm,
    act2: Callable[[Array], Array] = jax.nn.leaky_relu,
    count_padding: bool = True,
    padding: Any = 1,
) -> Array:
    x = jax.nn.relu(bn1(p["bn1"], conv(p["conv1"], x, padding=1)))
    x = average_pool(x, 3, 2, 1, count_padding=count_padding)
    x = act2(bn2(p["bn2"], conv(p["conv2"], x, stride=2, padding=padding)))
    return linear(p["head"], x.reshape(len(x), -1))


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x: convnet(p, x, **options), params_of(state), channels_last)


def convnet_train(
    p: Params, x: Array, *, bn1: Callable[..., Any] = batch_norm_train, bn2: Callable[..., Any] = batch_norm_train
) -> tuple[Array, Params]:
    """The outputs, and the parameters with the running statistics moved on."""
    x, moved1 = bn1(p["bn1"], conv(p["conv1"], x, padding=1))
    x = average_pool(jax.nn.relu(x), 3, 2, 1)
    x, moved2 = bn2(p["bn2"], conv(p["conv2"], x, stride=2, padding=1))
    logits = linear(p["head"], jax.nn.leaky_relu(x).reshape(len(x), -1))
    return logits, {**p, "bn1": moved1, "bn2": moved2}


def new_state(params: Params) -> State:
    """torch's buffers from the parameters that a call in training mode has returned."""
    return {
        f"{layer}.{torch_name}": params[layer][jax_name]
        for layer in ("bn1", "bn2")
        for jax_name, torch_name in (("mean", "running_mean"), ("var", "running_var"))
    }


def plain_train(state: State, **options: Any) -> Port:
    return Port(lambda p, x: convnet_train(p, x, **options), params_of(state), channels_last, new_state)


def inputs(seed: int) -> list[Any]:
    return normals(seed, (4, 3, 8, 8))


ARCHITECTURE = Architecture("conv_batchnorm", ConvNet, inputs, plain, ("nnx", "haiku"))
