"""Weights of which JAX holds all numbers beside others, as in a table that is padded, or only a block."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from ported import IDS, X, linear, normals, randomised, told, weights_of
from ported import Tied as TiedTable
from torch import nn, relu, tanh

import crosscheck

FILLS = (0.0, 1.0, "normals")


def padded(array: np.ndarray, fill: Any, rows: int = 2, *, axis: int = 0, before: int = 0) -> np.ndarray:
    """An array with more rows, or columns, behind it and before it."""
    pads = [(before, rows) if k == axis else (0, 0) for k in range(array.ndim)]
    if fill != "normals":
        return np.pad(array, pads, constant_values=fill)
    whole = normals(*(size + sum(pad) for size, pad in zip(array.shape, pads, strict=True)), seed=9)
    whole[tuple(slice(first, first + size) for size, (first, _) in zip(array.shape, pads, strict=True))] = array
    return whole


class Untied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)

    def forward(self, ids: Any) -> Any:
        return self.head(tanh(self.tokens(ids)))


def untied(p: Any, ids: Any) -> Any:
    return (jnp.tanh(p["tokens"][ids]) @ p["head"].T)[..., :7]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("long", [{"tokens"}, {"head"}, {"tokens", "head"}])
@pytest.mark.parametrize("module", [TiedTable, Untied])
def test_a_padded_table_has_a_partner(module: type[nn.Module], long: set[str], fill: Any) -> None:
    model = randomised(module())
    own = weights_of(model)
    tables = {
        name: padded(own[f"{name}.weight"], fill) if name in long else own[f"{name}.weight"] for name in ("tokens", "head")
    }
    report = crosscheck.compare_models(model, untied, [IDS], params=tables)
    assert report.passed, report.story()
    assert {(match.torch, match.jax) for match in report.weights if match.matched} == {
        ("tokens.weight", "['tokens']"),
        ("head.weight", "['head']"),
    }
    assert {match.jax for match in report.weights if not match.matched} == {f"['{name}']" for name in long}
    assert [gradient.share for gradient in report.gradients] == [1.0] * len(report.gradients)


def test_a_table_that_is_padded_in_front_has_a_partner() -> None:
    model = randomised(TiedTable())
    table = weights_of(model)["tokens.weight"]
    params = {"tokens": padded(table, 0.0, 0, before=2), "head": table}
    report = crosscheck.compare_models(
        model, lambda p, ids: jnp.tanh(p["tokens"][ids + 2]) @ p["head"].T, [IDS], params=params
    )
    assert report.passed, report.story()


def test_a_table_that_pytorch_alone_pads_has_a_partner() -> None:
    class Cut(TiedTable):
        def forward(self, ids: Any) -> Any:
            return super().forward(ids)[..., :5]

    model = randomised(Cut())
    table = weights_of(model)["tokens.weight"][:5]
    report = crosscheck.compare_models(model, untied, [IDS % 5], params={"tokens": table, "head": table})
    assert report.passed, report.story()
    assert [gradient.share for gradient in report.gradients] == [5 / 7]


def test_a_layer_in_the_middle_that_is_padded_in_all_its_features_has_partners() -> None:
    class Middle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.norm, self.b = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)

        def forward(self, x: Any) -> Any:
            return self.b(relu(self.norm(self.a(x).flatten(0, 1))))

    model = randomised(Middle())
    model.norm.running_mean += 0.3
    model.norm.running_var.copy_(model.norm.running_var.new_tensor([0.5, 0.6, 0.7, 0.8, 0.9]))
    own = weights_of(model)
    names = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    params = {
        "a": {"w": padded(padded(own["a.weight"].T, "normals", axis=1), "normals"), "b": padded(own["a.bias"], "normals")},
        "norm": {there: padded(own[f"norm.{name}"], 1.0) for name, there in names.items()},
        "b": {"w": own["b.weight"].T, "b": own["b.bias"]},
    }

    def port(p: Any, x: Any) -> Any:
        y = linear(p["a"], jnp.pad(x, ((0, 0), (0, 0), (0, 2)))).reshape(-1, 7)
        y = (y - p["norm"]["mean"]) / jnp.sqrt(p["norm"]["var"] + 1e-5) * p["norm"]["scale"] + p["norm"]["bias"]
        return linear(p["b"], jnp.maximum(y, 0)[:, :5])

    report = crosscheck.compare_models(model, port, [X], params=params)
    assert report.passed, report.story()
    partners = told(report.weights)
    assert partners["a.weight", "['a']['w']"].kind == "layout"
    assert ("norm.running_var", "['norm']['var']") in partners
    assert all(gradient.share == 1 for gradient in report.gradients)


def test_the_gradient_of_a_tied_table_that_jax_holds_once_in_another_form_is_not_judged() -> None:
    model = randomised(TiedTable())
    table = weights_of(model)["tokens.weight"]

    def port(p: Any, ids: Any) -> Any:
        return jnp.tanh(p["tokens"][ids] / 2) @ p["head"].T

    report = crosscheck.compare_models(model, port, [IDS], params={"tokens": 2 * table, "head": table})
    assert report.passed, report.story()
    assert [gradient.compared for gradient in report.gradients] == [False]
    assert "1 not compared" in report.story()


def test_a_gradient_that_is_stopped_at_a_padded_table_is_named() -> None:
    model = randomised(TiedTable())
    table = weights_of(model)["tokens.weight"]

    def port(p: Any, ids: Any) -> Any:
        return untied({**p, "tokens": lax.stop_gradient(p["tokens"])}, ids)

    report = crosscheck.compare_models(model, port, [IDS], params={"tokens": padded(table, 0.0), "head": table})
    assert [gradient.cause for gradient in report.gradients] == ["definition"]


def test_a_gradient_that_is_stopped_beside_a_bias_that_pytorch_lacks_is_named() -> None:
    model = randomised(TiedTable())
    table = weights_of(model)["tokens.weight"]

    def port(p: Any, ids: Any) -> Any:
        return jnp.tanh(lax.stop_gradient(p["tokens"])[ids] + p["bias"]) @ p["tokens"].T

    params = {"tokens": table, "bias": np.zeros(4, np.float32)}
    report = crosscheck.compare_models(model, port, [IDS], params=params)
    assert [gradient.cause for gradient in report.gradients] == ["definition"]


def test_a_gradient_that_is_stopped_before_a_tied_table_is_used_again_is_named_where_it_is_stopped() -> None:
    model = randomised(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 4)))
    model[3].weight = model[0].weight
    params = {name: array for name, array in weights_of(model).items() if name != "3.weight"}

    def port(p: Any, x: Any) -> Any:
        h = x @ p["0.weight"].T + p["0.bias"]
        mean = lax.stop_gradient(h.mean(-1, keepdims=True))
        h = (h - mean) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5) * p["1.weight"] + p["1.bias"]
        return jnp.tanh(h) @ p["0.weight"].T + p["3.bias"]

    report = crosscheck.compare_models(model, port, [np.random.default_rng(0).normal(size=(3, 4))], params=params)
    assert [fault.torch for fault in report.faults] == ["1"]
