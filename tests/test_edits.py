"""The mistake named: edits of PyTorch's program that give JAX's numbers, in models and in functions."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import crosscheck

B, T, C, H = 2, 5, 8, 2
Weights = dict[str, Any]


class Block(nn.Module):
    """A block of a transformer, in functions: no module for each operation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.n1, self.n2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.q, self.k, self.v, self.o = (nn.Linear(C, C) for _ in range(4))
        self.up, self.down = nn.Linear(C, 2 * C), nn.Linear(2 * C, C)
        self.head = nn.Linear(C, 3)
        with torch.no_grad():
            for one in self.parameters():
                one.mul_(1 + 0.3 * torch.rand_like(one))

    def forward(self, x: Any) -> Any:
        h = self.n1(x)
        q, k, v = (one(h).view(B, T, H, C // H).transpose(1, 2) for one in (self.q, self.k, self.v))
        scores = (q @ k.transpose(-2, -1)) / 2.0
        scores = scores.masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), -1e9)
        y = (F.softmax(scores, -1) @ v).transpose(1, 2).reshape(B, T, C)
        x = x + self.o(y)
        x = x + self.down(F.gelu(self.up(self.n2(x))))
        return self.head(x.mean(1))


def port(
    p: Weights,
    x: Any,
    *,
    act: Callable[[Any], Any] = lambda x: jax.nn.gelu(x, approximate=False),
    axis: int = -1,
    divisor: float = 2.0,
    diagonal: int = 0,
    epsilon: float = 1e-5,
    merge: tuple[int, ...] = (0, 2, 1, 3),
    residual: Callable[[Any, Any], Any] = lambda x, y: x + y,
    exchanged: bool = False,
    pooled: Callable[[Any], Any] = lambda x: x.mean(1),
    scores_in: Any = None,
) -> Any:
    def linear(name: str, x: Any) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name: str, x: Any, epsilon: float = 1e-5) -> Any:
        away = x - x.mean(-1, keepdims=True)
        return away / jnp.sqrt(x.var(-1, keepdims=True) + epsilon) * p[f"{name}.weight"] + p[f"{name}.bias"]

    h = norm("n1", x)
    q, k, v = (linear(one, h).reshape(B, T, H, C // H).transpose(0, 2, 1, 3) for one in "qkv")
    q, k = (k, q) if exchanged else (q, k)
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / divisor
    scores = scores if scores_in is None else scores.astype(scores_in)
    scores = jnp.where(jnp.tril(jnp.ones((T, T), bool), diagonal), scores, -1e9)
    y = (jax.nn.softmax(scores, axis).astype(v.dtype) @ v).transpose(merge).reshape(B, T, C)
    x = residual(x, linear("o", y))
    x = x + linear("down", act(linear("up", norm("n2", x, epsilon))))
    return linear("head", pooled(x))


def said_of(**mistake: Any) -> tuple[Any, str]:
    """The report on a port with a mistake, and all that it says of faults."""
    model = Block()
    params = {name: jnp.asarray(one.detach()) for name, one in model.named_parameters()}
    x = np.random.default_rng(0).normal(size=(B, T, C)).astype(np.float32)
    report = crosscheck.compare_models(model, lambda p, x: port(p, x, **mistake), [x], params=params, order=0)
    return report, " | ".join(fault.explanation for fault in report.faults)


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"act": jax.nn.gelu}, "gelu: the tanh form in JAX, exact in PyTorch, behind up"),
        ({"act": jax.nn.relu}, "JAX computes relu, PyTorch gelu, behind up"),
        ({"act": lambda x: x}, "JAX forgets gelu, behind up"),
        ({"act": lambda x: jax.nn.gelu(jax.nn.gelu(x, approximate=False), approximate=False)}, "JAX applies gelu more"),
        ({"axis": -2}, "softmax's axis: -2 in JAX, -1 in PyTorch"),
        ({"divisor": 4.0}, "the divisor: 4 in JAX, 2 in PyTorch"),
        ({"divisor": 1.0}, "JAX forgets to divide by 2"),
        ({"diagonal": 1}, r"the mask \(tril\)'s diagonal: 1 in JAX, 0 in PyTorch"),
        ({"epsilon": 1e-3}, "LayerNorm's epsilon: 0.001 in JAX, 1e-05 in PyTorch"),
        (
            {"merge": (0, 2, 3, 1)},
            r"JAX has the axes -2 and -1 of bmm\(.*\) merged in the other order: as 4 x 2, PyTorch 2 x 4",
        ),
        ({"residual": lambda x, y: y}, "JAX forgets the residual, x"),
        ({"residual": lambda x, y: x - y}, "JAX subtracts where PyTorch adds"),
        ({"exchanged": True}, "JAX has the result of q and the result of k exchanged, behind q and k"),
        ({"pooled": lambda x: x.sum(1)}, "JAX computes the sum, PyTorch the mean"),
        ({"pooled": lambda x: x[:, 0]}, "JAX computes the first, PyTorch the mean"),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
