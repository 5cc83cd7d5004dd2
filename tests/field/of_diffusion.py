"""Bugs of diffusers and of its forerunner, stable-diffusion-jax: a U-Net, schedulers and samplers."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from flax import linen
from ported import normals, weights_of
from torch import nn
from zoo.of_linen import conv, dense, norm

from field.of_transformers import seeded
from field.records import Bug, Functions, Models

Array = Any
TRAINED = 1000
ALPHAS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, TRAINED) ** 2)
"""The products of 1 - beta, of Stable Diffusion's schedule."""
TIMES, CHANNELS, GROUPS = 32, 8, 4
STEPS = 5
WORDS, TOKENS, WIDTH = 23, 6, 16
GUIDANCE = 7.5
LATENTS, WEIGHTS = normals(2, 3, 4, 4, seed=1), normals(4, 4, seed=2)


# a U-Net


class Sinusoids(nn.Module):
    """Cosines and sines of the times."""

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        half = TIMES // 2
        frequencies = torch.exp(torch.arange(half) * (-math.log(10000) / half))
        angles = times[:, None] * frequencies
        return torch.cat([angles.cos(), angles.sin()], -1)


class Block(nn.Module):
    """Two convolutions behind norms, between which the time comes in."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, channels), nn.Conv2d(channels, out, 3, padding=1)
        self.time = nn.Linear(CHANNELS, out)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, out), nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(y)))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.times = Sinusoids()
        self.time1, self.time2 = nn.Linear(TIMES, CHANNELS), nn.Linear(CHANNELS, CHANNELS)
        self.first = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.left, self.down = Block(CHANNELS, CHANNELS), nn.Conv2d(CHANNELS, CHANNELS, 3, 2, padding=1)
        self.middle, self.up = Block(CHANNELS, CHANNELS), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.right = Block(2 * CHANNELS, CHANNELS)
        self.last_norm, self.last = nn.GroupNorm(GROUPS, CHANNELS), nn.Conv2d(CHANNELS, 3, 3, padding=1)

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        time = self.time2(F.silu(self.time1(self.times(times))))
        left = self.left(self.first(x), time)
        y = self.middle(self.down(left), time)
        y = self.up(F.interpolate(y, scale_factor=2.0, mode="nearest"))
        y = self.right(torch.cat([y, left], 1), time)
        return self.last(F.silu(self.last_norm(y)))


def flax_conv(channels: int, name: str, size: int = 3, stride: int = 1) -> linen.Conv:
    return linen.Conv(channels, (size, size), stride, padding=[(size // 2, size // 2)] * 2, name=name)


class FlaxBlock(linen.Module):
    @linen.compact
    def __call__(self, x: Array, time: Array) -> Array:
        y = flax_conv(CHANNELS, "conv1")(linen.silu(linen.GroupNorm(GROUPS, epsilon=1e-5, name="norm1")(x)))
        y = y + linen.Dense(CHANNELS, name="time")(linen.silu(time))[:, None, None]
        y = flax_conv(CHANNELS, "conv2")(linen.silu(linen.GroupNorm(GROUPS, epsilon=1e-5, name="norm2")(y)))
        return flax_conv(CHANNELS, "shortcut", 1)(x) + y


class FlaxUNet(linen.Module):
    """``shift`` is taken from the number of frequencies by which the steps of their logarithms are divided."""

    shift: int

    @linen.compact
    def __call__(self, x: Array, times: Array) -> Array:
        half = TIMES // 2
        frequencies = jnp.exp(jnp.arange(half) * (-math.log(10000) / (half - self.shift)))
        angles = times[:, None] * frequencies
        time = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)
        time = linen.Dense(CHANNELS, name="time2")(linen.silu(linen.Dense(CHANNELS, name="time1")(time)))
        left = FlaxBlock(name="left")(flax_conv(CHANNELS, "first")(x.transpose(0, 2, 3, 1)), time)
        y = FlaxBlock(name="middle")(flax_conv(CHANNELS, "down", stride=2)(left), time)
        y = jax.image.resize(y, (len(y), 2 * y.shape[1], 2 * y.shape[2], CHANNELS), "nearest")
        y = FlaxBlock(name="right")(jnp.concatenate([flax_conv(CHANNELS, "up")(y), left], -1), time)
        y = flax_conv(3, "last")(linen.silu(linen.GroupNorm(GROUPS, epsilon=1e-5, name="last_norm")(y)))
        return y.transpose(0, 3, 1, 2)


def unet(*, shift: int) -> Models:
    model = seeded(UNet)
    own = weights_of(model)
    params: dict[str, Any] = {name: conv(own, name) for name in ("first", "down", "up", "last")}
    params |= {name: dense(own, name) for name in ("time1", "time2")}
    params["last_norm"] = norm(own, "last_norm")
    for block in ("left", "middle", "right"):
        convs = {name: conv(own, f"{block}.{name}") for name in ("conv1", "conv2", "shortcut")}
        norms = {name: norm(own, f"{block}.{name}") for name in ("norm1", "norm2")}
        params[block] = {**convs, **norms, "time": dense(own, f"{block}.time")}
    port = FlaxUNet(shift).bind({"params": params})
    return Models(model, port, [LATENTS, np.array([21, 640])])


# schedulers and samplers


def noise(x: Any, weights: Any, time: int) -> Any:
    """What stands for the network that predicts noise, of both sides."""
    return (x @ weights + math.sin(0.3 * time)) / (1 + 0.001 * time)


def ddim(*, eta: float) -> Functions:
    """The whole sampling without new noise, in five steps."""
    times = [k * (TRAINED // STEPS) for k in reversed(range(STEPS))]

    def in_torch(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        alphas = torch.as_tensor(ALPHAS, dtype=x.dtype)
        for time in times:
            before = time - TRAINED // STEPS
            alpha, target = alphas[time], alphas[before] if before >= 0 else torch.ones_like(alphas[0])
            output = noise(x, weights, time)
            clean = (x - (1 - alpha).sqrt() * output) / alpha.sqrt()
            x = target.sqrt() * clean + (1 - target).sqrt() * output
        return x

    def in_jax(x: Array, weights: Array) -> Array:
        alphas = jnp.asarray(ALPHAS, x.dtype)
        for time in times:
            before = time - TRAINED // STEPS
            alpha, target = alphas[time], jnp.where(before >= 0, alphas[before], 1.0)
            output = noise(x, weights, time)
            clean = (x - jnp.sqrt(1 - alpha) * output) / jnp.sqrt(alpha)
            variance = (1 - target) / (1 - alpha) * (1 - alpha / target)
            deviation = eta * jnp.sqrt(variance)
            x = jnp.sqrt(target) * clean + jnp.sqrt(1 - target - deviation**2) * output
        return x

    return Functions(in_torch, in_jax, [LATENTS, WEIGHTS], order=0)


def add_noise(*, power: float) -> Functions:
    """The share of noise is the square root of 1 - alpha; with another power, it is not."""

    def in_torch(x: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        alphas = torch.as_tensor(ALPHAS, dtype=x.dtype)[times]
        kept, added = alphas**0.5, (1 - alphas) ** 0.5
        return kept[:, None, None, None] * x + added[:, None, None, None] * noise

    def in_jax(x: Array, noise: Array, times: Array) -> Array:
        alphas = jnp.asarray(ALPHAS, x.dtype)[times]
        kept, added = alphas**0.5, (1 - alphas) ** power
        return kept[:, None, None, None] * x + added[:, None, None, None] * noise

    return Functions(in_torch, in_jax, [LATENTS, normals(2, 3, 4, 4, seed=3), np.array([17, 801])])


def plms(*, offset: int = 1, all_steps: bool = True) -> Functions:
    """Sampling by pseudo linear multistep, whose second step repeats the first: there is one more than was asked for."""

    def in_torch(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        times = torch.arange(0, TRAINED, TRAINED // STEPS) + 1
        times = torch.cat([times[:-1], times[-2:]]).flip(0)
        return sampled(x, weights, times.tolist(), 1, torch.as_tensor(ALPHAS, dtype=x.dtype))

    def in_jax(x: Array, weights: Array) -> Array:
        steps = np.arange(0, TRAINED, TRAINED // STEPS) + offset
        steps = np.concatenate([steps[:-1], steps[-2:]])[::-1]
        times = [int(steps[k]) for k in range(len(steps) if all_steps else STEPS)]
        return sampled(x, weights, times, offset, jnp.asarray(ALPHAS, x.dtype))

    return Functions(in_torch, in_jax, [LATENTS, WEIGHTS], order=0)


def sampled(x: Any, weights: Any, times: list[int], offset: int, alphas: Any) -> Any:
    """The loop of both sides: what they do alike with the times that each of them makes."""
    outputs: list[Any] = []
    start = x
    for count, time in enumerate(times):
        output = noise(x, weights, time)
        now, before = time, max(time - TRAINED // STEPS, 0)
        if count == 1:
            now, before, x = time + TRAINED // STEPS, time, start
            output = (output + outputs[-1]) / 2
        else:
            outputs.append(output)
            output = multistep(outputs[-4:])
        alpha, target = alphas[now + 1 - offset], alphas[before + 1 - offset]
        share = alpha * (1 - target) ** 0.5 + (alpha * (1 - alpha) * target) ** 0.5
        x = (target / alpha) ** 0.5 * x - (target - alpha) * output / share
    return x


def multistep(outputs: list[Any]) -> Any:
    """The sum of up to four outputs by the coefficients of Adams and Bashforth."""
    coefficients = {1: (1,), 2: (-1 / 2, 3 / 2), 3: (5 / 12, -16 / 12, 23 / 12), 4: (-9 / 24, 37 / 24, -59 / 24, 55 / 24)}
    return sum(share * output for share, output in zip(coefficients[len(outputs)], outputs, strict=True))


# prompts


class TextEncoder(nn.Module):
    """Words to their contexts, and to one vector of all."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(TOKENS, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.norm, self.project = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.words(ids) + self.places.weight
        x = self.norm(x + self.down(F.silu(self.up(x))))
        return x, self.project(x[:, -1])


