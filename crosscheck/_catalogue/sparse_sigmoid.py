"""Sparse sigmoid: 0 up to -1, 1 from 1 on, a line between. The derivative of sparse_plus; exactly 0 or 1 outside."""

from typing import Any

from crosscheck._catalogue._kernels import in_both, numpy_of
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return m.where(x <= -1, 0.0, m.where(x >= 1, 1.0, (x + 1) / 2))


def derivative(m: Any, x: Any) -> Any:
    """1/2 between -1 and 1, 0 outside, and the mean of the two at the kinks."""
    return m.where(m.abs(x) < 1, 0.5, m.where(m.abs(x) > 1, 0.0, 0.25))


def second_derivative(m: Any, x: Any) -> Any:
    """0, also at the kinks."""
    return m.where(m.abs(x) < 1, 0.0, 0.0)


def value(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x <= -1, 0.0, m.where(x >= 1, 1.0, (x + 1) / 2))


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    ones = m.ones_like(x)
    return m.where(abs(x) < 1, 0.5 * ones, m.where(abs(x) == 1, 0.25 * ones, 0.0 * ones))


def second(framework: Any, x: Any) -> Any:
    """Given, since torch would otherwise find no path from the gradient back to the input."""
    return numpy_of(framework).zeros_like(x)


SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py"
JAX = "jax.native"

DEVIATIONS = (
    recorded(
        id="sparse-sigmoid-rounded-kink",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At the two floats beside 1 JAX's gradient is 1/4, in place of 1/2 and 0. JAX clips x + 1 at 2, and "
        "splits the gradient evenly where the two are equal, which gives 1/4. At these floats x + 1 rounds to 2, as at "
        "the kink.",
        link=SOURCE,
    ),
)

SPARSE_SIGMOID = Activation(
    name="sparse_sigmoid",
    latex=r"f(x) = \begin{cases} 0 & x \le -1 \\ \frac{1}{2} (x + 1) & -1 < x < 1 \\ 1 & x \ge 1 \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(1, 0, 0)),
    kinks=(Kink(at=-1.0, chosen={1: 0.25}, source=SOURCE), Kink(at=1.0, chosen={1: 0.25}, source=SOURCE)),
    natives={"jax": Native("jax.nn.sparse_sigmoid")},  # torch ships none
    deviations=DEVIATIONS,
)
