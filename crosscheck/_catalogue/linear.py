"""The identity, the activation of a linear layer: x."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import numpy_of
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return x


def derivative(m: Any, x: Any) -> Any:
    """1 everywhere."""
    return m.where(x > 0, 1.0, 1.0)


def second_derivative(m: Any, x: Any) -> Any:
    """0 everywhere."""
    return m.where(x > 0, 0.0, 0.0)


def torch_value(torch: Any, x: Any) -> Any:
    return x.clone()  # a derivative rule must not return its input itself


def jax_value(jax: Any, x: Any) -> Any:
    return x


def gradient(framework: Any, x: Any) -> Any:
    return numpy_of(framework).ones_like(x)


def second(framework: Any, x: Any) -> Any:
    """Given, since torch would otherwise find no path from the gradient back to the input."""
    return numpy_of(framework).zeros_like(x)


LINEAR = Activation(
    name="linear",
    latex=r"f(x) = x",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=torch_value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=jax_value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    natives={"torch": Native("torch.nn.Identity"), "jax": Native("jax.nn.identity")},
)
