"""Weights of whole models: each accounted for, and carried over by runs that prove each match."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from in_both import to_torch
from torch import nn
from zoo import ARCHITECTURES, Architecture, installed

import crosscheck
from crosscheck import UsageError, WeightMatch
from crosscheck._compare.inputs import gather
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models import jax_recording
from crosscheck._models.jax_models import jax_model
from crosscheck._models.pairing import pair
from crosscheck._models.places import without_inputs
from crosscheck._models.torch_recording import record
from crosscheck._models.weights import account

Tree = Any
Matches = tuple[WeightMatch, ...]
Draw = Callable[[int], np.ndarray]


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in model.state_dict(keep_vars=True).items()}


def accounted(
    model: nn.Module, port: Any, params: Tree, inputs: Sequence[Any], jax_inputs: Sequence[Any] | None = None
) -> Matches:
    """Every weight of two models that hold their weights already."""
    ours = gather(list(inputs), "float32", None, 0, 0)
    theirs = ours if jax_inputs is None else gather(list(jax_inputs), "float32", None, 0, 0)
    outputs, _, _ = TorchProgram(model, ours, "cpu").outputs()
    recorded = record(TorchProgram(model, ours, "cpu"), outputs.names)
    jax_side = jax_model(port, params, theirs)
    flat = jax_recording.trace(jax_side.function, jax_side.weights, jax_side.names, theirs.leaves, "float32")
    uses = jax_recording.uses(flat, without_inputs(flat, jax_side.weights))
    return account(recorded, jax_side, flat, uses, pair(recorded.uses, [use for _, use, _ in uses]))


def told(matches: Matches) -> dict[tuple[str | None, str | None], str | None]:
    """By the names on both sides: the layout, or why there is no partner."""
    return {(match.torch, match.jax): match.layout or match.reason for match in matches}


def linear(p: Mapping[str, Any], x: Any) -> Any:
    return x @ p["w"] + p["b"]


class Attention(nn.Module):
    """Three projections in one, two heads."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        q, k, v = (one.reshape(*one.shape[:-1], 2, -1).transpose(1, 2) for one in self.qkv(x).chunk(3, -1))
        y = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(x.shape))


class Separate(Attention):
    """The same with three layers."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        del self.qkv
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))

    def qkv(self, x: Any) -> Any:
        return torch.cat([self.q(x), self.k(x), self.v(x)], -1)


def attend(q: Any, k: Any, v: Any) -> Any:
    """Of (batch, token, head, feature)."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), v)


def joined_attention(p: Any, x: Any) -> Any:
    q, k, v = (one.reshape(*one.shape[:-1], 2, -1) for one in jnp.split(linear(p["qkv"], x), 3, -1))
    return linear(p["out"], attend(q, k, v).reshape(x.shape))


def folded_attention(p: Any, x: Any) -> Any:
    """With matrices of (in, head, feature)."""
    q, k, v = (jnp.einsum("btd,dhf->bthf", x, p[name]["w"]) + p[name]["b"] for name in ("query", "key", "value"))
    return linear(p["out"], attend(q, k, v).reshape(x.shape))


def split(array: np.ndarray, part: int) -> np.ndarray:
    return np.split(array, 3)[part]


def folded_params(own: Mapping[str, np.ndarray]) -> Tree:
    def one(part: int) -> Tree:
        return {"w": split(own["qkv.weight"], part).T.reshape(4, 2, 2), "b": split(own["qkv.bias"], part).reshape(2, 2)}

    out = {"w": own["out.weight"].T, "b": own["out.bias"]}
    return {"query": one(0), "key": one(1), "value": one(2), "out": out}


def joined_params(own: Mapping[str, np.ndarray], order: Sequence[int] = (0, 1, 2)) -> Tree:
    weight, bias = (np.concatenate([split(own[f"qkv.{name}"], part) for part in order]) for name in ("weight", "bias"))
    return {"qkv": {"w": weight.T, "b": bias}, "out": {"w": own["out.weight"].T, "b": own["out.bias"]}}


X = normals(2, 5, 4, seed=1)


