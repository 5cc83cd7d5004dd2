"""Bugs of equinox: adaptive pooling, a transposed convolution's kernel, and rotary positions."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import torch
from torch import nn
from zoo.architecture import State, normals, state_of

from field.of_algoperf import random_model
from field.records import Bug, Functions, Models

Array = Any
PROJECT = "patrick-kidger/equinox"
CHANNELS, POOLED, CLASSES = 6, 4, 5
SEQUENCE, HEAD, BASE = 7, 8, 10000.0


# images are pooled to 4 x 4, whatever their size


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(POOLED)
        self.head = nn.Linear(CHANNELS * POOLED**2, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.head(self.pool(torch.relu(self.conv(x))).flatten(1))


class AdaptiveAvgPool(eqx.Module):
    """As torch has it: windows that overlap where the size is not a multiple of the target."""

    target: int = POOLED

    def __call__(self, x: Array) -> Array:
        """Of (channel, height, width)."""
        for axis in (1, 2):
            size = x.shape[axis]
            windows = [(k * size // self.target, -(-(k + 1) * size // self.target)) for k in range(self.target)]
            parts = [jax.lax.slice_in_dim(x, start, stop, axis=axis).mean(axis) for start, stop in windows]
            x = jnp.stack(parts, axis)
        return x


class EqxClassifier(eqx.Module):
    conv: eqx.nn.Conv2d
    pool: Any
    head: eqx.nn.Linear

    def __call__(self, x: Array) -> Array:
        return self.head(self.pool(jax.nn.relu(self.conv(x))).reshape(-1))


def given_weights(module: Any, state: State, path: str) -> Any:
    """The layer with torch's weights; a convolution's bias has two axes more."""
    weight, bias = jnp.asarray(state[f"{path}.weight"]), jnp.asarray(state[f"{path}.bias"])
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), module, (weight, bias.reshape(module.bias.shape)))


def classifier(*, overlapping: bool) -> Models:
    model = random_model(Classifier())
    state = state_of(model)
    keys = jax.random.split(jax.random.key(0))
    port = EqxClassifier(
        given_weights(eqx.nn.Conv2d(3, CHANNELS, 3, padding=1, key=keys[0]), state, "conv"),
        AdaptiveAvgPool() if overlapping else eqx.nn.AdaptiveAvgPool2d(POOLED),
        given_weights(eqx.nn.Linear(CHANNELS * POOLED**2, CLASSES, key=keys[1]), state, "head"),
    )
    return Models(model, lambda own, x: jax.vmap(own)(x), normals(1, (2, 3, 10, 10)), port)


# a decoder with a transposed convolution


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.up = nn.ConvTranspose2d(CHANNELS, 4, 3, stride=2, padding=1, output_padding=1)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(self.up(torch.relu(self.first(x)))))


class EqxDecoder(eqx.Module):
    first: eqx.nn.Conv2d
    up: eqx.nn.ConvTranspose2d
    last: eqx.nn.Conv2d

    def __call__(self, x: Array) -> Array:
        return self.last(jax.nn.relu(self.up(jax.nn.relu(self.first(x)))))


def decoder(*, flipped: bool) -> Models:
    """torch's kernel is (in, out, height, width), equinox's is (out, in, height, width), and runs the other way."""
    model = random_model(Decoder())
    state = dict(state_of(model))
    kernel = state["up.weight"].swapaxes(0, 1)
    state["up.weight"] = kernel[..., ::-1, ::-1] if flipped else kernel
    keys = jax.random.split(jax.random.key(0), 3)
    up = eqx.nn.ConvTranspose2d(CHANNELS, 4, 3, stride=2, padding=1, output_padding=1, key=keys[1])
    port = EqxDecoder(
        given_weights(eqx.nn.Conv2d(3, CHANNELS, 3, padding=1, key=keys[0]), state, "first"),
        given_weights(up, state, "up"),
        given_weights(eqx.nn.Conv2d(4, 2, 1, key=keys[2]), state, "last"),
    )
    return Models(model, lambda own, x: jax.vmap(own)(x), normals(2, (2, 3, 5, 5)), port)


# rotary positions


def torch_rotary(x: Any) -> Any:
    """Of (token, feature), as Hugging Face has it: the first and the second half are turned together."""
    frequencies = 1.0 / BASE ** (torch.arange(0, HEAD, 2, dtype=x.dtype) / HEAD)
    angles = torch.outer(torch.arange(SEQUENCE, dtype=x.dtype), frequencies)
    angles = torch.cat((angles, angles), -1)
    first, second = x.chunk(2, -1)
    return x * angles.cos() + torch.cat((-second, first), -1) * angles.sin()


def jax_rotary(x: Array, *, joined: bool) -> Array:
    frequencies = 1.0 / (BASE ** (jnp.arange(0.0, HEAD, 2, dtype=x.dtype)[None] / HEAD))
    angles = jnp.outer(jnp.arange(SEQUENCE, dtype=x.dtype), frequencies)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = x[..., : HEAD // 2], x[..., HEAD // 2 :]
    turned = first * cos - second * sin, first * sin + second * cos
    return jnp.concatenate(turned, -1) if joined else jnp.stack(turned, -1).reshape(SEQUENCE, HEAD)


def rotary(*, joined: bool) -> Functions:
    return Functions(torch_rotary, lambda x: jax_rotary(x, joined=joined), [normals(3, (SEQUENCE, HEAD))[0]])


BUGS = (
    Bug(
        name="equinox_adaptive_pool",
        project=PROJECT,
        place=f"https://github.com/{PROJECT}/issues/641",
        what="The windows of equinox's adaptive pooling do not overlap where the size is not a multiple of the target.",
        shows="values",
        right=lambda: classifier(overlapping=True),
        wrong=lambda: classifier(overlapping=False),
        cause=(r"\bwindows?\b", r"\badaptive", r"\boverlap"),
        where=r"pool",
    ),
    Bug(
        name="equinox_transposed_kernel",
        project=PROJECT,
        place=f"https://github.com/{PROJECT}/issues/574",
        what="The kernel of the transposed convolution is copied without being flipped in height and width.",
        shows="values",
        right=lambda: decoder(flipped=True),
        wrong=lambda: decoder(flipped=False),
        cause=(r"\bflip", r"\brevers"),
        where=r"^up\b",
    ),
    Bug(
        name="equinox_rotary",
        project=PROJECT,
        place=f"https://github.com/{PROJECT}/pull/799",
        what="The turned halves are put together by turns, not one after the other.",
        shows="values",
        right=lambda: rotary(joined=True),
        wrong=lambda: rotary(joined=False),
        cause=(r"interleav", r"\bby turns\b", r"\bhal(f|ves)\b", r"\border\b", r"\bpermut", r"\bpairs?\b"),
    ),
)
