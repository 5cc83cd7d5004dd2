"""crosscheck's functions for JAX under JAX's own check of gradients, and alike under each of its transformations."""

import itertools
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import NAMES
from jax_transforms import points, undifferentiable, unlike, with_parameters

from crosscheck import activations

pytestmark = pytest.mark.full

FEW = ("leaky_relu",)
"""Of the default suite: one with a kink and a parameter."""
every_case = pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param(name, case, id=f"{name}-{case}", marks=() if name in FEW and not case else pytest.mark.slow)
        for name in NAMES
        for case in ({}, *activations[name].cases)
    ],
)


def given(name: str, parameters: Mapping[str, float]) -> tuple[Callable[[Any], Any], Any]:
    full = {**activations[name].parameters, **parameters}
    return with_parameters(activations[name], full), points(activations[name], full)


@every_case
def test_derivatives_are_those_of_finite_differences(name: str, parameters: Mapping[str, float]) -> None:
    assert undifferentiable(*given(name, parameters)) == []


@every_case
def test_every_transformation_gives_the_same(name: str, parameters: Mapping[str, float]) -> None:
    assert unlike(*given(name, parameters)) == []


X = np.array([-1.5, -0.25, 0.75, 2.0])


def with_rule(rule: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """sin with a derivative of one's own."""
    function = jax.custom_jvp(jnp.sin)
    function.defjvp(lambda primals, tangents: (function(*primals), rule(*primals, *tangents)))
    return function


RIGHT = with_rule(lambda x, tangent: tangent * jnp.cos(x))
WRONG = {
    "gradient": with_rule(lambda x, tangent: tangent * jnp.cos(x) * 1.001),
    "second derivative": with_rule(lambda x, tangent: tangent * jax.lax.stop_gradient(jnp.cos(x))),
}


def test_a_right_function_is_not_complained_of() -> None:
    assert undifferentiable(RIGHT, X) == unlike(RIGHT, X) == []


@pytest.mark.parametrize("function", WRONG.values(), ids=WRONG)
def test_a_wrong_derivative_is_caught(function: Callable[[Any], Any]) -> None:
    assert len(undifferentiable(function, X)) == 2


def remat_dependent(x: Any) -> Any:
    """Another function while ``jax.checkpoint`` traces it."""
    inside = any(frame.filename.endswith("ad_checkpoint.py") for frame in traceback.extract_stack())
    return jnp.sin(x) * (1.01 if inside else 1.0)


def test_a_function_that_depends_on_checkpoint_is_caught() -> None:
    assert {change.partition(":")[0] for change in unlike(remat_dependent, X)} == {
        "checkpoint",
        "jit of checkpoint",
        "jvp of checkpoint",
    }


def batched(x: Any) -> Any:
    """Another function under vmap."""
    return jnp.sin(x) * (1.01 if "Batch" in type(x).__name__ else 1.0)


def traced(x: Any) -> Any:
    """Another function wherever it is traced."""
    return jnp.sin(x) * (1.01 if isinstance(x, jax.core.Tracer) else 1.0)


def stateful() -> Callable[[Any], Any]:
    """Another function at every call."""
    calls = itertools.count()
    return lambda x: jnp.sin(x) * (1 + next(calls) / 100)


@pytest.mark.parametrize(
    ("function", "under"),
    [(batched, "vmap: value"), (traced, "jit: value"), (stateful(), "jvp: value")],
    ids=["batched", "traced", "stateful"],
)
def test_a_function_that_depends_on_a_transformation_is_caught(function: Callable[[Any], Any], under: str) -> None:
    assert under in unlike(function, X)
