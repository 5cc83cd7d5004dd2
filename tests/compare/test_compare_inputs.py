"""What compare takes: inputs of every kind, descriptions, options; and one message that teaches for each that it refuses."""

import collections
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from compared import X, double

import crosscheck
from crosscheck import PairReport, compare

Pair = collections.namedtuple("Pair", "first second")


@dataclass
class Plain:
    """A dataclass that no framework knows."""

    second: Any
    first: Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Registered:
    """A dataclass that is registered with JAX, and so can be an argument of a compiled function."""

    second: Any
    first: Any
    power: int = field(default=2, metadata={"static": True})


def places(report: PairReport) -> set[tuple[str, str, int]]:
    return {(c.output, c.wrt, c.order) for c in report.comparisons}


def given(inputs: Any, **options: Any) -> list[np.ndarray[Any, Any]]:
    """What the JAX function is called with, as arrays of numpy."""
    seen: list[list[np.ndarray[Any, Any]]] = []

    def jax_fn(*arguments: Any) -> Any:
        leaves = jax.tree.leaves(arguments)
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            seen.append([np.asarray(leaf) for leaf in leaves])
        return jnp.zeros(())

    compare(lambda *_: torch.zeros(()), jax_fn, inputs, order=0, modes="eager", **options)
    return seen[0]


@contextmanager
def kept() -> Iterator[None]:
    """Nothing global of torch, JAX, numpy and Python is changed inside."""

    def state() -> list[object]:
        numpy: Any = np.random.get_state()
        return [
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            numpy[1].tolist(),
            numpy[2],
            np.geterr(),
            random.getstate(),
            jax.config.jax_enable_x64,
            jax.config.jax_default_device,
            jax.config.jax_default_matmul_precision,
        ]

    before = state()
    yield
    assert state() == before


# What is taken.


