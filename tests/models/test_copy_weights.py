"""Weights carried over to a model that was just made, by runs that prove each match."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts, kind_of
from in_both import to_torch
from ported import (
    IDS,
    IMAGE,
    SEQUENCE,
    Attention,
    Chain,
    Gated,
    Images,
    Recurrent,
    Tied,
    Tree,
    Twins,
    X,
    apart,
    attend,
    folded_attention,
    folded_params,
    fresh,
    gru,
    gru_params,
    image_params,
    images,
    joined_attention,
    joined_params,
    leaves,
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
from zoo import ARCHITECTURES, Architecture, installed

import crosscheck
from crosscheck import Fact, UsageError

CARRIED: dict[str, tuple[Callable[[], nn.Module], Any, Callable[..., Tree], np.ndarray, Any]] = {
    "split and folded": (Attention, folded_attention, folded_params, X, None),
    "joined": (Attention, joined_attention, joined_params, X, None),
    "images": (Images, images, image_params, IMAGE, lambda xs: [x.transpose(0, 2, 3, 1) for x in xs]),
    "stacked": (Chain, scanned, stacked_params, X, None),
    "tied": (Tied, lambda p, i: jnp.tanh(p["t"][i]) @ p["t"].T, lambda own: {"t": own["tokens.weight"]}, IDS, None),
    "summed": (Recurrent, lstm, lstm_params, SEQUENCE, None),
    "split and summed": (Gated, gru, gru_params, SEQUENCE, None),
}


@pytest.mark.parametrize("name", CARRIED)
def test_a_fresh_model_gets_the_weights(name: str) -> None:
    made, port, params_of, x, torch_to_jax = CARRIED[name]
    model = randomised(made())
    expected = params_of(weights_of(model))
    given = fresh(expected)
    tree, matches = crosscheck.copy_weights(model, port, [x], params=given, torch_to_jax=torch_to_jax)
    assert apart(tree, expected) == set()
    assert jax.tree.structure(tree) == jax.tree.structure(given)
    assert {kind_of(match.reason) for match in matches} <= {"", "integers"}
    assert all(not leaf.any() for leaf in leaves(given).values())
    arguments = torch_to_jax([x]) if torch_to_jax else [x]
    with torch.no_grad():
        np.testing.assert_allclose(port(tree, *arguments), model(to_torch(x)).numpy(), rtol=0, atol=1e-5)


def test_joined_projections_in_another_order_are_carried_in_the_order_that_jax_uses() -> None:
    model = randomised(Attention())

    def port(p: Any, x: Any) -> Any:
        v, q, k = (part.reshape(*part.shape[:-1], 2, -1) for part in jnp.split(linear(p["qkv"], x), 3, -1))
        return linear(p["out"], attend(q, k, v).reshape(x.shape))

    expected = joined_params(weights_of(model), (2, 0, 1))
    tree, matches = crosscheck.copy_weights(model, port, [X], params=fresh(expected))
    assert steps(matches)["qkv.weight", "['qkv']['w']"] == (("transposed",), ("parts", 2, 0, 1))
    # a bias of the keys changes no attention: only where it stands follows from the product
    assert apart(tree, expected) == set()


def test_names_that_mislead_do_not_matter_where_a_run_decides() -> None:
    model = randomised(Attention())
    expected = folded_params(weights_of(model))

    def port(p: Any, x: Any) -> Any:  # what is called the query is the value
        return folded_attention({**p, "query": p["value"], "value": p["query"]}, x)

    tree, _ = crosscheck.copy_weights(model, port, [X], params=fresh(expected))
    assert apart(tree, {**expected, "query": expected["value"], "value": expected["query"]}) == set()


def test_what_neither_data_nor_names_tell_apart_is_left_as_it_was() -> None:
    model = randomised(Twins())
    expected = twin_params(weights_of(model))
    tree, matches = crosscheck.copy_weights(model, twins, [X], params=fresh(expected))
    assert apart(tree["head"], expected["head"]) == set()
    assert not any(leaf.any() for name in ("one", "two") for leaf in leaves(tree[name]).values())
    reasons = {match.torch or match.jax: match.reason for match in matches if not match.matched}
    assert {"left.weight", "right.bias", "['one']['w']", "['two']['b']"} < reasons.keys()
    assert {kind_of(reason) for reason in reasons.values()} <= {"unidentifiable", "ambiguous"}


def test_names_tell_apart_what_data_does_not() -> None:
    model = randomised(Twins("two", "one"))
    own = weights_of(model)
    expected = {name: {"w": own[f"{name}.weight"].T, "b": own[f"{name}.bias"]} for name in ("one", "two", "head")}
    tree, _ = crosscheck.copy_weights(model, twins, [X], params=fresh(expected))
    assert apart(tree, expected) == set()


def test_a_layer_that_is_wrong_keeps_nothing_else_from_being_carried() -> None:
    model = randomised(nn.Sequential(*(layer for _ in range(3) for layer in (nn.Linear(4, 4), nn.GELU()))))

    def port(p: Any, x: Any) -> Any:
        for k, own in enumerate(p):
            x = jax.nn.gelu(linear(own, x), approximate=k == 1)
        return x

    own = weights_of(model)
    expected = [{"w": own[f"{2 * k}.weight"].T, "b": own[f"{2 * k}.bias"]} for k in range(3)]
    tree, matches = crosscheck.copy_weights(model, port, [X], params=fresh(expected))
    assert apart(tree, expected) == set()
    how = {match.torch: kind_of(match.how) for match in matches}
    assert how["2.weight"] == "run alone"
    assert how["0.weight"] == how["4.weight"] == "run"


def test_a_weight_without_a_partner_is_left_and_said() -> None:
    model = randomised(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3, bias=False)))
    own = weights_of(model)
    expected = {"a": {"w": own["0.weight"].T, "b": own["0.bias"]}, "z": own["1.weight"].T, "spare": normals(5)}
    given = {**fresh(expected), "spare": jnp.ones(5)}
    tree, matches = crosscheck.copy_weights(model, lambda p, x: linear(p["a"], x) @ p["z"], [X], params=given)
    assert apart(tree, {**expected, "spare": np.ones(5)}) == set()
    assert told(matches)[None, "['spare']"] == "unused"


class Positions(nn.Module):
    """A table of 16 positions, of which the inputs need the first 5, and the class token has one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.table = nn.Parameter(torch.zeros(1, 16, 4))
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[1]
        x = torch.cat([(self.token + self.table[:, -1:]).expand(len(x), -1, -1), x + self.table[:, :length]], 1)
        return self.head(self.norm(x))