class Denoiser(nn.Module):
    """Latents that attend to the context, beside the vector of all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.pooled = nn.Linear(4, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        self.last = nn.Linear(WIDTH, 4)

    def forward(self, x: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        x = F.silu(self.first(x) + self.pooled(pooled)[:, None])
        x = x + F.scaled_dot_product_attention(self.query(x), self.key(context), self.value(context))
        return self.last(x)


class Guided(nn.Module):
    """The noise with guidance: without a negative prompt, its contexts are zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.denoiser = TextEncoder(), Denoiser()

    def forward(self, ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        context, pooled = self.encoder(ids)
        contexts = torch.cat([torch.zeros_like(context), context])
        output = self.denoiser(torch.cat([x, x]), contexts, torch.cat([torch.zeros_like(pooled), pooled]))
        without, given = output.chunk(2)
        return without + GUIDANCE * (given - without)


class FlaxTextEncoder(linen.Module):
    @linen.compact
    def __call__(self, ids: Array) -> tuple[Array, Array]:
        places = linen.Embed(TOKENS, WIDTH, name="places")(jnp.arange(TOKENS))
        x = linen.Embed(WORDS, WIDTH, name="words")(ids) + places
        y = linen.Dense(WIDTH, name="down")(linen.silu(linen.Dense(2 * WIDTH, name="up")(x)))
        x = linen.LayerNorm(1e-5, name="norm")(x + y)
        return x, linen.Dense(WIDTH, use_bias=False, name="project")(x[:, -1])


class FlaxDenoiser(linen.Module):
    @linen.compact
    def __call__(self, x: Array, context: Array, pooled: Array) -> Array:
        x = linen.silu(linen.Dense(WIDTH, name="first")(x) + linen.Dense(WIDTH, name="pooled")(pooled)[:, None])
        q = linen.Dense(WIDTH, use_bias=False, name="query")(x)
        k, v = (linen.Dense(WIDTH, use_bias=False, name=name)(context) for name in ("key", "value"))
        weights = jax.nn.softmax(jnp.einsum("bqd,bkd->bqk", q, k) * WIDTH**-0.5, -1)
        return linen.Dense(4, name="last")(x + weights @ v)


class FlaxGuided(linen.Module):
    """``zeroed``, or else the contexts are those of the empty prompt, which is all padding."""

    zeroed: bool

    @linen.compact
    def __call__(self, ids: Array, x: Array) -> Array:
        encoder = FlaxTextEncoder(name="encoder")
        context, pooled = encoder(ids)
        if self.zeroed:
            no_context, no_pooled = jnp.zeros_like(context), jnp.zeros_like(pooled)
        else:
            no_context, no_pooled = encoder(jnp.zeros_like(ids))
        contexts, vectors = jnp.concatenate([no_context, context]), jnp.concatenate([no_pooled, pooled])
        output = FlaxDenoiser(name="denoiser")(jnp.concatenate([x, x]), contexts, vectors)
        without, given = jnp.split(output, 2)
        return without + GUIDANCE * (given - without)


def guided(*, zeroed: bool) -> Models:
    model = seeded(Guided)
    own = weights_of(model)
    encoder = {name: dense(own, f"encoder.{name}") for name in ("up", "down", "project")}
    encoder["norm"] = norm(own, "encoder.norm")
    encoder |= {name: {"embedding": jnp.asarray(own[f"encoder.{name}.weight"])} for name in ("words", "places")}
    names = ("first", "pooled", "query", "key", "value", "last")
    denoiser = {name: dense(own, f"denoiser.{name}") for name in names}
    port = FlaxGuided(zeroed).bind({"params": {"encoder": encoder, "denoiser": denoiser}})
    ids = np.random.default_rng(4).integers(1, WORDS, size=(2, TOKENS))
    return Models(model, port, [ids, normals(2, 5, 4, seed=5)])


BUGS = (
    Bug(
        name="diffusers_time_frequencies",
        project="huggingface/diffusers",
        place="https://github.com/huggingface/diffusers/pull/594",
        what="The Flax U-Net spaces the frequencies of the time by one less than their number, PyTorch's by their number.",
        shows="values",
        right=lambda: unet(shift=0),
        wrong=lambda: unet(shift=1),
        cause=(r"frequenc", r"freq_shift", r"\bsin(e|es|usoids?|usoidal)?\b|\bcos(ine|ines)?\b", r"/ ?1[56]\b|by 1[56]\b"),
        where=r"time",
    ),
    Bug(
        name="diffusers_ddim_eta",
        project="huggingface/diffusers",
        place="https://github.com/huggingface/diffusers/pull/594",
        what="Flax's DDIM takes off the variance of noise that it never adds: eta is 1, where PyTorch's is 0.",
        shows="values",
        right=lambda: ddim(eta=0.0),
        wrong=lambda: ddim(eta=1.0),
        cause=(r"\beta\b", r"\bvariance\b|\bdeviation\b|\bsigma\b", r"direction"),
    ),
    Bug(
        name="diffusers_zeroed_prompts",
        project="huggingface/diffusers",
        place="https://github.com/huggingface/diffusers/pull/5203",
        what="Flax's SDXL encodes the empty prompt where no negative one is given, where PyTorch takes zeros.",
        shows="values",
        right=lambda: guided(zeroed=True),
        wrong=lambda: guided(zeroed=False),
        cause=(r"\bzero(s|ed)?\b", r"unconditional|(negative|empty) prompt", r"\b0 (where|in|for|for all)\b"),
        where=r"encoder|denoiser\.(key|value|pooled)|\b(cat|zeros)",
    ),
    Bug(
        name="diffusers_add_noise",
        project="huggingface/diffusers",
        place="https://github.com/huggingface/diffusers/pull/1661",
        what="Flax's add_noise raises 1 - alpha to the power 0.0, where PyTorch takes its root: all the noise is added.",
        shows="values",
        right=lambda: add_noise(power=0.5),
        wrong=lambda: add_noise(power=0.0),
        cause=(
            r"\b(power|exponent|\*\*)\D{0,20}(0|0\.5)\b",
            r"square root|sqrt\(1|\b0\.5 in place of its 0\b",
            r"\bnoise\b",
            r"second (input|argument)",
        ),
    ),
    Bug(
        name="stable_diffusion_offset",
        project="patil-suraj/stable-diffusion-jax",
        place="https://github.com/patil-suraj/stable-diffusion-jax/pull/4",
        what="The sampler's times start at 0, where PyTorch's have an offset of 1.",
        shows="values",
        right=plms,
        wrong=lambda: plms(offset=0),
        cause=(r"\boffset", r"\btime(s|steps?)?\b", r"\bshift(s|ed)?\b", r"off by one|\b1 (later|earlier|less|more)\b"),
    ),
    Bug(
        name="stable_diffusion_steps",
        project="patil-suraj/stable-diffusion-jax",
        place="https://github.com/patil-suraj/stable-diffusion-jax/pull/6",
        what="The sampler makes as many steps as it is asked for, where the scheduler's times are one more.",
        shows="values",
        right=plms,
        wrong=lambda: plms(all_steps=False),
        cause=(
            r"\b(one|1|\d+) (fewer|more|less|missing)\b",
            r"\b(steps?|iterations?|passes) (fewer|less|missing|too few)",
            r"\b[56] (steps|iterations|times|passes)\b",
            r"stops? (one|early|before)|last (step|iteration)",
        ),
    ),
)
