"""Mistakes in ports of layers that are written as functions of their weights: perceptrons, norms, attention, rotations."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import torch
from ported import normals
from torch.nn import functional as F

from explain.records import functions
from explain.words import EXCHANGED, FORGETS, MORE, NEGATIVE, number, other_side

Array = Any
W1, B1, W2, B2 = normals(12, 8, seed=1), normals(12, seed=2), normals(6, 12, seed=3), normals(6, seed=4)
X = normals(5, 8, seed=5)


# a perceptron


gelu = partial(jax.nn.gelu, approximate=False)


def torch_perceptron(x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    return F.linear(F.gelu(F.linear(x, w1, b1)), w2, b2)


def perceptron(x: Array, w1: Array, b1: Array, w2: Array, b2: Array, act: Any = gelu) -> Array:
    return act(x @ w1.T + b1) @ w2.T + b2


def itself(x: Array) -> Array:
    return x


PERCEPTRON = functions("perceptron", torch_perceptron, perceptron, X, W1, B1, W2, B2)


# a norm and what is added to it


def torch_added(x: Any, w: Any, scale: Any, shift: Any) -> Any:
    return x + F.layer_norm(F.relu(x @ w), (8,), scale, shift, eps=0.05)


def added(
    x: Array, w: Array, scale: Array, shift: Array, *, residual: float = 1.0, outside: bool = False, last: Any = itself
) -> Array:
    y = jax.nn.relu(x @ w)
    y = y - y.mean(-1, keepdims=True)
    variance = (y * y).mean(-1, keepdims=True)
    y = y / (jnp.sqrt(variance) + 0.05) if outside else y / jnp.sqrt(variance + 0.05)
    return last(residual * x + y * scale + shift)


ADDED = functions("norm of a branch", torch_added, added, X, normals(8, 8, seed=6), normals(8, seed=7), normals(8, seed=8))


# a group norm


def torch_grouped(x: Any, scale: Any, shift: Any) -> Any:
    return F.group_norm(x, 4, scale, shift)


def grouped(x: Array, scale: Array, shift: Array, groups: int = 4, strided: bool = False, scaled: Any = itself) -> Array:
    batch, channels, length = x.shape
    split = (batch, channels // groups, groups, length) if strided else (batch, groups, channels // groups, length)
    axes = (1, 3) if strided else (2, 3)
    y = x.reshape(split)
    y = (y - y.mean(axes, keepdims=True)) / jnp.sqrt(y.var(axes, keepdims=True) + 1e-5)
    return y.reshape(x.shape) * scaled(scale)[:, None] + shift[:, None]


GROUPED = functions(
    "group norm", torch_grouped, grouped, normals(2, 8, 7, seed=9) + 1, normals(8, seed=10), normals(8, seed=11)
)


# attention

Q, K, V = (normals(2, 3, 5, 8, seed=seed) for seed in (12, 13, 14))


def torch_attention(q: Any, k: Any, v: Any) -> Any:
    return F.softmax(q @ k.transpose(-1, -2) / math.sqrt(8), -1) @ v


def attention(
    q: Array, k: Array, v: Array, divisor: float = math.sqrt(8), axis: int = -1, inner: Any = jnp.float32
) -> Array:
    scores = (jnp.einsum("bhqd,bhkd->bhqk", q, k) / divisor).astype(inner)
    return jax.nn.softmax(scores, axis).astype(v.dtype) @ v


ATTENTION = functions("attention", torch_attention, attention, Q, K, V)


# rotary positions, of neighbours


def torch_rotary(x: Any, cos: Any, sin: Any) -> Any:
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def rotary(x: Array, cos: Array, sin: Array) -> Array:
    even, odd = x[..., ::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)


def rotary_by_halves(x: Array, cos: Array, sin: Array) -> Array:
    left, right = jnp.split(x, 2, -1)
    return jnp.concatenate([left * cos - right * sin, left * sin + right * cos], -1)


ROTARY = functions("rotary", torch_rotary, rotary, Q, normals(5, 4, seed=15), normals(5, 4, seed=16))


# a convolution in time


def torch_convolution(x: Any, kernel: Any) -> Any:
    return F.silu(F.conv1d(x, kernel, padding=2, dilation=2))


def convolution(x: Array, kernel: Array, dilation: int = 2, pad: int = 2, act: Any = jax.nn.silu) -> Array:
    return act(jax.lax.conv_general_dilated(x, kernel, (1,), [(pad, pad)], rhs_dilation=(dilation,)))


CONVOLUTION = functions(
    "convolution in time", torch_convolution, convolution, normals(2, 4, 11, seed=17), normals(6, 4, 3, seed=18)
)


# a bilinear form


def torch_bilinear(x: Any, form: Any, y: Any) -> Any:
    return torch.tanh(torch.einsum("bi,ij,bj->b", x, form, y))


def bilinear(x: Array, form: Array, y: Array) -> Array:
    return jnp.tanh(jnp.einsum("bi,ij,bj->b", x, form, y))


BILINEAR = functions("bilinear form", torch_bilinear, bilinear, X, 0.1 * normals(8, 8, seed=19), normals(5, 8, seed=20))

CASES = (
    PERCEPTRON.case(
        "gelu forgotten", {"port": partial(perceptron, act=itself)}, "JAX forgets gelu", (FORGETS, "gelu"), claims="forgets"
    ),
    PERCEPTRON.case(
        "silu for gelu",
        {"port": partial(perceptron, act=jax.nn.silu)},
        "silu in JAX, gelu in PyTorch",
        ("silu|swish", "gelu"),
        claims="activation",
        false=("tanh",),
    ),
    PERCEPTRON.case(
        "gelu of the output too",
        {"port": lambda *given: gelu(perceptron(*given))},
        "JAX applies gelu once more, to its result",
        ("gelu", MORE),
        claims="more activation",
        false=("tanh",),
    ),
    ADDED.case(
        "residual negative",
        {"port": partial(added, residual=-1.0)},
        "JAX subtracts the residual x, PyTorch adds it",
        NEGATIVE,
        claims="negative residual",
    ),
    ADDED.case(
        "residual forgotten",
        {"port": partial(added, residual=0.0)},
        "JAX forgets the residual x",
        (FORGETS, r"residual|\badd|\bsum|\+"),
        (r"times 0|\b0(\.0)? (times|in JAX)|multiplies .* by 0", r"\bx\b|residual|add"),
        claims="residual forgets",
    ),
    ADDED.case(
        "epsilon outside the root",
        {"port": partial(added, outside=True)},
        "the layer norm's epsilon 0.05 is added outside the root in JAX, inside it in PyTorch",
        (r"\beps|0\.05", r"outside|inside|to the (root|deviation|std)|(after|before|under) the root|root.*(after|before)"),
        claims="epsilon",
        false=(r"inside\S* (it |the root )?in JAX",),
    ),
    GROUPED.case(
        "another number of groups",
        {"port": partial(grouped, groups=2)},
        "group_norm: 2 groups in JAX, 4 in PyTorch",
        (r"\bgroups?\b|num_groups", number(2), number(4)),
        false=(*other_side(4, 2),),
    ),
    GROUPED.case(
        "groups of every fourth channel",
        {"port": partial(grouped, strided=True)},
        "group_norm: the groups hold channels in another order in JAX: every fourth one, PyTorch neighbours",
        (r"groups?\b|norm|extent|mean", r"order|interleav|every|permut|stride|transpos|exchang|neighbour"),
        claims="transposed exchanged stride",
    ),
    GROUPED.case(
        "scale in another channel order",
        {"port": partial(grouped, scaled=lambda scale: scale.reshape(4, 2).T.reshape(8))},
        "the scale (input 1) has its channels in another order in JAX",
        (r"scale|weight|input 1|x1", r"order|permut|transpos|interleav|exchang|shuffl"),
        claims="transposed exchanged",
    ),
    ATTENTION.case(
        "scores divided by another number",
        {"port": partial(attention, divisor=8.0)},
        "the scores' divisor is 8 in JAX, 2.828 in PyTorch",
        (r"divi|scale", number(8), r"2\.83|2\.828\d*"),
        ("times|multipl|scale", r"0\.35\d*|0\.125"),
        false=other_side(2.8284271247461903, 8),
    ),
    ATTENTION.case(
        "softmax over queries",
        {"port": partial(attention, axis=-2)},
        "softmax over axis -2 in JAX, -1 in PyTorch",
        ("softmax", r"axis|\bdim", r"-2|\b2\b"),
        claims="axis",
    ),
    ATTENTION.case(
        "scores in float16",
        {"port": partial(attention, inner=jnp.float16)},
        "JAX casts the scores to float16",
        r"(?<!b)float16|half precision",
        claims="cast",
        false=("bfloat16",),
    ),
    ROTARY.case(
        "by halves",
        {"port": rotary_by_halves},
        "the rotation is by halves in JAX, interleaved in PyTorch",
        "interleav|halves|even and odd|neighbours",
        false=(r"interleaved in JAX|JAX has [^,;]*interleaved",),
    ),
    ROTARY.case(
        "sine's sign",
        {"port": lambda x, cos, sin: rotary(x, cos, -sin)},
        "JAX has sin with another sign: it adds where PyTorch subtracts",
        NEGATIVE,
        claims="negative more",
    ),
    CONVOLUTION.case(
        "dilation and padding",
        {"port": partial(convolution, dilation=1, pad=1)},
        "conv1d: dilation 1 and padding 1 in JAX, 2 and 2 in PyTorch",
        ("dilat", r"\bpad", number(1), number(2)),
        claims="dilation padding",
        false=other_side(2, 1),
    ),
    CONVOLUTION.case(
        "silu forgotten",
        {"port": partial(convolution, act=itself)},
        "JAX forgets silu after conv1d",
        (FORGETS, "silu|swish"),
        claims="forgets",
    ),
    BILINEAR.case(
        "both arguments exchanged",
        {"port": lambda x, form, y: bilinear(y, form, x)},
        "JAX has x0 and x2 exchanged",
        EXCHANGED,
        "transpos",
        claims="exchanged transposed reversed",
    ),
)
