"""Softshrink: x moved towards 0 by lambda, and 0 where |x| <= lambda. It sets small inputs to 0 without a jump."""

from math import inf
from typing import Any

import numpy as np

from crosscheck._catalogue._kernels import at_most, flat, in_both, numpy_of, step
from crosscheck._catalogue._mechanisms import scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.ranges import Range
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any, lambd: float = 0.5) -> Any:
    return m.where(x > lambd, x - lambd, m.where(x < -lambd, x + lambd, 0))


def derivative(m: Any, x: Any, lambd: float = 0.5) -> Any:
    """1 where |x| > lambda, 0 otherwise."""
    return m.where(x > lambd, 1.0, m.where(x < -lambd, 1.0, 0.0))


def second_derivative(m: Any, x: Any, lambd: float = 0.5) -> Any:
    """0, also at the kinks."""
    return m.where(x > 0, 0.0, 0.0)


def value(framework: Any, x: Any, lambd: Any) -> Any:
    """Computed by comparisons that are false at NaN, so that NaN stays NaN.

    A lambda that float32 does not hold is subtracted in two parts: near a kink its rounding would be much of the result.
    """
    m = numpy_of(framework)
    small = abs(x) <= at_most(framework, x, lambd)
    moved = m.where(x < 0, x + lambd, x - lambd)
    if isinstance(lambd, float | int) and m.finfo(x.dtype).bits == 32 and float(np.float32(lambd)) != lambd:
        upper = float(np.float32(lambd))
        far = m.where(small, 0.0, abs(x) - upper) - (lambd - upper)  # a choice between them, or XLA would join the two parts
        moved = m.where(x < 0, -far, far)
    return m.where(small, 0.0, moved)


def gradient(framework: Any, x: Any, lambd: Any) -> Any:
    return step(framework, x, abs(x) > at_most(framework, x, lambd))


def second(framework: Any, x: Any, lambd: Any) -> Any:
    return flat(framework, x)


def kinks(lambd: float) -> tuple[Kink, ...]:
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html"
    return Kink(at=-lambd, chosen={1: 0.0}, source=source), Kink(at=lambd, chosen={1: 0.0}, source=source)


DEVIATIONS = (
    recorded(
        id="softshrink-compiled-nan",
        cause="special",
        implementations=("torch.native",),
        reason="At NaN torch.compile returns 0. It computes softshrink as x - sign(x) lambda or, near 0 and at NaN, as x "
        "* 0. The product is meant to keep NaN, but the compiler replaces it by 0.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/_refs/nn/functional/__init__.py",
        modes=("compile",),
        bug=True,
    ),
    scalar_rest(
        "softshrink-layout",
        of="softshrink and its gradient",
        more="One of them gives +0 for a negative number that shrinks to zero, the other -0. At NaN their gradients are 0 "
        "and 1.",
    ),
)

SOFTSHRINK = Activation(
    name="softshrink",
    aliases=("soft_shrink",),
    latex=r"f(x) = \begin{cases} x - \lambda & x > \lambda \\ x + \lambda & x < -\lambda \\ 0 & \text{else} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    kinks=kinks,
    parameters={"lambd": 0.5},
    # numbers that every dtype holds: others are rounded before they are subtracted, and near the kink little is left
    cases=({"lambd": 0.125}, {"lambd": 1.5}),
    ranges={"lambd": Range(1e-20, 1e30)},
    # JAX ships none
    natives={"torch": Native("torch.nn.functional.softshrink")},
    deviations=DEVIATIONS,
)
