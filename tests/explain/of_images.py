"""Mistakes in ports of a vision transformer and of a network that takes images down and up again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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

WIDTH, HEADS, PATCH, SIDE = 8, 2, 4, 12
PLACES = (SIDE // PATCH) ** 2 + 1
Array = Any
Weights = Mapping[str, Array]


def linear(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def normed(p: Weights, name: str, x: Array, epsilon: float = 1e-6) -> Array:
    x = x - x.mean(-1, keepdims=True)
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * p[f"{name}.weight"] + p[f"{name}.bias"]


# a vision transformer, whose norms are after the sums


class Vision(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.token, self.places = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Parameter(torch.zeros(1, PLACES, WIDTH))
        self.attend = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.n1, self.n2 = nn.LayerNorm(WIDTH, 1e-6), nn.LayerNorm(WIDTH, 1e-6)
        self.up, self.down = nn.Linear(WIDTH, 12), nn.Linear(12, WIDTH)
        self.gamma = nn.Parameter(0.5 * torch.ones(WIDTH))
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        x = self.n1(x + self.attend(x, x, x, need_weights=False)[0])
        x = self.n2(x + self.gamma * self.down(F.gelu(self.up(x), approximate="tanh")))
        return self.head(x[:, 0])


def before_patches(x: Array, token: Array) -> Array:
    return jnp.concatenate([token, x], 1)


@dataclass(frozen=True)
class VisionPort:
    """A mistake replaces some of these parts."""

    image: Callable[[Array], Array] = lambda x: x
    join: Callable[[Array, Array], Array] = before_patches
    divisor: float = math.sqrt(WIDTH // HEADS)
    post: bool = True
    approximate: bool = True
    scale: Callable[[Array, Array], Array] = lambda gamma, y: gamma * y
    pool: Callable[[Array], Array] = lambda x: x[:, 0]

    def attended(self, p: Weights, x: Array) -> Array:
        joined = x @ p["attend.in_proj_weight"].T + p["attend.in_proj_bias"]
        q, k, v = (part.reshape(*part.shape[:2], HEADS, -1) for part in jnp.split(joined, 3, -1))
        scores = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / self.divisor, -1)
        return linear(p, "attend.out_proj", jnp.einsum("bhqk,bkhd->bqhd", scores, v).reshape(x.shape))

    def logits(self, p: Weights, x: Array) -> Array:
        x = jax.lax.conv_general_dilated(self.image(x), p["patches.weight"], (PATCH, PATCH), "VALID")
        x = (x + p["patches.bias"][:, None, None]).reshape(len(x), WIDTH, -1).swapaxes(1, 2)
        x = self.join(x, jnp.broadcast_to(p["token"], (len(x), 1, WIDTH))) + p["places"]

        def perceptron(x: Array) -> Array:
            return self.scale(p["gamma"], linear(p, "down", jax.nn.gelu(linear(p, "up", x), self.approximate)))

        if self.post:
            x = normed(p, "n1", x + self.attended(p, x))
            x = normed(p, "n2", x + perceptron(x))
        else:
            x = x + self.attended(p, normed(p, "n1", x))
            x = x + perceptron(normed(p, "n2", x))
        return linear(p, "head", self.pool(x))


# down and up again


class Hourglass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c0, self.c1 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 2, padding=1)
        self.n0 = nn.GroupNorm(4, 8)
        self.film = nn.Linear(5, 16)
        self.up = nn.ConvTranspose2d(8, 8, 3, 2, padding=1, output_padding=1)
        self.mix = nn.Conv2d(16, 12, 1)
        self.out = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: Any, t: Any) -> Any:
        x = F.silu(self.c0(x))
        scale, shift = self.film(t)[:, :, None, None].chunk(2, 1)
        y = F.relu(self.n0(self.c1(x)) * (1 + scale) + shift)
        y = torch.cat([F.hardswish(self.up(y)), x], 1)
        y = F.pixel_shuffle(self.mix(y), 2)
        return self.out(F.interpolate(y, scale_factor=0.5, mode="bilinear", align_corners=False))


def convolved(p: Weights, name: str, x: Array, stride: int = 1, pad: Any = ((1, 1), (1, 1))) -> Array:
    y = jax.lax.conv_general_dilated(x, p[f"{name}.weight"], (stride, stride), pad)
    return y + p[f"{name}.bias"][:, None, None]


def expanded(p: Weights, x: Array, flip: bool = True, pad: tuple[int, int] = (1, 2)) -> Array:
    """A transposed convolution as a convolution of the dilated image with the flipped kernel."""
    kernel = p["up.weight"][:, :, ::-1, ::-1] if flip else p["up.weight"]
    y = jax.lax.conv_general_dilated(x, kernel.swapaxes(0, 1), (1, 1), [pad, pad], lhs_dilation=(2, 2))
    return y + p["up.bias"][:, None, None]


def grouped(p: Weights, x: Array, epsilon: float = 1e-5) -> Array:
    y = x.reshape(len(x), 4, -1)
    y = (y - y.mean(-1, keepdims=True)) / jnp.sqrt(y.var(-1, keepdims=True) + epsilon)
    return y.reshape(x.shape) * p["n0.weight"][:, None, None] + p["n0.bias"][:, None, None]


def shuffled(x: Array, channels_last: bool = False) -> Array:
    batch, channels, height, width = x.shape
    if channels_last:
        parts = x.reshape(batch, 2, 2, channels // 4, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(batch, channels // 4, 2, 2, height, width).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(batch, channels // 4, 2 * height, 2 * width)


def halved(x: Array) -> Array:
    """Bilinear without antialias: the mean of two by two."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // 2, 2, width // 2, 2).mean((3, 5))


