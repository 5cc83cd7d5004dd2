"""Attention over a cache that is longer than the input, with rotary positions: JAX has hardly a value that PyTorch has."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from facts import assert_facts
from ports import compared, linear, normal, seeded
from torch import nn

from crosscheck import Fact, ModelsReport

TOKENS, HEADS, SIZE, CACHE = 12, 4, 16, 20
WIDTH = HEADS * SIZE
X = normal(1, TOKENS, WIDTH)


def turned(x: Any, cosines: Any, sines: Any, concatenate: Any) -> Any:
    half = SIZE // 2
    return x * cosines + concatenate([-x[..., half:], x[..., :half]], -1) * sines


class Rotary(nn.Module):
    """The frequencies are held by the module, as in transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("inv_freq", 1e6 ** -(torch.arange(0, SIZE, 2) / SIZE), persistent=False)

    def forward(self, x: torch.Tensor) -> Any:
        angles = torch.outer(torch.arange(x.shape[1]).float(), self.inv_freq).repeat(1, 2)
        return angles.cos(), angles.sin()


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rotary = Rotary()
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for part in (self.q, self.k, self.v))
        q, k = (turned(part, *self.rotary(x), torch.cat) for part in (q, k))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


def port(p: dict[str, Any], x: Any, base: float = 1e6, scale: float = SIZE**-0.5) -> Any:
    heads = (linear(p, name, x).reshape(1, TOKENS, HEADS, SIZE) for name in ("q", "k", "v"))
    q, k, v = (part.swapaxes(1, 2) for part in heads)
    angles = jnp.tile(jnp.outer(jnp.arange(TOKENS), base ** -(np.arange(0, SIZE, 2, np.float32) / SIZE)), 2)
    q, k = (turned(part, jnp.cos(angles), jnp.sin(angles), jnp.concatenate) for part in (q, k))
    k, v = (jnp.pad(part, ((0, 0), (0, 0), (0, CACHE - TOKENS), (0, 0))) for part in (k, v))
    scores = jnp.where(jnp.tril(jnp.ones((TOKENS, CACHE), bool)), q @ k.swapaxes(-1, -2) * scale, -jnp.inf)
    y = jax.nn.softmax(scores, -1) @ v
    return linear(p, "out", y.swapaxes(1, 2).reshape(x.shape))


def model() -> nn.Module:
    made = seeded(Attention())
    made.rotary = Rotary()  # with its own frequencies
    return made


def facts(report: ModelsReport) -> Any:
    assert report.first is not None
    return report.first.facts


def test_the_right_port_is_certified() -> None:
    report = compared(model(), port, X)
    assert report.passed, str(report)


@pytest.mark.full
def test_a_forgotten_scale_is_no_division_by_half_of_it() -> None:
    report = compared(model(), lambda p, x: port(p, x, scale=1.0), X)
    assert_facts(facts(report), Fact("form", "the product's scale", torch="1 / 4", jax="1"))


@pytest.mark.full
def test_other_frequencies_are_named_before_much_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In models of the size in use, one run of a search computes millions of numbers."""
    monkeypatch.setattr("crosscheck._explain.search.Budget.__init__.__defaults__", (200, 2**30))
    report = compared(model(), lambda p, x: port(p, x, base=1e4), X)
    assert_facts(facts(report), Fact("table", "frequencies", jax="have the base 10000", torch="1e+06"))


class Timestep(nn.Module):
    """Embeds a time. The exponents of the frequencies are multiplied before they are divided, as in diffusion models."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(2 * SIZE, WIDTH)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(SIZE, dtype=torch.float32) / SIZE)
        return self.out(torch.cat([angles.cos(), angles.sin()], -1))


def timestep(p: dict[str, Any], t: Any, base: float = 10000) -> Any:
    angles = t[:, None] * jnp.exp(-math.log(base) * jnp.arange(SIZE, dtype=jnp.float32) / SIZE)
    return linear(p, "out", jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1))


def test_frequencies_are_compared_after_all_that_is_computed_from_their_exponents() -> None:
    """The exponents that are not divided yet gave factors up to 1e+10."""
    report = compared(seeded(Timestep()), lambda p, t: timestep(p, t, 1000), np.array([3.0, 40.0], np.float32))
    assert_facts(facts(report), Fact("table", "frequencies", jax="have the base 1000", torch="10000"))
