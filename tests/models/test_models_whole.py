"""Right ports that have another quantity than PyTorch somewhere, and wrong ports that look right at the given numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import Worded
from ports import X, compared, linear, normal, params_of, seeded
from torch import nn

from crosscheck import compare_models

IDS = np.random.default_rng(0).integers(0, 20, (2, 6))
MASK = np.ones((2, 6), np.int64)
MASK[1, 4:] = 0


class Padded(nn.Module):
    """The padding is 0 before a layer, and hidden after it."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.inside, self.last = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        seen = mask[..., None]
        return torch.as_tensor(self.last(torch.tanh(self.inside(self.emb(ids) * seen)) * seen))


def test_what_a_mask_hides_may_be_any_number() -> None:
    def port(p: dict[str, Any], ids: Any, mask: Any, function: Any = jnp.tanh) -> Any:
        return linear(p, "last", function(linear(p, "inside", p["emb.weight"][ids])) * mask[..., None])

    report = compared(seeded(Padded()), port, IDS, MASK, order=1)
    assert report.passed, report.story()
    assert ("elsewhere", "inside.weight") in [
        (note.kind, *note.about[:1]) for note in report.notes if isinstance(note, Worded)
    ]
    assert not compared(seeded(Padded()), lambda *given: port(*given, function=jnp.sin), IDS, MASK).passed


def test_what_a_mask_hides_in_jax_alone_is_a_fault() -> None:
    """Here the numbers of the padding reach PyTorch's output."""

    class Seen(Padded):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.last(torch.tanh(self.inside(self.emb(ids) * mask[..., None]))))

    def port(p: dict[str, Any], ids: Any, mask: Any) -> Any:
        return linear(p, "last", jnp.tanh(linear(p, "inside", p["emb.weight"][ids])))

    assert not compared(seeded(Seen()), port, IDS, MASK).passed


class Branch(nn.Module):
    """A branch whose last layer starts at 0, so that the output does not show it."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.last = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.last(x + self.down(nn.functional.gelu(self.up(x)))))


def branch(p: dict[str, Any], x: Any, *, approximate: bool) -> Any:
    return linear(p, "last", x + linear(p, "down", jax.nn.gelu(linear(p, "up", x), approximate=approximate)))


def times(factor: float) -> nn.Module:
    """The model, with this share of its branch."""
    model = seeded(Branch())
    assert isinstance(model, Branch)
    with torch.no_grad():
        model.down.weight.mul_(factor)
        model.down.bias.mul_(factor)
    return model


def test_a_branch_that_starts_at_zero_is_judged() -> None:
    model = times(0.0)
    assert compared(model, lambda p, x: branch(p, x, approximate=False), X).passed
    assert not compared(model, lambda p, x: branch(p, x, approximate=True), X).passed


def test_a_branch_that_a_number_in_jax_alone_hides_is_judged() -> None:
    """JAX holds a matrix that it computed before, so no other weights are tried."""
    model = times(0.0)

    def port(p: dict[str, Any], x: Any) -> Any:
        return branch({**p, "last.weight": p["twice"] / 2}, x, approximate=True)

    params = params_of(model)
    params["twice"] = 2 * params.pop("last.weight")
    assert not compare_models(model, port, [X], params=params, order=0).passed


def test_a_fault_that_hardly_reaches_the_output_is_found() -> None:
    """The branch is a millionth of the output: its fault is below what rounded constants would explain."""
    assert not compared(times(1e-6), lambda p, x: branch(p, x, approximate=True), X).passed


class Selected(nn.Module):
    """Of two layers, the first number of each row of an input selects one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
        first, second = self.one(x), self.other(torch.tanh(x))
        return torch.as_tensor(self.last(torch.where(kinds[:, :1] == 0, first, second)))


