"""Sparse plus: 0 up to -1, x from 1 on, a parabola between. Like softplus, but it reaches 0 exactly."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import in_both, numpy_of
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return m.where(x <= -1, 0.0, m.where(x >= 1, x, (x + 1) * (x + 1) / 4))


def derivative(m: Any, x: Any) -> Any:
    """0 up to -1, (x + 1) / 2 between, 1 from 1 on."""
    return m.where(x <= -1, 0.0, m.where(x >= 1, 1.0, (x + 1) / 2))


def second_derivative(m: Any, x: Any) -> Any:
    """1/2 between -1 and 1, 0 elsewhere and at the two kinks."""
    return m.where(m.abs(x) < 1, 0.5, 0.0)


def value(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x <= -1, 0.0, m.where(x >= 1, x, (x + 1) * (x + 1) / 4))


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x <= -1, 0.0, m.where(x >= 1, 1.0, (x + 1) / 2))


def second(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(abs(x) < 1, 0.5 * m.ones_like(x), m.zeros_like(x))


SOURCE = "https://docs.jax.dev/en/latest/_autosummary/jax.nn.sparse_plus.html"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"
JAX = "jax.native"

DEVIATIONS = (
    recorded(
        id="sparse-plus-gradient-overflow",
        cause="special",
        implementations=(JAX,),
        reason="At the largest floats, in float16 from 32768 on, JAX's gradient is NaN. JAX differentiates all three "
        "branches and then selects one. There the gradient 2 (x + 1) of the parabola is infinite. JAX does not select "
        "it, but multiplies it by 0, which is NaN.",
        link="https://docs.jax.dev/en/latest/faq.html#gradients-contain-nan-where-using-where",
        bug=True,
    ),
    recorded(
        id="sparse-plus-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX rounds x + 1 to 16 bits before it squares it, and "
        "it rounds the square, too.",
        link=JAX_SOURCE,
    ),
)

SPARSE_PLUS = Activation(
    name="sparse_plus",
    latex=r"f(x) = \begin{cases} 0 & x \le -1 \\ \frac{1}{4} (x + 1)^2 & -1 < x < 1 \\ x & x \ge 1 \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    kinks=(Kink(at=-1.0, chosen={2: 0.0}, source=SOURCE), Kink(at=1.0, chosen={2: 0.0}, source=SOURCE)),
    natives={"jax": Native("jax.nn.sparse_plus")},  # torch ships none
    deviations=DEVIATIONS,
)