@pytest.mark.parametrize(
    "inputs",
    [
        X,
        torch.from_numpy(X),
        torch.from_numpy(X).requires_grad_(),
        torch.nn.Parameter(torch.from_numpy(X)),
        torch.from_numpy(X).double(),
        torch.from_numpy(X).bfloat16(),
        jnp.asarray(X),
        jnp.asarray(X, jnp.bfloat16),
        X.astype(np.float64),
        X.astype(np.float16),
        X.astype(ml_dtypes.bfloat16),
        [X],
        (X,),
        X[::-1][::-1],
        torch.from_numpy(np.repeat(X, 2))[::2],
    ],
    ids=lambda inputs: f"{type(inputs).__module__}.{type(inputs).__name__}",
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_float_arrays_of_every_framework_arrive_in_the_dtype(inputs: Any, dtype: str) -> None:
    (x,) = given(inputs, dtype=dtype)
    assert str(x.dtype) == dtype
    assert x.astype(np.float64).tolist() == X.tolist()


def test_a_float_is_rounded_to_the_dtype_once() -> None:
    halfway = 1 + 2.0**-8 + 2.0**-40  # nearest is the upper neighbour, but by way of float32 it is a tie
    (x,) = given(np.array([halfway]), dtype="bfloat16")
    assert float(x[0]) == 1 + 2.0**-7


def test_integers_and_booleans_stay_what_they_are() -> None:
    inputs = [X, np.arange(4), np.array([True, False]), np.uint8(3), torch.arange(3), 7, True, 2.5]
    values = given(inputs)
    assert [x.dtype.kind for x in values] == ["f", "i", "b", "u", "i", "i", "b", "f"]
    assert [x.tolist() for x in values[1:]] == [[0, 1, 2, 3], [True, False], 3, [0, 1, 2], 7, True, 2.5]


@pytest.mark.parametrize(
    ("inputs", "function", "by"),
    [
        ({"b": X, "a": X}, lambda d: d["a"] * d["b"], {"x['a']", "x['b']"}),
        ([X, {"w": (X, X)}], lambda x, d: x * d["w"][0] + d["w"][1], {"x0", "x1['w'][0]", "x1['w'][1]"}),
        (Pair(X, X), lambda p: p.first * p.second, {"x.first", "x.second"}),
        ([Plain(X, {"w": X})], lambda p: p.first["w"] * p.second, {"x.first['w']", "x.second"}),
        ([Registered(X, X, power=3)], lambda p: p.first * p.second**p.power, {"x.first", "x.second"}),
        ([[X, X]], lambda pair: pair[0] * pair[1], {"x[0]", "x[1]"}),
        ([X, None], lambda x, nothing: x * 2 if nothing is None else x, {"x0"}),
        ([X, X, np.arange(4), True], lambda x, y, n, flag: x * y * n * flag, {"x0", "x1"}),
    ],
    ids=["dict", "nested", "named tuple", "dataclass", "registered with JAX", "list in a list", "none", "beside integers"],
)
def test_trees_reach_the_functions_as_they_are(inputs: Any, function: Callable[..., Any], by: set[str]) -> None:
    report = compare(function, function, inputs, modes="jit")
    assert report.passed, str(report)
    assert {c.wrt for c in report.comparisons if c.order == 1} == by


def test_objects_with_the_same_names_are_compared_by_name() -> None:
    def torch_fn(x: Any) -> Plain:
        return Plain(first=torch.sin(x), second={"a": x * 2})

    right = compare(torch_fn, lambda x: Registered(first=jnp.sin(x), second={"a": x * 2}), X, modes="jit")
    assert right.passed
    assert {c.output for c in right.comparisons} == {"y.first", "y.second['a']"}
    assert compare(torch_fn, lambda x: {"first": jnp.sin(x), "second": {"a": x * 2}}, X, modes="jit").passed
    wrong = compare(torch_fn, lambda x: Registered(first=jnp.sin(x), second={"a": x * 3}), X, modes="jit")
    assert {c.output for c in wrong.comparisons if not c.passed} == {"y.second['a']"}


@pytest.mark.parametrize(
    ("wrt", "by"), [(None, {"x0", "x1"}), (0, {"x0"}), (1, {"x1"}), (-1, {"x1"}), ([1, 0], {"x0", "x1"}), ((0,), {"x0"})]
)
def test_wrt_chooses_what_is_differentiated_by(wrt: Any, by: set[str]) -> None:
    report = compare(lambda x, y: x * y, lambda x, y: x * y, [X, X], wrt=wrt, modes="jit")
    assert {c.wrt for c in report.comparisons if c.order == 1} == by


def test_a_wrong_gradient_by_an_input_that_was_not_chosen_is_not_looked_at() -> None:
    def stopped(x: Any, y: Any) -> Any:
        return x * jax.lax.stop_gradient(y)

    assert compare(lambda x, y: x * y, stopped, [X, X], wrt=0).passed
    assert compare(lambda x, y: x * y, stopped, [X, X], wrt=1).cause == "missing"


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_orders_up_to_the_given_one_are_compared(order: int) -> None:
    report = compare(torch.sin, jnp.sin, X, order=order)
    assert report.passed
    assert places(report) == {("y", "" if k == 0 else "x", k) for k in range(order + 1)}
    assert {c.mode for c in report.comparisons} == {"eager", "jit"}


@pytest.mark.parametrize("modes", ["eager", "jit", ["jit"], ("jit", "eager"), ("eager", "eager")], ids=str)
def test_the_modes_are_those_given(modes: Any) -> None:
    report = compare(torch.sin, jnp.sin, X, order=0, modes=modes)
    assert sorted(c.mode for c in report.comparisons) == sorted({modes} if isinstance(modes, str) else {*modes})


@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", *(pytest.param(dtype, marks=pytest.mark.full) for dtype in ("float64", "float16"))]
)
def test_every_dtype_is_compared_in_itself(dtype: str) -> None:
    right = compare(torch.sin, jnp.sin, X, dtype=dtype)
    wrong = compare(torch.sin, lambda x: jnp.sin(x) * jnp.asarray(1.25, x.dtype), X, dtype=dtype)
    assert {c.dtype for c in right.comparisons} == {dtype}
    assert right.passed
    assert (wrong.passed, wrong.cause) == (False, "definition")


def test_without_inputs_the_stratified_set_is_taken() -> None:
    left_out = compare(torch.neg, jnp.negative, order=0)
    assert left_out.passed
    assert repr(left_out.comparisons) == repr(compare(torch.neg, jnp.negative, crosscheck.stratified(), order=0).comparisons)
    (x,) = given(None)
    assert np.isnan(x).any()
    assert np.isinf(x).any()
    assert np.abs(x[np.isfinite(x)]).max() == np.finfo(np.float32).max


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_every_value_of_a_narrow_dtype_is_tried(dtype: str) -> None:
    (x,) = given(crosscheck.every_value(), dtype=dtype)
    assert np.unique(x.view(np.uint16)).size == x.size == 2**16
    report = compare(torch.neg, jnp.negative, crosscheck.every_value(), dtype=dtype, order=0)
    assert all(c.exhaustive for c in report.comparisons)
    assert not compare(torch.neg, jnp.negative, X, dtype=dtype, order=0).comparisons[0].exhaustive


