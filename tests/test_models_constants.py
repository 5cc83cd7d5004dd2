"""What a port has in place of PyTorch's constants and weights: other rotary tables, a weight too many, a tied head."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from crosscheck import compare_models

TOKENS, WIDTH = 7, 12
HALF = WIDTH // 2
BASE = "JAX's frequencies have the base 500, PyTorch's 10000, behind up"


def frequencies(base: float) -> np.ndarray:
    return base ** (-np.arange(HALF) / HALF)


class Rotated(nn.Module):
    """Turns the pairs of a projection by their positions, and multiplies what was turned."""

    def __init__(self, factors: np.ndarray, scale: float) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, WIDTH), nn.Linear(WIDTH, 3, bias=False)
        self.register_buffer(
            "inv_freq", torch.tensor(frequencies(10_000.0) * factors, dtype=torch.float32), persistent=False
        )
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        angles = torch.arange(TOKENS, dtype=torch.float32)[:, None] * self.inv_freq
        cos, sin = angles.cos() * self.scale, angles.sin() * self.scale
        first, second = self.up(x).chunk(2, -1)
        return self.down(torch.cat([first * cos - second * sin, second * cos + first * sin], -1))


def rotated(p: Any, x: Any, *, inverse: np.ndarray, scale: float, in_jax: bool, extra: bool) -> Any:
    """The port; it has its tables from NumPy, or computes them."""
    m = jnp if in_jax else np
    angles = m.arange(TOKENS, dtype=np.float32)[:, None] * m.asarray(inverse, np.float32)
    cos, sin = (one.astype(np.float32) for one in (m.cos(angles) * scale, m.sin(angles) * scale))
    first, second = jnp.split(x @ p["up.weight"].T + p["up.bias"], 2, -1)
    y = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)
    return y @ p["down.weight"].T + (p["extra"] if extra else 0.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"inverse": frequencies(500.0)}, BASE),
        (
            {"inverse": frequencies(500.0), "in_jax": True},
            BASE,
        ),
        ({"scale": 1.5}, "JAX's cosines and sines are scaled by 1.5, PyTorch's by 1, behind up"),
        ({"extra": True}, "JAX adds ['extra'] there, for which PyTorch has no weight"),
        ({}, ""),
    ],
)
def test_other_tables_and_weights_are_named(wrong: dict[str, Any], said: str) -> None:
    torch.manual_seed(0)
    model = Rotated(np.ones(HALF), 1.0)
    options = {"inverse": frequencies(10_000.0), "scale": 1.0, "in_jax": False, "extra": False} | wrong
    params = {name: jnp.asarray(one.detach()) for name, one in model.named_parameters()} | {
        "extra": jnp.asarray([0.3, -0.7, 1.1])
    }
    x = np.random.default_rng(0).normal(size=(2, TOKENS, 4)).astype(np.float32)
    report = compare_models(model, lambda p, x: rotated(p, x, **options), [x], params=params, order=0)
    assert [fault.explanation for fault in report.faults] == ([said] if said else []), report.story()


def test_frequencies_that_were_not_scaled_are_named() -> None:
    torch.manual_seed(0)
    factors = np.linspace(1, 0.125, HALF)
    model = Rotated(factors, 1.0)
    params = {name: jnp.asarray(one.detach()) for name, one in model.named_parameters()}
    x = np.random.default_rng(0).normal(size=(2, TOKENS, 4)).astype(np.float32)
    options = {"inverse": frequencies(10_000.0), "scale": 1.0, "in_jax": True, "extra": False}
    report = compare_models(model, lambda p, x: rotated(p, x, **options), [x], params=params, order=0)
    said = "JAX's frequencies are PyTorch's times factors from 1 to 8, behind up"
    assert [fault.explanation for fault in report.faults] == [said]


class Timed(nn.Module):
    """A layer of the cosines and sines of times, whose frequencies are powers of 10000."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Linear(WIDTH, 3)

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        angles = times[:, None] * torch.exp(torch.arange(HALF) * (-math.log(10_000) / HALF))
        return self.down(torch.cat([angles.cos(), angles.sin()], -1))


