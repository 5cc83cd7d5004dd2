"""Weights of two models: each is accounted for, with its partner and its layout."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import kind_of
from ported import (
    IDS,
    IMAGE,
    SEQUENCE,
    Attention,
    Chain,
    Gated,
    Images,
    Matches,
    Recurrent,
    Rotated,
    Separate,
    Tied,
    Tree,
    Twins,
    X,
    folded_attention,
    folded_params,
    gru,
    gru_params,
    image_params,
    images,
    joined_attention,
    joined_params,
    linear,
    lstm,
    lstm_params,
    normals,
    randomised,
    scanned,
    stacked_params,
    steps,
    told,
    twin_params,
    twins,
    weights_of,
)
from torch import nn

import crosscheck


def accounted(
    model: nn.Module, port: Any, params: Tree, inputs: Sequence[Any], jax_inputs: Sequence[Any] | None = None
) -> Matches:
    """Every weight of two models that hold their weights already."""
    in_jax = None if jax_inputs is None else lambda _: list(jax_inputs)
    return crosscheck.compare_models(model, port, list(inputs), params=params, torch_to_jax=in_jax, order=0).weights


def test_a_projection_that_is_split_and_folded_is_told() -> None:
    model = randomised(Attention())
    matches = accounted(model, folded_attention, folded_params(weights_of(model)), [X])
    layouts = steps(matches)
    assert layouts["qkv.weight", "['key']['w']"] == (("transposed",), ("split", 3, 1), ("folded", 2, 2))
    assert layouts["qkv.bias", "['value']['b']"] == (("split", 3, 2), ("folded", 2, 2))
    assert layouts["out.weight", "['out']['w']"] == (("transposed",),)
    assert layouts["out.bias", "['out']['b']"] == (("same",),)
    assert {kind_of(match.how) for match in matches} == {"values"}
    assert all(match.matched and match.difference == 0 for match in matches)
    assert len(matches) == 8


def test_projections_that_are_joined_are_told() -> None:
    model = randomised(Separate())
    own = weights_of(model)
    own["qkv.weight"] = np.concatenate([own[f"{name}.weight"] for name in "qkv"])
    own["qkv.bias"] = np.concatenate([own[f"{name}.bias"] for name in "qkv"])
    layouts = steps(accounted(model, joined_attention, joined_params(own), [X]))
    every = "q.weight", "k.weight", "v.weight"
    assert layouts["q.weight", "['qkv']['w']"] == (("transposed",), ("joined", 0, *every))
    assert layouts["v.weight", "['qkv']['w']"] == (("transposed",), ("joined", 2, *every))


@pytest.mark.full
def test_parts_in_another_order_are_told() -> None:
    model = randomised(Attention())
    layouts = steps(accounted(model, joined_attention, joined_params(weights_of(model), (2, 0, 1)), [X]))
    assert layouts["qkv.weight", "['qkv']['w']"] == (("transposed",), ("parts", 2, 0, 1))
    assert layouts["qkv.bias", "['qkv']['b']"] == (("parts", 2, 0, 1),)


def test_a_square_weight_that_was_not_transposed_is_told() -> None:
    model = randomised(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)))
    own = weights_of(model)
    params = {"a": {"w": own["0.weight"], "b": own["0.bias"]}, "z": {"w": own["2.weight"].T, "b": own["2.bias"]}}
    layouts = steps(accounted(model, lambda p, x: linear(p["z"], jnp.tanh(linear(p["a"], x))), params, [X]))
    assert layouts["0.weight", "['a']['w']"] == (("same",), ("used transposed",))
    assert layouts["2.weight", "['z']['w']"] == (("transposed",),)


def test_convolutions_statistics_and_a_flatten_are_told() -> None:
    model = randomised(Images())
    with torch.no_grad():
        model.norm.running_mean.copy_(torch.tensor([0.1, -0.2, 0.3]))
        model.norm.running_var.copy_(torch.tensor([0.5, 1.5, 0.7]))
    matches = accounted(model, images, image_params(weights_of(model)), [IMAGE], [IMAGE.transpose(0, 2, 3, 1)])
    layouts = told(matches)
    assert layouts["conv.weight", "['conv']['w']"] == "OIHW to HWIO"
    assert steps(matches)["up.weight", "['up']['w']"] == (("axes", 2, 3, 0, 1), ("flipped", 2, 3))
    assert steps(matches)["head.weight", "['head']['w']"] == (("transposed",), ("reordered", (16, 1), (2, 16)))
    assert layouts["norm.running_mean", "['norm']['mean']"] == layouts["norm.running_var", "['norm']['var']"] == "the same"
    assert kind_of(layouts["norm.num_batches_tracked", None]) == "integers"


def test_layers_that_are_stacked_are_told() -> None:
    model = randomised(Chain())
    layouts = steps(accounted(model, scanned, stacked_params(weights_of(model)), [X]))
    assert layouts["layers.1.weight", "['w']"] == (("transposed",), ("stacked", 1, 3))
    assert layouts["layers.2.bias", "['b']"] == (("stacked", 2, 3),)


def test_a_tied_weight_is_told_where_jax_ties_it_and_where_it_does_not() -> None:
    model = randomised(Tied())
    table = weights_of(model)["tokens.weight"]

    def tied(p: Any, ids: Any) -> Any:
        return jnp.tanh(p["table"][ids]) @ p["table"].T

    def untied(p: Any, ids: Any) -> Any:
        return jnp.tanh(p["table"][ids]) @ p["head"]

    matches = accounted(model, tied, {"table": table}, [IDS])
    assert [(match.torch, match.jax, kind_of(match.how)) for match in matches] == [
        ("tokens.weight", "['table']", "values"),
        ("head.weight", "['table']", "tied"),
    ]
    by_name = {match.torch: match for match in accounted(model, untied, {"table": table, "head": table.T}, [IDS])}
    partners = {by_name["tokens.weight"].jax, by_name["head.weight"].jax}
    assert partners == {"['table']", "['head']"}
    assert kind_of(by_name["head.weight"].how) == "tied"


def test_two_equal_weights_used_alike_are_unidentifiable() -> None:
    model = randomised(Twins())
    model.right.load_state_dict(model.left.state_dict())
    matches = accounted(model, twins, twin_params(weights_of(model)), [X])
    without = {match.torch or match.jax for match in matches if not match.matched}
    assert without == {
        *("left.weight", "left.bias", "right.weight", "right.bias"),
        *("['one']['w']", "['one']['b']", "['two']['w']", "['two']['b']"),
    }
    assert {kind_of(match.reason) for match in matches if not match.matched} == {"unidentifiable"}
    assert told(matches)["head.weight", "['head']['w']"] == "transposed"


def test_two_equal_weights_used_one_after_the_other_are_told_apart_by_their_places() -> None:
    model = randomised(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)))
    model[2].load_state_dict(model[0].state_dict())
    own = weights_of(model)
    params = {name: {"w": own[f"{k}.weight"].T, "b": own[f"{k}.bias"]} for name, k in (("second", 2), ("first", 0))}
    matches = accounted(model, lambda p, x: linear(p["second"], jnp.tanh(linear(p["first"], x))), params, [X])
    assert {(match.torch, match.jax) for match in matches} == {
        ("0.weight", "['first']['w']"),
        ("0.bias", "['first']['b']"),
        ("2.weight", "['second']['w']"),
        ("2.bias", "['second']['b']"),
    }
    assert {kind_of(match.how) for match in matches} == {"position"}


def test_what_jax_computes_and_what_nothing_uses_is_told() -> None:
    model = randomised(Rotated())
    own = weights_of(model)
    params = {"fc": {"w": own["fc.weight"].T, "b": own["fc.bias"]}, "extra": normals(6), "count": np.int32(3)}

    def port(p: Any, x: Any) -> Any:
        return linear(p["fc"], x * jnp.cos(jnp.arange(20, dtype=jnp.float32).reshape(5, 4)))

    matches = accounted(model, port, {**params, "count": np.array([3], np.int32)}, [X])
    reasons = {(match.torch, match.jax): kind_of(match.reason) for match in matches}
    assert reasons["table", None] == "computed"
    assert reasons["spare.weight", None] == reasons[None, "['extra']"] == "unused"
    assert reasons[None, "['count']"] == "integers"


def test_a_weight_of_other_values_is_matched_by_its_place_and_its_difference_told() -> None:
    model = randomised(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)))
    own = weights_of(model)
    changed = own["2.weight"].T.copy()
    changed[1, 1] += 0.5
    params = {"a": {"w": own["0.weight"].T, "b": own["0.bias"]}, "z": {"w": changed, "b": own["2.bias"]}}
    matches = accounted(model, lambda p, x: linear(p["z"], jnp.tanh(linear(p["a"], x))), params, [X])
    match = next(match for match in matches if match.torch == "2.weight")
    assert (match.jax, match.layout, kind_of(match.how)) == ("['z']['w']", "transposed", "position")
    assert match.difference == pytest.approx(0.5)


def test_two_biases_of_which_jax_has_the_sum_are_told() -> None:
    model = randomised(Recurrent())
    layouts = steps(accounted(model, lstm, lstm_params(weights_of(model)), [SEQUENCE]))
    names = "lstm.bias_ih_l0", "lstm.bias_hh_l0"
    assert [layouts[name, "['bias']"] for name in names] == [names, names]


def test_a_part_of_two_biases_may_be_summed_and_both_gradients_are_compared() -> None:
    model = randomised(Gated())
    report = crosscheck.compare_models(model, gru, [SEQUENCE], params=gru_params(weights_of(model)))
    assert report.passed, report
    layouts, names = steps(report.weights), ("gru.bias_ih_l0", "gru.bias_hh_l0")
    for gate in ("ir", "iz"):
        assert [layouts[name, f"['{gate}']['b']"] for name in names] == [names, names]
    assert {gradient.parameter: gradient.share for gradient in report.gradients if "bias" in gradient.parameter} == {
        "gru.bias_ih_l0": 1.0,
        "gru.bias_hh_l0": 1.0,
    }


def test_norms_that_were_just_made_are_told_apart_by_the_arrays_beside_them() -> None:
    """All their weights are 1, and all their biases 0. Their names in JAX have another order than in torch."""
    norms = [nn.BatchNorm1d(6) for _ in range(3)]
    model = nn.Sequential(*(part for norm in norms for part in (nn.Linear(6, 6), norm, nn.Tanh()))).eval()
    for k, norm in enumerate(norms):
        norm.register_buffer("running_mean", torch.linspace(-1, 1, 6) * (k + 1))
        norm.register_buffer("running_var", torch.linspace(0.5, 1.5, 6) / (k + 1))
    own, names = weights_of(model), ("z", "a", "k")
    params: Tree = {}
    for k, name in enumerate(names):
        linear_, norm_ = (
            {name.rpartition(".")[2]: array for name, array in own.items() if name.startswith(f"{at}.")}
            for at in (3 * k, 3 * k + 1)
        )
        params[f"{name}1"] = {"w": linear_["weight"].T, "b": linear_["bias"]}
        params[f"{name}2"] = {"scale": norm_["weight"], "shift": norm_["bias"]}
        params[f"{name}2"] |= {"mean": norm_["running_mean"], "var": norm_["running_var"]}

    def port(p: Any, x: Any) -> Any:
        for name in names:
            norm = p[f"{name}2"]
            factor = norm["scale"] / jnp.sqrt(norm["var"] + 1e-5)
            x = jnp.tanh((linear(p[f"{name}1"], x) - norm["mean"]) * factor + norm["shift"])
        return x

    report = crosscheck.compare_models(model, port, [normals(5, 6)], params=params)
    assert report.passed, report
    assert len(report.gradients) == 12
    layouts = told(report.weights)
    for k, name in enumerate(names):
        assert layouts[f"{3 * k + 1}.weight", f"['{name}2']['scale']"] == "the same"


def test_two_weights_of_one_module_with_the_same_numbers_are_told_apart_by_their_names() -> None:
    model = randomised(Gated())
    with torch.no_grad():
        for name in ("gru.bias_ih_l0", "gru.bias_hh_l0"):
            model.get_parameter(name).fill_(0.25)
    own = weights_of(model)
    params = {"cell": {name.rpartition(".")[2]: array for name, array in own.items()}}

    def port(p: Any, x: Any) -> Any:
        cell = p["cell"]
        gates = {}
        for side, names in (("i", ("weight_ih_l0", "bias_ih_l0")), ("h", ("weight_hh_l0", "bias_hh_l0"))):
            w, b = (jnp.split(cell[name], 3) for name in names)
            gates |= {f"{side}{gate}": {"w": w[k].T, "b": b[k]} for k, gate in enumerate("rzn")}
        h = jnp.zeros((len(x), 4), x.dtype)
        states = []
        for t in range(x.shape[1]):
            r, z = (jax.nn.sigmoid(linear(gates[f"i{k}"], x[:, t]) + linear(gates[f"h{k}"], h)) for k in "rz")
            h = (1 - z) * jnp.tanh(linear(gates["in"], x[:, t]) + r * linear(gates["hn"], h)) + z * h
            states.append(h)
        return jnp.stack(states, 1)

    report = crosscheck.compare_models(model, port, [SEQUENCE], params=params)
    assert report.passed, report
    layouts = told(report.weights)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        assert layouts[f"gru.{name}", f"['cell']['{name}']"] == "the same"


class NewAttention(nn.Module):
    """Attention as it is before training: every bias is 0."""

    def __init__(self, joined: bool) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True) if joined else None
        self.parts = nn.ModuleDict({} if joined else {name: nn.Linear(8, 8) for name in "qkvo"})
        for layer in self.parts.values():
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.inner is not None:
            return self.inner(x, x, x, need_weights=False)[0]
        q, k, v = (self.parts[name](x).unflatten(-1, (2, 4)).transpose(1, 2) for name in "qkv")
        return self.parts["o"](nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def params(self) -> dict[str, tuple[Any, Any]]:
        if self.inner is None:
            return {name: (jnp.array(part.weight.detach().numpy()), jnp.zeros(8)) for name, part in self.parts.items()}
        weights = [*np.split(self.inner.in_proj_weight.detach().numpy(), 3), self.inner.out_proj.weight.detach().numpy()]
        return {name: (jnp.array(weight), jnp.zeros(8)) for name, weight in zip("qkvo", weights, strict=True)}


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("order", ["qkv", "vkq"])
@pytest.mark.parametrize("stopped", ["", "v"])
def test_biases_of_zeros_are_matched_by_the_products_that_they_follow(joined: bool, order: str, stopped: str) -> None:
    def port(params: Any, x: Any) -> Any:
        def linear(name: str, given: Any) -> Any:
            weight, bias = params[name]
            return given @ weight.T + (jax.lax.stop_gradient(bias) if name == stopped else bias)

        parts = {name: linear(name, x).reshape(*x.shape[:2], 2, 4) for name in order}
        return linear("o", jax.nn.dot_product_attention(parts["q"], parts["k"], parts["v"]).reshape(x.shape))

    torch.manual_seed(0)
    model = NewAttention(joined)
    x = np.random.default_rng(0).standard_normal((2, 5, 8), np.float32)
    report = crosscheck.compare_models(model, port, [x], params=model.params())
    assert {weight.jax for weight in report.weights if weight.torch is None} == set()
    biases = [gradient for gradient in report.gradients if gradient.parameter.endswith("bias")]
    assert sum(gradient.cause is not None for gradient in biases) == len(stopped), report.story()
    assert sum(len(gradient.jax) for gradient in biases) == 4


class Parallel(nn.Module):
    """Two branches from one value, each with a norm and biases as they are before training."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.up, self.down = (nn.ModuleList(nn.Linear(8, 8) for _ in range(2)) for _ in range(2))
        for layer in (*self.up, *self.down):
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(0, x) + self.branch(1, x)

    def branch(self, k: int, x: torch.Tensor) -> torch.Tensor:
        return self.down[k](torch.tanh(self.up[k](self.norms[k](x))))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("stopped", [None, 0, 1])
