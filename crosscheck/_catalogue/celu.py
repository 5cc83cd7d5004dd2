"""CELU, the continuously differentiable ELU: x for x > 0, alpha (e^(x / alpha) - 1) otherwise. Smooth for every alpha."""

from math import frexp, inf
from typing import Any

from crosscheck._catalogue._kernels import FAR, cut, exp_above, expm1, growth, in_both, numpy_of
from crosscheck._catalogue._mechanisms import below_normal, compiled_expm1, compiled_nan, scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.ranges import POSITIVE
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any, alpha: float = 1.0) -> Any:
    return m.where(x > 0, x, alpha * (m.exp(x / alpha) - 1))


def derivative(m: Any, x: Any, alpha: float = 1.0) -> Any:
    """1 where x > 0, e^(x / alpha) otherwise."""
    e, c = _decay(m, x, alpha, *FLOAT64)
    return m.where(x > 0, 1.0, e * c)


def second_derivative(m: Any, x: Any, alpha: float = 1.0) -> Any:
    """0 where x > 0, e^(x / alpha) / alpha where x < 0, a quarter of that at 0."""
    e, c = _decay(m, x, alpha, *FLOAT64)
    return m.where(x > 0, 0.0, m.where(x < 0, 1.0, 0.25) * e / alpha * c)


FLOAT64, FLOAT32 = (2**20, 2.0**30 + 1, 708), (2**8, 2.0**15 + 1, 87)
"""The grid of ``cut``, the factor of ``_upper`` and the k of ``exp_above``."""


def _upper(alpha: Any, factor: float) -> Any:
    """The leading digits of alpha, so few that their product with a number of the grid is exact (Veltkamp's split)."""
    big = alpha * (2.0**44 + 1 if isinstance(alpha, float | int) and factor < 2.0**20 else factor)
    return big - (big - alpha)


def _decay(m: Any, x: Any, alpha: Any, grid: int, factor: float, deep: int) -> tuple[Any, Any]:
    """(e, c) with e^(x / alpha) = e c for x <= 0, c being 1 unless that would be subnormal.

    exp would magnify the rounding of x / alpha by the quotient's size. So its argument is the nearest number q of a grid,
    and x - q alpha, of which the first part is exact, is put back.
    """
    far = -FAR * alpha
    y = m.where(x > 0, 0.0, m.where(x < far, far, x))
    if isinstance(alpha, float | int) and abs(frexp(alpha)[0]) == 0.5:  # a power of two, with which no quotient is rounded
        return exp_above(m, y / alpha, deep)
    q, _ = cut(m, y / alpha, grid)
    upper = _upper(alpha, factor)
    rest = m.positive((y - q * upper) - q * (alpha - upper))  # one small term in the formula's scale, as in cut
    e, c = exp_above(m, q, deep)
    return e * (1 + growth(rest / alpha)), c  # not e + e g: e g may be subnormal where e is normal


def value(framework: Any, x: Any, alpha: Any) -> Any:
    """x itself where alpha (e^(x / alpha) - 1) rounds to it: x / alpha may be subnormal."""
    m = numpy_of(framework)
    y = m.clip(x, None, 0.0) / alpha
    return m.where((x > 0) | (y > -m.finfo(x.dtype).eps / 4), x, alpha * expm1(framework, y))


def gradient(framework: Any, x: Any, alpha: Any) -> Any:
    m = numpy_of(framework)
    e, c = _decay(m, x, alpha, *_digits(m, x))
    return m.where(x > 0, 1.0, e * c)


def second(framework: Any, x: Any, alpha: Any) -> Any:
    m = numpy_of(framework)
    e, c = _decay(m, x, alpha, *_digits(m, x))
    return m.where(x > 0, 0.0, m.where(x < 0, 1.0, 0.25) * e / alpha * c)


def _digits(m: Any, x: Any) -> tuple[int, float, int]:
    return FLOAT64 if m.finfo(x.dtype).bits == 64 else FLOAT32


JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"


def limits(alpha: float) -> Limits:
    return Limits(minus=(-alpha, 0, 0), plus=(inf, 1, 0))


def kinks(alpha: float) -> tuple[Kink, ...]:
    """JAX's choice between 0 and 1 / alpha: its maximum and minimum halve a derivative where they tie, here twice."""
    return (Kink(at=0.0, chosen={2: 0.25 / alpha}, source=JAX_SOURCE),)


TORCH, JAX = "torch.native", "jax.native"

DEVIATIONS = (
    recorded(
        id="celu-second-derivative-at-zero",
        cause="convention",
        implementations=(TORCH,),
        reason="At 0 torch's second derivative is 0 and JAX's is a quarter of 1 / alpha. On one side of 0 the second "
        "derivative is 0, on the other 1 / alpha. JAX computes CELU with a maximum and a minimum, and each of them "
        "halves the derivative where its two arguments are equal.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="celu-zero-sign",
        cause="convention",
        implementations=(TORCH, JAX),
        reason="At -0 torch keeps the sign and JAX returns +0. JAX adds max(x, 0) and alpha (e^(min(x, 0) / alpha) - 1), "
        "and +0 plus -0 is +0.",
        link=JAX_SOURCE,
    ),
    below_normal("celu-derivative-below-normal", of="alpha e^(x / alpha)"),
    recorded(
        id="celu-derivative-lost-tail",
        cause="inaccurate",
        implementations=(JAX,),
        reason="For negative x JAX's derivatives lose digits, down to 0, although the exact gradient is e^(x / alpha). "
        "Before 0.12 JAX computes the gradient as y + 1 from the rounded value y of e^(x / alpha) - 1. The closer y is to "
        "-1, the fewer digits the sum keeps. Where y rounds to -1, the gradient is 0.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    ),
    recorded(
        id="celu-value-over-budget",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At a few inputs the error of JAX's value is a few ULP more than the budget allows. It is the error of "
        "XLA's expm1 on the CPU.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="celu-float16-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In float16 JAX's rounding errors add up. JAX computes alpha (e^(x / alpha) - 1) and its derivatives in "
        "float16 and rounds after each step.",
        link=JAX_SOURCE,
    ),
    # the furthest inputs of bfloat16 do not show it where alpha is 1/8
    compiled_expm1("celu-compiled-expm1"),
    compiled_nan("celu-compiled-nan-gradient", 1.0),
    scalar_rest("celu-layout", of="e^x", more="At NaN the two take different branches of the gradient."),
)

CELU = Activation(
    name="celu",
    latex=r"f(x) = \begin{cases} x & x > 0 \\ \alpha (e^{x / \alpha} - 1) & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=limits,
    kinks=kinks,
    parameters={"alpha": 1.0},
    # powers of two, at which torch rounds no alpha, up to 1, where x / alpha does not underflow:
    # see tests/functions/test_celu.py
    cases=({"alpha": 0.5}, {"alpha": 0.125}),
    ranges={"alpha": POSITIVE},
    natives={"torch": Native("torch.nn.functional.celu"), "jax": Native("jax.nn.celu")},
    deviations=DEVIATIONS,
)
