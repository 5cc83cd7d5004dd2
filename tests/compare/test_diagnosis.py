"""What compare tells beyond the verdict: which function each side is, the worst and the simplest input, a snippet."""

import contextlib
import dataclasses
import functools
import io
import itertools
import re
import warnings
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from facts import assert_facts, kind_of

import crosscheck
from crosscheck import Activation, Fact, Identity, PairReport, UsageError, activations, compare, identify

pytestmark = pytest.mark.full

# Which function each side is.


CASES = [
    (activation, side, case)
    for activation in activations.values()
    for side in activation.natives
    for case in (activation.parameters, *activation.cases)
    if activation.native_arguments(side, case) is not None
]


SAME = {"prelu": ("leaky_relu", {"weight": "negative_slope"})}
"""What is another function of the catalogue too, which is named then, and what that calls the parameters."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("activation", "side", "case"), CASES, ids=lambda value: getattr(value, "name", None))
def test_every_function_of_the_catalogue_is_identified_from_its_natives(
    activation: Activation, side: str, case: Any, dtype: str
) -> None:
    arguments = activation.native_arguments(side, case, matched=True)
    assert arguments is not None
    identity = identify(functools.partial(getattr(activation, side).native, **arguments), side, dtype=dtype)
    assert identity is not None
    name, parameters = SAME.get(activation.name, (activation.name, {}))
    if activation.name == "celu" and case == {"alpha": 1.0}:
        name = "elu"
    assert (identity.name, identity.inputs > 0) == (name, True)
    assert identity.name == activation.name or activation.name in identity.also
    expected = {parameters.get(ours, ours): value for ours, value in case.items()}
    if activation.name == "softplus" and (case["threshold"], dtype) == (20.0, "float32"):
        expected["threshold"] = inf  # a jump by 1e-9 at 10, which float32 does not show
    assert dict(identity.parameters) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("function", "side", "dtype", "expected"),
    [
        (
            lambda x: F.leaky_relu(x, 0.02),
            "torch",
            "float32",
            Identity("leaky_relu", {"negative_slope": 0.02}, also=("prelu",)),
        ),
        (
            lambda x: jnp.where(x < 0, x * 0.3, x),
            "jax",
            "float32",
            Identity("leaky_relu", {"negative_slope": 0.3}, also=("prelu",)),
        ),
        (lambda x: F.elu(x, 0.7), "torch", "float64", Identity("elu", {"alpha": 0.7})),
        (lambda x: F.softplus(x, 0.7, 3), "torch", "float64", Identity("softplus", {"beta": 0.7, "threshold": 3.0})),
        (lambda x: jax.nn.elu(x, 2.5), "jax", "bfloat16", Identity("elu", {"alpha": 2.5})),
        (jax.nn.elu, "jax", "float32", Identity("elu", {"alpha": 1.0}, also=("celu",))),
        (lambda x: F.hardshrink(x, 0.1), "torch", "float32", Identity("hardshrink", {"lambd": 0.1})),
        (lambda x: jnp.where(jnp.abs(x) < 3, 0, x), "jax", "float32", Identity("hardshrink", {"lambd": 2.9999999999999996})),
        (lambda x: F.threshold(x, -2.3, 7.1), "torch", "float64", Identity("threshold", {"threshold": -2.3, "value": 7.1})),
        (lambda x: jnp.where(x > 0.75, x, 0), "jax", "float16", Identity("threshold", {"threshold": 0.75, "value": 0.0})),
        (lambda x: x / (1 + jnp.exp(-x)), "jax", "float32", Identity("silu")),
        (lambda x: x * torch.sigmoid(1.702 * x), "torch", "float32", Identity("quick_gelu")),
        (lambda x: x * jax.nn.sigmoid(1.702 * x), "jax", "float16", Identity("quick_gelu")),
        (lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x)), "torch", "float32", Identity("tanh")),
        (torch.nn.LeakyReLU(0.1), "torch", "float16", Identity("leaky_relu", {"negative_slope": 0.1}, also=("prelu",))),
        (lambda x: torch.softmax(x, 0), "torch", "float32", Identity("softmax", {"axis": 0})),
        (lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True), "jax", "float32", Identity("softmax", {"axis": -1})),
        (
            lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-6),
            "torch",
            "float32",
            Identity("standardize", {"axis": -1, "epsilon": 1e-06}),
        ),
        (
            lambda x: jax.nn.standardize(x, 0, epsilon=0.003),
            "jax",
            "float64",
            Identity("standardize", {"axis": 0, "epsilon": 0.003}),
        ),
        (
            lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-6),
            "torch",
            "bfloat16",
            Identity("standardize", {"axis": -1, "epsilon": 1e-05}),
        ),
    ],
)
def test_a_function_is_identified_by_what_it_computes(function: Any, side: str, dtype: str, expected: Identity) -> None:
    identity = identify(function, side, dtype=dtype)
    assert identity is not None
    assert dataclasses.replace(identity, inputs=0, exceptions=0) == expected


@pytest.mark.parametrize(
    ("function", "side"),
    [
        (lambda x: x * torch.sigmoid(1.0001 * x), "torch"),
        (lambda x: x * torch.sigmoid(1.7021 * x), "torch"),
        (lambda x: jnp.where(x == 0, 1e-3, jnp.tanh(x)), "jax"),
        (lambda x: torch.where(x > 1e30, 1.0, torch.sigmoid(x - 1e-5)), "torch"),
        (jnp.cumsum, "jax"),
        (lambda x: x.sum(), "torch"),
        (lambda x: [x, x], "torch"),
        (lambda x: x > 0, "jax"),
        (lambda x: 1 / 0, "jax"),
        (lambda x: x @ torch.ones(3, 3), "torch"),
        (lambda x: torch.softmax(1.001 * x, -1), "torch"),
        (lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5).sqrt(), "torch"),
    ],
)
def test_what_is_none_of_the_catalogue_is_not_called_one(function: Any, side: str) -> None:
    assert identify(function, side) is None


@pytest.mark.parametrize(
    ("arguments", "options", "parts"),
    [
        ((3, "torch"), {}, ("function: got int", "module to call")),
        ((torch.tanh, "tensorflow"), {}, ("framework 'tensorflow'", "torch, jax")),
        ((torch.tanh, "torch"), {"dtype": "f32"}, ("dtype 'f32'", "float32")),
    ],
)
def test_identify_refuses_what_it_does_not_know(arguments: Any, options: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        identify(*arguments, **options)
    assert all(part in str(caught.value) for part in parts)


def test_the_report_says_which_function_each_side_is() -> None:
    report = compare(lambda x: F.elu(x, 0.7), jax.nn.elu)
    known = {side: (one.name, one.parameters, one.also) for side, one in report.diagnosis.identities.items()}
    assert known == {"torch": ("elu", {"alpha": 0.7}, ()), "jax": ("elu", {"alpha": 1.0}, ("celu",))}
    said = Fact("functions", torch="elu with alpha 0.7", jax="elu with alpha 1.0 (also celu)").words()
    assert said in report.verdict
    assert f"identity  {said}" in report.story()
    none = compare(F.silu, lambda x: x * jax.nn.sigmoid(1.01 * x))
    assert none.diagnosis.identities["torch"].name == "silu"
    assert none.diagnosis.identities["jax"] is None
    assert_facts(none.diagnosis.facts, Fact("other", torch="silu", jax="x * sigmoid(1.01 x)"))
    assert compare(torch.sin, lambda x: jnp.sin(x) * 1.5).diagnosis.identities == {}


def test_a_deviation_of_the_catalogue_is_recognised_in_a_function_of_the_user_s() -> None:
    x = np.array([-1.0, 0.0, 2.0])
    report = compare(lambda x: torch.where(x > 0, x, 0.01 * x), lambda x: jnp.where(x >= 0, x, 0.01 * x), x)
    assert report.cause == "convention"
    assert report.diagnosis.recognised == ("leaky-relu-gradient-at-zero",)
    elsewhere = compare(lambda x: torch.where(x > 0, x, 0.01 * x), lambda x: jnp.where(x > 1, x, 0.01 * x), x)
    assert elsewhere.diagnosis.recognised == ()


def with_an_empty_cell() -> Any:
    """A function that closes over a name which nothing has been assigned to, as a schedule with an unused end does."""

    def schedule(x: Any) -> Any:
        return x * 2.0 + (end if False else 0.0)

    if False:
        end = 1.0
    return schedule


def test_a_function_with_an_empty_cell_is_judged_and_its_source_left_out() -> None:
    report = compare(with_an_empty_cell(), lambda x: x * 3.0, [crosscheck.normal((4,))], order=0)
    assert (report.passed, report.cause) == (False, "definition")
    assert report.diagnosis.snippet is not None
    assert "torch_fn = ...  # the function that was compared; its source is not at hand" in report.diagnosis.snippet


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("identities_of", "which function it is"),
        ("how", "how they differ"),
        ("_places", "where they differ"),
        ("simplest", "a simpler input"),
        ("_recognised", "a known deviation"),
        ("snippet", "a snippet"),
    ],
)
def test_nothing_after_the_verdict_loses_it(monkeypatch: pytest.MonkeyPatch, part: str, what: str) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("Cell is empty")

    monkeypatch.setattr(f"crosscheck._compare.diagnosis.{part}", broken)
    report = compare(torch.relu, lambda x: jnp.where(x > 0, x, 0.1 * x), [crosscheck.normal((8,))], order=0)
    assert (report.passed, report.cause) == (False, "definition")
    fact = Fact("not found", what, where="ValueError: Cell is empty")
    assert [note for note in report.diagnosis.notes if kind_of(note) == fact.kind] == [fact.words()]
    assert fact.words() in " ".join(str(report).split())


def test_warnings_are_shown_of_the_inputs_that_were_given_only() -> None:
    def std(x: torch.Tensor) -> torch.Tensor:
        warnings.warn(f"an array of {x.numel()}", stacklevel=1)
        return x.std() if x.numel() > 1 else x.sum()

    with warnings.catch_warnings(record=True, action="always") as shown:
        report = compare(std, lambda x: x.std(), [crosscheck.normal((20,))])
    assert report.diagnosis is not None
    assert report.diagnosis.inputs["x"].size < 20  # it was run at smaller inputs too
    assert {str(warning.message) for warning in shown if "an array" in str(warning.message)} == {"an array of 20"}


def test_what_passes_is_not_diagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosscheck._compare.diagnosis.diagnose", lambda *_: pytest.fail("diagnosed"))
    assert compare(torch.tanh, jnp.tanh).diagnosis == crosscheck.Diagnosis()


# The worst and the simplest input.


def layer_norm(x: Any) -> Any:
    return F.layer_norm(x, x.shape[-1:])


def norm_with_epsilon_outside(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-5)


def norm_with_ddof(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True, ddof=1) + 1e-5)


def smoothed(logits: Any, labels: Any) -> Any:
    target = jax.nn.one_hot(labels, logits.shape[-1]) * 0.9 + 0.1 / logits.shape[-1]
    return -(target * jax.nn.log_softmax(logits)).sum(-1).mean()


def attention(q: Any, k: Any, v: Any) -> Any:
    return jax.nn.softmax(q @ k.T) @ v


def attention_with_scale(q: Any, k: Any, v: Any) -> Any:
    return torch.softmax(q @ k.T / q.shape[-1] ** 0.5, -1) @ v


ROWS = crosscheck.normal((16, 64))
SQUARE = crosscheck.normal((8, 8))

WRONG: dict[str, tuple[Any, Any, Any, int, list[Any]]] = {
    "gelu by tanh": (F.gelu, jax.nn.gelu, None, 0, [(1,)]),
    "a slope of swish": (F.silu, lambda x: x * jax.nn.sigmoid(1.01 * x), None, 0, [[1.0]]),
    "a slope": (lambda x: F.leaky_relu(x, 0.02), jax.nn.leaky_relu, None, 0, [[-1.0]]),
    "a threshold": (lambda x: F.softplus(x, threshold=2), jax.nn.softplus, None, 0, [[3.0]]),
    "a bound": (lambda x: x.clamp(-1, 1), lambda x: jnp.clip(x, -1, 2), None, 0, [[2.0]]),
    "abs at 0": (torch.abs, jnp.abs, None, 1, [[0.0]]),
    "an overflow": (F.softplus, lambda x: jnp.log(1 + jnp.exp(x)), [crosscheck.uniform(60, 95)], 0, [[90.0]]),
    "a hidden bfloat16": (
        lambda x: x * 3,
        lambda x: (x.astype(jnp.bfloat16) * 3).astype(x.dtype),
        [crosscheck.uniform(1, 9)],
        0,
        [(1,)],
    ),
    "a missing stop_gradient": (lambda x: x * x.detach(), lambda x: x * x, [crosscheck.normal(64)], 1, [[1.0]]),
    "epsilon outside the root": (layer_norm, norm_with_epsilon_outside, [ROWS], 0, [(1, 2)]),
    "ddof": (layer_norm, norm_with_ddof, [ROWS], 0, [(1, 2)]),
    "mean against sum": (lambda x: x.sum(), lambda x: x.mean(), [crosscheck.normal(50)], 0, [(2,)]),
    "an axis": (lambda x: torch.softmax(x, 0), lambda x: jax.nn.softmax(x, 1), [ROWS], 0, [(1, 2)]),
    "a transposed weight": (
        lambda x, w: x @ w.T,
        lambda x, w: x @ w,
        [crosscheck.normal((4, 8)), SQUARE],
        0,
        [(1, 2), (2, 2)],
    ),
    "an order of a product": (lambda a, b: a @ b, lambda a, b: b @ a, [SQUARE, SQUARE], 0, [(2, 2), (2, 2)]),
    "descending": (
        lambda x: torch.sort(x, -1, descending=True)[0],
        lambda x: jnp.sort(x, -1),
        [ROWS],
        0,
        [(1, 2)],
    ),
    "an exclusive sum": (lambda x: x.cumsum(0), lambda x: jnp.cumsum(x) - x, [crosscheck.normal(40)], 0, [[1.0]]),
    "label smoothing": (
        F.cross_entropy,
        smoothed,
        [crosscheck.normal((12, 10)), np.arange(12) % 10],
        0,
        [(1, 2), (1,)],
    ),
    "a missing scale": (
        attention_with_scale,
        attention,
        [crosscheck.normal((6, 16)), crosscheck.normal((6, 16)), crosscheck.normal((6, 4))],
        0,
        [(2, 2), (2, 2), (2, 1)],
    ),
    "a norm": (
        lambda x, y: torch.linalg.vector_norm(x - y, 2, -1),
        lambda x, y: jnp.abs(x - y).sum(-1),
        [ROWS, ROWS],
        0,
        [(1, 2), (1, 2)],
    ),
    "a root mean square": (
        lambda x: x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt(),
        lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5),
        [ROWS],
        0,
        [[[1.0]]],
    ),
    "a second derivative": (
        lambda x: x**3 / 6,
        lambda x: jnp.where(x > 0, x**3 / 6, jax.lax.stop_gradient(x**3 / 6 - x * x * x / 6) + x * x * x / 6 * 1.5),
        [crosscheck.normal(64)],
        2,
        [[-1.0]],
    ),
}


@functools.cache
def wrong(name: str) -> PairReport:
    torch_fn, jax_fn, inputs, order, _ = WRONG[name]
    return compare(torch_fn, jax_fn, inputs, order=order)


@pytest.mark.parametrize("name", WRONG)
def test_the_simplest_input_is_as_small_as_the_fault_allows(name: str) -> None:
    report = wrong(name)
    assert not report.passed
    inputs = list(report.diagnosis.inputs.values())
    for array, expected in zip(inputs, WRONG[name][-1], strict=True):
        if isinstance(expected, tuple):
            assert array.shape == expected, inputs
        else:
            assert array.tolist() == expected
    assert {kind_of(note) for note in report.diagnosis.notes} <= {"dictionary"}


@pytest.mark.parametrize("name", WRONG)
def test_the_snippet_prints_what_the_report_says(name: str) -> None:
    report = wrong(name)
    snippet, point = report.diagnosis.snippet, report.diagnosis.point
    assert snippet is not None
    assert point is not None
    assert str(report).endswith(snippet)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(snippet, "snippet", "exec"), {})
    assert [float(line) for line in printed.getvalue().split()] == pytest.approx(
        [point.got, point.expected], nan_ok=True, rel=0
    )
    said = re.findall(r"item\(\)\)  # prints (\S+)", snippet)
    assert [float(number) for number in said] == pytest.approx([point.got, point.expected], nan_ok=True, rel=0)


def wrong_beyond_fifty(x: Any) -> Any:
    """A softmax of rows that is right unless a row has an entry beyond 50."""
    return jax.nn.softmax(x, -1) * jnp.where(x.max(-1, keepdims=True) > 50, 1.5, 1.0)


def with_a_large_entry(*shape: int) -> Any:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x[tuple(size * 2 // 3 for size in shape)] = 60.0
    return x


def test_the_slice_that_shows_a_disagreement_is_found_wherever_it_is() -> None:
    report = compare(lambda x: torch.softmax(x, -1), wrong_beyond_fifty, with_a_large_entry(40, 30), order=0)
    (x,) = report.diagnosis.inputs.values()
    assert (x.tolist(), report.diagnosis.notes) == ([[60.0]], ())


def test_an_array_that_cannot_be_cut_is_simplified_slice_by_slice() -> None:
    def fault(x: Any) -> Any:
        return jnp.where((x.size == 60) & (jnp.abs(x[4]).sum() > 0.5), 1.5, 1.0) * x.sum()

    report = compare(lambda x: x.sum(), fault, crosscheck.normal((12, 5)), order=0)
    (x,) = report.diagnosis.inputs.values()
    assert x.shape == (12, 5)
    assert np.flatnonzero(x.any(1)).tolist() == [4]


def test_the_simplest_input_does_not_depend_on_how_fast_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (lambda x: torch.softmax(x, -1), wrong_beyond_fifty, with_a_large_entry(7, 9))
    usual = compare(*arguments, order=0).diagnosis
    monkeypatch.setattr("time.monotonic", itertools.count(0, 1000).__next__)
    monkeypatch.setattr("time.perf_counter", itertools.count(0, 1000).__next__)
    slow = compare(*arguments, order=0).diagnosis
    assert slow.inputs["x"].tolist() == usual.inputs["x"].tolist()
    assert slow.notes == usual.notes


def test_a_search_ends_after_so_many_evaluations_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def function(x: Any) -> Any:
        called.append(tuple(x.shape))
        return torch.softmax(x, -1)

    ends = []
    for most in (5, 2000):
        monkeypatch.setattr("crosscheck._compare.diagnose.worst.EVALUATIONS", most)
        report = compare(function, wrong_beyond_fifty, with_a_large_entry(40, 30), order=0)
        ends.append((len(called), report.diagnosis.notes))
        called.clear()
    assert ends[0][0] < ends[1][0]
    assert ["stopped" in map(kind_of, notes) for _, notes in ends] == [True, False]


@pytest.mark.parametrize("name", WRONG)
def test_the_simplest_input_shows_the_same_disagreement(name: str) -> None:
    report = wrong(name)
    torch_fn, jax_fn, _, order, _ = WRONG[name]
    again = compare(torch_fn, jax_fn, list(report.diagnosis.inputs.values()), order=order)
    assert (again.passed, again.cause, again.side) == (False, report.cause, report.side), str(again)


def test_the_simplest_input_may_be_a_single_integer() -> None:
    q = np.array([0.5, 1.5, 2.5], np.float32)
    report = compare(lambda q, a: q[a] * 2 + 0 * q.sum(), lambda q, a: q[a] * 2 + q[0], [q, 1], order=0)
    assert not report.passed
    assert "; x1 = 0\n" in report.story()
