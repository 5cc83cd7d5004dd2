"""What compare takes: inputs of every kind, descriptions, options; and one message that teaches for each that it refuses."""

import collections
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import crosscheck
from crosscheck import PairReport, UsageError, compare

X = np.array([-1.5, -0.25, 0.5, 2.0], np.float32)
Pair = collections.namedtuple("Pair", "first second")


def double(x: Any) -> Any:
    return x * 2


def refused(call: Callable[[], object], *parts: str) -> None:
    """The call raises a UsageError itself, none of another kind, in one line that says each of these."""
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message


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


# What is refused.


@pytest.mark.parametrize("argument", ["torch_fn", "jax_fn"])
@pytest.mark.parametrize("wrong", [3, None, "relu", X], ids=["number", "none", "name", "array"])
def test_what_is_not_callable_is_refused_by_its_argument(argument: str, wrong: Any) -> None:
    functions = {"torch_fn": double, "jax_fn": double, argument: wrong}
    refused(lambda: compare(**functions, inputs=X), f"{argument}: ", type(wrong).__name__, "expected a function")


@pytest.mark.parametrize(
    ("inputs", "parts"),
    [
        ("abc", ("str", "expected an array")),
        (object(), ("object", "expected an array")),
        ({1.0}, ("set", "expected an array")),
        ([X, "abc"], ("x1", "str", "expected an array")),
        ({"w": [X, object()]}, ("x['w'][1]", "object", "expected an array")),
        (np.array([object()]), ("object", "expected float64")),
        (np.array(["a"]), ("<U1", "expected float64")),
        (np.array(["2020-01-01"], "M8[D]"), ("datetime64", "expected float64")),
        ([], ("none", "expected at least one")),
        ([None], ("no arrays", "expected at least one")),
        ({}, ("no arrays", "expected at least one")),
        ([{}, []], ("no arrays", "expected at least one")),
        (np.zeros(0), ("empty", "(0,)")),
        ([X, np.zeros((3, 0), np.float32)], ("x1", "empty", "(3, 0)")),
        (torch.zeros(0), ("empty", "(0,)")),
        (jnp.zeros((0, 2)), ("empty", "(0, 2)")),
        (X + 1j, ("complex64", "real and imaginary")),
        (1j, ("complex128", "real and imaginary")),
        (torch.ones(2, dtype=torch.complex64), ("complex64", "real and imaginary")),
        (jnp.ones(2) + 1j, ("complex64", "real and imaginary")),
        (X.astype(ml_dtypes.float8_e4m3fn), ("float8_e4m3fn", "expected float64")),
        (jnp.ones(2, jnp.float8_e4m3fn), ("float8_e4m3fn", "expected float64")),
        (torch.ones(2).to(torch.float8_e4m3fn), ("float8_e4m3fn", "expected float64")),
        (jax.random.key(0), ("key",)),
        (torch.ones(2, device="meta"), ("meta",)),
        (torch.eye(2).to_sparse(), ("sparse",)),
    ],
)
def test_inputs_that_are_not_arrays_of_numbers_are_refused(inputs: Any, parts: tuple[str, ...]) -> None:
    refused(lambda: compare(double, double, inputs, order=0), "inputs: ", *parts)


@pytest.mark.parametrize("inputs", [np.arange(3), np.array([True]), 3, torch.arange(3), [np.arange(2), True]], ids=str)
def test_derivatives_by_integers_alone_are_refused(inputs: Any) -> None:
    refused(lambda: compare(double, double, inputs), "order: got 1", "integer", "order=0")


LARGE_INTEGER = np.array([2**40, 5])


