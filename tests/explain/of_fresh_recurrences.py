"""Mistakes in ports of a state space and of a linear attention that is a recurrence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import torch
from field.records import Models
from ported import normals, randomised, weights_of
from torch import nn
from torch.nn import functional as F

from explain.records import Right
from explain.words import FORGETS, SHIFTED

BATCH, TOKENS, WIDTH, INNER, STATE, RANK, TAPS = 2, 5, 6, 8, 3, 2, 3
Array = Any
Weights = Mapping[str, Array]


def linear(p: Weights, name: str, x: Array) -> Array:
    return x @ p[f"{name}.weight"].T


# a selective state space


class Selective(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(WIDTH, 2 * INNER, bias=False)
        self.conv = nn.Conv1d(INNER, INNER, TAPS, groups=INNER, padding=TAPS - 1)
        self.proj = nn.Linear(INNER, RANK + 2 * STATE, bias=False)
        self.dt = nn.Linear(RANK, INNER)
        self.a_log, self.d = nn.Parameter(torch.zeros(INNER, STATE)), nn.Parameter(torch.ones(INNER))
        self.out = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: Any) -> Any:
        u, z = self.into(x).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[..., :TOKENS].transpose(1, 2))
        dt, b, c = self.proj(u).split([RANK, STATE, STATE], -1)
        dt, a = F.softplus(self.dt(dt)), -torch.exp(self.a_log)
        h, outputs = u.new_zeros(len(x), INNER, STATE), []
        for t in range(TOKENS):
            h = torch.exp(dt[:, t, :, None] * a) * h + (dt[:, t] * u[:, t])[..., None] * b[:, t, None]
            outputs.append((h * c[:, t, None]).sum(-1))
        y = torch.stack(outputs, 1) + u * self.d
        return self.out(y * F.silu(z))


@dataclass(frozen=True)
class SelectivePort:
    """The same in JAX, as a scan. A mistake replaces some of these parts."""

    pads: tuple[int, int] = (TAPS - 1, 0)
    drive: Callable[[Array, Array], Array] = lambda dt, u: dt * u

    def outputs(self, p: Weights, x: Array) -> Array:
        u, z = jnp.split(linear(p, "into", x), 2, -1)
        numbers = ("NTC", "OIT", "NTC")
        u = jax.lax.conv_general_dilated(
            u, p["conv.weight"], (1,), [self.pads], dimension_numbers=numbers, feature_group_count=INNER
        )
        u = jax.nn.silu(u + p["conv.bias"])
        dt, b, c = jnp.split(linear(p, "proj", u), [RANK, RANK + STATE], -1)
        dt, a = jax.nn.softplus(linear(p, "dt", dt) + p["dt.bias"]), -jnp.exp(p["a_log"])

        def step(h: Array, now: Any) -> tuple[Array, Array]:
            dt, u, b, c = now
            h = jnp.exp(dt[..., None] * a) * h + self.drive(dt, u)[..., None] * b[:, None]
            return h, (h * c[:, None]).sum(-1)

        steps = [array.swapaxes(0, 1) for array in (dt, u, b, c)]
        outputs = jax.lax.scan(step, jnp.zeros((BATCH, INNER, STATE), x.dtype), steps)[1]
        return linear(p, "out", (outputs.swapaxes(0, 1) + u * p["d"]) * jax.nn.silu(z))


# a linear attention that decays, and a mix of channels


class Receptive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mix, self.mix2 = nn.Parameter(0.5 * torch.ones(3, WIDTH)), nn.Parameter(0.5 * torch.ones(2, WIDTH))
        self.decay, self.bonus = nn.Parameter(torch.zeros(WIDTH)), nn.Parameter(0.5 * torch.ones(WIDTH))
        self.k, self.v, self.r, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.key, self.value = nn.Linear(WIDTH, INNER, bias=False), nn.Linear(INNER, WIDTH, bias=False)
        self.gate = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Any) -> Any:
        x = x + self.of_time(self.n1(x))
        return x + self.of_channels(self.n2(x))

    def of_time(self, x: Any) -> Any:
        before = F.pad(x, (0, 0, 1, -1))
        mixed = [x * mix + before * (1 - mix) for mix in self.mix]
        k, v, r = (of(mixture) for of, mixture in zip((self.k, self.v, self.r), mixed, strict=True))
        kept = torch.exp(-torch.exp(self.decay))
        above = below = x.new_zeros(len(x), WIDTH)
        means = []
        for t in range(TOKENS):
            now = torch.exp(self.bonus + k[:, t])
            means.append((above + now * v[:, t]) / (below + now))
            above, below = kept * above + torch.exp(k[:, t]) * v[:, t], kept * below + torch.exp(k[:, t])
        return self.o(torch.sigmoid(r) * torch.stack(means, 1))

    def of_channels(self, x: Any) -> Any:
        before = F.pad(x, (0, 0, 1, -1))
        k, r = (x * mix + before * (1 - mix) for mix in self.mix2)
        return torch.sigmoid(self.gate(r)) * self.value(F.relu(self.key(k)) ** 2)


def one_before(x: Array) -> Array:
    return jnp.pad(x, [(0, 0), (1, 0), (0, 0)])[:, :-1]


def normed(p: Weights, name: str, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


@dataclass(frozen=True)
class ReceptivePort:
    """The same in JAX, as a scan. A mistake replaces some of these parts."""

    before: Callable[[Array], Array] = one_before
    """The tokens before, for the attention."""
    now: Callable[[Array, Array], Array] = lambda bonus, k: jnp.exp(bonus + k)
    act: Callable[[Array], Array] = lambda x: jnp.square(jax.nn.relu(x))

    def outputs(self, p: Weights, x: Array) -> Array:
        x = x + self.of_time(p, normed(p, "n1", x))
        return x + self.of_channels(p, normed(p, "n2", x))

    def of_time(self, p: Weights, x: Array) -> Array:
        before = self.before(x)
        k, v, r = (linear(p, name, x * mix + before * (1 - mix)) for name, mix in zip("kvr", p["mix"], strict=True))
        kept = jnp.exp(-jnp.exp(p["decay"]))

        def step(held: tuple[Array, Array], tokens: Any) -> tuple[tuple[Array, Array], Array]:
            above, below = held
            k, v = tokens
            now = self.now(p["bonus"], k)
            y = (above + now * v) / (below + now)
            return (kept * above + jnp.exp(k) * v, kept * below + jnp.exp(k)), y

        nothing = jnp.zeros((BATCH, WIDTH), x.dtype)
        means = jax.lax.scan(step, (nothing, nothing), (k.swapaxes(0, 1), v.swapaxes(0, 1)))[1]
        return linear(p, "o", jax.nn.sigmoid(r) * means.swapaxes(0, 1))

    def of_channels(self, p: Weights, x: Array) -> Array:
        before = one_before(x)
        k, r = (x * mix + before * (1 - mix) for mix in p["mix2"])
        return jax.nn.sigmoid(linear(p, "gate", r)) * linear(p, "value", self.act(linear(p, "key", k)))


def selective(**change: Any) -> Models:
    return made(Selective, SelectivePort(**change).outputs)


def receptive(**change: Any) -> Models:
    return made(Receptive, ReceptivePort(**change).outputs)


def made(of: Callable[[], nn.Module], port: Callable[..., Array]) -> Models:
    torch.manual_seed(0)
    model = randomised(of())
    params = {name: jnp.asarray(weight) for name, weight in weights_of(model).items()}
    return Models(model, port, [normals(BATCH, TOKENS, WIDTH, seed=1)], params)


SELECTIVE = Right("selective state space", "model", selective)
RECEPTIVE = Right("receptive recurrence", "model", receptive)

CASES = (
    SELECTIVE.case(
        "input not times the step",
        {"drive": lambda dt, u: u},
        "after dt: JAX forgets to multiply u by dt (softplus) before B",
        (FORGETS, r"mul|times|product|softplus|\bdt\b|step"),
        where=r"\bdt\b|softplus|\bout\b|\bproj\b|stack|scan|\bmul",
        claims="forgets",
    ),
    SELECTIVE.case(
        "convolution not causal",
        {"pads": (1, 1)},
        "conv: JAX pads (1, 1), PyTorch (2, 0): the output is shifted by 1",
        (r"\bpad", r"\(?1, 1|\(?2, 0|\b1\b.*\b2\b|\b2\b.*\b1\b"),
        SHIFTED,
        (r"slice|\[\.\.\., |:5\]|crop", r"\b1\b"),
        where=r"\bconv\b",
        claims="padding shifted",
    ),
    RECEPTIVE.case(
        "first token sees the last",
        {"before": lambda x: jnp.roll(x, 1, 1)},
        "after n1: JAX rolls by a token where PyTorch pads with 0: the first entry along axis 1",
        (r"\broll|wrap|circular|around|\blast\b|periodic"),
        (r"\bpad", r"zero|\b0\b|first|wrap|circular"),
        where=r"\bn1\b|\bpad\b|\b[kvr]\b|\bmix\b",
        claims="padding shifted",
    ),
    RECEPTIVE.case(
        "bonus forgotten",
        {"now": lambda bonus, k: jnp.exp(k)},
        "after k: JAX forgets to add bonus",
        (FORGETS + "|unused|not used", r"bonus|\badd"),
        where=r"\bk\b|bonus|\bexp\b|\bv\b|\bo\b",
        claims="forgets bias",
    ),
    RECEPTIVE.case(
        "square forgotten",
        {"act": jax.nn.relu},
        "after key: JAX forgets the square (pow 2) of relu",
        (FORGETS, r"squar|pow|\*\* ?2"),
        (r"relu", r"squar|pow|\*\* ?2"),
        where=r"\bkey\b|\bvalue\b|relu|pow",
        claims="forgets activation",
    ),
)