@dataclass(frozen=True)
class HourglassPort:
    """A mistake replaces some of these parts."""

    modulate: Callable[[Array, Array, Array], Array] = lambda y, scale, shift: y * (1 + scale) + shift
    norm: Callable[..., Array] = grouped
    act: Callable[[Array], Array] = jax.nn.hard_swish
    expand: Callable[..., Array] = expanded
    join: Callable[[Array, Array], Sequence[Array]] = lambda y, x: (y, x)
    shuffle: Callable[[Array], Array] = shuffled
    halve: Callable[[Array], Array] = halved

    def image(self, p: Weights, x: Array, t: Array) -> Array:
        x = jax.nn.silu(convolved(p, "c0", x))
        scale, shift = jnp.split(linear(p, "film", t)[:, :, None, None], 2, 1)
        y = jax.nn.relu(self.modulate(self.norm(p, convolved(p, "c1", x, 2)), scale, shift))
        y = jnp.concatenate(self.join(self.act(self.expand(p, y)), x), 1)
        return convolved(p, "out", self.halve(self.shuffle(convolved(p, "mix", y, 1, "VALID"))))


def vision(**change: Any) -> Models:
    torch.manual_seed(0)
    model = randomised(Vision())
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}
    return Models(model, VisionPort(**change).logits, [normals(2, 3, SIDE, SIDE, seed=1)], params)


def hourglass(**change: Any) -> Models:
    torch.manual_seed(0)
    model = randomised(Hourglass())
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}
    return Models(model, HourglassPort(**change).image, [normals(2, 3, 8, 8, seed=1), normals(2, 5, seed=2)], params)


VISION, HOURGLASS = Right("vision transformer", "model", vision), Right("hourglass", "model", hourglass)

