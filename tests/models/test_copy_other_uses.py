"""Weights carried over that a model uses in other ways than layers do."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from ported import Tree, apart, fresh, linear, normals, randomised, weights_of
from torch import nn

import crosscheck


class Graph(nn.Module):
    """Attention along the edges of a graph: a weight is applied to these alone, in JAX to all pairs of nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.projection, self.a = nn.Linear(5, 4), nn.Parameter(torch.zeros(2, 4))

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        h = self.projection(x).reshape(-1, 2, 2)
        source, target = edges.nonzero(as_tuple=True)
        scores = torch.einsum("bhc,hc->bh", torch.cat([h[source], h[target]], -1), self.a)
        every = torch.full((6, 6, 2), -9e15)
        every[source, target] = nn.functional.leaky_relu(scores, 0.2)
        return torch.einsum("ijh,jhc->ihc", torch.softmax(every, 1), h)


def test_the_weight_of_masked_scores_is_found_though_they_are_used_otherwise() -> None:
    def port(p: Tree, x: Any, edges: Any) -> Any:
        h = linear(p["projection"], x).reshape(-1, 2, 2)
        pairs = jnp.concatenate([jnp.broadcast_to(side, (6, 6, 2, 2)) for side in (h[:, None], h[None])], -1)
        scores = jax.nn.leaky_relu(jnp.einsum("bhc,hc->bh", pairs.reshape(36, 2, 4), p["z"]).reshape(6, 6, 2), 0.2)
        scores = jnp.where(edges[..., None] == 0, -9e15, scores)
        return jnp.einsum("ijh,jhc->ihc", jax.nn.softmax(scores, 0), h)  # of the other axis

    model = randomised(Graph())
    own = weights_of(model)
    edges = np.tri(6, dtype=np.float32)
    given = {"projection": {"w": jnp.zeros((5, 4)), "b": jnp.zeros(4)}, "z": jnp.ones((2, 4))}
    tree, matches = crosscheck.copy_weights(model, port, [normals(6, 5), edges], params=given)
    assert {match.torch: match.jax for match in matches}["a"] == "['z']"
    assert (
        apart(tree, {"projection": {"w": own["projection.weight"].T, "b": own["projection.bias"]}, "z": own["a"]}) == set()
    )


class Pooled(nn.Module):
    """Attention with a learnt query, which meets no data before the scores; keys and values are a part of one array."""

    def __init__(self) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attention(self.probe, x, x, need_weights=False)[0]


def pooled(p: Tree, x: Any) -> Any:
    query, key, value = (
        linear(p[name], given).reshape(-1, 2, 4) for name, given in (("query", p["probe"]), ("key", x[0]), ("value", x[0]))
    )
    weights = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", query, key) / 2.0)
    return linear(p["out"], jnp.einsum("hqk,khd->qhd", weights, value).reshape(1, 1, 8))


def test_a_query_of_weights_alone_and_a_part_of_a_joined_bias_are_carried() -> None:
    model = randomised(Pooled())
    own = weights_of(model)
    weights, biases = (np.split(own[f"attention.in_proj_{name}"], 3) for name in ("weight", "bias"))
    expected = {name: {"w": w.T, "b": b} for name, w, b in zip(("query", "key", "value"), weights, biases, strict=True)} | {
        "out": {"w": own["attention.out_proj.weight"].T, "b": own["attention.out_proj.bias"]},
        "probe": own["probe"][0],
    }
    params = fresh(expected)
    tree, matches = crosscheck.copy_weights(model, pooled, [normals(1, 5, 8)], params=params)
    assert all(match.matched for match in matches)
    # A bias that all keys share changes no weight of the softmax, so that any numbers are right.
    assert apart(tree, expected) <= {"['key']['b']"}
    assert crosscheck.compare_models(model, pooled, [normals(1, 5, 8)], params=tree, order=0).passed


class Even(nn.Module):
    """Attention with a learnt query that hardly matters, as the scores are small."""

    def __init__(self) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(1, 8))
        self.query, self.key, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.softmax(self.query(self.probe) @ self.key(x).T / 100, -1) @ x)


def test_a_query_that_hardly_matters_is_carried_in_its_own_layout() -> None:
    def port(p: Tree, x: Any) -> Any:
        scores = linear(p["query"], p["probe"]) @ linear(p["key"], x).T / 100
        return linear(p["out"], jax.nn.softmax(scores) @ x)

    model = randomised(Even())
    own = weights_of(model)
    right = {name: {"w": own[f"{name}.weight"].T, "b": own[f"{name}.bias"]} for name in ("query", "key", "out")}
    right["probe"] = own["probe"]
    tree, _ = crosscheck.copy_weights(model, port, [normals(5, 8)], params=fresh(right))
    # A bias that all keys share changes no weight of the softmax, so that any numbers are right.
    assert apart(tree, right) <= {"['key']['b']"}


@pytest.mark.parametrize("words", [9, 4])
def test_a_product_with_rows_of_a_table_is_an_embedding(words: int) -> None:
    """With 4 words, a product has the shape of the table, and its data must not be taken for the rows."""
    model = randomised(nn.Sequential(nn.Embedding(words, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)))
    own = weights_of(model)

    def port(p: Tree, ids: Any) -> Any:
        h = jnp.tensordot(jax.nn.one_hot(ids, words), p["words"], 1)
        return linear(p["b"], jnp.tanh(linear(p["a"], h)))

    right = {"words": own["0.weight"]} | {
        name: {"w": own[f"{number}.weight"].T, "b": own[f"{number}.bias"]} for name, number in (("a", 1), ("b", 3))
    }
    ids = np.array([[0, 2, 3, 1, 2]])
    tree, _ = crosscheck.copy_weights(model, port, [ids], params=fresh(right))
    assert apart(tree, right) == set()
    report = crosscheck.compare_models(model, port, [ids], params=tree)
    assert report.passed, str(report)


