"""Near their zeros the own derivatives are right in ULP of themselves, where their terms cancel."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import zero_coefficients as script
from catalogue import NAMES
from conftest import Verified
from contract import budget
from floats import Float64Array, FloatArray
from truths import Sample

import crosscheck
from crosscheck._catalogue import _zeros

NUMBERS = script.numbers()
ZEROS = (
    ("gelu", 1, -0.7517915246935645),
    ("gelu_tanh", 1, -0.7524614220710163),
    ("gelu_tanh", 2, -1.4185040087908283),
    ("gelu_tanh", 2, 1.4185040087908283),
    ("mish", 1, -1.1924312145154952),
    ("mish", 2, -2.256376396360793),
    ("mish", 2, 1.4905711794854284),
    ("silu", 1, -1.2784645427610737),
    ("silu", 2, -2.3993572805154675),
    ("silu", 2, 2.3993572805154675),
)
every_zero = pytest.mark.parametrize(("name", "order", "zero"), ZEROS, ids=[f"{name} {at:.3g}" for name, _, at in ZEROS])
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.mark.parametrize(("activation", "name"), [(record, name) for record, named in NUMBERS.items() for name in named])
def test_the_numbers_are_those_of_the_script(activation: str, name: str) -> None:
    zero = getattr(_zeros, f"{activation.upper()}_{name}")
    assert (zero.at, zero.series) == NUMBERS[activation][name]


def inputs(zero: float, dtype: str) -> FloatArray:
    """The nearest numbers, and others farther than the power series reaches."""
    nearest = np.array(zero, dtype)
    around = nearest + np.spacing(nearest) * np.arange(-300, 301)
    return np.concatenate([around, zero + np.random.default_rng(0).uniform(-0.3, 0.3, 1000)]).astype(dtype)


def errors(name: str, order: int, x: FloatArray, derivative: Callable[[FloatArray], Any]) -> Float64Array:
    """In ULP of the exact result."""
    truth = Sample(x, None, x).truths(crosscheck.activations[name], [order], {})[order]
    return truth.error(np.asarray(derivative(x)))


def of_torch(name: str, order: int) -> Callable[[FloatArray], Any]:
    def derivative(x: FloatArray) -> Any:
        at = torch.from_numpy(x).requires_grad_()
        y = crosscheck.activations[name].torch(at)
        for _ in range(order):
            (y,) = torch.autograd.grad(y.sum(), at, create_graph=True)
        return y.detach()

    return derivative


def of_jax(name: str, order: int) -> Callable[[FloatArray], Any]:
    def derivative(x: FloatArray) -> Any:
        function: Callable[[Any], Any] = crosscheck.activations[name].jax
        for _ in range(order):
            function = jax.grad(lambda x, of=function: of(x).sum())
        with jax.enable_x64(True):
            return jax.jit(function)(jnp.asarray(x))

    return derivative


SIDES = {"torch": of_torch, "jax": of_jax}
each_side = pytest.mark.parametrize("side", SIDES)


@each_side
@every_dtype
@every_zero
def test_near_its_zero_a_derivative_is_right_in_ulp_of_itself(
    name: str, order: int, zero: float, dtype: str, side: str
) -> None:
    assert errors(name, order, inputs(zero, dtype), SIDES[side](name, order)).max() <= budget(dtype, order)


@each_side
@pytest.mark.parametrize(("name", "order", "zero"), [case for case in ZEROS if case[0] != "gelu"])
def test_the_formula_alone_would_not_be(
    monkeypatch: pytest.MonkeyPatch, name: str, order: int, zero: float, side: str
) -> None:
    monkeypatch.setattr("crosscheck._catalogue._kernels.Zero.mended", lambda self, framework, a, y, g=0.0: y)
    jax.clear_caches()
    missed = errors(name, order, inputs(zero, "float32"), SIDES[side](name, order))
    jax.clear_caches()
    assert missed.max() > 1000 * budget("float32", order)


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in NAMES if not crosscheck.activations[name].rows])
def test_no_elementwise_function_needs_the_exception_for_terms_that_cancel(
    verified: Callable[[str], Verified], name: str
) -> None:
    own = [
        comparison
        for comparison in verified(name).report.comparisons
        if comparison.implementation in SIDES and comparison.against == "exact"
    ]
    assert own
    assert [comparison for comparison in own if comparison.excepted] == []
