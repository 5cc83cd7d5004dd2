"""Threshold: x where x > threshold, a fixed value otherwise. If both are 0, it is ReLU; else it jumps at the threshold."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import at_most, flat, in_both, numpy_of, step
from crosscheck._records.ranges import FINITE, Range
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any, threshold: float = 0.0, value: float = 0.5) -> Any:
    return m.where(x > threshold, x, value)


def derivative(m: Any, x: Any, threshold: float = 0.0, value: float = 0.5) -> Any:
    """1 where x > threshold, 0 otherwise."""
    return m.where(x > threshold, 1.0, 0.0)


def second_derivative(m: Any, x: Any, threshold: float = 0.0, value: float = 0.5) -> Any:
    """0, also at the threshold."""
    return m.where(x > threshold, 0.0, 0.0)


def replaced(framework: Any, x: Any, threshold: Any, value: Any) -> Any:
    """Computed by a comparison that is false at NaN, so that NaN stays NaN."""
    return numpy_of(framework).where(x <= at_most(framework, x, threshold), value, x)


def gradient(framework: Any, x: Any, threshold: Any, value: Any) -> Any:
    return step(framework, x, x > at_most(framework, x, threshold))


def second(framework: Any, x: Any, threshold: Any, value: Any) -> Any:
    return flat(framework, x)


def limits(threshold: float, value: float) -> Limits:
    return Limits(minus=(value, 0, 0), plus=(inf, 1, 0))


def kinks(threshold: float, value: float) -> tuple[Kink, ...]:
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html"
    return (Kink(at=threshold, chosen={1: 0.0}, source=source),)


THRESHOLD = Activation(
    name="threshold",
    latex=r"f(x) = \begin{cases} x & x > \text{threshold} \\ \text{value} & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(replaced, gradient, second),
    limits=limits,
    kinks=kinks,
    parameters={"threshold": 0.0, "value": 0.5},
    # thresholds that every dtype holds: torch rounds others before it compares with them, which moves the jump
    cases=({"threshold": 1.5, "value": 20.0}, {"threshold": -0.5, "value": -3.0}),
    ranges={"threshold": FINITE, "value": Range(-1e30, 1e30)},
    # JAX ships none
    natives={"torch": Native("torch.nn.functional.threshold", call="torch.nn.functional.threshold(x, threshold, value)")},
)
