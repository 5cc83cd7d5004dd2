"""The mistake named: what tests/explain has no row of, and the facts and lines of PyTorch that come with it."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from facts import assert_facts, has_fact
from torch import nn

import crosscheck
from crosscheck import Fact

T, C = 5, 8
Weights = dict[str, Any]


def moved(x: Any) -> Any:
    return x + 2 * F.pad(x, (0, 0, 1, 0))[:, :-1]


PLACED = np.argsort(np.random.default_rng(9).normal(size=(3, T, C)), -1)


def placed(x: Any) -> Any:
    return torch.take_along_dim(x, torch.tensor(PLACED), -1).cumsum(-1)


def masked(x: Any) -> Any:
    places = torch.arange(T)
    return x[0, :, :T].masked_fill(places[None] > places[:, None], -1e9).softmax(-1)


PLACES = np.arange(T)[None]

X = [np.random.default_rng(seed).normal(size=(3, T, C)).astype(np.float32) for seed in range(3)]


SHIFT, WINDOWS = "the shift of x along axis -2", "the windows of the adaptive pool"


@pytest.mark.parametrize(
    ("torch_function", "jax_function", "count", "fact"),
    [
        (moved, lambda x: x + 2 * jnp.roll(x, 1, 1), 1, Fact("form", SHIFT, jax="filled from the other end (roll)")),
        (
            moved,
            lambda x: x + 2 * jnp.pad(x, ((0, 0), (0, 2), (0, 0)))[:, 2:],
            1,
            Fact("form", SHIFT, torch="by 1", jax="by -2"),
        ),
        (
            lambda x: torch.roll(x.exp(), (1, 2), (0, 1)).cumsum(1),
            lambda x: jnp.cumsum(jnp.roll(jnp.exp(x), (-1, -2), (0, 1)), 1),
            1,
            Fact("setting", "roll", "shift", "[1, 2]", "[-1, -2]"),
        ),
        (
            lambda x, y: torch.add(x.tanh(), y.exp(), alpha=0.5).cumsum(1),
            lambda x, y: jnp.cumsum(jnp.tanh(x) + 0.25 * jnp.exp(y), 1),
            2,
            Fact("setting", "the sum", "alpha", "0.5", "0.25"),
        ),
        (
            masked,
            lambda x: jax.nn.softmax(jnp.where(PLACES >= PLACES.T, -1e9, x[0, :, :T])),
            1,
            Fact("form", "the comparison", torch=">", jax=">="),
        ),
        (
            lambda x: F.adaptive_max_pool1d(x, 3).exp(),
            lambda x: jnp.exp(x[..., :6].reshape(3, T, 3, 2).max(-1)),
            1,
            Fact("form", WINDOWS, jax="of one size side by side, without what is left over"),
        ),
        (
            lambda x: F.adaptive_avg_pool1d(x, 3).exp(),
            lambda x: jnp.exp(jnp.stack([x[..., k : k + 4].mean(-1) for k in (0, 2, 4)], -1)),
            1,
            Fact("form", WINDOWS, torch="overlapping", jax="of one size and stride"),
        ),
        (
            lambda x, y: F.relu(x) * (y > 0.3) / 0.7,
            lambda x, y: jax.nn.relu(x) * (y[:, :1] > 0.3) / 0.7,
            2,
            Fact("order", "alike along axis -2, the first everywhere"),
        ),
        (
            lambda x, y, z: x + (0.5 * y).exp() * z,
            lambda x, y, z: x + jnp.exp(0.5 * y[:1]) * z,
            3,
            Fact("order", "alike along axis -3, the first everywhere", where="x1"),
        ),
        (
            placed,
            lambda x: jnp.cumsum(x[..., ::-1], -1),
            1,
            Fact("form", "x along axis 2", torch="by index", jax="in reverse order"),
        ),
        (placed, lambda x: jnp.cumsum(x, -1), 1, Fact("missing", "gather")),
    ],
    ids=[
        *("roll", "shift", "sign of a shift", "coefficient", "comparison"),
        *("adaptive maxima", "adaptive averages", "one mask", "one variance", "reverse order", "own order"),
    ],
)
def test_a_mistake_in_a_function_is_named(
    torch_function: Callable[..., Any], jax_function: Callable[..., Any], count: int, fact: Fact
) -> None:
    report = crosscheck.compare(torch_function, jax_function, X[:count], order=0)
    assert report.cause == "definition"
    assert_facts(report.diagnosis.facts, fact)


def test_what_no_edit_gives_has_no_cause() -> None:
    model = nn.Sequential(nn.Linear(C, C), nn.GELU(), nn.Linear(C, 3))
    params = {name: jnp.asarray(tensor.detach()) for name, tensor in model.named_parameters()}

    def port(p: Weights, x: Any) -> Any:
        h = x @ p["0.weight"].T + p["0.bias"]
        return (h * jnp.cos(3 * h) + jnp.sin(h)) @ p["2.weight"].T + p["2.bias"]

    report = crosscheck.compare_models(model, port, [X[0]], params=params, order=0)
    assert report.first is not None
    assert report.first.facts == ()


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(C)

    def forward(self, x: Any) -> Any:
        return self.norm(x) + x


def test_a_fault_has_its_mistake_as_a_fact_with_the_line_of_torch() -> None:
    def wrong(p: Weights, x: Any) -> Any:
        away = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-3)
        return away * p["norm.weight"] + p["norm.bias"] + x

    model = Normed()
    params = {name: jnp.asarray(tensor.detach()) for name, tensor in model.named_parameters()}
    report = crosscheck.compare_models(model, wrong, [X[0]], params=params, order=0)
    assert report.first is not None
    (fact,) = report.first.facts
    assert (fact.kind, fact.role, fact.torch, fact.jax) == ("setting", "epsilon", "1e-05", "0.001")
    assert re.fullmatch(r"test_edits\.py:\d+", fact.source)
    assert f"PyTorch: {fact.source}" in str(report)
    (kept,) = report.data()["faults"][0]["facts"]
    assert kept["role"] == "epsilon"


def test_a_diagnosis_has_its_mistake_as_a_fact() -> None:
    x = np.random.default_rng(0).normal(size=(3, 8))
    report = crosscheck.compare(lambda x: F.gelu(x) + x, lambda x: jax.nn.gelu(x) + x, [x])
    assert report.diagnosis is not None
    (fact,) = report.diagnosis.facts
    assert fact.words() == report.diagnosis.how


@pytest.mark.full
def test_a_mistake_is_named_in_layers_of_the_size_in_use() -> None:
    """The queries and the keys exchanged, in 128 tokens of width 256: many edits come before that one."""
    width, tokens, heads = 256, 128, 8

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            parts = self.qkv(self.norm(x)).chunk(3, -1)
            q, k, v = (part.reshape(1, tokens, heads, -1).transpose(1, 2) for part in parts)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return x + self.out(y.transpose(1, 2).reshape(1, tokens, width))

    def exchanged(p: Weights, x: Any) -> Any:
        h = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        h = (h * p["norm.weight"] + p["norm.bias"]) @ p["qkv.weight"].T + p["qkv.bias"]
        k, q, v = (part.reshape(1, tokens, heads, -1).swapaxes(1, 2) for part in jnp.split(h, 3, -1))
        scores = q @ k.swapaxes(-1, -2) / jnp.sqrt(width // heads)
        scores = jnp.where(jnp.tril(jnp.ones((tokens, tokens), bool)), scores, -jnp.inf)
        y = (jax.nn.softmax(scores, -1) @ v).swapaxes(1, 2).reshape(x.shape)
        return x + y @ p["out.weight"].T + p["out.bias"]

    model = Attention()
    params = {name: tensor.detach().numpy() for name, tensor in model.named_parameters()}
    x = np.random.default_rng(0).normal(size=(1, tokens, width)).astype(np.float32)
    report = crosscheck.compare_models(model, exchanged, [x], params=params, order=0)
    assert report.first is not None
    assert has_fact(report.first.facts, Fact("order", where="parts 0 and 1 of the result of qkv", jax="exchanged"))


def test_a_module_of_torch_that_no_line_calls_has_none() -> None:
    """A Sequential calls its modules itself: neither its line nor one of crosscheck's is one of the program."""
    model = nn.Sequential(nn.Linear(C, C), nn.LayerNorm(C))
    params = {name: jnp.asarray(tensor.detach()) for name, tensor in model.named_parameters()}

    def wrong(p: Weights, x: Any) -> Any:
        h = x @ p["0.weight"].T + p["0.bias"]
        return (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-3) * p["1.weight"] + p["1.bias"]

    report = crosscheck.compare_models(model, wrong, [X[0]], params=params, order=0)
    assert report.first is not None
    assert [(fact.role, fact.source) for fact in report.first.facts] == [("epsilon", "")]
    assert "PyTorch: " not in str(report)


