"""Mistakes in a port of a small residual network for images, with BatchNorm in evaluation and two poolings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import torch
from field.records import Models
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right
from explain.words import EXCHANGED, FLIPPED, FORGETS, MOVED, number, other_side

CHANNELS, SLOPE = 6, 0.1
Array = Any
Weights = Mapping[str, Array]


class Network(nn.Module):
    """With ``modules`` each operation that can be a module is one."""

    def __init__(self, modules: bool) -> None:
        super().__init__()
        self.c0 = nn.Conv2d(3, CHANNELS, 3, stride=2, padding=1)
        self.c1, self.c2 = (nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(2))
        self.n0, self.n1, self.n2 = (nn.BatchNorm2d(CHANNELS) for _ in range(3))
        self.act = nn.LeakyReLU(SLOPE) if modules else partial(F.leaky_relu, negative_slope=SLOPE)
        self.pool = nn.MaxPool2d(2) if modules else partial(F.max_pool2d, kernel_size=2)
        self.blur = nn.AvgPool2d(3, 1, 1, count_include_pad=False) if modules else self.blurred
        self.cut = nn.ReLU() if modules else F.relu
        self.head = nn.Linear(CHANNELS, 4)

    @staticmethod
    def blurred(x: Any) -> Any:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.act(self.n0(self.c0(x))))
        x = self.cut(x + self.n2(self.c2(self.cut(self.n1(self.c1(x))))))
        return self.head(self.blur(x).mean((2, 3)))


def convolved(
    p: Weights, name: str, x: Array, stride: int = 1, padding: Any = ((1, 1), (1, 1)), flipped: bool = False
) -> Array:
    kernel = p[f"{name}.weight"].transpose(2, 3, 1, 0)
    kernel = kernel[::-1, ::-1] if flipped else kernel
    numbers = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=numbers)
    return y + p[f"{name}.bias"]


def normed(p: Weights, name: str, x: Array, epsilon: float = 1e-5, of_batch: bool = False) -> Array:
    mean, var = p[f"{name}.running_mean"], p[f"{name}.running_var"]
    if of_batch:
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / jnp.sqrt(var + epsilon) * p[f"{name}.weight"] + p[f"{name}.bias"]


def window(x: Array, start: float, reduce: Any, size: int, stride: int, pad: int) -> Array:
    padding = [(0, 0), (pad, pad), (pad, pad), (0, 0)]
    return jax.lax.reduce_window(x, start, reduce, (1, size, size, 1), (1, stride, stride, 1), padding)


def largest(x: Array) -> Array:
    return window(x, -jnp.inf, jax.lax.max, 2, 2, 0)


def averaged(x: Array) -> Array:
    return window(x, 0.0, jax.lax.add, 2, 2, 0) / 4


def blurred(x: Array, padding_counts: bool = False) -> Array:
    count = 9.0 if padding_counts else window(jnp.ones_like(x), 0.0, jax.lax.add, 3, 1, 1)
    return window(x, 0.0, jax.lax.add, 3, 1, 1) / count


halving = partial(convolved, stride=2)
leaky = partial(jax.nn.leaky_relu, negative_slope=SLOPE)


@dataclass(frozen=True)
class Port:
    """The same in JAX, channels last. A mistake replaces some of these parts."""

    first: Callable[..., Array] = halving
    second: Callable[..., Array] = convolved
    norm: Callable[..., Array] = normed
    middle: Callable[..., Array] | None = None
    """The norm after ``c1``; None: as the others."""
    act: Callable[[Array], Array] = leaky
    act_first: bool = False
    pool: Callable[[Array], Array] = largest
    add: Callable[[Array, Array], Array] = lambda x, y: jax.nn.relu(x + y)
    blur: Callable[[Array], Array] = blurred
    over: Callable[[Array], Array] = lambda x: x.mean((1, 2))

    def logits(self, p: Weights, x: Array) -> Array:
        y = self.first(p, "c0", x.transpose(0, 2, 3, 1))
        y = self.norm(p, "n0", self.act(y)) if self.act_first else self.act(self.norm(p, "n0", y))
        x = self.pool(y)
        y = jax.nn.relu((self.middle or self.norm)(p, "n1", self.second(p, "c1", x)))
        y = self.norm(p, "n2", convolved(p, "c2", y))
        return self.over(self.blur(self.add(x, y))) @ p["head.weight"].T + p["head.bias"]


def port(*, modules: bool, **change: Any) -> Models:
    torch.manual_seed(0)
    model = Network(modules)
    for norm in (model.n0, model.n1, model.n2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    params = {
        name: jnp.asarray(weight) for name, weight in weights_of(randomised(model)).items() if not name.endswith("tracked")
    }
    return Models(model, Port(**change).logits, [normals(2, 3, 16, 16, seed=1)], params)


FUNCTIONS = Right("convolutions of functions", "model", partial(port, modules=False), blind=False)
MODULES = Right("convolutions of modules", "model", partial(port, modules=True), blind=False)

BEGIN, SUM, END = r"\bn0\b|\bc0\b|\bact\b", r"\bn2\b|\bc2\b|\bcut\b", r"\bcut\b|\bblur|head|add|avg_pool|\bn2\b"
SLOPES = (
    "slope",
    {"act": partial(jax.nn.leaky_relu, negative_slope=0.01)},
    "after n0: leaky_relu's slope: 0.01 in JAX, 0.1 in PyTorch",
    ("slope", number(0.01), number(0.1)),
)
COUNTS = (
    "padding counts",
    {"blur": partial(blurred, padding_counts=True)},
    "after cut: the average pooling counts the padding in JAX, PyTorch does not (count_include_pad)",
    ("count", "pad"),
    ("divi", "window|pad|edge|border", number(9)),
)
AVERAGES = (
    "average for maximum",
    {"pool": averaged},
    "after n0: average pooling in JAX, max pooling in PyTorch",
    ("max", "average|avg|mean"),
)


def both_styles(case: tuple[Any, ...], where: str, **more: Any) -> Any:
    return FUNCTIONS.case(*case, where=where, **more), MODULES.case(*case, where=where, **more)


CASES = (
    *both_styles(SLOPES, BEGIN, false=other_side(0.1, 0.01)),
    *both_styles(COUNTS, END, claims="padding", false=("JAX does not count",)),
    *both_styles(AVERAGES, BEGIN + "|pool", false=("average pooling in PyTorch", "max pooling in JAX")),
    FUNCTIONS.case(
        "SAME for the padding of torch",
        {"first": partial(convolved, stride=2, padding="SAME")},
        "c0: JAX pads (0, 1), PyTorch (1, 1)",
        ("pad", r"\(?0, 1\)?|SAME|before|after|left|asymmetric"),
        where=r"\bc0",
        claims="padding",
    ),
    FUNCTIONS.case(
        "statistics of the batch",
        {"middle": partial(normed, of_batch=True)},
        "n1: JAX normalises by the statistics of the batch, PyTorch by the running ones",
        ("batch's|of the batch|batch statistics|training", "running|training|statistics|evaluation"),
        where=r"\bn1",
        claims="statistics",
    ),
    FUNCTIONS.case(
        "epsilon of each BatchNorm",
        {"norm": partial(normed, epsilon=1e-3)},
        "n0, n1 and n2: BatchNorm's epsilon: 0.001 in JAX, 1e-05 in PyTorch",
        (r"\beps", number(1e-3), number(1e-5)),
        where=r"\bn0|3 (norms|places|layers)",
        claims="epsilon",
        false=other_side(1e-5, 1e-3),
    ),
    FUNCTIONS.case(
        "kernel flipped",
        {"second": partial(convolved, flipped=True)},
        "c1: its kernel is flipped in JAX",
        FLIPPED,
        where=r"\bc1",
        claims="reversed",
    ),
    FUNCTIONS.case(
        "activation before the norm",
        {"act_first": True},
        "n0: JAX applies leaky_relu before n0, PyTorch after it",
        (r"leaky_relu|\bact\b|activation", MOVED + "|" + EXCHANGED),
        where=BEGIN,
        claims="exchanged activation",
    ),
    FUNCTIONS.case(
        "residual forgotten",
        {"add": lambda x, y: jax.nn.relu(y)},
        "after n2: JAX forgets the residual x",
        (FORGETS, r"residual|\badd|\bsum|\+"),
        where=SUM,
        claims="residual forgets",
        false=("relu in JAX",),
    ),
    FUNCTIONS.case(
        "activation before the sum",
        {"add": lambda x, y: x + jax.nn.relu(y)},
        "after n2: JAX applies relu before the sum, PyTorch after it",
        ("relu", MOVED + r"|to n2"),
        where=SUM,
        claims="residual activation",
    ),
    FUNCTIONS.case(
        "maximum for the mean",
        {"over": lambda x: x.max((1, 2))},
        "before head: max in JAX, mean in PyTorch",
        (r"\bmax", r"mean|average"),
        where=END,
    ),
    FUNCTIONS.case(
        "sum for the mean",
        {"over": lambda x: x.sum((1, 2))},
        "before head: sum in JAX, mean in PyTorch",
        (r"\bsum", r"mean|average|\bn\b|number of"),
        (f"times {number(16)}|{number(16)} times", r"mean"),
        where=END,
        false=("JAX takes the mean",),
    ),
)