def test_a_single_mistake_in_functional_code_is_named(mistake: dict[str, Any], said: str) -> None:
    report, text = said_of(**mistake)
    assert report.cause == "definition"
    assert len(report.faults) == 1
    assert re.match(said, text), text


def test_a_right_port_is_certified() -> None:
    report, text = said_of()
    assert report.passed, text


def test_two_mistakes_in_one_segment_are_both_named() -> None:
    _, text = said_of(axis=-2, diagonal=1)
    assert "the mask (tril)'s diagonal: 1 in JAX, 0 in PyTorch" in text
    assert "softmax's axis: -2 in JAX, -1 in PyTorch" in text


def test_what_no_edit_gives_has_no_cause() -> None:
    _, text = said_of(act=lambda x: x * jnp.cos(3 * x) + jnp.sin(x))
    assert text.startswith("JAX computes something else"), text


def test_a_cast_to_fewer_digits_is_named() -> None:
    report, text = said_of(scores_in=jnp.bfloat16)
    assert report.cause == "inaccurate"
    assert re.match(r"JAX casts to bfloat16( in test_edits\.py:\d+)?; JAX errs by ", text), text


def attention(q: Any, k: Any, v: Any) -> Any:
    return F.softmax((q @ k.transpose(-1, -2)) / 2.0, -1) @ v


def normed(x: Any) -> Any:
    return x + F.silu(F.layer_norm(x, (C,), eps=1e-2))


def jax_attention(q: Any, k: Any, v: Any, axis: int = -1) -> Any:
    return jax.nn.softmax((q @ k.swapaxes(-1, -2)) / 2.0, axis) @ v


def jax_normed(x: Any, *, outside: bool = False, forgets: bool = False, act: Callable[[Any], Any] = jax.nn.silu) -> Any:
    away, variance = x - x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    y = act(away / (jnp.sqrt(variance) + 1e-2 if outside else jnp.sqrt(variance + 1e-2)))
    return y if forgets else x + y


def moved(x: Any) -> Any:
    return x + 2 * F.pad(x, (0, 0, 1, 0))[:, :-1]


def waves(x: Any) -> Any:
    return torch.sin(x * torch.arange(3, C + 3))


def far(x: Any) -> Any:
    places = torch.arange(T)
    apart = places[None] - places[:, None]
    return (x[0, :, :T] + apart.abs() + apart).softmax(-1)


PLACED = np.argsort(np.random.default_rng(9).normal(size=(3, T, C)), -1)


def placed(x: Any) -> Any:
    return torch.take_along_dim(x, torch.tensor(PLACED), -1).cumsum(-1)


def masked(x: Any) -> Any:
    places = torch.arange(T)
    return x[0, :, :T].masked_fill(places[None] > places[:, None], -1e9).softmax(-1)


