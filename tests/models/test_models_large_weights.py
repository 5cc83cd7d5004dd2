"""Weights of many numbers, which are not held in float64 as a whole: their products, and the segment of a fault."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts
from ports import seeded
from torch import nn

from crosscheck import Fact, compare_models

WORDS, WIDTH = 1200, 64  # more than 2**16 numbers, which JAX widens


class Scaled(nn.Module):
    """A table of words whose rows are multiplied with a number, as in Gemma."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(WORDS, WIDTH))
        self.scale = nn.Parameter(torch.zeros(WIDTH))
        self.up = nn.Linear(WIDTH, 8)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.table[(words,)] * 8.0  # an index: no landmark
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (self.scale + 1)
        return torch.as_tensor(self.up(x))


def port(p: dict[str, Any], words: Any) -> Any:
    x = p["table"][words]
    x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + 1e-6) * (p["scale"] + 1)
    return x @ p["up.weight"].T + p["up.bias"]


def test_a_fault_behind_a_large_table_is_named_and_its_segment_saved() -> None:
    model = seeded(Scaled())
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
    report = compare_models(model, port, [np.arange(12)], params=params)
    assert report.first is not None
    assert_facts(report.first.facts, Fact("missing", "to multiply with 8"))
    assert len(report.segments) == 1


INPUTS, OUTPUTS, GROUPS = 211, 338, 3  # more than 2**16 numbers; of the blocks below, the last one is smaller


class Grouped(nn.Module):
    """One weight for all rows, then one for each group of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(INPUTS, OUTPUTS)
        self.groups = nn.Parameter(torch.randn(GROUPS, OUTPUTS, INPUTS) / 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.first(x))
        return torch.as_tensor(torch.bmm(x.reshape(GROUPS, -1, OUTPUTS), self.groups))


FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "transposed": lambda w, x: x @ w.T,
    "at the left": lambda w, x: (w @ x.T).T,
    "with two axes": lambda w, x: jnp.einsum("ri,bai->rab", x, w.reshape(-1, 13, INPUTS).swapaxes(0, 1)).reshape(len(x), -1),
}


@pytest.mark.full
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned in memory"])
def test_products_with_a_large_weight_are_computed_in_blocks(
    monkeypatch: pytest.MonkeyPatch, form: str, turned: bool
) -> None:
    monkeypatch.setattr("crosscheck._shadow.base.BLOCK", 2**14)
    model = seeded(Grouped())
    params: dict[str, Any] = {name: value.detach().numpy() for name, value in model.named_parameters()}
    if turned:
        params = {name: np.asfortranarray(value) for name, value in params.items()}

    def grouped(p: dict[str, Any], x: Any) -> Any:
        x = jnp.tanh(FORMS[form](p["first.weight"], x) + p["first.bias"])
        return jnp.einsum("gro,goi->gri", x.reshape(GROUPS, -1, OUTPUTS), p["groups"])

    x = np.random.default_rng(0).standard_normal((3 * GROUPS, INPUTS)).astype(np.float32)
    assert compare_models(model, grouped, [x], params=params, order=1).passed
