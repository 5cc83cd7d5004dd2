"""Mistakes in ports of a block of diffusion, of attention in windows, and of a block of depthwise convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from field.records import Models
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right
from explain.words import EXCHANGED, FLIPPED, FORGETS, NEGATIVE

SIZE, WIDTH, WAVES, HEADS, WINDOW, INNER, SQUEEZED = 4, 8, 6, 2, 2, 16, 4
SPAN = 2 * WINDOW - 1
Array = Any
Weights = Mapping[str, Array]


def linear(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def convolved(p: Weights, name: str, x: Array, groups: int = 1, turned: Sequence[int] = (2, 3, 1, 0)) -> Array:
    kernel = p[f"{name}.weight"].transpose(turned)
    reach = kernel.shape[0] // 2
    numbers = ("NHWC", "HWIO", "NHWC")
    pads = [(reach, reach)] * 2
    y = jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=numbers, feature_group_count=groups)
    return y + p[f"{name}.bias"]


def made(of: Callable[[], nn.Module], port: Callable[..., Array], *inputs: Array) -> Models:
    torch.manual_seed(0)
    model = randomised(of())
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items() if not name.endswith("index")}
    return Models(model, port, list(inputs), params)


# a block of diffusion, which the time scales and shifts


class Diffused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n1, self.c1 = nn.GroupNorm(2, 4), nn.Conv2d(4, WIDTH, 3, padding=1)
        self.t1, self.t2 = nn.Linear(WAVES, WIDTH), nn.Linear(WIDTH, 2 * WIDTH)
        self.n2, self.c2 = nn.GroupNorm(2, WIDTH), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.skip, self.up = nn.Conv2d(4, WIDTH, 1), nn.Conv2d(WIDTH, 4 * 3, 3, padding=1)
        self.finer = nn.PixelShuffle(2)

    def forward(self, x: Any, time: Any) -> Any:
        rates = torch.exp(-math.log(10000.0) * torch.arange(WAVES // 2, dtype=x.dtype) / (WAVES // 2))
        angles = time[:, None] * rates
        scale, shift = self.t2(F.silu(self.t1(torch.cat([angles.cos(), angles.sin()], -1))))[..., None, None].chunk(2, 1)
        y = self.c1(F.silu(self.n1(x)))
        y = self.c2(F.silu(self.n2(y) * (1 + scale) + shift))
        return self.finer(self.up(self.skip(x) + y))


def grouped(p: Weights, name: str, x: Array) -> Array:
    each = x.reshape(*x.shape[:3], 2, -1)
    centred = each - each.mean((1, 2, 4), keepdims=True)
    y = centred * jax.lax.rsqrt(each.var((1, 2, 4), keepdims=True) + 1e-5)
    return y.reshape(x.shape) * p[f"{name}.weight"] + p[f"{name}.bias"]


def finer(x: Array, channels_first: bool = True) -> Array:
    b, h, w, c = x.shape
    if channels_first:
        return x.reshape(b, h, w, c // 4, 2, 2).transpose(0, 3, 1, 4, 2, 5).reshape(b, c // 4, 2 * h, 2 * w)
    return x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 5, 1, 3, 2, 4).reshape(b, c // 4, 2 * h, 2 * w)


@dataclass(frozen=True)
class DiffusedPort:
    """The same in JAX, channels last. A mistake replaces some of these parts."""

    modulate: Callable[[Array, Array, Array], Array] = lambda y, scale, shift: y * (1 + scale) + shift
    parts: Callable[[Array], Sequence[Array]] = partial(jnp.split, indices_or_sections=2, axis=-1)  # noqa: RUF009
    finer: Callable[[Array], Array] = finer

    def outputs(self, p: Weights, x: Array, time: Array) -> Array:
        angles = time[:, None] * jnp.exp(-math.log(10000.0) * jnp.arange(WAVES // 2) / (WAVES // 2))
        waves = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)
        scale, shift = self.parts(linear(p, "t2", jax.nn.silu(linear(p, "t1", waves)))[:, None, None])
        x = x.transpose(0, 2, 3, 1)
        y = convolved(p, "c1", jax.nn.silu(grouped(p, "n1", x)))
        y = convolved(p, "c2", jax.nn.silu(self.modulate(grouped(p, "n2", y), scale, shift)))
        return self.finer(convolved(p, "up", convolved(p, "skip", x) + y))


def diffused(**change: Any) -> Models:
    inputs = normals(2, 4, SIZE, SIZE, seed=1), np.array([1.5, 40], np.float32)
    return made(Diffused, DiffusedPort(**change).outputs, *inputs)


# attention in windows that are displaced


class Windows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.table = nn.Parameter(torch.zeros(SPAN * SPAN, HEADS))
        self.register_buffer("index", torch.tensor(index_of_pairs()))

    def forward(self, x: Any) -> Any:
        y = torch.roll(self.norm(x), (-1, -1), (1, 2))
        many = SIZE // WINDOW
        y = y.view(-1, many, WINDOW, many, WINDOW, WIDTH).transpose(2, 3).reshape(-1, WINDOW * WINDOW, WIDTH)
        q, k, v = self.qkv(y).reshape(len(y), -1, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        scores = q * (WIDTH // HEADS) ** -0.5 @ k.transpose(-1, -2) + self.table[self.index].permute(2, 0, 1)
        y = self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        y = y.view(-1, many, many, WINDOW, WINDOW, WIDTH).transpose(2, 3).reshape(x.shape)
        return x + torch.roll(y, (1, 1), (1, 2))


def index_of_pairs() -> np.ndarray:
    """Where the bias of a query and a key stands in the table."""
    places = np.stack(np.meshgrid(*[np.arange(WINDOW)] * 2, indexing="ij")).reshape(2, -1)
    far = places[:, :, None] - places[:, None, :] + WINDOW - 1
    return far[0] * SPAN + far[1]


def rolled_back(y: Array) -> Array:
    return jnp.roll(y, (1, 1), (1, 2))


@dataclass(frozen=True)
class WindowsPort:
    """The same in JAX. A mistake replaces some of these parts."""

    index: Callable[[], np.ndarray] = index_of_pairs
    back: Callable[[Array], Array] = rolled_back

    def outputs(self, p: Weights, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        y = centred * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * p["norm.weight"] + p["norm.bias"]
        many = SIZE // WINDOW
        y = jnp.roll(y, (-1, -1), (1, 2)).reshape(-1, many, WINDOW, many, WINDOW, WIDTH)
        y = y.swapaxes(2, 3).reshape(-1, WINDOW * WINDOW, WIDTH)
        q, k, v = jnp.moveaxis(linear(p, "qkv", y).reshape(len(y), -1, 3, HEADS, WIDTH // HEADS), 2, 0)
        scores = jnp.einsum("nqhd,nkhd->nhqk", q, k) / math.sqrt(WIDTH // HEADS)
        weights = jax.nn.softmax(scores + p["table"][self.index()].transpose(2, 0, 1), -1)
        y = linear(p, "out", jnp.einsum("nhqk,nkhd->nqhd", weights, v).reshape(len(y), -1, WIDTH))
        y = y.reshape(-1, many, many, WINDOW, WINDOW, WIDTH).swapaxes(2, 3).reshape(x.shape)
        return x + self.back(y)


def windows(**change: Any) -> Models:
    return made(Windows, WindowsPort(**change).outputs, normals(2, SIZE, SIZE, WIDTH, seed=1))


# depthwise convolutions, a scale for each channel, and a gate for each channel


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.widen, self.narrow = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.gamma = nn.Parameter(0.5 * torch.ones(WIDTH))
        self.f1, self.f2 = nn.Conv2d(WIDTH, SQUEEZED, 1), nn.Conv2d(SQUEEZED, WIDTH, 1)

    def forward(self, x: Any) -> Any:
        y = self.norm(self.spread(x).permute(0, 2, 3, 1))
        y = self.gamma * self.narrow(F.gelu(self.widen(y)))
        x = x + y.permute(0, 3, 1, 2)
        return x * torch.sigmoid(self.f2(F.relu(self.f1(F.adaptive_avg_pool2d(x, 1)))))


def scaled(gamma: Array, y: Array) -> Array:
    return gamma * y


@dataclass(frozen=True)
class DepthwisePort:
    """The same in JAX, channels last. A mistake replaces some of these parts."""

    turned: Sequence[int] = (2, 3, 1, 0)
    scale: Callable[[Array, Array], Array] = scaled
    gate: Callable[[Array], Array] = jax.nn.sigmoid

    def outputs(self, p: Weights, x: Array) -> Array:
        x = x.transpose(0, 2, 3, 1)
        y = convolved(p, "spread", x, WIDTH, self.turned)
        centred = y - y.mean(-1, keepdims=True)
        y = centred * jax.lax.rsqrt(y.var(-1, keepdims=True) + 1e-6) * p["norm.weight"] + p["norm.bias"]
        y = linear(p, "narrow", jax.nn.gelu(linear(p, "widen", y), approximate=False))
        x = x + self.scale(p["gamma"], y)
        squeezed = jax.nn.relu(convolved(p, "f1", x.mean((1, 2), keepdims=True)))
        return (x * self.gate(convolved(p, "f2", squeezed))).transpose(0, 3, 1, 2)


def depthwise(**change: Any) -> Models:
    return made(Depthwise, DepthwisePort(**change).outputs, normals(2, WIDTH, SIZE, SIZE, seed=1))


DIFFUSED = Right("block of diffusion", "model", diffused)
WINDOWS = Right("attention in windows", "model", windows)
DEPTHWISE = Right("depthwise convolutions", "model", depthwise)

CASES = (
    DIFFUSED.case(
        "scale and shift exchanged",
        {"parts": lambda joined: jnp.split(joined, 2, -1)[::-1]},
        "after t2: JAX has the parts of chunk exchanged: scale and shift",
        (EXCHANGED, r"chunk|split|parts?\b|halves|scale|shift|\[0\].*\[1\]|\b0\b.*\b1\b|slice|t2"),
        where=r"\bt2\b|\bn2\b|chunk|split",
        claims="exchanged reversed",
    ),
    DIFFUSED.case(
        "one of the scale forgotten",
        {"modulate": lambda y, scale, shift: y * scale + shift},
        "after n2: JAX forgets to add 1 to the scale",
        (FORGETS, r"\b1\b|\badd|\+|plus|one|n2"),
        (r"offset|constant|number|add|\+|plus", r"\b0\b.*\b1\b|\b1\b.*\b0\b"),
        where=r"\bt2\b|\bn2\b|\bc2\b|silu|\badd|\bmul",
        claims="forgets residual",
    ),
    DIFFUSED.case(
        "finer pixels from other channels",
        {"finer": partial(finer, channels_first=False)},
        "finer: the channels are (2, 2, 3) in JAX, (3, 2, 2) in PyTorch",
        (r"channel|axes|order|layout|permut|transpos|depth.?to.?space|reshape|arrang|exchang|merged|split"),
        where=r"\bfiner\b|pixel_?shuffle|\bup\b",
        claims="transposed exchanged axis",
    ),
    WINDOWS.case(
        "displaced a second time, not back",
        {"back": lambda y: jnp.roll(y, (-1, -1), (1, 2))},
        "after out: roll by -1 in JAX, by 1 in PyTorch",
        (r"\broll|shift|displac", NEGATIVE + "|" + FLIPPED + r"|-1|\b[123]\b|direction|by"),
        where=r"\bout\b|\broll",
        claims="shifted reversed negative",
    ),
    WINDOWS.case(
        "table read with queries for keys",
        {"index": lambda: index_of_pairs().T},
        "the index into table is transposed in JAX (queries for keys)",
        (
            r"transpos|" + EXCHANGED + "|" + NEGATIVE + "|" + FLIPPED,
            r"index|table|gather|bias|places?\b|ax[ei]s|constant|take",
        ),
        where=r"table|\bqkv\b|softmax|index|\bout\b",
        claims="transposed exchanged reversed bias negative",
    ),
    DEPTHWISE.case(
        "height and width of a kernel exchanged",
        {"turned": (3, 2, 1, 0)},
        "spread: the kernel's axes are (3, 2, 1, 0) in JAX, (2, 3, 1, 0) in PyTorch: height and width exchanged",
        (r"transpos|permut|" + EXCHANGED, r"kernel|weight|height|width|spread|ax[ei]s|spatial"),
        where=r"\bspread\b",
        claims="transposed exchanged reversed axis",
    ),
    DEPTHWISE.case(
        "scale of each channel forgotten",
        {"scale": lambda gamma, y: y},
        "after narrow: JAX forgets to multiply by gamma",
        (FORGETS + "|unused|not used", r"gamma|mul|scale"),
        where=r"\bnarrow\b|gamma|\bmul",
        claims="forgets",
    ),
    DEPTHWISE.case(
        "hard sigmoid",
        {"gate": jax.nn.hard_sigmoid},
        "after f2: hard_sigmoid in JAX, sigmoid in PyTorch",
        r"hard.?sigmoid",
        where=r"\bf2\b|sigmoid",
        claims="activation",
        false=(r"hard.?sigmoid in PyTorch",),
    ),
)
