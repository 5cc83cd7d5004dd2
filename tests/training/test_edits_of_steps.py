"""Mistakes beside what JAX computes twice, in what is written in place, and in gradients that JAX stops."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from facts import Worded, assert_facts
from torch import nn
from torch.nn import functional as F

from crosscheck import Fact, ModelsReport, compare, compare_models

WIDTH, STEPS, KEPT = 6, 4, 0.8
Array = Any


class Leaky(nn.Module):
    """A recurrence that applies its weight to the state, and keeps a share of it."""

    def __init__(self) -> None:
        super().__init__()
        self.i, self.r, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, x: Any) -> Any:
        h = x.new_zeros(len(x), WIDTH)
        for t in range(STEPS):
            h = KEPT * h + torch.tanh(self.i(x[:, t]) + self.r(h))
        return self.head(h)


def leaky(p: dict[str, Array], x: Array, inner: Callable[[Array], Array], place: int, twice: bool) -> Array:
    """The port, which may apply the weight of the state twice and take the mean, and gives the state of a place."""

    def linear(name: str, y: Array) -> Array:
        return y @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def step(h: Array, y: Array) -> tuple[Array, Array]:
        mixed = (linear("r", h) + linear("r", h)) / 2 if twice else linear("r", h)
        h = KEPT * h + inner(linear("i", y) + mixed)
        return h, h

    return linear("head", jax.lax.scan(step, jnp.zeros((len(x), WIDTH), x.dtype), x.swapaxes(0, 1))[1][place])


def of_leaky(inner: Callable[[Array], Array] = jnp.tanh, place: int = -1, *, twice: bool = True) -> ModelsReport:
    torch.manual_seed(0)
    model = Leaky()
    params = {name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.named_parameters()}
    x = np.random.default_rng(0).normal(size=(3, STEPS, WIDTH)).astype(np.float32)
    return compare_models(model, lambda p, x: leaky(p, x, inner, place, twice), [x], params=params, order=0)


def test_a_port_that_computes_a_product_twice_is_certified() -> None:
    assert of_leaky().passed


def test_a_mistake_beside_a_product_that_jax_computes_twice_is_named_at_each_step() -> None:
    report = of_leaky(jax.nn.relu)
    assert {(fact.kind, fact.jax) for fault in report.faults for fact in fault.facts} == {("other", "relu")}, report


def test_another_step_than_the_last_is_named() -> None:
    (fault,) = of_leaky(place=0, twice=False).faults
    assert_facts(fault.facts, Fact("other", torch="the last of 4", jax="the first of the steps"))


def in_place(x: Any) -> Any:
    gate, value = x.clone().unsafe_chunk(2, -1)
    gate.sigmoid_()
    value.mul_(2)
    return gate * value


def test_what_is_written_in_place_beside_a_value_does_not_hide_it() -> None:
    x = np.random.default_rng(1).normal(size=(5, 8))

    def right(x: Array) -> Array:
        gate, value = jnp.split(x, 2, -1)
        return jax.nn.sigmoid(gate) * 2 * value

    def wrong(x: Array) -> Array:
        gate, value = jnp.split(x, 2, -1)
        return jnp.tanh(gate) * 2 * value

    assert compare(in_place, right, [x]).passed
    report = compare(in_place, wrong, [x])
    assert_facts(report.diagnosis.facts, Fact("other", torch="sigmoid", jax="tanh"))


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, x: Any) -> Any:
        y = self.first(x)
        return self.last(y - y.mean(-1, keepdim=True))


def test_the_line_at_which_jax_stops_a_gradient_is_named() -> None:
    torch.manual_seed(0)
    model = Normed()
    params = {name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.named_parameters()}

    def port(p: dict[str, Array], x: Array) -> Array:
        y = x @ p["first.weight"].T + p["first.bias"]
        y = y - jax.lax.stop_gradient(y.mean(-1, keepdims=True))
        return y @ p["last.weight"].T + p["last.bias"]

    report = compare_models(model, port, [np.ones((2, WIDTH), np.float32)], params=params)
    assert report.first is not None
    assert isinstance(report.first.explanation, Worded)
    assert (report.first.explanation.kind, report.first.explanation.about) == ("stopped", ("the mean",)), report


class Inferring(nn.Module):
    """Operations of several others arrive whole where no gradient is ever wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        with torch.inference_mode():
            return F.dropout(self.first(x), 0.0, training=False).softmax(-1).reshape(-1, WIDTH)


def test_a_model_that_infers_is_compared() -> None:
    torch.manual_seed(0)
    model = Inferring()
    params = {name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.named_parameters()}

    def port(p: dict[str, Array], x: Array) -> Array:
        return jax.nn.softmax(x @ p["first.weight"].T + p["first.bias"])

    x = np.random.default_rng(3).normal(size=(4, WIDTH)).astype(np.float32)
    assert compare_models(model, port, [x], params=params, order=0).passed
