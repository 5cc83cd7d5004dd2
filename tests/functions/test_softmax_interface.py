"""What softmax refuses, as an axis and as an input, and what the frameworks ship beside it."""

from collections.abc import Callable
from math import inf, nan
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from in_both import TORCH_WARNS_OF_ITSELF, array, each_framework, make
from softmax_calls import AXES, SOFTMAX, drawn, function_of

pytestmark = [pytest.mark.full, *TORCH_WARNS_OF_ITSELF]


PLAIN = (2, 3)
REFUSED: dict[str, tuple[tuple[int, ...], dict[str, Any], type[Exception], str]] = {
    "beyond the last axis": (PLAIN, {"axis": 2}, ValueError, "axis: got 2 for shape (2, 3), expected -2 to 1"),
    "before the first axis": (PLAIN, {"axis": -3}, ValueError, "axis: got -3 for shape (2, 3), expected -2 to 1"),
    "beyond the axis of a row": ((3,), {"axis": 1}, ValueError, "axis: got 1 for shape (3,), expected -1 to 0"),
    "a float": (PLAIN, {"axis": 1.0}, TypeError, "axis: got 1.0, expected an integer"),
    "an infinite axis": (PLAIN, {"axis": inf}, TypeError, "axis: got inf, expected an integer"),
    "NaN": (PLAIN, {"axis": nan}, ValueError, "axis: got nan, expected an integer"),
    "a boolean": (PLAIN, {"axis": True}, TypeError, "axis: got True, expected an integer"),
    "None": (PLAIN, {"axis": None}, TypeError, "axis: got None, expected an integer"),
    "several axes": (PLAIN, {"axis": (0, 1)}, TypeError, "axis: got (0, 1), expected an integer"),
    "a name": (PLAIN, {"axis": "rows"}, TypeError, "axis: got 'rows', expected an integer"),
    "a scalar": ((), {}, ValueError, "x: got a scalar, expected at least one axis, the one that softmax runs along"),
    "a scalar, and axis 0": ((), {"axis": 0}, ValueError, "x: got a scalar, expected at least one axis"),
    "an empty row": ((2, 0), {}, ValueError, "x: got shape (2, 0), whose axis -1 is empty; a row needs at least one entry"),
    "empty columns": ((0, 2), {"axis": 0}, ValueError, "x: got shape (0, 2), whose axis 0 is empty"),
    "torch's word for it": (PLAIN, {"dim": 0}, TypeError, "got the parameter 'dim', expected axis"),
    "a parameter of another": (PLAIN, {"axis": 0, "alpha": 1.0}, TypeError, "got the parameter 'alpha', expected axis"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@each_framework
def test_bad_arguments_are_refused(framework: str, dtype: str, case: str) -> None:
    """One message: the activation, the argument, what was got and what was expected."""
    shape, arguments, error, message = REFUSED[case]
    with pytest.raises(error) as caught:
        getattr(SOFTMAX, framework)(make(framework, np.zeros(shape), dtype), **arguments)
    assert str(caught.value).startswith(f"softmax: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["int32", "bool"])
@each_framework
def test_what_is_no_float_array_is_refused(framework: str, dtype: str) -> None:
    m: Any = {"torch": torch, "jax": jnp}[framework]
    with pytest.raises(TypeError, match=f"^softmax: x: got an? (tensor|array) of dtype .*{dtype}; expected"):
        getattr(SOFTMAX, framework)(m.ones(3, dtype=getattr(m, dtype)))


TRANSFORMED: dict[str, tuple[str, Callable[..., Any]]] = {
    "torch.func.vmap": ("torch", torch.func.vmap),
    "torch.func.jacrev of vmap": ("torch", lambda f: torch.func.jacrev(torch.func.vmap(f))),
    "jax.vmap": ("jax", jax.vmap),
    "jax.jit of vmap": ("jax", lambda f: jax.jit(jax.vmap(f))),
}


@pytest.mark.parametrize(("framework", "transform"), TRANSFORMED.values(), ids=TRANSFORMED)
def test_an_axis_that_vmap_takes_away_is_refused(framework: str, transform: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"^softmax: axis: got 1 for shape \(3,\), expected -1 to 0"):
        transform(function_of(framework, 1))(make(framework, np.zeros((4, 3)), "float32"))


# What the frameworks ship


@each_framework
@pytest.mark.parametrize("shape", [shape for shape, _ in AXES.values()], ids=str)
def test_native_is_the_same_function_by_default(framework: str, shape: tuple[int, ...]) -> None:
    """torch without ``dim`` chooses an axis by the number of them, and warns."""
    x = make(framework, drawn(shape, seed=20), "float32")
    function = getattr(SOFTMAX, framework)
    np.testing.assert_allclose(array(function.native(x)), array(function(x)), rtol=1e-6)