@pytest.mark.parametrize(
    ("steps", "base", "said"),
    [
        (HALF - 1, 10_000, "JAX's frequencies divide their exponents by 5, PyTorch's by 6"),
        (HALF, 500, "JAX's frequencies have the base 500, PyTorch's 10000"),
    ],
)
def test_frequencies_of_other_exponents_are_named(steps: int, base: float, said: str) -> None:
    torch.manual_seed(0)
    model = Timed()
    params = {name: jnp.asarray(one.detach()) for name, one in model.named_parameters()}

    def port(p: Any, times: Any) -> Any:
        angles = times[:, None] * jnp.exp(jnp.arange(HALF) * (-math.log(base) / steps))
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1) @ p["down.weight"].T + p["down.bias"]

    report = compare_models(model, port, [np.array([21.0, 640.0], np.float32)], params=params, order=0)
    assert [fault.explanation.startswith(said) for fault in report.faults] == [True], report.story()


def test_an_activation_without_a_module_is_named() -> None:
    class Mlp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(4, 16), nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.down(nn.functional.gelu(self.up(x)))

    torch.manual_seed(0)
    model = Mlp()
    params = {name: jnp.asarray(one.detach()) for name, one in model.named_parameters()}

    def port(p: Any, x: Any) -> Any:
        h = jax.nn.gelu(x @ p["up.weight"].T + p["up.bias"], approximate=True)
        return h @ p["down.weight"].T + p["down.bias"]

    x = np.random.default_rng(0).normal(size=(2, TOKENS, 4)).astype(np.float32)
    report = compare_models(model, port, [x], params=params, order=0)
    assert [fault.explanation for fault in report.faults] == ["gelu: the tanh form in JAX, exact in PyTorch, behind up"]


def test_a_head_that_jax_ties_to_the_embedding_is_named() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.mid, self.head = nn.Embedding(9, 6), nn.Linear(6, 6), nn.Linear(6, 9, bias=False)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(torch.tanh(self.mid(self.embed(ids))))

    torch.manual_seed(0)
    model = Words()
    params = {name: jnp.asarray(one.detach()) for name, one in model.named_parameters() if not name.startswith("head")}

    def port(p: Any, ids: Any) -> Any:
        return jnp.tanh(p["embed.weight"][ids] @ p["mid.weight"].T + p["mid.bias"]) @ p["embed.weight"].T

    ids = np.random.default_rng(0).integers(0, 9, (2, 5)).astype(np.int32)
    report = compare_models(model, port, [ids], params=params, order=0)
    (fault,) = report.faults
    assert fault.explanation.startswith(
        "JAX applies ['embed.weight'] there too, as if head.weight were tied to embed.weight"
    )


class Without(nn.Module):
    """Embeddings beside zeros, as of guidance without a prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(7, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        return self.head(torch.cat([torch.zeros_like(x), x]))


@pytest.mark.parametrize("zeros", [True, False])
def test_zeros_on_one_side_are_named(zeros: bool) -> None:
    torch.manual_seed(0)
    model = Without()
    params = {name: jnp.asarray(one.detach()) for name, one in model.named_parameters()}

    def port(p: Any, ids: Any) -> Any:
        x = p["embed.weight"][ids]
        y = jnp.concatenate([jnp.zeros_like(x) if zeros else p["embed.weight"][jnp.zeros_like(ids)], x])
        return y @ p["head.weight"].T + p["head.bias"]

    report = compare_models(model, port, [np.array([[1, 2, 3], [4, 5, 6]])], params=params, order=0)
    said = "PyTorch has only zeros in the first 6 of 12 rows, where JAX has other numbers"
    assert [fault.explanation for fault in report.faults] == ([] if zeros else [said]), report.story()