PLACES = np.arange(T)[None]
sigmoid, logs = jax.nn.sigmoid, jax.nn.log_sigmoid

X = [np.random.default_rng(seed).normal(size=(3, T, C)).astype(np.float32) for seed in range(3)]


@pytest.mark.parametrize(
    ("torch_function", "jax_function", "count", "said"),
    [
        (attention, lambda q, k, v: jax_attention(q, k, v, 1), 3, "softmax's axis: -2 in JAX, -1 in PyTorch"),
        (normed, lambda x: jax_normed(x, act=jax.nn.relu), 1, "JAX computes relu, PyTorch silu"),
        (normed, lambda x: jax_normed(x, forgets=True), 1, "JAX forgets the residual, x"),
        (normed, lambda x: jax_normed(x, outside=True), 1, "LayerNorm: epsilon outside the root in JAX"),
        (
            lambda x: F.pad(x, (2, 1), mode="reflect"),
            lambda x: jnp.pad(x, ((0, 0), (0, 0), (2, 1)), mode="symmetric"),
            1,
            "the padding's mode: symmetric in JAX, reflect in PyTorch",
        ),
        (
            lambda x: F.interpolate(x[None], scale_factor=2, mode="bilinear", align_corners=True)[0],
            lambda x: jax.image.resize(x, (3, 2 * T, 2 * C), "linear"),
            1,
            "(interpolate|upsample_bilinear2d)'s align_corners: False in JAX, True in PyTorch|the resize: linear in JAX",
        ),
        (moved, lambda x: x + 2 * jnp.roll(x, 1, 1), 1, "the shift of x along axis -2: filled from the other end"),
        (
            moved,
            lambda x: x + 2 * jnp.pad(x, ((0, 0), (0, 2), (0, 0)))[:, 2:],
            1,
            "the shift .*: by -2 in JAX, by 1 in PyTorch",
        ),
        (moved, lambda x: 3 * x, 1, "JAX forgets to shift x by 1 along axis -2"),
        (
            lambda x: torch.roll(x.exp(), (1, 2), (0, 1)).cumsum(1),
            lambda x: jnp.cumsum(jnp.roll(jnp.exp(x), (-1, -2), (0, 1)), 1),
            1,
            r"roll's shift: \[-1, -2\] in JAX, \[1, 2\] in PyTorch",
        ),
        (waves, lambda x: jnp.sin(x * jnp.arange(C)), 1, "arange's start: 0 in JAX, 3 in PyTorch"),
        (
            lambda x, y, z: F.binary_cross_entropy_with_logits(x, y.sigmoid(), pos_weight=z.exp()),
            lambda x, y, z: -(jnp.exp(z) * (sigmoid(y) * logs(x) + (1 - sigmoid(y)) * logs(-x))).mean(),
            3,
            "binary_cross_entropy_with_logits takes exp.* as weight in JAX, as pos_weight in PyTorch",
        ),
        (
            far,
            lambda x: jax.nn.softmax(x[0, :, :T] + jnp.abs(PLACES.T - PLACES) + (PLACES.T - PLACES)),
            1,
            "the other way round",
        ),
        (lambda x: (x.relu() ** 3).sum(-1), lambda x: jax.nn.relu(x).sum(-1), 1, r"JAX forgets the power 3 of relu\(x\)"),
        (
            lambda x, y: torch.add(x.tanh(), y.exp(), alpha=0.5).cumsum(1),
            lambda x, y: jnp.cumsum(jnp.tanh(x) + 0.25 * jnp.exp(y), 1),
            2,
            "the sum's alpha: 0.25 in JAX, 0.5 in PyTorch",
        ),
        (masked, lambda x: jax.nn.softmax(jnp.where(PLACES >= PLACES.T, -1e9, x[0, :, :T])), 1, "the comparison: >= in JAX"),
        (
            lambda x: F.adaptive_max_pool1d(x, 3).exp(),
            lambda x: jnp.exp(x[..., :6].reshape(3, T, 3, 2).max(-1)),
            1,
            "the windows of the adaptive pool: of one size side by side, without what is left over in JAX",
        ),
        (
            lambda x: F.adaptive_avg_pool1d(x, 3).exp(),
            lambda x: jnp.exp(jnp.stack([x[..., k : k + 4].mean(-1) for k in (0, 2, 4)], -1)),
            1,
            "the windows of the adaptive pool: of one size and stride in JAX, overlapping in PyTorch",
        ),
        (
            lambda x, y: F.relu(x) * (y > 0.3) / 0.7,
            lambda x, y: jax.nn.relu(x) * (y[:, :1] > 0.3) / 0.7,
            2,
            r"JAX has (x1|gt\(x1\)) alike along axis -2, the first everywhere",
        ),
        (
            lambda x, y, z: x + (0.5 * y).exp() * z,
            lambda x, y, z: x + jnp.exp(0.5 * y[:1]) * z,
            3,
            "JAX has x1 alike along axis -3, the first everywhere",
        ),
        (placed, lambda x: jnp.cumsum(x[..., ::-1], -1), 1, "x along axis 2: in reverse order in JAX, by index in PyTorch"),
        (placed, lambda x: jnp.cumsum(x, -1), 1, "x along axis 2: in its own order in JAX, by index|JAX forgets gather"),
    ],
    ids=[
        *("axis", "activation", "residual", "epsilon", "padding", "resize", "roll", "shift", "no shift", "sign of a shift"),
        *("start", "weight", "difference", "power", "coefficient", "comparison"),
        *("adaptive maxima", "adaptive averages", "one mask", "one variance", "reverse order", "own order"),
    ],
)
def test_a_mistake_in_a_function_is_named(
    torch_function: Callable[..., Any], jax_function: Callable[..., Any], count: int, said: str
) -> None:
    report = crosscheck.compare(torch_function, jax_function, X[:count], order=0)
    assert report.cause == "definition"
    assert re.search(said, report.verdict), report.verdict


