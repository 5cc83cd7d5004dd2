"""A number in JAX's program that is another one than PyTorch's is named, wherever in the model it is."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts
from ports import X, compared, linear, normal, seeded
from torch import nn

from crosscheck import Fact, ModelsReport, compare_models

pytestmark = pytest.mark.full

NUMBERS = {"setting", "form", "factors", "times"}
"""The kinds of facts that say another number."""


def facts(report: ModelsReport) -> tuple[Fact, ...]:
    """The facts of the only kind of fault."""
    assert not report.passed
    assert len(report.diverging) == 1, report.story()
    return report.faults[0].facts


class Attention(nn.Module):
    """Attention whose scores have no module of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = torch.bmm(self.q(x), self.k(x).transpose(1, 2)) * 12**-0.5
        return self.o(torch.bmm(scores.softmax(-1), self.v(x)))


class RMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


class Layer(nn.Module):
    """A layer with norms before and after what it adds, as Gemma's."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.up, self.down, self.after = RMSNorm(), nn.Linear(8, 16), nn.Linear(16, 8), RMSNorm()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.after(self.down(torch.tanh(self.up(self.before(x)))))


@pytest.mark.parametrize(
    ("epsilon", "added", "fact"),
    [
        (1e-3, True, Fact("form", "epsilon", torch="1e-06", jax="0.001")),
        (1e-6, False, Fact("missing", "to add 1")),
    ],
)
def test_the_same_mistake_in_norms_is_one_kind_and_the_sums_behind_them_are_right(
    epsilon: float, added: bool, fact: Fact
) -> None:
    def norm(p: dict[str, Any], name: str, x: Any) -> Any:
        weight = 1 + p[f"{name}.weight"] if added else p[f"{name}.weight"]
        return x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + epsilon) * weight

    def port(p: dict[str, Any], x: Any) -> Any:
        for k in range(2):
            h = jnp.tanh(linear(p, f"{k}.up", norm(p, f"{k}.before", x)))
            x = x + norm(p, f"{k}.after", linear(p, f"{k}.down", h))
        return linear(p, "2", x)

    report = compared(seeded(nn.Sequential(Layer(), Layer(), nn.Linear(8, 3))), port, X)
    assert_facts(facts(report), fact)
    assert {fault.kind for fault in report.faults} == {"RMSNorm"}


def test_a_wrong_layer_that_no_number_mends_is_not_explained_by_one() -> None:
    """A scale and a shift at once, or an activation: one number would fit by chance if few digits were not asked for."""

    def port(p: dict[str, Any], x: Any) -> Any:
        return linear(p, "2", jnp.tanh(linear(p, "0", x) * 1.7 + 0.3))

    model = seeded(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)))
    assert NUMBERS.isdisjoint(fact.kind for fact in facts(compared(model, port, X)))


def test_keys_of_random_numbers_among_the_values_are_no_floats() -> None:
    """Dropout of rate 0 leaves typed keys in the program, which NumPy does not hold."""

    def dropped(x: Any) -> Any:
        return jnp.where(jax.random.bernoulli(jax.random.key(0), 1.0, x.shape), x, 0.0)

    def port(p: dict[str, Any], x: Any) -> Any:
        h = dropped(linear(p, "0", x))
        h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1.1e-5)
        return linear(p, "2", h * p["1.weight"] + p["1.bias"])

    report = compared(seeded(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 3))), port, X)
    assert_facts(facts(report), Fact("setting", "LayerNorm", "epsilon", torch="1e-05", jax="1.1e-05"))


def test_a_tiny_epsilon_is_said_and_not_the_zero_beside_it() -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        variance = jnp.maximum(0.0, x.var(-1, keepdims=True))  # as in flax
        return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(variance + 1e-12) * p["weight"] + p["bias"]

    report = compared(seeded(nn.LayerNorm(8)), port, normal(6, 8))
    assert_facts(facts(report), Fact("setting", "LayerNorm", "epsilon", torch="1e-05", jax="1e-12"))


def test_the_size_of_a_window_is_named() -> None:
    """Attention of modules that have no names, to a few tokens before: the window is wrong by one."""

    class Windowed(Attention):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            far = torch.arange(6)[:, None] - torch.arange(6)
            scores = torch.bmm(self.q(x), self.k(x).transpose(1, 2)).masked_fill((far < 0) | (far >= 3), 0.0)
            return self.o(torch.bmm(scores, self.v(x)))

    def port(p: dict[str, Any], x: Any) -> Any:
        far = jnp.arange(6)[:, None] - jnp.arange(6)
        scores = jnp.einsum("btc,bsc->bts", linear(p, "q", x), linear(p, "k", x))
        return linear(p, "o", jnp.where((far < 0) | (far >= 4), 0.0, scores) @ linear(p, "v", x))

    bound = Fact("form", "the bound of a mask or window", torch=">= 3", jax=">= 4", near="behind q and k")
    assert_facts(facts(compared(seeded(Windowed()), port, X)), bound)


class Steps(nn.Module):
    """Four steps of a differential equation, by the classical method of Runge and Kutta."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(5, 10), nn.Linear(10, 4)

    def slope(self, t: float, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.down(torch.tanh(self.up(torch.cat([x, torch.full_like(x[:, :1], t)], -1)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = 0.25
        for k in range(4):
            k1 = self.slope(k * h, x)
            k2 = self.slope(k * h + h / 2, x + h / 2 * k1)
            k3 = self.slope(k * h + h / 2, x + h / 2 * k2)
            k4 = self.slope(k * h + h, x + h * k3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x


def test_no_number_is_blamed_that_changes_nothing() -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        h = 0.25

        def linear(name: str, x: Any) -> Any:
            return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

        def slope(t: Any, x: Any) -> Any:
            return linear("down", jnp.tanh(linear("up", jnp.concatenate([x, jnp.full_like(x[:, :1], t)], -1))))

        def step(x: Any, k: Any) -> tuple[Any, None]:
            k1 = slope(k * h, x)
            k2 = slope(k * h + h / 2, x + h / 2 * k1)
            k3 = slope(k * h + h / 2, x + h / 2 * k1)  # wrong: k2
            k4 = slope(k * h + h, x + h * k3)
            return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

        return jax.lax.scan(step, x, jnp.arange(4, dtype=x.dtype))[0]

    report = compared(seeded(Steps()), port, normal(3, 4))
    assert not report.passed
    assert NUMBERS.isdisjoint(fact.kind for fault in report.faults for fact in fault.facts), report


class Graph(nn.Module):
    """Attention over a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.out, self.pair = nn.Linear(8, 8), nn.Linear(8, 3), nn.Parameter(torch.zeros(2, 8))

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        x = self.up(x)
        to, at = ((x * vector).sum(-1) for vector in self.pair)
        scores = nn.functional.leaky_relu(to[:, :, None] + at[:, None], 0.2)
        scores = torch.where(edges == 1, scores, torch.full_like(scores, -9e15))
        return torch.as_tensor(self.out(scores.softmax(-1) @ x))


def test_the_fills_of_a_mask_are_no_constant_factor() -> None:
    def port(p: dict[str, Any], x: Any, edges: Any) -> Any:
        x = linear(p, "up", x)
        at, to = ((x * vector).sum(-1) for vector in p["pair"])  # exchanged
        scores = jax.nn.leaky_relu(to[:, :, None] + at[:, None], 0.2)
        return linear(p, "out", jax.nn.softmax(jnp.where(edges == 1, scores, -9e15)) @ x)

    edges = np.broadcast_to(np.tril(np.ones((6, 6), np.int32)), (2, 6, 6))
    report = compared(seeded(Graph()), port, X, edges)
    assert not report.passed
    assert not [fact for fault in report.faults for fact in fault.facts if fact.kind in ("factors", "times")], report


@pytest.mark.parametrize("wrong", [False, True])
def test_products_by_an_algorithm_that_a_cpu_refuses_are_judged(wrong: bool) -> None:
    """Attention of flax has them in float16, as it is traced for every device."""
    model = nn.Linear(8, 4)
    params = {name: jnp.array(tensor.detach().numpy()).astype(jnp.float16) for name, tensor in model.named_parameters()}

    def port(params: Any, x: Any) -> Any:
        y = jnp.matmul(x, params["weight"].T, precision=jax.lax.DotAlgorithmPreset.F16_F16_F32).astype(jnp.float16)
        return jnp.tanh(y + params["bias"]) if wrong else y + params["bias"]

    x = np.random.default_rng(0).standard_normal((5, 8), np.float32)
    assert compare_models(model, port, [x], params=params, dtype="float16").passed == (not wrong)