# accounting for weights that both sides hold


def test_a_projection_that_is_split_and_folded_is_told() -> None:
    model = randomised(Attention())
    matches = accounted(model, folded_attention, folded_params(weights_of(model)), [X])
    found = told(matches)
    assert found["qkv.weight", "['key']['w']"] == "transposed, split in 3: this is the second, heads folded: 4 as 2 x 2"
    assert found["qkv.bias", "['value']['b']"] == "split in 3: this is the third, heads folded: 4 as 2 x 2"
    assert found["out.weight", "['out']['w']"] == "transposed"
    assert found["out.bias", "['out']['b']"] == "the same"
    assert {match.how for match in matches} == {"both hold the same values"}
    assert all(match.matched and match.difference == 0 for match in matches)
    assert len(matches) == 8


def test_projections_that_are_joined_are_told() -> None:
    model = randomised(Separate())
    own = weights_of(model)
    own["qkv.weight"] = np.concatenate([own[f"{name}.weight"] for name in "qkv"])
    own["qkv.bias"] = np.concatenate([own[f"{name}.bias"] for name in "qkv"])
    found = told(accounted(model, joined_attention, joined_params(own), [X]))
    every = "q.weight, k.weight, v.weight"
    assert found["q.weight", "['qkv']['w']"] == f"transposed, joined of {every}: this is the first"
    assert found["v.weight", "['qkv']['w']"] == f"transposed, joined of {every}: this is the third"


def test_parts_in_another_order_are_told() -> None:
    model = randomised(Attention())
    found = told(accounted(model, joined_attention, joined_params(weights_of(model), (2, 0, 1)), [X]))
    assert found["qkv.weight", "['qkv']['w']"] == "transposed, its 3 parts in the order 3, 1, 2"
    assert found["qkv.bias", "['qkv']['b']"] == "its 3 parts in the order 3, 1, 2"


def test_a_square_weight_that_was_not_transposed_is_told() -> None:
    model = randomised(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)))
    own = weights_of(model)
    params = {"a": {"w": own["0.weight"], "b": own["0.bias"]}, "z": {"w": own["2.weight"].T, "b": own["2.bias"]}}
    found = told(accounted(model, lambda p, x: linear(p["z"], jnp.tanh(linear(p["a"], x))), params, [X]))
    assert found["0.weight", "['a']['w']"] == "the same, used transposed"
    assert found["2.weight", "['z']['w']"] == "transposed"


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.up = nn.ConvTranspose2d(3, 2, 2, stride=2)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.up(torch.relu(self.norm(self.conv(x)))).flatten(1))


def images(p: Any, x: Any) -> Any:
    numbers = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, p["conv"]["w"], (1, 1), "SAME", dimension_numbers=numbers) + p["conv"]["b"]
    n = p["norm"]
    y = (y - n["mean"]) * jax.lax.rsqrt(n["var"] + 1e-5) * n["scale"] + n["bias"]
    y = jax.lax.conv_general_dilated(
        jax.nn.relu(y), p["up"]["w"], (1, 1), [(1, 1), (1, 1)], (2, 2), dimension_numbers=numbers
    )
    y = y + p["up"]["b"]
    return linear(p["head"], y.reshape(len(x), -1))


def image_params(own: Mapping[str, np.ndarray]) -> Tree:
    return {
        "conv": {"w": own["conv.weight"].transpose(2, 3, 1, 0), "b": own["conv.bias"]},
        "norm": {
            "scale": own["norm.weight"],
            "bias": own["norm.bias"],
            "mean": own["norm.running_mean"],
            "var": own["norm.running_var"],
        },
        "up": {"w": own["up.weight"].transpose(2, 3, 0, 1)[::-1, ::-1].copy(), "b": own["up.bias"]},
        "head": {
            "w": own["head.weight"].reshape(5, 2, 4, 4).transpose(2, 3, 1, 0).reshape(32, 5),
            "b": own["head.bias"],
        },
    }


IMAGE = normals(2, 2, 2, 2, seed=3)