def test_the_line_of_a_notebook_s_cell_is_named_without_its_random_number() -> None:
    names: dict[str, Any] = {"torch": torch}
    code = "class Cell(torch.nn.Module):\n  def forward(self, x):\n    return torch.nn.functional.gelu(x)\n"
    exec(compile(code, "/tmp/ipykernel_12/3917952463.py", "exec"), names)
    report = crosscheck.compare_models(names["Cell"](), lambda p, x: jax.nn.gelu(x), [X[0]], params={}, order=0)
    assert report.first is not None
    assert [fact.source for fact in report.first.facts] == ["cell:3"]


def test_the_search_gives_no_operation_nothing_to_compute() -> None:
    """PyTorch's operation behind ``EmbeddingBag`` ends the process without bags."""
    torch.manual_seed(0)
    bag, bags = nn.EmbeddingBag(7, 4, mode="sum"), np.random.default_rng(0).integers(0, 7, (4, 2))
    params = {"weight": jnp.asarray(bag.weight.detach())}
    report = crosscheck.compare_models(bag, lambda p, x: p["weight"][x].mean(1), [bags], params=params, order=0)
    assert report.first is not None


@pytest.mark.parametrize(
    ("standardised", "facts"),
    [
        (lambda w, away: away / w.std((1, 2), keepdims=True, ddof=1), [Fact("form", "BatchNorm", torch="as usual")]),
        pytest.param(lambda w, away: away / abs(away).mean((1, 2), keepdims=True), [], marks=pytest.mark.full),
    ],
)
def test_a_weight_computed_otherwise_is_not_said_to_be_other_rows_of_it(standardised: Any, facts: list[Fact]) -> None:
    class Standardised(nn.Conv1d):
        def forward(self, x: Any) -> Any:
            w = F.batch_norm(self.weight.reshape(1, C, -1), None, None, training=True, eps=1e-30)
            return F.conv1d(x, w.reshape_as(self.weight), self.bias)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(C, C), nn.Flatten(0, 1), nn.Unflatten(0, (3, T)), Standardised(T, C, 3))
    params = {name: array.detach().numpy() for name, array in model.named_parameters()}

    def port(p: Weights, x: Any) -> Any:
        w = p["3.weight"]
        w = standardised(w, w - w.mean((1, 2), keepdims=True))
        return jax.lax.conv(x @ p["0.weight"].T + p["0.bias"], w, (1,), "VALID") + p["3.bias"][:, None]

    report = crosscheck.compare_models(model, port, X[:1], params=params, order=0)
    (fault,) = report.faults
    assert_facts(fault.facts, *facts)


