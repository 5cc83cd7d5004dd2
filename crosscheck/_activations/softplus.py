"""Softplus: log(1 + e^x), a smooth ReLU. Positive, so that it makes a scale or a variance of any number."""

from math import inf
from typing import Any

from crosscheck._activations._kernels import bell, numpy_of, size
from crosscheck._spec.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return m.log(1 + m.exp(x))


def derivative(m: Any, x: Any) -> Any:
    """s(x), the sigmoid."""
    return _stable(m, x)


def second_derivative(m: Any, x: Any) -> Any:
    """s(x) s(-x)."""
    return _stable(m, x) * _stable(m, -x)


def _stable(m: Any, x: Any) -> Any:
    """The sigmoid without the overflow of e^-x."""
    z = m.exp(-m.abs(x))
    return m.where(x > 0, 1, z) / (1 + z)


def value(framework: Any, x: Any) -> Any:
    """log(1 + e^-|x|), plus x above 0."""
    m = numpy_of(framework)
    y = m.log1p(m.exp(-abs(x)))
    return m.where(x > 0, x + y, y)


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    z = m.exp(-abs(x))
    return m.where(x > 0, 1 / (1 + z), z / (1 + z))


def second(framework: Any, x: Any) -> Any:
    _, _, z, d = bell(framework, size(framework, x))
    return z / d


SOFTPLUS = Activation(
    name="softplus",
    latex=r"f(x) = \log(1 + e^x)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    natives={"torch": Native("torch.nn.functional.softplus", matched={"threshold": 88.0}), "jax": Native("jax.nn.softplus")},
)
