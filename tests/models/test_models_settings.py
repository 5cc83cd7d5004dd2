"""A module of PyTorch with another setting gives what JAX has: the setting is named."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from facts import assert_facts
from jax import lax
from ports import IMAGE, Port, X, compared, linear, normal, seeded
from torch import nn

from crosscheck import Fact

pytestmark = pytest.mark.full


def conv(p: dict[str, Any], name: str, x: Any) -> Any:
    return lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), "SAME") + p[f"{name}.bias"][:, None, None]


def between(middle: nn.Module, after: int = 6) -> nn.Module:
    """A module between two convolutions."""
    return nn.Sequential(nn.Conv2d(3, 6, 1), middle, nn.Conv2d(after, 4, 1))


def port_with(middle: Callable[[dict[str, Any], Any], Any]) -> Port:
    return lambda p, x: conv(p, "2", middle(p, conv(p, "0", x)))


def normed(p: dict[str, Any], x: Any, axes: tuple[int, ...]) -> Any:
    x = (x - x.mean(axes, keepdims=True)) / jnp.sqrt(x.var(axes, keepdims=True) + 1e-5)
    return x.reshape(2, 6, 8, 8) * p["1.weight"][:, None, None] + p["1.bias"][:, None, None]


def test_the_padding_of_a_module_is_named() -> None:
    def middle(p: dict[str, Any], x: Any) -> Any:
        return conv(p, "1", jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="wrap"))[:, :, 1:-1, 1:-1]

    report = compared(seeded(between(nn.Conv2d(6, 5, 3, padding=1), 5)), port_with(middle), IMAGE)
    (fault,) = report.faults
    assert fault.torch == "1"
    assert_facts(fault.facts, Fact("setting", "the padding", "mode", torch="zeros", jax="circular"))


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.rnn, self.out = kind(8, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.out(self.rnn(x)[0]))


def lstm(p: dict[str, Any], x: Any, order: str = "ifgo", forget: float = 0.0, hidden: float = 1.0) -> Any:
    def step(state: Any, x: Any) -> Any:
        h, c = state
        parts = (
            x @ p["rnn.weight_ih_l0"].T + p["rnn.bias_ih_l0"] + h @ p["rnn.weight_hh_l0"].T + hidden * p["rnn.bias_hh_l0"]
        )
        gates = dict(zip(order, jnp.split(parts, 4, -1), strict=True))
        c = jax.nn.sigmoid(gates["f"] + forget) * c + jax.nn.sigmoid(gates["i"]) * jnp.tanh(gates["g"])
        h = jax.nn.sigmoid(gates["o"]) * jnp.tanh(c)
        return (h, c), h

    _, hs = lax.scan(step, (jnp.zeros((2, 5)), jnp.zeros((2, 5))), x.swapaxes(0, 1))
    return linear(p, "out", hs.swapaxes(0, 1))


@pytest.mark.parametrize(
    ("wrong", "fact"),
    [
        (
            {"order": "ifog"},
            Fact("order", where="parts 2 and 3 of add(the product, part 0 of the result of rnn)", jax="exchanged"),
        ),
        (
            {"forget": 1.0},
            Fact("extra", "1 + x", where="part 1 of add(the result of rnn, part 1 of the result of rnn)"),
        ),
        ({"hidden": 0.0}, Fact("missing", "the bias rnn.bias_hh_l0")),
    ],
)
def test_what_a_recurrent_layer_gets_wrong_is_named(wrong: dict[str, Any], fact: Fact) -> None:
    report = compared(seeded(Recurrent(nn.LSTM)), lambda p, x: lstm(p, x, **wrong), X)
    assert not report.passed
    assert_facts(report.faults[0].facts, fact)
    assert len({(fact.kind, fact.what) for fault in report.faults for fact in fault.facts}) == 1
    assert compared(seeded(Recurrent(nn.LSTM)), lstm, X).passed


def gru(p: dict[str, Any], x: Any, *, alone: bool) -> Any:
    weight, bias = p["rnn.weight_hh_l0"][10:], p["rnn.bias_hh_l0"][10:]

    def step(h: Any, x: Any) -> Any:
        from_input = x @ p["rnn.weight_ih_l0"].T + p["rnn.bias_ih_l0"]
        from_state = h @ p["rnn.weight_hh_l0"].T + p["rnn.bias_hh_l0"]
        a, b = (dict(zip("rzn", jnp.split(gates, 3, -1), strict=True)) for gates in (from_input, from_state))
        r, z = jax.nn.sigmoid(a["r"] + b["r"]), jax.nn.sigmoid(a["z"] + b["z"])
        new = jnp.tanh(a["n"] + (r * (h @ weight.T) + bias if alone else r * b["n"]))
        h = (1 - z) * new + z * h
        return h, h

    _, hs = lax.scan(step, jnp.zeros((2, 5)), x.swapaxes(0, 1))
    return linear(p, "out", hs.swapaxes(0, 1))


def test_each_step_of_a_recurrent_layer_is_explained() -> None:
    report = compared(seeded(Recurrent(nn.GRU)), lambda p, x: gru(p, x, alone=True), X)
    fact = Fact("regrouped", torch="before it", jax="adds the bias after it multiplies")
    assert {fault.torch for fault in report.faults} == {"rnn"}, report.story()
    for fault in report.faults:
        assert_facts(fault.facts, fact)
    assert compared(seeded(Recurrent(nn.GRU)), lambda p, x: gru(p, x, alone=False), X).passed


def test_a_layer_that_no_setting_explains_is_not_explained_by_one() -> None:
    def middle(p: dict[str, Any], x: Any) -> Any:
        return normed(p, x * 1.3 + x**2, (0, 2, 3))

    model = between(nn.BatchNorm2d(6))
    report = compared(seeded(model), port_with(middle), normal(2, 3, 8, 8))
    assert not report.passed
    assert not [fact for fact in report.faults[0].facts if fact.what == "BatchNorm"]


def test_a_result_that_jax_changes_before_the_next_layer_is_that_of_the_layer_before() -> None:
    """The outputs of a recurrent layer move by one step before the next layer takes them."""

    def port(p: dict[str, Any], x: Any) -> Any:
        eye = {**p, "out.weight": jnp.eye(5), "out.bias": jnp.zeros(5)}
        return linear(p, "out", jnp.pad(lstm(eye, x)[:, :-1], ((0, 0), (1, 0), (0, 0))))

    (fault,) = compared(seeded(Recurrent(nn.LSTM)), port, X).faults
    assert fault.torch == "rnn"
    assert fault.facts == (Fact("rewritten"),)
