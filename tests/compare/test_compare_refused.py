"""Inputs and arguments that compare refuses, each with one message that says what to do."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from compared import X, assert_refused, double

import crosscheck
from crosscheck import compare


@pytest.mark.parametrize("argument", ["torch_fn", "jax_fn"])
@pytest.mark.parametrize("wrong", [3, None, "relu", X], ids=["number", "none", "name", "array"])
def test_what_is_not_callable_is_refused_by_its_argument(argument: str, wrong: Any) -> None:
    functions = {"torch_fn": double, "jax_fn": double, argument: wrong}
    assert_refused(lambda: compare(**functions, inputs=X), f"{argument}: ", type(wrong).__name__, "expected a function")


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
    assert_refused(lambda: compare(double, double, inputs, order=0), "inputs: ", *parts)


@pytest.mark.parametrize("inputs", [np.arange(3), np.array([True]), 3, torch.arange(3), [np.arange(2), True]], ids=str)
def test_derivatives_by_integers_alone_are_refused(inputs: Any) -> None:
    assert_refused(lambda: compare(double, double, inputs, order=1), "order: got 1", "integer", "order=0")


LARGE_INTEGER = np.array([2**40, 5])


def test_an_integer_too_large_for_jax_is_not_handed_to_it_as_another() -> None:
    assert_refused(lambda: compare(lambda n: n // 2, lambda n: n // 2, LARGE_INTEGER, order=0), "inputs: x", "int32")


NOT_A_NUMBER = float("nan")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"order": 3}, ("order: got 3", "0, 1 or 2")),
        ({"order": -1}, ("order: got -1", "0, 1 or 2")),
        ({"order": True}, ("order: got True", "0, 1 or 2")),
        ({"order": "1"}, ("order: got '1'", "0, 1 or 2")),
        ({"order": 1.0}, ("order: got 1.0", "0, 1 or 2")),
        ({"dtype": "f32"}, ("dtype 'f32'", "float32")),
        ({"dtype": "float8_e4m3fn"}, ("dtype 'float8_e4m3fn'", "bfloat16")),
        ({"dtype": "int32"}, ("dtype 'int32'", "bfloat16")),
        ({"dtype": None}, ("dtype 'None'", "bfloat16")),
        ({"dtype": np.dtype("int32")}, ("dtype 'int32'", "bfloat16")),
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
    assert_refused(lambda: compare(double, double, X, **options), *parts)


def test_an_input_without_floats_cannot_be_differentiated_by() -> None:
    assert_refused(
        lambda: compare(lambda x, n: x * n, lambda x, n: x * n, [X, np.arange(4)], wrt=1), "wrt: got 1", "no float array"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_value_of_a_wide_dtype_is_refused(dtype: str) -> None:
    assert_refused(
        lambda: compare(double, double, crosscheck.every_value(), dtype=dtype), "every_value()", dtype, "bfloat16"
    )


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
    assert_refused(describe, *parts)


def test_two_ends_that_are_numbers_but_too_far_apart_are_refused() -> None:
    assert_refused(lambda: compare(double, double, crosscheck.uniform(-1e308, 1e308)), "uniform")