def test_convolutions_statistics_and_a_flatten_are_told() -> None:
    model = randomised(Images())
    with torch.no_grad():
        model.norm.running_mean.copy_(torch.tensor([0.1, -0.2, 0.3]))
        model.norm.running_var.copy_(torch.tensor([0.5, 1.5, 0.7]))
    found = told(accounted(model, images, image_params(weights_of(model)), [IMAGE], [IMAGE.transpose(0, 2, 3, 1)]))
    assert found["conv.weight", "['conv']['w']"] == "OIHW to HWIO"
    assert found["up.weight", "['up']['w']"] == "IOHW to HWIO, flipped in space"
    assert found["head.weight", "['head']['w']"] == "transposed, the flattened 2 x 16 in the order 16 x 2"
    assert found["norm.running_mean", "['norm']['mean']"] == found["norm.running_var", "['norm']['var']"] == "the same"
    assert found["norm.num_batches_tracked", None] == "not compared: it holds no floats"


class Chain(nn.Module):
    def __init__(self, count: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(count))

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


def scanned(p: Any, x: Any) -> Any:
    return jax.lax.scan(lambda x, own: (jnp.tanh(linear(own, x)), None), x, p)[0]


def stacked_params(own: Mapping[str, np.ndarray], count: int = 3) -> Tree:
    weights = [own[f"layers.{k}.weight"].T for k in range(count)]
    return {"w": np.stack(weights), "b": np.stack([own[f"layers.{k}.bias"] for k in range(count)])}


def test_layers_that_are_stacked_are_told() -> None:
    model = randomised(Chain())
    found = told(accounted(model, scanned, stacked_params(weights_of(model)), [X]))
    assert found["layers.1.weight", "['w']"] == "transposed, stacked: slice 2 of 3"
    assert found["layers.2.bias", "['b']"] == "stacked: slice 3 of 3"


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Any) -> Any:
        return self.head(torch.tanh(self.tokens(ids)))


IDS = np.array([[1, 2, 3, 6], [0, 4, 5, 1]], np.int32)


def test_a_tied_weight_is_told_where_jax_ties_it_and_where_it_does_not() -> None:
    model = randomised(Tied())
    table = weights_of(model)["tokens.weight"]

    def tied(p: Any, ids: Any) -> Any:
        return jnp.tanh(p["table"][ids]) @ p["table"].T

    def untied(p: Any, ids: Any) -> Any:
        return jnp.tanh(p["table"][ids]) @ p["head"]

    matches = accounted(model, tied, {"table": table}, [IDS])
    assert [(match.torch, match.jax, match.how) for match in matches] == [
        ("tokens.weight", "['table']", "both hold the same values"),
        ("head.weight", "['table']", "tied to tokens.weight"),
    ]
    by_name = {match.torch: match for match in accounted(model, untied, {"table": table, "head": table.T}, [IDS])}
    partners = {by_name["tokens.weight"].jax, by_name["head.weight"].jax}
    assert partners == {"['table']", "['head']"}
    assert by_name["head.weight"].how == "tied to tokens.weight"


