"""Leaky ReLU: x for x > 0, a x otherwise. Keeps a small slope where ReLU has none; its slope at 0 is a choice."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import in_both, numpy_of
from crosscheck._recorded.files import recorded
from crosscheck._records.ranges import MODERATE
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any, negative_slope: float = 0.01) -> Any:
    return m.where(x > 0, x, negative_slope * x)


def derivative(m: Any, x: Any, negative_slope: float = 0.01) -> Any:
    """1 where x > 0, a otherwise."""
    return m.where(x > 0, 1.0, negative_slope)


def second_derivative(m: Any, x: Any, negative_slope: float = 0.01) -> Any:
    """0, also at the kink."""
    return m.where(x > 0, 0.0, 0.0)


def value(framework: Any, x: Any, negative_slope: Any) -> Any:
    return numpy_of(framework).where(x > 0, x, negative_slope * x)


def gradient(framework: Any, x: Any, negative_slope: Any) -> Any:
    m = numpy_of(framework)
    ones = m.ones_like(x)
    return m.where(x > 0, ones, negative_slope * ones)


def second(framework: Any, x: Any, negative_slope: Any) -> Any:
    """Given, since torch would otherwise find no path from the gradient back to the input."""
    return numpy_of(framework).zeros_like(x)


def limits(negative_slope: float) -> Limits:
    return Limits(minus=(-inf * negative_slope, negative_slope, 0), plus=(inf, 1, 0))


def kinks(negative_slope: float) -> tuple[Kink, ...]:
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html"
    return (Kink(at=0.0, chosen={1: negative_slope}, source=source),)


DEVIATIONS = (
    recorded(
        id="leaky-relu-gradient-at-zero",
        cause="convention",
        implementations=("jax.native",),
        reason="At 0 torch's gradient is a and JAX's is 1. On one side of 0 the slope is a, on the other 1. torch tests "
        "x > 0, which is false at 0. JAX tests x >= 0, which is true at 0.",
        link="https://docs.jax.dev/en/latest/_autosummary/jax.nn.leaky_relu.html",
    ),
    recorded(
        id="leaky-relu-subnormals-unscaled",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="JAX returns negative subnormal inputs unchanged, instead of multiplying them by the slope. XLA on the "
        "CPU reads a subnormal input as 0 when it computes x >= 0, so that the input counts as not negative.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
)

LEAKY_RELU = Activation(
    name="leaky_relu",
    latex=r"f(x) = \begin{cases} x & x > 0 \\ a x & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=limits,
    kinks=kinks,
    parameters={"negative_slope": 0.01},
    cases=({"negative_slope": 0.2}, {"negative_slope": 1.5}),
    ranges={"negative_slope": MODERATE},
    natives={"torch": Native("torch.nn.functional.leaky_relu"), "jax": Native("jax.nn.leaky_relu")},
    deviations=DEVIATIONS,
)