def test_an_integer_too_large_for_jax_is_not_handed_to_it_as_another() -> None:
    refused(lambda: compare(lambda n: n // 2, lambda n: n // 2, LARGE_INTEGER, order=0), "inputs: x", "int32")


NOT_A_NUMBER = float("nan")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"order": 3}, ("order: got 3", "0, 1 or 2")),
        ({"order": -1}, ("order: got -1", "0, 1 or 2")),
        ({"order": True}, ("order: got True", "0, 1 or 2")),
        ({"order": "1"}, ("order: got '1'", "0, 1 or 2")),
        ({"order": None}, ("order: got None", "0, 1 or 2")),
        ({"order": 1.0}, ("order: got 1.0", "0, 1 or 2")),
        ({"dtype": "f32"}, ("dtype 'f32'", "float32")),
        ({"dtype": "float8_e4m3fn"}, ("dtype 'float8_e4m3fn'", "bfloat16")),
        ({"dtype": "int32"}, ("dtype 'int32'", "bfloat16")),
        ({"dtype": torch.float32}, ("dtype 'torch.float32'", "bfloat16")),
        ({"dtype": np.float32}, ("dtype", "numpy.float32", "bfloat16")),
        ({"dtype": None}, ("dtype 'None'", "bfloat16")),
        ({"dtype": np.dtype("float32")}, ("dtype", "bfloat16")),
        ({"device": "tpu"}, ("device 'tpu'", "cpu", "gpu")),
        ({"device": None}, ("device 'None'", "cpu", "gpu")),
        ({"modes": "fast"}, ("modes: got", "fast", "eager, jit")),
        ({"modes": ()}, ("modes: got ()", "eager, jit")),
        ({"modes": ("eager", "compiled")}, ("modes: got", "compiled", "eager, jit")),
        ({"modes": None}, ("modes: got None", "eager, jit")),
        ({"modes": 5}, ("modes: got 5", "eager, jit")),
        ({"modes": [["eager"]]}, ("modes: got", "eager, jit")),
        ({"seed": -1}, ("seed: got -1", "integer")),
        ({"seed": 1.5}, ("seed: got 1.5", "integer")),
        ({"seed": None}, ("seed: got None", "integer")),
        ({"seed": True}, ("seed: got True", "integer")),
        ({"wrt": 1}, ("wrt: got 1", "from 0 to 0")),
        ({"wrt": -2}, ("wrt: got -2", "from 0 to 0")),
        ({"wrt": []}, ("wrt: got []", "from 0 to 0")),
        ({"wrt": "x"}, ("wrt: got 'x'", "from 0 to 0")),
        ({"wrt": True}, ("wrt: got True", "from 0 to 0")),
        ({"wrt": 0.0}, ("wrt: got 0.0", "from 0 to 0")),
        ({"wrt": [0, 3]}, ("wrt: got [0, 3]", "from 0 to 0")),
        ({"accept": "nope"}, ("deviation 'nope'", "leaky-relu-gradient-at-zero")),
        ({"accept": ["nope"]}, ("deviation 'nope'", "leaky-relu-gradient-at-zero")),
        ({"accept": 5}, ("accept: got 5", "id of a deviation")),
        ({"accept": None}, ("accept: got None", "id of a deviation")),
        ({"accept": [None]}, ("accept: got None", "id of a deviation")),
        ({"accept": [("error", None)]}, ("accept: got ('error', None)", "definition")),
        ({"accept": [("rounding", None)]}, ("accept: got ('rounding', None)", "definition")),
        ({"accept": [("definition", 3)]}, ("accept: got the region 3", "(low, high)")),
        ({"accept": [("definition", (1, 2, 3))]}, ("accept: got the region (1, 2, 3)", "(low, high)")),
        ({"accept": [("definition", ("a", "b"))]}, ("accept: got the region ('a', 'b')", "(low, high)")),
        ({"accept": [("definition", (2, 1))]}, ("accept: got the region (2, 1)", "low <= high")),
        (
            {"accept": [("definition", (NOT_A_NUMBER, 1))]},
            ("accept: got the region (nan, 1)", "low <= high"),
        ),
        ({"exact": "nope"}, ("exact", "'nope'", "silu")),
        ({"exact": "softmax"}, ("exact: got softmax", "elementwise")),
        ({"exact": 5}, ("exact: got int", "f(m, x)")),
    ],
)
def test_an_option_that_is_unknown_is_refused_by_its_name(options: dict[str, Any], parts: tuple[str, ...]) -> None:
    refused(lambda: compare(double, double, X, **options), *parts)