def test_new_norms_are_matched_by_the_products_that_follow_them(order: tuple[int, int], stopped: int | None) -> None:
    def port(params: Any, x: Any) -> Any:
        def branch(k: int) -> Any:
            given = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
            weight = params[f"norms.{k}.weight"]
            given = given * (jax.lax.stop_gradient(weight) if k == stopped else weight) + params[f"norms.{k}.bias"]
            up = jnp.tanh(given @ params[f"up.{k}.weight"].T + params[f"up.{k}.bias"])
            return up @ params[f"down.{k}.weight"].T + params[f"down.{k}.bias"]

        first, second = (branch(k) for k in order)
        return x + first + second

    torch.manual_seed(0)
    model = Parallel()
    params = {name: jnp.array(tensor.detach().numpy()) for name, tensor in model.named_parameters()}
    report = crosscheck.compare_models(
        model, port, [np.random.default_rng(0).standard_normal((4, 8), np.float32)], params=params
    )
    wrong = [gradient.parameter for gradient in report.gradients if gradient.cause is not None]
    assert wrong == ([] if stopped is None else [f"norms.{stopped}.weight"]), report.story()
    assert {(weight.torch, weight.jax) for weight in report.weights} == {(name, f"['{name}']") for name in params}


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_weight_of_one_number_and_a_product_of_two_vectors_are_matched(shape: tuple[int, ...]) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.scale = nn.Linear(4, 3), nn.Parameter(torch.full(shape, 2.0))
            self.u, self.v = nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x) * self.scale.exp() / (self.u @ self.v)

    model = randomised(Scaled())
    params = weights_of(model)

    def port(p: Any, x: Any) -> Any:
        return (x @ p["fc.weight"].T + p["fc.bias"]) * jnp.exp(p["scale"]) / jnp.dot(p["u"], p["v"])

    report = crosscheck.compare_models(model, port, [normals(3, 4)], params=params)
    assert report.passed, report.story()
    assert all(match.matched for match in report.weights)
