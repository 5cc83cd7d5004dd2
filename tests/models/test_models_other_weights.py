"""Weights in each other's place, in another order, or of other numbers are explained where they are used."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from facts import assert_facts
from ports import X, compared, linear, params_of, seeded
from torch import nn

from crosscheck import Fact, compare_models

pytestmark = pytest.mark.full


class Block(nn.Module):
    """A layer of a transformer: attention of two heads, norms before and after each part."""

    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.ln2, self.ln3 = nn.LayerNorm(8), nn.LayerNorm(8), nn.LayerNorm(8)
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.ln1(x)
        q, k, v = (projection(h).view(2, 6, 2, 4).transpose(1, 2) for projection in (self.q, self.k, self.v))
        h = torch.softmax(q @ k.transpose(2, 3) / 2, -1) @ v
        x = x + self.ln2(self.o(h.transpose(1, 2).reshape(2, 6, 8)))
        return x + self.down(torch.tanh(self.up(self.ln3(x))))


def norm(p: dict[str, Any], name: str, x: Any) -> Any:
    x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * p[f"{name}.weight"] + p[f"{name}.bias"]


def port(p: dict[str, Any], x: Any) -> Any:
    for k in range(2):
        own = {name.removeprefix(f"{k}."): weight for name, weight in p.items()}
        h = norm(own, "ln1", x)
        q, key, v = (linear(own, name, h).reshape(2, 6, 2, 4).swapaxes(1, 2) for name in "qkv")
        h = jax.nn.softmax(q @ key.swapaxes(2, 3) / 2, -1) @ v
        x = x + norm(own, "ln2", linear(own, "o", h.swapaxes(1, 2).reshape(2, 6, 8)))
        x = x + linear(own, "down", jnp.tanh(linear(own, "up", norm(own, "ln3", x))))
    return linear(p, "2", x)


def swapped(first: str, second: str, *names: str) -> Any:
    def change(p: dict[str, Any]) -> dict[str, Any]:
        moved = {f"{a}.{name}": p[f"{b}.{name}"] for name in names for a, b in ((first, second), (second, first))}
        return p | moved

    return change


def heads(p: dict[str, Any]) -> dict[str, Any]:
    """The keys' heads in another order."""
    first = p["1.k.weight"].reshape(2, 4, 8)[::-1].reshape(8, 8), p["1.k.bias"].reshape(2, 4)[::-1].ravel()
    return p | dict(zip(("1.k.weight", "1.k.bias"), first, strict=True))


def interleaved(p: dict[str, Any]) -> dict[str, Any]:
    return p | {"0.v.weight": p["0.v.weight"].reshape(2, 4, 8).swapaxes(0, 1).reshape(8, 8)}


CASES: list[tuple[Any, list[tuple[str, Fact]]]] = [
    (
        swapped("0.q", "0.k", "weight", "bias"),
        [("0", Fact("exchange", torch="the result of 0.k", jax="the result of 0.q", near="behind 0.q and 0.k"))],
    ),
    (swapped("1.q", "1.k", "weight"), [("1.q", Fact("exchange", torch="1.k.weight", jax="1.q.weight"))]),
    (swapped("0.up", "1.up", "weight"), [("0.up", Fact("exchange", torch="1.up.weight", jax="0.up.weight"))]),
    (swapped("0.ln1", "0.ln2", "bias"), [("0.ln1", Fact("exchange", torch="0.ln2.bias", jax="0.ln1.bias"))]),
    (
        lambda p: p | {f"0.{place}.weight": p[f"0.{source}.weight"] for place, source in ("qk", "kv", "vq")},
        [("0.q", Fact("exchange", torch="0.v.weight", jax="0.q.weight, 0.k.weight"))],
    ),
    (
        swapped("0.ln2", "0.ln3", "weight", "bias"),
        [
            ("0", Fact("sequence", "ln3, ln2", jax="in reverse order")),
            ("0", Fact("operand", "the sum", torch="the result of 0.ln2", jax="the result of 0.ln3", near="behind 0.ln2")),
        ],
    ),
    (heads, [("1", Fact("order", where="the result of 1.k", jax="with axis -2 in reverse order", near="behind 1.k"))]),
    (
        interleaved,
        [
            ("0.v", Fact("order", where="0.v.bias", jax="in halves, PyTorch interleaved")),
            ("0", Fact("order", where="the result of 0.v", jax="interleaved, PyTorch in halves", near="behind 0.v")),
        ],
    ),
    (
        lambda p: p | {"1.ln1.bias": p["0.ln1.bias"]},
        [("1.ln1", Fact("values", "1.ln1.bias", jax="['1.ln1.bias']"))],
    ),
    (
        lambda p: p | {"0.ln3.weight": p["0.ln3.weight"] * 1.1},
        [("0.ln3", Fact("values", "0.ln3.weight", jax="['0.ln3.weight']"))],
    ),
]


@pytest.mark.parametrize(("wrong", "explained"), CASES)
def test_wrong_weights_are_explained_where_they_are_used(wrong: Any, explained: list[tuple[str, Fact]]) -> None:
    model = seeded(nn.Sequential(Block(), Block(), nn.Linear(8, 3)))
    params = wrong(params_of(model))
    report = compare_models(model, port, [X], params=params, order=0)
    assert not report.passed
    assert [fault.torch for fault in report.faults] == [where for where, _ in explained], report.story()
    assert_facts([fact for fault in report.faults for fact in fault.facts], *(fact for _, fact in explained))


def test_right_weights_are_certified_and_a_wrong_function_is_not_blamed_on_them() -> None:
    model = seeded(nn.Sequential(Block(), Block(), nn.Linear(8, 3)))
    assert compared(model, port, X).passed
    report = compared(model, lambda p, x: port(p, jnp.tanh(x)), X)
    assert not report.passed
    assert {"crossed", "values"}.isdisjoint(fact.kind for fault in report.faults for fact in fault.facts)


def test_a_second_mistake_that_hardly_moves_the_outputs_is_not_hidden() -> None:
    """The norm's epsilon is wrong, too: its error is far smaller than that of exchanged weights."""
    model = seeded(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8)))

    def twice(p: dict[str, Any], x: Any) -> Any:
        x = linear(p, "0", x)
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1.1e-5)
        return linear(p, "4", jnp.tanh(linear(p, "2", x * p["1.weight"] + p["1.bias"])))

    params = swapped("2", "4", "weight", "bias")(params_of(model))
    report = compare_models(model, twice, [X], params=params, order=0)
    assert "1" in {fault.torch for fault in report.faults}, report.story()