class Twins(nn.Module):
    """Two layers of the same data, which are added up."""

    def __init__(self, first: str = "left", second: str = "right") -> None:
        super().__init__()
        self.names = first, second
        for name in self.names:
            setattr(self, name, nn.Linear(4, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.head(sum(torch.tanh(getattr(self, name)(x)) for name in self.names))


def twins(p: Any, x: Any) -> Any:
    return linear(p["head"], jnp.tanh(linear(p["one"], x)) + jnp.tanh(linear(p["two"], x)))


def twin_params(own: Mapping[str, np.ndarray]) -> Tree:
    names = {"one": "left", "two": "right", "head": "head"}
    return {name: {"w": own[f"{theirs}.weight"].T, "b": own[f"{theirs}.bias"]} for name, theirs in names.items()}


def test_two_equal_weights_used_alike_are_unidentifiable() -> None:
    model = randomised(Twins())
    model.right.load_state_dict(model.left.state_dict())
    matches = accounted(model, twins, twin_params(weights_of(model)), [X])
    without = {match.torch or match.jax for match in matches if not match.matched}
    assert without == {
        *("left.weight", "left.bias", "right.weight", "right.bias"),
        *("['one']['w']", "['one']['b']", "['two']['w']", "['two']['b']"),
    }
    assert all((match.reason or "").startswith("unidentifiable: two weights of") for match in matches if not match.matched)
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
    assert {match.how for match in matches} == {"position between its neighbours"}


class Rotated(nn.Module):
    """A table that is a buffer, and a layer that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.cos(torch.arange(20, dtype=torch.float32).reshape(5, 4)))
        self.fc = nn.Linear(4, 3)
        self.spare = nn.Linear(2, 2, bias=False)

    def forward(self, x: Any) -> Any:
        return self.fc(x * self.table)


def test_what_jax_computes_and_what_nothing_uses_is_told() -> None:
    model = randomised(Rotated())
    own = weights_of(model)
    params = {"fc": {"w": own["fc.weight"].T, "b": own["fc.bias"]}, "extra": normals(6), "count": np.int32(3)}

    def port(p: Any, x: Any) -> Any:
        return linear(p["fc"], x * jnp.cos(jnp.arange(20, dtype=jnp.float32).reshape(5, 4)))

    found = told(accounted(model, port, {**params, "count": np.array([3], np.int32)}, [X]))
    assert found["table", None] == "computed in JAX"
    assert found["spare.weight", None] == "unused"
    assert found[None, "['extra']"] == "unused"
    assert found[None, "['count']"] == "not compared: it holds no floats"


def test_a_weight_of_other_values_is_matched_by_its_place_and_its_difference_told() -> None:
    model = randomised(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)))
    own = weights_of(model)
    changed = own["2.weight"].T.copy()
    changed[1, 1] += 0.5
    params = {"a": {"w": own["0.weight"].T, "b": own["0.bias"]}, "z": {"w": changed, "b": own["2.bias"]}}
    matches = accounted(model, lambda p, x: linear(p["z"], jnp.tanh(linear(p["a"], x))), params, [X])
    match = next(match for match in matches if match.torch == "2.weight")
    assert (match.jax, match.layout, match.how) == ("['z']['w']", "transposed", "position between its neighbours")
    assert match.difference == pytest.approx(0.5)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.lstm(x)[0]


def lstm(p: Any, x: Any) -> Any:
    h = c = jnp.zeros((len(x), 4), x.dtype)
    found = []
    for t in range(x.shape[1]):
        i, f, g, o = jnp.split(x[:, t] @ p["input"] + h @ p["hidden"] + p["bias"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        found.append(h)
    return jnp.stack(found, 1)


def lstm_params(own: Mapping[str, np.ndarray]) -> Tree:
    return {
        "input": own["lstm.weight_ih_l0"].T,
        "hidden": own["lstm.weight_hh_l0"].T,
        "bias": own["lstm.bias_ih_l0"] + own["lstm.bias_hh_l0"],
    }


SEQUENCE = normals(2, 3, 3, seed=4)


def test_two_biases_of_which_jax_has_the_sum_are_told() -> None:
    model = randomised(Recurrent())
    found = told(accounted(model, lstm, lstm_params(weights_of(model)), [SEQUENCE]))
    words = "summed: lstm.bias_ih_l0 + lstm.bias_hh_l0"
    assert found["lstm.bias_ih_l0", "['bias']"] == found["lstm.bias_hh_l0", "['bias']"] == words


# carrying weights over to a model that was just made


def fresh(params: Tree) -> Tree:
    """The same tree, with zeros."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), params)


def leaves(tree: Tree) -> dict[str, np.ndarray]:
    found = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path).removesuffix(".value"): np.asarray(leaf)
        for path, leaf in found
        if isinstance(leaf, jax.Array | np.ndarray) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    }


def apart(tree: Tree, expected: Tree) -> set[str]:
    """The arrays that differ."""
    mine, theirs = leaves(tree), leaves(expected)
    assert mine.keys() == theirs.keys()
    return {name for name in mine if not np.allclose(mine[name], theirs[name], rtol=0, atol=1e-6)}


