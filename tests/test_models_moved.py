"""A module that the port applies to another value: a norm before a sum, which PyTorch applies after it."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from crosscheck import compare_models

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


@pytest.mark.parametrize("before", [False, True])
def test_a_norm_that_jax_applies_before_a_sum_is_named(before: bool) -> None:
    torch.manual_seed(0)
    model = Block()
    params = {name: jnp.asarray(one.detach().numpy()) for name, one in model.named_parameters()}
    x = np.random.default_rng(0).normal(size=(2, 5, WIDTH)).astype(np.float32)
    report = compare_models(model, lambda p, x: block(p, x, before=before), [x], params=params, order=0)
    said = [fault.explanation for fault in report.faults][:1]
    assert said == (["JAX applies norm before the sum, PyTorch after it"] if before else []), report.story()
