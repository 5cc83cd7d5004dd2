"""What ``compare_models`` did not compare is said, and certifies nothing: NaN, and weights that were not copied."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import Worded, kind_of
from ports import floats_of, linear, normal, seeded
from torch import nn

from crosscheck import UsageError, compare_models, copy_weights

X = normal(3, 4)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(torch.tanh(self.fc1(x)))


def small(p: Any, x: Any, act: Any = jnp.tanh) -> Any:
    return linear(p, "fc2", act(linear(p, "fc1", x)))


def inner(p: Any, x: Any, act: Any = jnp.tanh) -> Any:
    """The same as a part of a model that is called so."""
    return small({name.removeprefix("inner."): weight for name, weight in p.items()}, x, act)


def about(text: str) -> tuple[object, ...]:
    """The kind of a message or note, and what it is about."""
    assert isinstance(text, Worded)
    return text.kind, *text.about


# NaN and infinity


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("act", [jnp.tanh, jnp.sin])
def test_inputs_that_are_nan_or_infinite_everywhere_compare_nothing(value: float, act: Any) -> None:
    model = seeded(nn.Sequential(nn.LayerNorm(4), Small()))

    def port(p: Any, x: Any) -> Any:
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        weights = {name.removeprefix("1."): weight for name, weight in p.items()}
        return small(weights, x * p["0.weight"] + p["0.bias"], act)

    report = compare_models(model, port, [np.full_like(X, value)], params=floats_of(model))
    assert not report.passed
    assert (report.layers, report.faults, report.outputs, report.cause) == ((), (), {}, None)
    assert about(report.message) == ("blank", "in output y")
    assert report.data()["summary"]["message"] in report.verdict
    assert "0 apart" not in str(report)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Small()

    def forward(self, x: torch.Tensor) -> Any:
        y = self.inner(x)
        return y, torch.log(-y.abs())


def test_an_output_that_is_nan_everywhere_is_named() -> None:
    model = seeded(Two())

    def port(p: Any, x: Any) -> Any:
        y = inner(p, x)
        return y, jnp.sqrt(-1 - y**2)

    report = compare_models(model, port, [X], params=floats_of(model), order=0)
    assert not report.passed
    assert about(report.message) == ("blank", "in output y[1]")
    assert set(report.outputs) == {"y[0]"}
    assert report.layers


def test_a_fault_is_named_although_another_output_is_nan() -> None:
    model = seeded(Two())

    def port(p: Any, x: Any) -> Any:
        y = inner(p, x, jnp.sin)
        return y, jnp.log(-jnp.abs(y))

    report = compare_models(model, port, [X], params=floats_of(model), order=0)
    assert report.cause == "definition"
    assert ("blank", "output y[1]") in map(about, report.notes)


def test_a_mask_of_minus_infinity_leaves_the_rest_to_be_compared() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: torch.Tensor) -> Any:
            scores = self.q(x) @ self.k(x).T / 2
            scores = scores.masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
            return scores, torch.softmax(scores, -1) @ self.v(x)

    def port(p: Any, x: Any, scale: float = 0.5) -> Any:
        scores = linear(p, "q", x) @ linear(p, "k", x).T * scale
        scores = jnp.where(jnp.triu(jnp.ones((3, 3), bool), 1), -jnp.inf, scores)
        return scores, jax.nn.softmax(scores, -1) @ linear(p, "v", x)

    model = seeded(Masked())
    assert compare_models(model, port, [X], params=floats_of(model)).passed
    assert compare_models(model, partial(port, scale=1.0), [X], params=floats_of(model)).cause == "definition"


class Root(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Small()

    def forward(self, x: torch.Tensor) -> Any:
        return torch.sqrt(self.inner(x) * 0) + 1


def test_gradients_that_are_nan_everywhere_compare_nothing() -> None:
    model = seeded(Root())

    def port(p: Any, x: Any) -> Any:
        return jnp.sqrt(inner(p, x) * 0) + 1

    report = compare_models(model, port, [X], params=floats_of(model))
    assert not report.passed
    assert not any(gradient.compared for gradient in report.gradients)
    assert about(report.message) == ("blank", "in 4 of 4 gradients")
    assert compare_models(model, port, [X], params=floats_of(model), order=0).passed


def test_inputs_that_are_nan_prove_no_match_of_weights() -> None:
    model = seeded(Small())
    given = jax.tree.map(jnp.zeros_like, floats_of(model))
    x = np.full_like(X, np.nan)
    with pytest.raises(UsageError, match="inputs: torch_model returns nothing but NaN or infinity"):
        copy_weights(model, small, [x], params=given)
    with pytest.raises(UsageError, match="inputs: torch_model returns nothing but NaN or infinity"):
        compare_models(model, small, [x], params=given, weights="copy")


# Weights that were not copied


class Dense(nn.Module):
    """A small DenseNet: the norm of a layer gets the results of all layers before it, and of the pooling."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 5, 2, 2, bias=False), nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 3 * k) for k in range(layers))
        self.convs = nn.ModuleList(nn.Conv2d(4 + 3 * k, 3, 3, padding=1, bias=False) for k in range(layers))
        self.head = nn.Linear(4 + 3 * layers, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.norm(self.conv(x))))
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(torch.relu(norm(x)))], 1)
        return self.head(x.mean((2, 3)))