def test_a_fault_that_only_other_inputs_show_is_found() -> None:
    kinds = np.ones((4, 7), np.int64)
    kinds[:, 0] = 0

    def port(p: dict[str, Any], x: Any, kinds: Any, function: Any = jnp.tanh) -> Any:
        first, second = linear(p, "one", x), linear(p, "other", function(x))
        return linear(p, "last", jnp.where(kinds[:, :1] == 0, first, second))

    x = normal(4, 8)
    assert compared(seeded(Selected()), port, x, kinds).passed
    assert not compared(seeded(Selected()), lambda *given: port(*given, function=jnp.sin), x, kinds).passed


class Tabled(nn.Module):
    """Positions that each side computes, then a layer norm without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8, bias=False), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = torch.arange(6.0)[:, None] / 10000 ** (torch.arange(8.0) / 8)
        x = x + torch.sin(places)
        return torch.as_tensor(x + self.down(nn.functional.gelu(self.up(self.norm(x)))))


def test_rounded_constants_excuse_no_fault_as_small_as_they_are() -> None:
    table = np.sin(np.arange(6, dtype=np.float32)[:, None] / 10000 ** (np.arange(8, dtype=np.float32) / 8))

    def port(p: dict[str, Any], x: Any, *, approximate: bool) -> Any:
        x = x + table
        mean, inverse, w = x.mean(-1, keepdims=True), jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5), p["norm.weight"]
        hidden = jax.nn.gelu(linear(p, "up", x * (w * inverse) - mean * (inverse * w)), approximate=approximate)
        return x + linear(p, "down", hidden)

    model = seeded(Tabled())
    assert isinstance(model, Tabled)
    with torch.no_grad():
        model.up.weight.mul_(0.02)
        model.up.bias.mul_(0.02)
    report = compared(model, lambda p, x: port(p, x, approximate=False), X, order=1)
    assert report.passed, report.story()
    assert ("elsewhere", "norm.weight") in [
        (note.kind, *note.about[:1]) for note in report.notes if isinstance(note, Worded)
    ]
    report = compared(model, lambda p, x: port(p, x, approximate=True), X)
    assert "gelu" in {fault.operation for fault in report.faults}
    assert report.outputs["y"][0] < 1e-6


class Flow(nn.Module):
    """A normalising flow: each layer returns the logarithm of its determinant too, of weights alone or of data."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList([nn.Linear(4, 8), nn.Linear(4, 8)])
        self.logs = nn.ParameterList([nn.Parameter(torch.zeros(8)) for _ in self.nets])
        self.turns = nn.ParameterList([nn.Parameter(torch.zeros(8, 8)) for _ in self.nets])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logdet = x.new_zeros(len(x))
        for net, log, turn in zip(self.nets, self.logs, self.turns, strict=True):
            x, logdet = x * log.exp() @ turn, logdet + log.sum().expand(len(x))
            logdet = logdet + torch.linalg.slogdet(turn)[1].expand(len(x))
            a, b = x.chunk(2, -1)
            s, t = net(a).chunk(2, -1)
            x, logdet = torch.cat([b * torch.tanh(s).exp() + t, a], -1), logdet + torch.tanh(s).sum(-1)
        return x, logdet - 0.5 * (x**2).sum(-1)


@pytest.mark.full
@pytest.mark.parametrize("sign", [1, -1])
def test_a_flow_is_judged_with_its_determinant(sign: int) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        logdet = 0.0
        for k in range(2):
            x, logdet = x * jnp.exp(p[f"logs.{k}"]) @ p[f"turns.{k}"], logdet + p[f"logs.{k}"].sum()
            logdet = logdet + jnp.log(jnp.abs(jnp.linalg.det(p[f"turns.{k}"])))
            a, b = jnp.split(x, 2, -1)
            s, t = jnp.split(linear(p, f"nets.{k}", a), 2, -1)
            x, logdet = jnp.concatenate([b * jnp.exp(jnp.tanh(s)) + t, a], -1), logdet + sign * jnp.tanh(s).sum(-1)
        return x, logdet - 0.5 * (x * x).sum(-1)

    report = compared(seeded(Flow()), port, normal(4, 8))
    assert report.passed is (sign == 1), report.story()