@pytest.mark.parametrize("shape", [(1, 16, 4), (16, 4)])
def test_a_table_of_which_the_inputs_need_a_part_is_carried_whole(shape: tuple[int, ...]) -> None:
    model = randomised(Positions())

    def port(p: Any, x: Any) -> Any:
        table = p["table"].reshape(16, 4)
        token = jnp.broadcast_to(p["token"] + table[-1:], (len(x), 1, 4))
        x = jnp.concatenate([token, x + table[: x.shape[1]]], 1)
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return (x * p["scale"] + p["shift"]) @ p["w"] + p["b"]

    own = weights_of(model)
    expected = {"token": own["token"], "table": own["table"].reshape(shape), "scale": own["norm.weight"]}
    expected |= {"shift": own["norm.bias"], "w": own["head.weight"].T, "b": own["head.bias"]}
    tree, matches = crosscheck.copy_weights(model, port, [normals(2, 5, 4)], params=fresh(expected))
    assert not [match.reason for match in matches if not match.matched]
    assert apart(tree, expected) == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((abs, abs, [X]), "torch_model: got builtin_function_or_method, expected a torch.nn.Module"),
        ((nn.Linear(4, 2), 3, [X]), "jax_model: got int, expected a module of flax or equinox, or a function"),
        ((nn.Linear(4, 2), abs, [X]), "jax_model: got a function without its parameters"),
    ],
)
def test_what_is_no_model_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        crosscheck.copy_weights(*arguments)


def test_a_model_that_draws_random_numbers_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.5)).train()
    with pytest.raises(UsageError, match=r"torch_model: it draws random numbers; call eval\(\)"):
        crosscheck.copy_weights(model, linear, [X], params=fresh({"w": normals(4, 2), "b": normals(2)}))


