"""Tanhshrink: x minus tanh(x). Smooth, odd, unbounded: about x^3/3 near 0; far from 0, |x| becomes smaller by 1."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import LAMBERT, bell, expand, in_both, numpy_of, size, tanh
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return x - m.tanh(x)


def derivative(m: Any, x: Any) -> Any:
    """tanh(x)^2: unlike 1 - sech(x)^2 it keeps its digits near 0."""
    return m.tanh(x) ** 2


def second_derivative(m: Any, x: Any) -> Any:
    """2 tanh(x) sech(x)^2, written with e^-2|x|: 1 - tanh(x)^2 loses its digits where tanh(x) nears 1."""
    t = m.exp(-2 * m.abs(x))
    return 8 * m.tanh(x) * (t / (1 + t) ** 2)


def value(framework: Any, x: Any) -> Any:
    """``cubic`` below 1; |x| - 1 + 2 t / (1 + t) with t = e^-2|x| above, all of it positive."""
    m = numpy_of(framework)
    t = m.exp(-2 * size(framework, x))
    far = m.sign(x) * ((abs(x) - 1) + 2 * t / (1 + t))
    return m.where(abs(x) < 1, cubic(m.clip(x, -1.0, 1.0)), far)


def cubic(y: Any) -> Any:
    """y q / (1 + q) with q = y coth(y) - 1 = y^2 / (3 + r), as y (y^2 / (3 + r + y^2)), which rounds four times, not six."""
    s, r = y * y, y * 0
    for k in LAMBERT[:-1]:
        r = s / (k + r)
    return y * (s / (3 + (r + s)))


def gradient(framework: Any, x: Any) -> Any:
    """(x / (1 + q))^2 with q = x coth(x) - 1 below 1; 1 - sech(x)^2 above, where the difference is more than a half."""
    m = numpy_of(framework)
    _, _, t, d = bell(framework, 2 * size(framework, x))
    y = m.clip(x, -1.0, 1.0)
    near = y / (1 + expand(y))
    return m.where(abs(x) < 1, near * near, 1 - 4 * t / d)


def second(framework: Any, x: Any) -> Any:
    e, c, _, d = bell(framework, 2 * size(framework, x))
    return 8 * tanh(framework, x) * e / d * c


TORCH = "torch.native"
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml"

DEVIATIONS = (
    recorded(
        id="tanhshrink-value-cancelled",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Near 0 torch's value loses digits, down to 0, although the exact value, x^3/3, is a normal number. torch "
        "subtracts the rounded tanh(x) from x, and the leading digits of the two are equal. Where tanh(x) rounds to x, "
        "the value is 0.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/nn/functional.py",
    ),
    recorded(
        id="tanhshrink-gradient-cancelled",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Near 0 torch's gradient loses digits, down to 0, although the exact one, x^2, is a normal number. torch "
        "computes the gradient as 1 - (1 - y^2), y being tanh(x). The inner difference loses the digits of y^2. Where it "
        "rounds to 1, the gradient is 0.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="tanhshrink-second-derivative-lost-tails",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="At large |x| torch's second derivative loses digits, down to 0, although the exact one is 8 e^-2|x|. "
        "torch computes it as 2 y (1 - y^2) from the rounded y = tanh(x). The closer y is to 1 or -1, the fewer digits "
        "the difference keeps. Where y rounds to 1 or -1, the second derivative is 0.",
        link="https://github.com/pytorch/pytorch/issues/195685",
    ),
    recorded(
        id="tanhshrink-16-bit-rounding",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the 16-bit dtypes torch's rounding errors add up. torch keeps tanh(x) for the backward pass, rounded "
        "to 16 bits, and rounds each operation after it. In forward mode the operations come in another order.",
        link=TORCH_DERIVATIVES,
    ),
)

TANHSHRINK = Activation(
    name="tanhshrink",
    latex=r"f(x) = x - \tanh(x)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    natives={"torch": Native("torch.nn.functional.tanhshrink")},  # JAX ships none
    deviations=DEVIATIONS,
)
