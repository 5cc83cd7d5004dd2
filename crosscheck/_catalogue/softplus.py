"""Softplus: log(1 + e^(beta x)) / beta, a smooth ReLU. It is positive, so it can turn any number into a scale or a variance.

Where beta x is above ``threshold`` it is x itself. That saves the exponential, but makes a jump. There is no threshold
unless one is given. torch's own default is 20, and torch needs one: above 88 its exponential overflows in float32.
"""

from math import frexp, inf
from typing import Any

from crosscheck._catalogue._kernels import FAR, at_most, cut, exp_above, growth, in_both, log1p, numpy_of
from crosscheck._catalogue._mechanisms import scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.ranges import Range
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    return m.where(x > threshold / beta, x, m.log(1 + m.exp(beta * x)) / beta)


def derivative(m: Any, x: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    """s(beta x), s being the sigmoid; 1 above the threshold."""
    e, c = _decay(m, x, beta, *FLOAT64)
    z = e * c
    return m.where(x > threshold / beta, 1.0, m.where(x > 0, 1, z) / (1 + z))


def second_derivative(m: Any, x: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    """beta s(beta x) s(-beta x); 0 above the threshold."""
    e, c = _decay(m, x, beta, *FLOAT64)
    z = e * c
    return m.where(x > threshold / beta, 0.0, beta * e / (1 + z) / (1 + z) * c)


FLOAT64, FLOAT32 = (2**20, 23, 708), (2**8, 9, 87)
"""The grid of ``cut``, the digits of beta's leading part and the k of ``exp_above``."""


def _decay(m: Any, x: Any, beta: float, grid: int, digits: int, deep: int) -> tuple[Any, Any]:
    """(e, c) with e^(-beta |x|) = e c, c being 1 unless that would be subnormal.

    exp would magnify the rounding of beta |x| by the product's size. So its argument is the nearest number of a grid to it,
    and what is left is put back; both factors are cut, so that the product of their leading parts is exact.
    """
    fraction, exponent = frexp(beta)
    a = m.abs(x) * 2.0**exponent
    a = m.where(a > FAR, FAR, a)
    if fraction == 0.5:  # a power of two, with which no product is rounded
        return exp_above(m, -a / 2, deep)
    upper = round(fraction * 2**digits) / 2**digits
    h, low = cut(m, a, grid)
    leading, rest = h * upper, a * (fraction - upper)
    q, _ = cut(m, leading + rest, grid)
    rest = m.positive((leading - q) + rest + low * upper)  # one small term in the formula's scale, as in cut
    e, c = exp_above(m, -q, deep)
    return e * (1 + growth(-rest)), c  # not e + e g: e g may be subnormal where e is normal


def _parts(framework: Any, x: Any, beta: Any) -> tuple[Any, Any]:
    m = numpy_of(framework)
    return _decay(m, x, beta, *(FLOAT64 if m.finfo(x.dtype).bits == 64 else FLOAT32))


def value(framework: Any, x: Any, beta: Any, threshold: Any) -> Any:
    """log(1 + e^-|beta x|) / beta, plus x above 0. Where the exponential is subnormal, it is what the logarithm is."""
    m = numpy_of(framework)
    e, c = _parts(framework, x, beta)
    y = m.where(c < 1, e / beta * c, log1p(framework, e * c) / beta)
    return m.where(x > at_most(framework, x, threshold / beta), x, m.where(x > 0, x + y, y))


def gradient(framework: Any, x: Any, beta: Any, threshold: Any) -> Any:
    m = numpy_of(framework)
    e, c = _parts(framework, x, beta)
    z = e * c
    return m.where(x > at_most(framework, x, threshold / beta), 1.0, m.where(x > 0, 1 / (1 + z), z / (1 + z)))


def second(framework: Any, x: Any, beta: Any, threshold: Any) -> Any:
    m = numpy_of(framework)
    e, c = _parts(framework, x, beta)
    z = e * c
    return m.where(x > at_most(framework, x, threshold / beta), 0.0, beta * e / (1 + z * (2 + z)) * c)


def limits(beta: float, threshold: float) -> Limits:
    return Limits(minus=(0, 0, 0), plus=(inf, 1, 0))


def kinks(beta: float, threshold: float) -> tuple[Kink, ...]:
    """The jump at the threshold, which itself belongs to the part below."""
    if threshold == inf:
        return ()
    return (Kink(at=threshold / beta, chosen={1: "left", 2: "left"}, source=DOCUMENTATION),)


TORCH, MATCHED, JAX = "torch.native", "torch.native.matched", "jax.native"
DOCUMENTATION = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html"
DOUBLE_BACKWARD = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
LOGADDEXP = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/other.py"

DEVIATIONS = (
    recorded(
        id="softplus-threshold-derivatives",
        cause="definition",
        implementations=(TORCH,),
        reason="Above the threshold torch's gradient is 1 and its second derivative is 0. There torch computes another "
        "function, x. The second derivative is 0 instead of e^-x, and no rounding is as large as that difference.",
        link=DOCUMENTATION,
    ),
    recorded(
        id="softplus-threshold",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Above its threshold, 20, torch returns x. In float64 the e^-x that it leaves out is up to half a million "
        "ULP. With threshold=88 that is nothing in any dtype.",
        link=DOCUMENTATION,
    ),
    recorded(
        id="softplus-second-derivative-lost-tail",
        cause="inaccurate",
        implementations=(TORCH, MATCHED),
        reason="At large x torch's second derivative loses digits, down to 0, although the exact one is e^-x. torch "
        "computes it as s (1 - s) from the rounded sigmoid s. The closer s is to 1, the fewer digits 1 - s keeps. Where "
        "s rounds to 1, the result is 0.",
        link=DOUBLE_BACKWARD,
    ),
    recorded(
        id="softplus-second-derivative-lost-digits",
        cause="inaccurate",
        implementations=(TORCH, MATCHED),
        reason="At a few inputs the error of torch's second derivative s (1 - s), s being the sigmoid, is above the "
        "budget. There 1 - s begins to lose digits. In the 16-bit dtypes each step of s (1 - s) rounds as well.",
        link=DOUBLE_BACKWARD,
    ),
    recorded(
        id="softplus-second-derivative-exp-overflow",
        cause="inaccurate",
        implementations=(TORCH, MATCHED),
        reason="Where e^-x overflows to infinity, torch's second derivative is 0, although the exact one is still a "
        "subnormal number. torch computes it from the sigmoid 1 / (1 + e^-x), which is 0 there.",
        link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UnaryOpsKernel.cpp",
    ),
    recorded(
        id="softplus-second-derivative-at-threshold",
        cause="convention",
        implementations=(TORCH,),
        reason="Where beta x is the threshold itself, torch's second derivative is 0, that of the line above the "
        "threshold. torch's second derivative tests beta x < threshold, which is false there. torch's value and gradient "
        "are those below the threshold.",
        link=DOUBLE_BACKWARD,
    ),
    recorded(
        id="softplus-gradient-rounded-difference",
        cause="inaccurate",
        implementations=(JAX,),
        reason="The relative error of JAX's gradient is up to an ULP of x. JAX computes the gradient as e^(x - y) from "
        "the rounded y = log(1 + e^x). The exponential turns the absolute error of y and of the difference into a "
        "relative error of the gradient. The second derivative has this error, too.",
        link=LOGADDEXP,
    ),
    recorded(
        id="softplus-second-derivative-lost-tail-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At large x JAX's second derivative loses digits, down to 0, although the exact one is e^-x. JAX computes "
        "it as g (1 - g) from the rounded gradient g. The closer g is to 1, the fewer digits 1 - g keeps. Where g rounds "
        "to 1, the result is 0.",
        link=LOGADDEXP,
    ),
    recorded(
        id="softplus-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes each step of log(1 + e^x) in the 16-bit "
        "dtype and rounds after each.",
        link=LOGADDEXP,
    ),
    scalar_rest(
        "softplus-layout",
        of="e^x and log1p",
        implementations=(
            "torch.native",
            "torch.native.matched",
        ),
    ),
)

SOFTPLUS = Activation(
    name="softplus",
    latex=r"f(x) = \tfrac{1}{\beta} \log(1 + e^{\beta x})",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=limits,
    kinks=kinks,
    parameters={"beta": 1.0, "threshold": inf},
    # with which torch rounds neither the product nor the threshold; an infinite one it cannot do:
    # see tests/functions/test_softplus.py
    cases=({"beta": 2.0, "threshold": 20.0}, {"beta": 0.5, "threshold": 5.0}),
    ranges={"beta": Range(1e-15, 1e30), "threshold": Range(open=(True, False))},
    natives={
        "torch": Native("torch.nn.functional.softplus", matched={"threshold": 88.0}),
        "jax": Native("jax.nn.softplus", lacks=("beta", "threshold")),
    },
    deviations=DEVIATIONS,
)