def test_the_difference_is_that_of_what_the_model_holds_then() -> None:
    model = randomised(nn.Linear(4, 2))
    given = {"w": jnp.zeros((4, 2), jnp.bfloat16), "b": jnp.zeros(2, jnp.float32)}
    x = normals(3, 4)
    tree, matches = crosscheck.copy_weights(model, lambda p, x: x @ p["w"] + p["b"], [x], params=given)
    apart = {match.torch: match.difference for match in matches}
    rounded = np.asarray(tree["w"]).astype(np.float64)
    assert apart["weight"] == np.abs(rounded - model.weight.detach().double().numpy().T).max() > 0
    assert apart["bias"] == 0


def test_a_model_that_does_not_take_the_inputs_is_refused() -> None:
    with pytest.raises(UsageError, match=r"jax_model: jax.make_jaxpr raises TypeError.*these inputs.*torch_to_jax"):
        crosscheck.copy_weights(nn.Linear(4, 2), lambda p, x: x @ p, [X], params=jnp.zeros((3, 2)))


UNPROVEN = {"resnet-equinox", "lstm-haiku"}
"""Ports of which not every weight is carried over, which must be said: the statistics in equinox's state have no names, and
haiku's LSTM takes 1 from torch's bias."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "library"),
    [
        pytest.param(architecture, library, id=f"{architecture.name}-{library}")
        for architecture in ARCHITECTURES.values()
        for library in architecture.ports
        if not architecture.train
    ],
)
def test_every_architecture_of_the_zoo_gets_its_weights(architecture: Architecture, library: str) -> None:
    if not installed(library):
        pytest.skip(f"{library} is not installed")
    model, port, right = architecture.torch_model(0), architecture.jax(library, fresh=True), architecture.jax(library)
    tree, matches = crosscheck.copy_weights(
        model, port.model, architecture.inputs(0), params=port.params, torch_to_jax=port.torch_to_jax
    )
    wrong = apart(tree, right.model if right.params is None else right.params)
    if f"{architecture.name}-{library}" in UNPROVEN:
        assert wrong <= {match.jax for match in matches if match.reason or kind_of(match.how) == "run alone"}
        return
    assert wrong == set()
    fine = {"", "integers"}
    assert {kind_of(match.reason) for match in matches if match.torch is not None} <= fine
    assert {kind_of(match.reason) for match in matches} <= {*fine, "unused"}
    jax.clear_caches()


def strided(p: Tree, x: Any, *, padding: Any, pool: Any) -> Any:
    """Channels first, as torch has them."""
    h = jax.lax.conv_general_dilated(x, p["conv1"], (2, 2), padding)
    h = (h - p["mean"][:, None, None]) / jnp.sqrt(p["var"][:, None, None] + 1e-5) * p["scale"][:, None, None]
    h = jax.nn.relu(h + p["shift"][:, None, None])
    h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pool)
    return jax.lax.conv_general_dilated(h, p["conv2"], (1, 1), "SAME").mean((2, 3)) @ p["w"] + p["b"]


ROLES = ("scale", "shift", "mean", "var")
ONE_EACH = ((0, 0), (0, 0), (1, 1), (1, 1))


@pytest.mark.parametrize(
    ("padding", "pool", "wrong"),
    [
        pytest.param([(1, 1), (1, 1)], ONE_EACH, None, marks=pytest.mark.full),
        ("SAME", ONE_EACH, "0"),
        ([(1, 1), (1, 1)], "SAME", "3"),
        ("SAME", "SAME", "0"),
    ],
)
def test_the_weights_of_a_port_with_another_padding_are_found_and_the_padding_is_named(
    padding: Any, pool: Any, wrong: str | None
) -> None:
    layers = [nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    layers += [nn.Conv2d(4, 6, 3, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)]
    model = randomised(nn.Sequential(*layers)).eval()
    shapes = {"conv1": (4, 3, 3, 3), **dict.fromkeys(("mean", "var", "scale", "shift"), (4,)), "conv2": (6, 4, 3, 3)}
    params = {name: jnp.ones(shape) for name, shape in {**shapes, "w": (6, 2), "b": (2,)}.items()}

    def port(p: Tree, x: Any) -> Any:
        return strided(p, x, padding=padding, pool=pool)

    report = crosscheck.compare_models(model, port, [normals(2, 3, 16, 16)], params=params, weights="copy", order=0)
    assert [match.torch for match in report.weights if match.compared and not match.matched] == []
    assert [fault.torch for fault in report.faults][:1] == ([] if wrong is None else [wrong])
    assert len(report.faults) == (padding == "SAME") + (pool == "SAME")
    for fault in report.faults:
        assert_facts(fault.facts, Fact("padding", torch="(1, 1) x (1, 1)", jax="(0, 1) x (0, 1)"))


@pytest.mark.full
def test_the_weights_of_a_port_with_another_epsilon_and_activation_are_found() -> None:
    layers = [
        nn.Linear(4, 6),
        nn.LayerNorm(6),
        nn.Linear(6, 8),
        nn.GELU(),
        nn.Linear(8, 6),
        nn.LayerNorm(6),
        nn.Linear(6, 2),
    ]
    model = randomised(nn.Sequential(*layers))
    shapes = {name: value.shape for name, value in weights_of(model).items()}

    def port(p: Tree, x: Any) -> Any:
        def normed(h: Any, name: str) -> Any:
            h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-3)
            return h * p[f"{name}.weight"] + p[f"{name}.bias"]

        def dense(h: Any, name: str) -> Any:
            return h @ p[f"{name}.weight"].T + p[f"{name}.bias"]

        h = jax.nn.gelu(dense(normed(dense(x, "0"), "1"), "2"))
        return dense(normed(dense(h, "4"), "5"), "6")

    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    report = crosscheck.compare_models(model, port, [normals(9, 4)], params=params, weights="copy", order=0)
    assert all(match.matched for match in report.weights)
    assert [fault.torch for fault in report.faults] == ["1", "3", "5"]


def test_a_weight_that_fits_none_of_its_data_is_left_and_said() -> None:
    def port(p: Tree, x: Any) -> Any:
        return jax.lax.conv_general_dilated(x, p["w"], (1, 1), "SAME")

    model = randomised(nn.Conv2d(3, 4, 3, padding=1, bias=False))
    _, matches = crosscheck.copy_weights(model, port, [normals(1, 3, 5, 5)], params={"w": jnp.ones((4, 3, 1, 1))})
    assert [(match.torch, match.jax, match.matched) for match in matches] == [
        ("weight", None, False),
        (None, "['w']", False),
    ]


def depthwise(p: Tree, x: Any) -> Any:
    """Channels first. Every convolution of three by three forgets its groups."""

    def normed(h: Any, name: str) -> Any:
        scale, shift, mean, var = (p[f"{name}.{what}"][:, None, None] for what in ("scale", "shift", "mean", "var"))
        return (h - mean) / jnp.sqrt(var + 1e-5) * scale + shift

    for k in ("0", "1"):
        x = jax.nn.relu(normed(jax.lax.conv_general_dilated(x, p[f"{k}.point"], (1, 1), "SAME"), f"{k}.first"))
        x = normed(jax.lax.conv_general_dilated(x, p[f"{k}.depth"], (1, 1), "SAME"), f"{k}.second")
    return x


@pytest.mark.full
def test_a_convolution_that_forgets_its_groups_is_named_and_keeps_nothing_else_from_being_carried() -> None:
    def stage() -> list[nn.Module]:
        first = [nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
        return [*first, nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(4)]

    model = randomised(nn.Sequential(*stage(), *stage())).eval()
    shapes = {f"{k}.{norm}.{what}": (4,) for k in "01" for norm in ("first", "second") for what in ROLES}
    shapes |= {f"{k}.point": (4, 4, 1, 1) for k in "01"} | {f"{k}.depth": (4, 4, 3, 3) for k in "01"}
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    report = crosscheck.compare_models(model, depthwise, [normals(2, 4, 9, 9)], params=params, weights="copy", order=0)
    unmatched = {match.torch for match in report.weights if match.torch and match.compared and not match.matched}
    assert unmatched == {"3.weight", "8.weight"}
    assert [fault.torch for fault in report.faults] == ["3", "8"]
    own, others = "4 groups and a weight of shape (4, 1, 3, 3)", "1 group and one of shape (4, 4, 3, 3)"
    assert [fault.facts for fault in report.faults] == [(Fact("shape", torch=own, jax=others),)] * 2
    assert len(report.diverging) == 1
