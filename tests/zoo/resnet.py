"""A residual network: two basic blocks, the second of which halves the image and widens it."""

from collections.abc import Callable
from typing import Any

import jax
from torch import nn

from zoo.architecture import Architecture, Port, State, channels_last, normals, of_layer, part
from zoo.plain import Array, Params, batch_norm, batch_norm_of, conv, conv_of, linear, linear_of

STRIDES = (1, 2)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.act2 = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Any) -> Any:
        h = self.act1(self.bn1(self.conv1(x)))
        return self.act2(self.bn2(self.conv2(h)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.act = nn.ReLU()
        self.blocks = nn.ModuleList([Block(8, 8, STRIDES[0]), Block(8, 16, STRIDES[1])])
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        x = self.act(self.bn(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


def block_of(state: State) -> Params:
    params = {
        "conv1": conv_of(state, "conv1"),
        "bn1": batch_norm_of(state, "bn1"),
        "conv2": conv_of(state, "conv2"),
        "bn2": batch_norm_of(state, "bn2"),
    }
    if "shortcut.0.weight" in state:
        params |= {"shortcut": {"conv": conv_of(state, "shortcut.0"), "bn": batch_norm_of(state, "shortcut.1")}}
    return params


def params_of(state: State) -> Params:
    return {
        "conv": conv_of(state, "conv"),
        "bn": batch_norm_of(state, "bn"),
        "blocks": [block_of(part(state, f"blocks.{i}")) for i in range(len(STRIDES))],
        "head": linear_of(state, "head"),
    }


def shortcut(p: Params, x: Array, stride: int) -> Array:
    return batch_norm(p["shortcut"]["bn"], conv(p["shortcut"]["conv"], x, stride=stride)) if "shortcut" in p else x


def block(
    p: Params,
    x: Array,
    stride: int,
    *,
    bn1: Callable[..., Array] = batch_norm,
    bn2: Callable[..., Array] = batch_norm,
    act1: Callable[[Array], Array] = jax.nn.relu,
    padding: Any = 1,
    join: Callable[[Array, Array], Array] = lambda h, kept: jax.nn.relu(h + kept),
) -> Array:
    """The option ``join`` says how the two branches become one."""
    h = act1(bn1(p["bn1"], conv(p["conv1"], x, stride=stride, padding=padding)))
    h = bn2(p["bn2"], conv(p["conv2"], h, padding=1))
    return join(h, shortcut(p, x, stride))


def resnet(p: Params, x: Array, *, pool: Callable[[Array], Array] = lambda x: x.mean((1, 2)), **blocks: Any) -> Array:
    x = jax.nn.relu(batch_norm(p["bn"], conv(p["conv"], x, padding=1)))
    for i, (own, stride) in enumerate(zip(p["blocks"], STRIDES, strict=True)):
        x = block(own, x, stride, **of_layer(blocks, i))
    return linear(p["head"], pool(x))


def plain(state: State, **options: Any) -> Port:
    return Port(lambda p, x: resnet(p, x, **options), params_of(state), channels_last)


def inputs(seed: int) -> list[Any]:
    return normals(seed, (2, 3, 8, 8))


ARCHITECTURE = Architecture("resnet", ResNet, inputs, plain, ("linen", "equinox"))