@pytest.mark.parametrize(
    ("wrong", "place", "fact"),
    [
        ("short", "1.short", Fact("instead", torch="relu(the result of 1.norm)", jax="the result of 0")),
        ("activation", "1", Fact("other", torch="relu", jax="silu")),  # both layers read what is wrong
    ],
)
def test_a_layer_that_reads_another_value_is_told_from_a_wrong_value(wrong: str, place: str, fact: Fact) -> None:
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.inner, self.short = nn.LayerNorm(C), nn.Linear(C, C), nn.Linear(C, C, bias=False)

        def forward(self, x: Any) -> Any:
            y = self.norm(x).relu()
            return self.short(y) + self.inner(y)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(C, C), Shortcut())
    params = {name: array.detach().numpy() for name, array in model.named_parameters()}

    def port(p: Weights, x: Any) -> Any:
        x = x @ p["0.weight"].T + p["0.bias"]
        y = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5) * p["1.norm.weight"]
        y = (jax.nn.silu if wrong == "activation" else jax.nn.relu)(y + p["1.norm.bias"])
        return (x if wrong == "short" else y) @ p["1.short.weight"].T + y @ p["1.inner.weight"].T + p["1.inner.bias"]

    report = crosscheck.compare_models(model, port, X[:1], params=params, order=0)
    (fault,) = report.faults
    assert fault.torch == place
    assert_facts(fault.facts, fact)


@pytest.mark.parametrize("wrong", ["key", "value"])
def test_the_layer_that_reads_another_value_is_named_where_others_read_the_right_one(wrong: str) -> None:
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.query, self.key, self.value = nn.LayerNorm(C), *(nn.Linear(C, C) for _ in range(3))

        def forward(self, x: Any, memory: Any) -> Any:
            memory = self.norm(memory)
            return F.scaled_dot_product_attention(self.query(x), self.key(memory), self.value(memory))

    torch.manual_seed(0)
    model = nn.ModuleDict({"first": nn.Linear(C, C), "second": nn.Linear(C, C), "cross": Cross()})
    model.forward = lambda x, y: model["cross"](model["first"](x), model["second"](y))
    params = {name: array.detach().numpy() for name, array in model.named_parameters()}

    def port(p: Weights, x: Any, y: Any) -> Any:
        def linear(name: str, x: Any) -> Any:
            return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

        x, y = linear("first", x), linear("second", y)
        y = (y - y.mean(-1, keepdims=True)) / jnp.sqrt(y.var(-1, keepdims=True) + 1e-5)
        y = y * p["cross.norm.weight"] + p["cross.norm.bias"]
        q, k, v = (linear(f"cross.{name}", x if name in ("query", wrong) else y) for name in ("query", "key", "value"))
        return jax.nn.softmax(q @ k.swapaxes(-1, -2) / C**0.5) @ v

    report = crosscheck.compare_models(model, port, X[:2], params=params, order=0)
    (fault,) = report.faults
    assert fault.torch == f"cross.{wrong}"
    assert_facts(
        fault.facts,
        Fact("instead", torch="the result of cross.norm", jax="the result of first"),
    )


def test_a_function_of_one_positive_weight_is_forgotten_not_another_one() -> None:
    """As the factor of the logits of CLIP: relu would leave it as it is."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.scale = nn.Linear(4, 3), nn.Parameter(torch.tensor(2.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x) * self.scale.exp()

    model = Scaled()
    params = {name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.named_parameters()}
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    report = crosscheck.compare_models(
        model, lambda p, x: (x @ p["fc.weight"].T + p["fc.bias"]) * p["scale"], [x], params=params, order=0
    )
    assert report.first is not None
    assert_facts(report.first.facts, Fact("missing", "exp"))
