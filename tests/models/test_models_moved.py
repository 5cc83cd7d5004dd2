"""A module that the port applies to another value: a norm before a sum, which PyTorch applies after it."""

import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts
from torch import nn

from crosscheck import Fact, compare, compare_models

WIDTH = 12


class RMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix, self.norm, self.up = nn.Linear(WIDTH, WIDTH), RMSNorm(), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mix(x)
        return x + torch.tanh(self.up(self.norm(x)))


def block(p: dict[str, Any], x: Any, *, before: bool) -> Any:
    def norm(x: Any) -> Any:
        return x / jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p["norm.weight"]

    mixed = x @ p["mix.weight"].T + p["mix.bias"]
    x = x + (norm(mixed) if before else mixed)
    return x + jnp.tanh((x if before else norm(x)) @ p["up.weight"].T + p["up.bias"])


@pytest.mark.full
@pytest.mark.parametrize("before", [False, True])
def test_a_norm_that_jax_applies_before_a_sum_is_named(before: bool) -> None:
    torch.manual_seed(0)
    model = Block()
    params = {name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.named_parameters()}
    x = np.random.default_rng(0).normal(size=(2, 5, WIDTH)).astype(np.float32)
    report = compare_models(model, lambda p, x: block(p, x, before=before), [x], params=params, order=0)
    expected = Fact("moved", "norm", torch="after it", jax="before the sum")
    assert_facts([fact for fault in report.faults[:1] for fact in fault.facts], *[expected] * before)


def test_a_division_that_pytorch_does_first_is_named() -> None:
    def torch_image(x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        x = x / 255
        return (torch.where(x < 128, x, 255 - x) * level).clamp(0, 255)

    def jax_image(x: Any, level: Any) -> Any:
        return jnp.clip(jnp.where(x < 128, x, 255 - x) * level, 0, 255) / 255

    rng = np.random.default_rng(3)
    inputs = [rng.uniform(0, 255, (2, 6, 6)).astype(np.float32), rng.uniform(1.2, 1.9, (2, 1, 1)).astype(np.float32)]
    (fact,) = compare(torch_image, jax_image, inputs, order=0).diagnosis.facts
    assert (fact.kind, fact.what, fact.torch) == ("moved", "the division by 255", "before them")
    assert re.match(r"after lt, the difference(, | and )where", fact.jax)