def test_an_input_without_floats_cannot_be_differentiated_by() -> None:
    refused(
        lambda: compare(lambda x, n: x * n, lambda x, n: x * n, [X, np.arange(4)], wrt=1), "wrt: got 1", "no float array"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_value_of_a_wide_dtype_is_refused(dtype: str) -> None:
    refused(lambda: compare(double, double, crosscheck.every_value(), dtype=dtype), "every_value()", dtype, "bfloat16")


@pytest.mark.parametrize(
    ("describe", "parts"),
    [
        (partial(crosscheck.uniform, 1, 0), ("low", "high", "1", "0", "low < high")),
        (partial(crosscheck.uniform, 1, 1), ("low", "high", "low < high")),
        (partial(crosscheck.uniform, math.nan, 1), ("low", "high", "nan", "low < high")),
        (partial(crosscheck.uniform, 0, math.inf), ("high", "inf")),
        (partial(crosscheck.uniform, "a", "b"), ("low", "'a'")),
        (partial(crosscheck.normal, std=0), ("std", "0", "positive")),
        (partial(crosscheck.normal, std=-1), ("std", "-1", "positive")),
        (partial(crosscheck.normal, std=math.nan), ("std", "nan", "positive")),
        (partial(crosscheck.normal, std=math.inf), ("std", "inf")),
        (partial(crosscheck.normal, mean=math.nan), ("mean", "nan")),
        (partial(crosscheck.normal, 0), ("shape", "0", "positive integers")),
        (partial(crosscheck.normal, (2, -1)), ("shape", "(2, -1)", "positive integers")),
        (partial(crosscheck.uniform, shape=True), ("shape", "True", "positive integers")),
        (partial(crosscheck.uniform, shape="ab"), ("shape", "'ab'", "positive integers")),
        (partial(crosscheck.uniform, shape=2.5), ("shape", "2.5", "positive integers")),
        (partial(crosscheck.normal, None), ("shape", "None", "positive integers")),
    ],
)
def test_a_description_of_nothing_is_refused_where_it_is_made(
    describe: Callable[[], object], parts: tuple[str, ...]
) -> None:
    refused(describe, *parts)


def test_two_ends_that_are_numbers_but_too_far_apart_are_refused() -> None:
    refused(lambda: compare(double, double, crosscheck.uniform(-1e308, 1e308)), "uniform")


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
    found = given(inputs)
    assert [x.dtype.kind for x in found] == ["f", "i", "b", "u", "i", "i", "b", "f"]
    assert [x.tolist() for x in found[1:]] == [[0, 1, 2, 3], [True, False], 3, [0, 1, 2], 7, True, 2.5]


@pytest.mark.parametrize(
    ("inputs", "function", "by"),
    [
        ({"b": X, "a": X}, lambda d: d["a"] * d["b"], {"x['a']", "x['b']"}),
        ([X, {"w": (X, X)}], lambda x, d: x * d["w"][0] + d["w"][1], {"x0", "x1['w'][0]", "x1['w'][1]"}),
        (Pair(X, X), lambda p: p.first * p.second, {"x.first", "x.second"}),
        ([[X, X]], lambda pair: pair[0] * pair[1], {"x[0]", "x[1]"}),
        ([X, None], lambda x, nothing: x * 2 if nothing is None else x, {"x0"}),
        ([X, X, np.arange(4), True], lambda x, y, n, flag: x * y * n * flag, {"x0", "x1"}),
    ],
    ids=["dict", "nested", "named tuple", "list in a list", "none", "beside integers"],
)
def test_trees_reach_the_functions_as_they_are(inputs: Any, function: Callable[..., Any], by: set[str]) -> None:
    report = compare(function, function, inputs, modes="jit")
    assert report.passed, str(report)
    assert {c.wrt for c in report.comparisons if c.order == 1} == by


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


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
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

    mine: list[Any] = [X.copy(), torch.from_numpy(X.copy()), {"n": np.arange(4)}]
    report = compare(wild, lambda *arguments: arguments[0], mine, order=0)
    assert "changes its input" in report.headline
    assert mine[0].tolist() == mine[1].tolist() == X.tolist()
    assert mine[2]["n"].tolist() == [0, 1, 2, 3]


def test_containers_of_the_caller_are_never_changed() -> None:
    def popping(tree: dict[str, Any]) -> Any:
        return tree.pop("a") * 2

    mine = {"a": X}
    assert compare(popping, popping, mine, modes="jit").passed
    assert set(mine) == {"a"}


@pytest.mark.parametrize("order", [0, 1, 2])
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


@pytest.mark.parametrize("options", [{"order": 2}, {"dtype": "bfloat16", "order": 1}, {"seed": 5, "order": 1}], ids=str)
def test_the_same_call_gives_the_same_report(options: dict[str, Any]) -> None:
    def run() -> str:
        report = compare(lambda x: torch.softmax(x, 0), lambda x: jax.nn.softmax(x, 0), crosscheck.normal(8), **options)
        return str(report) + repr(report.comparisons)

    assert run() == run()