def test_descriptions_say_how_numbers_are_spread() -> None:
    uniform, normal, scalar = given(
        [crosscheck.uniform(2, 3, (50, 20)), crosscheck.normal(1000, mean=5, std=0.5), crosscheck.normal(())]
    )
    assert (uniform.shape, normal.shape, scalar.shape) == ((50, 20), (1000,), ())
    assert 2 <= uniform.min() < 2.05
    assert 2.95 < uniform.max() <= 3
    assert abs(normal.mean() - 5) < 0.1
    assert abs(normal.std() - 0.5) < 0.1


@pytest.mark.parametrize(
    "description",
    [crosscheck.uniform(), crosscheck.normal(), crosscheck.stratified()],
    ids=["uniform", "normal", "stratified"],
)
def test_a_description_gives_the_same_for_one_seed_and_other_numbers_for_another(description: Any) -> None:
    first, again, other = (given(description, seed=seed)[0] for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_two_descriptions_in_one_call_are_drawn_apart() -> None:
    first, second = given([crosscheck.normal(), crosscheck.normal()])
    assert (first != second).any()


def test_seeds_next_to_each_other_share_no_array() -> None:
    seed_0, seed_1 = (given([crosscheck.normal(), crosscheck.normal()], seed=seed) for seed in (0, 1))
    assert (seed_0[1] != seed_1[0]).any()


# What is left as it was.


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_module_is_copied_and_cast(dtype: str) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    state = {name: value.clone() for name, value in module.state_dict().items()}
    weight, bias = (module[0].get_parameter(name).detach().numpy() for name in ("weight", "bias"))

    def jax_fn(x: Any) -> Any:
        y = x @ jnp.asarray(weight, x.dtype).T + jnp.asarray(bias, x.dtype)
        return (y - y.mean(0)) / jnp.sqrt(y.var(0) + 1e-5)

    report = compare(module, jax_fn, crosscheck.normal((8, 3)), dtype=dtype, order=1, modes="jit")
    assert report.passed, str(report)
    assert {c.dtype for c in report.comparisons} == {dtype}
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None and parameter.dtype == torch.float32 for parameter in module.parameters())
    assert module.training


def test_the_arrays_of_the_caller_are_never_changed() -> None:
    def wild(*arguments: Any) -> Any:
        for argument in jax.tree.leaves(arguments):
            argument.data.mul_(2)
        return arguments[0]

    inputs: list[Any] = [X.copy(), torch.from_numpy(X.copy()), {"n": np.arange(4)}]
    report = compare(wild, lambda *arguments: arguments[0], inputs, order=0)
    assert (report.cause, report.side) == ("error", "torch")
    assert inputs[0].tolist() == inputs[1].tolist() == X.tolist()
    assert inputs[2]["n"].tolist() == [0, 1, 2, 3]


def test_containers_of_the_caller_are_never_changed() -> None:
    def popping(tree: dict[str, Any]) -> Any:
        return tree.pop("a") * 2

    inputs = {"a": X}
    assert compare(popping, popping, inputs, modes="jit").passed
    assert set(inputs) == {"a"}


@pytest.mark.parametrize("order", [1, *(pytest.param(order, marks=pytest.mark.full) for order in (0, 2))])
def test_no_global_state_is_changed(order: int) -> None:
    with kept():
        assert compare(torch.sin, jnp.sin, crosscheck.normal(4), order=order, dtype="float64").passed
    with kept():
        assert not compare(torch.sin, jnp.cos, crosscheck.normal(4), order=order).passed
    with kept():
        compare(double, lambda x: 1 / 0, X, order=order)


def test_the_state_of_the_caller_does_not_change_the_report() -> None:
    def run() -> str:
        return repr(compare(lambda x: torch.sin(x) * 1.5, lambda x: jnp.sin(x) * 1.5, crosscheck.normal(4)).comparisons)

    plain = run()
    torch.set_default_dtype(torch.float64)
    try:
        with kept(), torch.no_grad(), jax.enable_x64(True):
            assert run() == plain
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 5, "order": 1},
        *(pytest.param(more, marks=pytest.mark.full) for more in ({"order": 2}, {"dtype": "bfloat16", "order": 1})),
    ],
    ids=str,
)
def test_the_same_call_gives_the_same_report(options: dict[str, Any]) -> None:
    def run() -> str:
        report = compare(lambda x: torch.softmax(x, 0), lambda x: jax.nn.softmax(x, 0), crosscheck.normal(8), **options)
        return str(report) + repr(report.comparisons)

    assert run() == run()