def convolved(p: Any, name: str, x: Any, stride: int, padding: int | str) -> Any:
    around = [(padding, padding)] * 2 if isinstance(padding, int) else padding
    return jax.lax.conv_general_dilated(x, p[f"{name}.weight"], (stride, stride), around)


def normed(p: Any, name: str, x: Any) -> Any:
    weight, bias, mean, var = (
        p[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / jnp.sqrt(var + 1e-5) * weight + bias


RIGHT = {"first": 2, "pool": ((0, 0), (0, 0), (1, 1), (1, 1)), "inner": 1}


def dense(p: Any, x: Any, *, layers: int, first: Any, pool: Any, inner: Any) -> Any:
    x = jax.nn.relu(normed(p, "norm", convolved(p, "conv", x, 2, first)))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pool)
    for k in range(layers):
        h = convolved(p, f"convs.{k}", jax.nn.relu(normed(p, f"norms.{k}", x)), 1, inner)
        x = jnp.concatenate([x, h], 1)
    return linear(p, "head", x.mean((2, 3)))


@pytest.mark.parametrize(
    ("wrong", "modules", "layers"),
    [
        ({"pool": "SAME"}, ["pool"], 1),
        pytest.param({"pool": "SAME"}, ["pool"], 2, marks=pytest.mark.full),
        pytest.param({"first": "SAME"}, ["conv"], 2, marks=pytest.mark.full),
        pytest.param({"first": "SAME", "pool": "SAME"}, ["conv", "pool"], 2, marks=pytest.mark.full),
        pytest.param({}, [], 2, marks=pytest.mark.full),
    ],
)
def test_weights_behind_a_fault_are_copied_from_where_they_likely_come(
    wrong: dict[str, Any], modules: list[str], layers: int
) -> None:
    model = seeded(Dense(layers))
    given = {name: jnp.ones_like(array) for name, array in floats_of(model).items()}
    port = partial(dense, layers=layers, **(RIGHT | wrong))
    report = compare_models(model, port, [normal(2, 3, 16, 16)], params=given, weights="copy", order=0)
    assert [fault.torch for fault in report.faults] == modules, report.story()
    assert report.passed is not bool(wrong)
    assert all(weight.matched for weight in report.weights if weight.compared)
    assert not any("not copied" in note for note in report.notes)
    shown = {number for fault in report.faults for number in fault.layers}
    assert all(layer.error <= layer.tolerance for k, layer in enumerate(report.layers) if k not in shown)


@pytest.mark.parametrize("activation", [jnp.tanh, jnp.sin])
def test_layers_are_not_blamed_for_weights_that_their_names_mix_up(activation: Any) -> None:
    """The port calls the first norm ``two``. A run proves it, unless a wrong activation stands before it."""

    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.one, self.two, self.down = nn.Linear(4, 6), nn.LayerNorm(6), nn.LayerNorm(6), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.down(self.two(torch.tanh(self.one(torch.tanh(self.up(x))))))

    def norm(p: Any, name: str, x: Any) -> Any:
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * p[f"{name}.weight"] + p[f"{name}.bias"]

    def port(p: Any, x: Any) -> Any:
        return linear(p, "down", norm(p, "one", jnp.tanh(norm(p, "two", activation(linear(p, "up", x))))))

    model = seeded(Norms())
    with torch.no_grad():
        for parameter in [*model.one.parameters(), *model.two.parameters()]:
            parameter.add_(torch.randn_like(parameter))
    given = {name: jnp.ones_like(array) for name, array in floats_of(model).items()}
    report = compare_models(model, port, [3 * normal(7, 4)], params=given, weights="copy", order=0)
    wrong = activation is jnp.sin
    assert report.passed is not wrong, report.story()
    assert [fault.torch for fault in report.faults] == ([""] if wrong else [])
    assert ("not copied" in map(kind_of, report.notes)) is wrong


def test_weights_that_cannot_be_copied_certify_nothing() -> None:
    class Twins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.left(x)) * torch.tanh(self.right(x))

    def port(p: Any, x: Any) -> Any:
        first, second = (jnp.tanh(x @ p[name]["w"] + p[name]["b"]) for name in ("one", "two"))
        return first * second

    given = {name: {"w": jnp.zeros((4, 4)), "b": jnp.zeros(4)} for name in ("one", "two")}
    report = compare_models(seeded(Twins()), port, [X], params=given, weights="copy", order=0)
    assert not report.passed
    assert report.faults == ()
    assert report.message in report.verdict
    assert about(report.message)[:3] == ("not copied", "left.weight", "left.bias")