CASES = (
    VISION.case(
        "mean for the class token",
        {"pool": lambda x: x.mean(1)},
        "before head: the mean over the tokens in JAX, token 0 in PyTorch",
        ("mean|average", r"token|index|position|select|slice|\b0\b|first"),
        where=r"head|\bn2\b",
        claims="axis",
        false=("mean in PyTorch",),
    ),
    VISION.case(
        "class token after the patches",
        {"join": lambda x, token: jnp.concatenate([x, token], 1)},
        "token: JAX has token and patches exchanged in the concatenation",
        (EXCHANGED + "|order|concat|last|at the end|shift|roll", r"token|cat\b|concat|patches"),
        where=r"token|patches|places|cat",
        claims="exchanged shifted",
    ),
    VISION.case(
        "height and width exchanged",
        {"image": lambda x: x.swapaxes(2, 3)},
        "patches: its input has height and width exchanged (axes 2 and 3 transposed) in JAX",
        (EXCHANGED + "|transpos", r"height|width|axes|\b2\b.*\b3\b|-2.*-1|-1.*-2|input|kernel|weight|transpos"),
        where="patches",
        claims="exchanged transposed",
    ),
    VISION.case(
        "scores divided by the root of the width",
        {"divisor": math.sqrt(WIDTH)},
        "attend: the scores' divisor is 2.828 in JAX, 2 in PyTorch",
        (r"divi|scale", r"2\.83|2\.828\d*|0\.35\d*", f"{number(2)}|{number(0.5)}"),
        (r"times|multipl|scale|divi", r"0\.707\d*|1\.414\d*"),
        where=r"attend",
        false=other_side(2, 2.8284271247461903),
    ),
    VISION.case(
        "norms before attention and the perceptron",
        {"post": False},
        "n1 and n2: JAX applies the norms before attention and the perceptron, PyTorch after the sums (post-norm)",
        (r"\bn[12]|norm", MOVED + "|pre-norm|post-norm"),
        where=r"\bn[12]\b",
        claims="residual exchanged",
    ),
    VISION.case(
        "exact gelu",
        {"approximate": False},
        "up: gelu: exact in JAX, the tanh form in PyTorch",
        ("gelu", "tanh|approximat|exact"),
        where=r"\bup\b",
        claims="activation",
        false=("tanh form in JAX", "exact in PyTorch"),
    ),
    VISION.case(
        "layer scale forgotten",
        {"scale": lambda gamma, y: y},
        "gamma: JAX does not use it; it forgets to multiply",
        (FORGETS, r"gamma"),
        claims="forgets",
    ),
    HOURGLASS.case(
        "scale and shift exchanged",
        {"modulate": lambda y, scale, shift: y * (1 + shift) + scale},
        "film: JAX has both parts exchanged, scale and shift",
        EXCHANGED,
        where=r"\bfilm\b|chunk|split|\bn0\b",
        claims="exchanged",
        false=("JAX forgets",),
    ),
    HOURGLASS.case(
        "scale without one",
        {"modulate": lambda y, scale, shift: y * scale + shift},
        "film: JAX forgets to add 1 to the scale",
        (FORGETS, r"\b1\b|\bone\b|add"),
        where=r"\bfilm\b|chunk|split|\bn0\b|mul|add",
        claims="forgets",
    ),
    HOURGLASS.case(
        "epsilon of the group norm",
        {"norm": partial(grouped, epsilon=1e-3)},
        "n0: GroupNorm's epsilon: 0.001 in JAX, 1e-05 in PyTorch",
        (r"\beps", number(1e-3), number(1e-5)),
        where=r"\bn0\b",
        claims="epsilon",
        false=other_side(1e-5, 1e-3),
    ),
    HOURGLASS.case(
        "transposed convolution not flipped",
        {"expand": partial(expanded, flip=False)},
        "up: the kernel is flipped in JAX, against PyTorch's",
        FLIPPED,
        where=r"\bup\b",
        claims="reversed transposed",
    ),
    HOURGLASS.case(
        "transposed convolution padded on the other side",
        {"expand": partial(expanded, pad=(2, 1))},
        "up: JAX pads (2, 1), PyTorch (1, 2)",
        (r"\bpad|window", r"\b1\b.*\b2\b|\b2\b.*\b1\b|left|before|side"),
        (r"shift|roll", r"\bby -?1|one|\b1\b"),
        where=r"\bup\b",
        claims="padding shifted transposed",
    ),
    HOURGLASS.case(
        "silu for hardswish",
        {"act": jax.nn.silu},
        "up: silu in JAX, hardswish in PyTorch",
        ("silu|(?<!hard)(?<!hard_)swish", "hard_?swish|hard_?silu"),
        where=r"\bup\b|hard_?swish",
        claims="activation",
    ),
    HOURGLASS.case(
        "skip connection first",
        {"join": lambda y, x: (x, y)},
        "before mix: JAX has both parts exchanged in the concatenation",
        (EXCHANGED + "|order|concat", r"concat|cat\b|parts|columns|weight"),
        where=r"\bmix\b|cat\b|\bup\b",
        claims="exchanged",
    ),
    HOURGLASS.case(
        "shuffled with the channels last",
        {"shuffle": partial(shuffled, channels_last=True)},
        "pixel_shuffle after mix: the channels are in the order (r, r, c) in JAX, (c, r, r) in PyTorch",
        (r"shuffle|channels?\b", r"order|permut|transpos|interleav|exchang|\(r, r, c\)"),
        where=r"\bmix\b|shuffle",
        claims="transposed exchanged",
    ),
    HOURGLASS.case(
        "every second pixel",
        {"halve": lambda x: x[:, :, ::2, ::2]},
        "interpolate: nearest in JAX, bilinear in PyTorch",
        ("nearest|every (second|other)|stride|slice|\bmode\b", r"bilinear|mean|average|interpolat|upsample"),
        where=r"\bmix\b|\bout\b|interpolat|upsample|shuffle",
        claims="stride",
        false=("nearest in PyTorch",),
    ),
)
