"""``copy_weights`` on forms that public models have: a bias of some outputs of a layer, and a table that is not trained."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from ports import X, linear, norm, normal, seeded
from torch import nn
from torch.nn import functional as F

from crosscheck import compare_models, copy_weights

pytestmark = pytest.mark.full


def test_copy_weights_copies_a_bias_of_some_outputs_of_a_layer() -> None:
    class Steps(nn.Module):
        """As the step sizes of a state space model: one layer makes them together with other numbers."""

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.step, self.out = nn.Linear(8, 12, bias=False), nn.Parameter(torch.zeros(4)), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h, size = self.inner(x).split([8, 4], -1)
            return self.out(h * F.softplus(size + self.step).repeat(1, 1, 2))

    def port(p: dict[str, Any], x: Any) -> Any:
        h, size = jnp.split(x @ p["inner"], [8], -1)
        return (h * jnp.tile(jax.nn.softplus(size + p["step"]), (1, 1, 2))) @ p["out"] + p["bias"]

    model = seeded(Steps())
    shapes = {"inner": (8, 12), "step": (4,), "out": (8, 8), "bias": (8,)}
    rng = np.random.default_rng(1)
    params = {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
    filled, _ = copy_weights(model, port, [X], params=params)
    assert np.array_equal(filled["step"], model.step.detach().numpy())
    assert compare_models(model, port, [X], params=filled).passed


def test_copy_weights_keeps_a_table_that_is_not_trained() -> None:
    """JAX computes it."""
    table = np.sin(np.arange(48).reshape(6, 8)).astype(np.float32)

    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places = nn.Parameter(torch.from_numpy(table.copy()), requires_grad=False)
            self.norm, self.up = nn.LayerNorm(8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + self.places
            return x + self.up(self.norm(x))

    def port(p: dict[str, Any], x: Any) -> Any:
        x = x + table
        return x + linear(p, "up", norm(p, "norm", x))

    model = Table()
    start = {"up.weight": normal(8, 8), "up.bias": np.zeros(8), "norm.weight": np.ones(8), "norm.bias": np.zeros(8)}
    params = {name: jnp.asarray(array, jnp.float32) for name, array in start.items()}
    filled, matches = copy_weights(model, port, [X], params=params)
    assert {str(match.torch) for match in matches if match.jax} == {"up.weight", "up.bias", "norm.weight", "norm.bias"}
    assert compare_models(model, port, [X], params=filled).passed


def test_a_norm_that_jax_lacks_is_named_where_the_others_are_alike() -> None:
    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.inner, self.second, self.last = (
                nn.LayerNorm(8),
                nn.Linear(8, 8),
                nn.LayerNorm(8),
                nn.Linear(8, 3),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + self.inner(self.first(x))
            return self.last(self.second(x))

    def port(p: dict[str, Any], x: Any) -> Any:
        return linear(p, "last", norm(p, "second", x + linear(p, "inner", x)))

    model = seeded(Norms())
    own = {name: value.detach().numpy() for name, value in model.named_parameters() if not name.startswith("first")}
    params = {name: np.full_like(value, float(value.ndim == 1 and name.endswith("weight"))) for name, value in own.items()}
    report = compare_models(model, port, [X], params=params, weights="copy", order=0)
    assert [(fault.torch, [fact.kind for fact in fault.facts]) for fault in report.faults] == [("first", ["missing"])]
    assert {match.torch for match in report.weights if not match.matched} == {"first.weight", "first.bias"}
