"""Hardshrink: x where |x| > lambda, 0 otherwise. It keeps large inputs, sets small ones to 0, and jumps between."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import at_most, flat, in_both, numpy_of, step
from crosscheck._catalogue._mechanisms import scalar_rest
from crosscheck._records.ranges import POSITIVE
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any, lambd: float = 0.5) -> Any:
    return m.where(x > lambd, x, m.where(x < -lambd, x, 0))


def derivative(m: Any, x: Any, lambd: float = 0.5) -> Any:
    """1 where |x| > lambda, 0 otherwise."""
    return m.where(x > lambd, 1.0, m.where(x < -lambd, 1.0, 0.0))


def second_derivative(m: Any, x: Any, lambd: float = 0.5) -> Any:
    """0, also at the jumps."""
    return m.where(x > 0, 0.0, 0.0)


def value(framework: Any, x: Any, lambd: Any) -> Any:
    """Computed by a comparison that is false at NaN, so that NaN stays NaN."""
    return numpy_of(framework).where(abs(x) <= at_most(framework, x, lambd), 0.0, x)


def gradient(framework: Any, x: Any, lambd: Any) -> Any:
    return step(framework, x, abs(x) > at_most(framework, x, lambd))


def second(framework: Any, x: Any, lambd: Any) -> Any:
    return flat(framework, x)


def kinks(lambd: float) -> tuple[Kink, ...]:
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html"
    return Kink(at=-lambd, chosen={1: 0.0}, source=source), Kink(at=lambd, chosen={1: 0.0}, source=source)


DEVIATIONS = (scalar_rest("hardshrink-layout", of="the gradient", more="At NaN one of them gives 0, the other 1."),)

HARDSHRINK = Activation(
    name="hardshrink",
    aliases=("hard_shrink",),
    latex=r"f(x) = \begin{cases} x & |x| > \lambda \\ 0 & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    kinks=kinks,
    parameters={"lambd": 0.5},
    # numbers that every dtype holds: torch rounds others before it compares with them, which moves the jump
    cases=({"lambd": 0.125}, {"lambd": 1.5}),
    ranges={"lambd": POSITIVE},
    # JAX ships none
    natives={"torch": Native("torch.nn.functional.hardshrink")},
    deviations=DEVIATIONS,
)