class Mixing(nn.Module):
    """Attention whose heads stand one behind the other before the last matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.out = nn.Linear(24, 24), nn.Linear(24, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = x @ x.transpose(-1, -2) / 24**0.5
        value = self.value(x).reshape(*x.shape[:2], 4, 6)
        return self.out(torch.einsum("bqk,bkhd->bqhd", scores.softmax(-1), value).flatten(2))


@pytest.mark.parametrize("scale", [1.0, pytest.param(2.0, marks=pytest.mark.full)])
def test_the_order_of_features_is_found_behind_a_mistake(scale: float) -> None:
    def port(p: Tree, x: Any) -> Any:
        value = linear(p["value"], x).reshape(*x.shape[:2], 4, 6)
        weights = jax.nn.softmax(scale * x @ x.swapaxes(-1, -2) / 24**0.5, -1)
        return linear(p["out"], jnp.einsum("bqk,bkhd->bqdh", weights, value).reshape(x.shape))  # heads stand behind

    model = randomised(Mixing())
    own = weights_of(model)
    order = np.arange(24).reshape(4, 6).T.reshape(-1)
    expected = {
        "value": {"w": own["value.weight"].T, "b": own["value.bias"]},
        "out": {"w": own["out.weight"].T[order], "b": own["out.bias"]},
    }
    x = [normals(2, 40, 24)]
    tree, _ = crosscheck.copy_weights(model, port, x, params=fresh(expected))
    assert apart(tree, expected) == set()
    report = crosscheck.compare_models(model, port, x, params=tree, order=0)
    assert len(report.faults) == (scale != 1.0), report.story()


def test_the_order_of_features_stays_where_few_rows_differ() -> None:
    def port(p: Tree, x: Any) -> Any:
        return linear(p["1"], jnp.cos(4 * linear(p["0"], x)))  # like no feature of torch but by chance

    model = randomised(nn.Sequential(nn.Linear(24, 24), nn.Linear(24, 24)))
    own = weights_of(model)
    expected = {name: {"w": own[f"{name}.weight"].T, "b": own[f"{name}.bias"]} for name in ("0", "1")}
    x = [np.repeat(normals(5, 24), 16, 0)]
    tree, _ = crosscheck.copy_weights(model, port, x, params=fresh(expected))
    assert apart(tree, expected) == set()


BLOCKS = 10


class Standardised(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = nn.functional.batch_norm(self.weight.reshape(1, len(self.weight), -1), None, None, training=True)
        return nn.functional.conv2d(x, weight.reshape(self.weight.shape), padding=self.padding)


class Bottlenecks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.short = nn.ModuleList(Standardised(8, 8, 1, bias=False) for _ in range(BLOCKS))
        self.long = nn.ModuleList(Standardised(8, 8, 3, padding=1, bias=False) for _ in range(BLOCKS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for short, long in zip(self.short, self.long, strict=True):
            x = torch.relu(long(x) + short(x))
        return x


@pytest.mark.parametrize("epsilon", [1e-5, 2e-5])
def test_a_weight_is_known_by_the_data_of_the_product_whose_matrix_is_computed_from_it(epsilon: float) -> None:
    def standardised(w: Any, x: Any) -> Any:
        w = (w - w.mean((0, 1, 2))) / jnp.sqrt(w.var((0, 1, 2)) + epsilon)
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def port(p: list[Any], x: Any) -> Any:
        for short, long in zip(p[BLOCKS - 1 :: -1], p[: BLOCKS - 1 : -1], strict=True):  # names of another order
            x = jax.nn.relu(standardised(short, x) + standardised(long, x))
        return x

    torch.manual_seed(0)
    model = randomised(Bottlenecks())
    given = [jnp.zeros((n, n, 8, 8)) for n in [1] * BLOCKS + [3] * BLOCKS]
    image = normals(2, 8, 6, 6)
    tree, _ = crosscheck.copy_weights(
        model, port, [image], params=given, torch_to_jax=lambda x: [x[0].transpose(0, 2, 3, 1)]
    )
    kernels = [own.weight.detach().numpy().transpose(2, 3, 1, 0) for own in [*model.short[::-1], *model.long[::-1]]]
    assert apart(tree, kernels) == set()


class KeyedWithoutBias(nn.Module):
    """Attention whose keys have no bias, as Whisper's: it would not change the result."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.out = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2), -1)
        return self.out(weights @ self.value(x))


def test_a_bias_of_jax_where_torch_adds_none_takes_no_weight_from_another_place() -> None:
    def port(p: Tree, x: Any) -> Any:
        weights = jax.nn.softmax(linear(p["query"], x) @ linear(p["key"], x).swapaxes(-1, -2), -1)
        return linear(p["out"], weights @ linear(p["value"], x))

    model = randomised(KeyedWithoutBias())
    own = weights_of(model)
    names = ("query", "key", "value", "out")
    expected = {name: {"w": own[f"{name}.weight"].T, "b": own.get(f"{name}.bias", np.zeros(8))} for name in names}
    given = {name: {"w": jnp.ones((8, 8)), "b": jnp.zeros(8)} for name in names}
    inputs = [normals(5, 8)]
    tree, matches = crosscheck.copy_weights(model, port, inputs, params=given)
    assert apart(tree, expected) == set()
    [left] = [match for match in matches if match.torch is None or match.jax is None]
    assert (left.jax, left.reason) == ("['key']['b']", "unmatched")
    assert crosscheck.compare_models(model, port, inputs, params=tree, order=1).passed