def test_a_fault_has_its_mistake_as_a_fact_with_the_line_of_torch() -> None:
    report, _ = said_of(epsilon=1e-3)
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
            q, k, v = (one.reshape(1, tokens, heads, -1).transpose(1, 2) for one in parts)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return x + self.out(y.transpose(1, 2).reshape(1, tokens, width))

    def exchanged(p: Weights, x: Any) -> Any:
        h = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        h = (h * p["norm.weight"] + p["norm.bias"]) @ p["qkv.weight"].T + p["qkv.bias"]
        k, q, v = (one.reshape(1, tokens, heads, -1).swapaxes(1, 2) for one in jnp.split(h, 3, -1))
        scores = q @ k.swapaxes(-1, -2) / jnp.sqrt(width // heads)
        scores = jnp.where(jnp.tril(jnp.ones((tokens, tokens), bool)), scores, -jnp.inf)
        y = (jax.nn.softmax(scores, -1) @ v).swapaxes(1, 2).reshape(x.shape)
        return x + y @ p["out.weight"].T + p["out.bias"]

    model = Attention()
    params = {name: one.detach().numpy() for name, one in model.named_parameters()}
    x = np.random.default_rng(0).normal(size=(1, tokens, width)).astype(np.float32)
    report = crosscheck.compare_models(model, exchanged, [x], params=params, order=0)
    assert report.first is not None
    assert "parts 0 and 1 of the result of qkv exchanged" in report.first.explanation


def test_a_module_of_torch_that_no_line_calls_has_none() -> None:
    """A Sequential calls its modules itself: neither its line nor one of crosscheck's is one of the program."""
    model = nn.Sequential(nn.Linear(C, C), nn.LayerNorm(C))
    params = {name: jnp.asarray(one.detach()) for name, one in model.named_parameters()}

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