CARRIED: dict[str, tuple[Callable[[], nn.Module], Any, Callable[..., Tree], np.ndarray, Any]] = {
    "split and folded": (Attention, folded_attention, folded_params, X, None),
    "joined": (Attention, joined_attention, joined_params, X, None),
    "images": (Images, images, image_params, IMAGE, lambda xs: [x.transpose(0, 2, 3, 1) for x in xs]),
    "stacked": (Chain, scanned, stacked_params, X, None),
    "tied": (Tied, lambda p, i: jnp.tanh(p["t"][i]) @ p["t"].T, lambda own: {"t": own["tokens.weight"]}, IDS, None),
    "summed": (Recurrent, lstm, lstm_params, SEQUENCE, None),
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
    assert {match.reason for match in matches} <= {None, "not compared: it holds no floats"}
    assert all(not leaf.any() for leaf in leaves(given).values())
    arguments = torch_to_jax([x]) if torch_to_jax else [x]
    with torch.no_grad():
        np.testing.assert_allclose(port(tree, *arguments), model(to_torch(x)).numpy(), rtol=0, atol=1e-5)


def test_joined_projections_in_another_order_are_carried_in_the_order_that_jax_uses() -> None:
    model = randomised(Attention())

    def port(p: Any, x: Any) -> Any:
        v, q, k = (one.reshape(*one.shape[:-1], 2, -1) for one in jnp.split(linear(p["qkv"], x), 3, -1))
        return linear(p["out"], attend(q, k, v).reshape(x.shape))

    expected = joined_params(weights_of(model), (2, 0, 1))
    tree, matches = crosscheck.copy_weights(model, port, [X], params=fresh(expected))
    assert told(matches)["qkv.weight", "['qkv']['w']"] == "transposed, its 3 parts in the order 3, 1, 2"
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
    assert all((reason or "").startswith("unidentifiable") for reason in reasons.values())


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
    how = {match.torch: match.how for match in matches}
    assert how["2.weight"] == "a run with random weights, by its own operation; what follows differs"
    assert how["0.weight"] == how["4.weight"] == "a run with random weights"


def test_a_weight_without_a_partner_is_left_and_said() -> None:
    model = randomised(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3, bias=False)))
    own = weights_of(model)
    expected = {"a": {"w": own["0.weight"].T, "b": own["0.bias"]}, "z": own["1.weight"].T, "spare": normals(5)}
    given = {**fresh(expected), "spare": jnp.ones(5)}
    tree, matches = crosscheck.copy_weights(model, lambda p, x: linear(p["a"], x) @ p["z"], [X], params=given)
    assert apart(tree, {**expected, "spare": np.ones(5)}) == set()
    assert told(matches)[None, "['spare']"] == "unused"


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


def test_a_model_that_does_not_take_the_inputs_is_refused() -> None:
    with pytest.raises(UsageError, match=r"jax_model: got a model that raised TypeError.*one that takes"):
        crosscheck.copy_weights(nn.Linear(4, 2), lambda p, x: x @ p, [X], params=jnp.zeros((3, 2)))


@pytest.mark.full
@pytest.mark.parametrize(
    ("architecture", "library"),
    [
        pytest.param(one, library, id=f"{one.name}-{library}")
        for one in ARCHITECTURES.values()
        for library in one.ports
        if not one.train
    ],
)
def test_every_architecture_of_the_zoo_gets_its_weights(architecture: Architecture, library: str) -> None:
    if not installed(library):
        pytest.skip(f"{library} is not installed")
    model, port, right = architecture.torch_model(0), architecture.jax(library, fresh=True), architecture.jax(library)
    tree, matches = crosscheck.copy_weights(
        model, port.model, architecture.inputs(0), params=port.params, torch_to_jax=port.torch_to_jax
    )
    assert apart(tree, right.model if right.params is None else right.params) == set()
    assert {match.reason for match in matches} <= {None, "not compared: it holds no floats"}
    jax.clear_caches()
