"""The segment of a fault that begins with a weight of many numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
