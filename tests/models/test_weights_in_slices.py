"""Weights that JAX holds as slices of one array, twice, or as rows of a joined weight of torch whose numbers repeat."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from facts import kind_of
from ported import IDS, Chain, Tied, X, linear, normals, randomised, stacked_params, steps, weights_of
from torch import nn

import crosscheck


def test_layers_that_are_stacked_along_another_axis_are_told_and_their_gradients_compared() -> None:
    model = randomised(Chain())
    stacked = stacked_params(weights_of(model))
    params = {"w": np.moveaxis(stacked["w"], 0, 1), "b": np.moveaxis(stacked["b"], 0, 1)}

    def port(p: Any, x: Any, stop: int | None = None) -> Any:
        for k in range(3):
            w = jax.lax.stop_gradient(p["w"][:, k]) if k == stop else p["w"][:, k]
            x = jnp.tanh(linear({"w": w, "b": p["b"][:, k]}, x))
        return x

    report = crosscheck.compare_models(model, port, [X], params=params)
    assert report.passed
    assert steps(report.weights)["layers.1.weight", "['w']"] == (("transposed",), ("stacked", 1, 3))
    assert steps(report.weights)["layers.2.bias", "['b']"] == (("stacked", 2, 3),)
    stopped = crosscheck.compare_models(model, lambda p, x: port(p, x, stop=1), [X], params=params)
    assert [gradient.parameter for gradient in stopped.gradients if gradient.cause] == ["layers.1.weight"]


def test_the_gradients_of_a_table_that_jax_holds_twice_are_added() -> None:
    model = randomised(Tied())
    table = weights_of(model)["tokens.weight"]
    params = {"table": table, "head": table.T}

    def port(p: Any, ids: Any) -> Any:
        return jnp.tanh(p["table"][ids]) @ p["head"]

    report = crosscheck.compare_models(model, port, [IDS], params=params)
    assert report.passed
    assert [gradient.jax for gradient in report.gradients] == [("['head']", "['table']")]
    assert [(match.torch, match.jax, kind_of(match.how)) for match in report.weights] == [
        ("head.weight", "['head']", "tied"),
        ("tokens.weight", "['table']", "values"),
    ]

    def stopped(p: Any, ids: Any) -> Any:
        return jnp.tanh(p["table"][ids]) @ jax.lax.stop_gradient(p["head"])

    report = crosscheck.compare_models(model, stopped, [IDS], params=params)
    assert [gradient.parameter for gradient in report.gradients if gradient.cause] == ["tokens.weight"]


def test_rows_of_a_joined_weight_are_told_where_its_numbers_repeat() -> None:
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

        def forward(self, x: Any, y: Any) -> Any:
            return self.attention(x, y, y, need_weights=False)[0]

    model = randomised(Cross())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 8).round() / 8)
    own = weights_of(model)
    params = {
        name: {"w": w.T, "b": b}
        for name, w, b in zip(
            "qkv", np.split(own["attention.in_proj_weight"], 3), np.split(own["attention.in_proj_bias"], 3), strict=True
        )
    }
    params["out"] = {"w": own["attention.out_proj.weight"].T, "b": own["attention.out_proj.bias"]}

    def port(p: Any, x: Any, y: Any) -> Any:
        q, k, v = linear(p["q"], x), linear(p["k"], y), linear(p["v"], y)
        return linear(p["out"], jax.nn.softmax(q @ k.swapaxes(-1, -2) / 2, -1) @ v)

    x, y = normals(2, 3, 4), normals(2, 5, 4, seed=1)
    report = crosscheck.compare_models(model, port, [x, y], params=params)
    assert report.passed
    layouts = steps(report.weights)
    assert layouts["attention.in_proj_weight", "['q']['w']"] == (("transposed",), ("split", 3, 0))
    assert layouts["attention.in_proj_weight", "['v']['w']"] == (("transposed",), ("split", 3, 2))
    assert all(match.matched for match in report.weights)
