"""Mistakes in ports of ``nn.Sequential``: a perceptron, and convolutions in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import torch
from field.records import Models
from ported import normals, randomised, weights_of
from torch import nn

from explain.records import Right
from explain.words import FORGETS, MORE, number, other_side

Array = Any
Weights = Mapping[str, Array]


def itself(x: Array) -> Array:
    return x


def linear(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def ported(build: Any, port: Any, x: Any) -> Models:
    torch.manual_seed(0)
    model = randomised(build())
    return Models(model, port, [x], {name: jnp.asarray(weight) for name, weight in weights_of(model).items()})


# a perceptron whose norm goes over both tokens and features

TOKENS, WIDTH = 4, 8


def torch_perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Linear(WIDTH, 12),
        nn.SiLU(),
        nn.Linear(12, WIDTH),
        nn.LayerNorm((TOKENS, WIDTH)),
        nn.ELU(0.5),
        nn.Linear(WIDTH, 3),
        nn.Softplus(),
    )


@dataclass(frozen=True)
class Perceptron:
    """A mistake replaces some of these parts."""

    first: Any = jax.nn.silu
    axes: tuple[int, ...] = (-2, -1)
    alpha: float = 0.5
    last: Any = jax.nn.softplus

    def outputs(self, p: Weights, x: Array) -> Array:
        x = linear(p, "2", self.first(linear(p, "0", x)))
        centred = x - x.mean(self.axes, keepdims=True)
        x = centred * jax.lax.rsqrt(x.var(self.axes, keepdims=True) + 1e-5) * p["3.weight"] + p["3.bias"]
        return self.last(linear(p, "5", jax.nn.elu(x, self.alpha)))


def perceptron(**change: Any) -> Models:
    return ported(torch_perceptron, Perceptron(**change).outputs, normals(3, TOKENS, WIDTH, seed=1))


# convolutions in time


def torch_convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, 8, 3, padding=2, dilation=2),
        nn.GELU(),
        nn.Conv1d(8, 8, 3, padding=1, groups=2),
        nn.PReLU(8, 0.2),
        nn.AvgPool1d(4, 2),
        nn.Conv1d(8, 6, 2),
        nn.GroupNorm(2, 6),
        nn.Tanh(),
    )


def average(x: Array, size: int = 4) -> Array:
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 1, size), (1, 1, 2), "VALID") / size


def largest(x: Array) -> Array:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 4), (1, 1, 2), "VALID")


def group_normed(p: Weights, name: str, x: Array, groups: int = 2, epsilon: float = 1e-5) -> Array:
    y = x.reshape(len(x), groups, -1, x.shape[-1])
    y = (y - y.mean((2, 3), keepdims=True)) / jnp.sqrt(y.var((2, 3), keepdims=True) + epsilon)
    return y.reshape(x.shape) * p[f"{name}.weight"][:, None] + p[f"{name}.bias"][:, None]


def shuffled(x: Array) -> Array:
    batch, channels, length = x.shape
    return x.reshape(batch, 2, channels // 2, length).swapaxes(1, 2).reshape(x.shape)


@dataclass(frozen=True)
class Convolutions:
    """A mistake replaces some of these parts."""

    dilation: int = 2
    pad: int = 2
    act: Any = partial(jax.nn.gelu, approximate=False)  # noqa: RUF009
    between: Any = itself
    negative: Any = itself
    pool: Any = average
    norm: Any = group_normed
    last: Any = jnp.tanh

    def outputs(self, p: Weights, x: Array) -> Array:
        def convolved(name: str, x: Array, pad: int, **more: Any) -> Array:
            y = jax.lax.conv_general_dilated(x, p[f"{name}.weight"], (1,), [(pad, pad)], **more)
            return y + p[f"{name}.bias"][:, None]

        x = self.act(convolved("0", x, self.pad, rhs_dilation=(self.dilation,)))
        x = convolved("2", self.between(x), 1, feature_group_count=2)
        x = jnp.where(x > 0, x, self.negative(p["3.weight"])[:, None] * x)
        return self.last(self.norm(p, "6", convolved("5", self.pool(x), 0)))


def convolutions(**change: Any) -> Models:
    return ported(torch_convolutions, Convolutions(**change).outputs, normals(2, 4, 17, seed=1))


PERCEPTRON = Right("sequence of layers", "model", perceptron)
CONVOLUTIONS = Right("sequence of convolutions", "model", convolutions)

CASES = (
    PERCEPTRON.case(
        "silu forgotten",
        {"first": itself},
        "1 (SiLU): JAX forgets it",
        (FORGETS, r"silu|swish"),
        where=r"\b[01]\b",
        claims="forgets",
    ),
    PERCEPTRON.case(
        "relu for silu",
        {"first": jax.nn.relu},
        "1: relu in JAX, silu in PyTorch",
        (r"\brelu", "silu|swish"),
        where=r"\b[01]\b",
        claims="activation",
    ),
    PERCEPTRON.case(
        "norm over the features alone",
        {"axes": (-1,)},
        "3 (LayerNorm): over axis -1 in JAX, over axes (-2, -1) in PyTorch",
        (r"axis|axes|extent|dim|shape|over", r"-2|\(1, 2\)|both|tokens|features|\(4, 8\)|last (two|one)|-1\b"),
        where=r"\b3\b",
        claims="axis",
        false=(r"\(-2, -1\) in JAX",),
    ),
    PERCEPTRON.case(
        "elu's alpha",
        {"alpha": 1.0},
        "4 (ELU): alpha is 1 in JAX, 0.5 in PyTorch",
        (r"alpha|slope|scale|elu", number(1.0), number(0.5)),
        where=r"\b[345]\b",
        claims="activation",
        false=other_side(0.5, 1.0),
    ),
    PERCEPTRON.case(
        "relu for softplus",
        {"last": jax.nn.relu},
        "6: relu in JAX, softplus in PyTorch",
        (r"\brelu", "softplus"),
        where=r"\b[56]\b",
        claims="activation",
    ),
    PERCEPTRON.case(
        "sigmoid after softplus",
        {"last": lambda x: jax.nn.sigmoid(jax.nn.softplus(x))},
        "6: JAX applies sigmoid more, to the result",
        ("sigmoid", MORE),
        where=r"\b[56]\b",
        claims="more",
    ),
    CONVOLUTIONS.case(
        "dilation and padding",
        {"dilation": 1, "pad": 1},
        "0: dilation 1 and padding 1 in JAX, 2 and 2 in PyTorch",
        ("dilat", r"\bpad", number(1), number(2)),
        where=r"\b0\b",
        claims="dilation padding",
        false=other_side(2, 1),
    ),
    CONVOLUTIONS.case(
        "gelu in the tanh form",
        {"act": jax.nn.gelu},
        "1: gelu: the tanh form in JAX, exact in PyTorch",
        ("gelu", "tanh|approximat"),
        where=r"\b[01]\b",
        claims="activation",
    ),
    CONVOLUTIONS.case(
        "gelu forgotten",
        {"act": itself},
        "1 (GELU): JAX forgets it",
        (FORGETS, "gelu"),
        where=r"\b[01]\b",
        claims="forgets",
        false=("tanh form",),
    ),
    CONVOLUTIONS.case(
        "channels shuffled",
        {"between": shuffled},
        "2: its input has the channels in another order in JAX",
        (r"channels?\b|input|axis|axes|groups?\b|weight", r"order|permut|shuffl|transpos|interleav|exchang"),
        where=r"\b[12]\b",
        claims="transposed exchanged",
    ),
    CONVOLUTIONS.case(
        "a slope that is not learnt",
        {"negative": lambda slope: jnp.full_like(slope, 0.01)},
        "3 (PReLU): the slope is 0.01 in JAX, which does not use 3.weight",
        (FORGETS, r"weight|slope"),
        ("slope", number(0.01)),
        where=r"\b3\b",
        claims="forgets",
    ),
    CONVOLUTIONS.case(
        "window of 5",
        {"pool": partial(average, size=5)},
        "4: the window is 5 in JAX, 4 in PyTorch",
        (r"window|kernel|size|pool", number(5), number(4)),
        where=r"\b[345]\b",
        false=other_side(4, 5),
    ),
    CONVOLUTIONS.case(
        "maximum for the average",
        {"pool": largest},
        "4: max pooling in JAX, average pooling in PyTorch",
        ("max", "average|avg|mean"),
        where=r"\b[345]\b",
        false=("max in PyTorch", "average pooling in JAX"),
    ),
    CONVOLUTIONS.case(
        "group norm's epsilon",
        {"norm": partial(group_normed, epsilon=1e-6)},
        "6: GroupNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch",
        (r"\beps", number(1e-6), number(1e-5)),
        where=r"\b6\b",
        claims="epsilon",
        false=other_side(1e-5, 1e-6),
    ),
    CONVOLUTIONS.case(
        "one group",
        {"norm": partial(group_normed, groups=1)},
        "6: GroupNorm: 1 group in JAX, 2 in PyTorch",
        (r"groups?\b|num_groups|extent|axes", number(1), number(2)),
        where=r"\b6\b",
        false=other_side(2, 1),
    ),
)
