"""Tanhshrink: x minus tanh(x). Smooth, odd, unbounded: shrinks small inputs to nearly 0, as x^3/3, and large ones by 1."""

from math import inf
from typing import Any

from crosscheck._activations._kernels import LAMBERT, bell, expand, numpy_of, size, tanh
from crosscheck._activations._regions import both, regions
from crosscheck._spec.records import Activation, Deviation, Limits, Native, Seen


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
    """:func:`cubic` below 1; |x| - 1 + 2 t / (1 + t) with t = e^-2|x| above, all of it positive."""
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
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml"

CANCELLED_VALUE = Deviation(
    id="tanhshrink-value-cancelled",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (0, "float64", both(3.89e-108, 0.182), 1e-20, 0.0, 2.0**53),
        (0, "float64", both(0.182, 0.8), 0.21913365180346922, None, 36.0),
        (0, "float32", both(2.56e-15, 0.182), 1e-10, 0.0, 2.0**24),
        (0, "float32", both(0.182, 0.8), 0.18960177898406982, None, 36.0),
        (0, "bfloat16", both(6.5e-14, 0.36), 1e-10, 0.0, 2.0**8),
        (0, "bfloat16", both(0.36, 1.02), 0.361328125, None, 12.0),
        (0, "float16", both(0.0056, 0.366), 0.0650634765625, 0.0001220703125, 2.0**9),
        (0, "float16", both(0.366, 1.02), 0.3662109375, None, 12.0),
    ),
    reason="torch subtracts the rounded tanh(x) from x. Near 0 they share their leading digits, and where tanh(x) rounds "
    "to x the result is 0, although the exact value, x^3/3, is a normal number.",
    link="https://github.com/pytorch/pytorch/blob/main/torch/nn/functional.py",
    seen=SEEN,
)

CANCELLED_GRADIENT = Deviation(
    id="tanhshrink-gradient-cancelled",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "float64", both(4.9e-162, 0.0884), 1e-20, 0.0, 2.0**53),
        (1, "float64", both(0.0884, 0.38), 0.08842597321977423, None, 70.0),
        (1, "float32", both(8.3e-23, 0.0884), 1e-10, 0.0, 2.0**24),
        (1, "float32", both(0.0884, 0.38), 0.08857287466526031, None, 70.0),
        (1, "bfloat16", both(9.5e-21, 0.174), 1e-10, 0.0, 2.0**8),
        (1, "bfloat16", both(0.174, 0.88), 0.1748046875, None, 12.0),
        (1, "float16", both(0.000244, 0.179), 0.015625, 0.0, 2.0**11),
        (1, "float16", both(0.179, 0.88), 0.240966796875, None, 10.0),
    ),
    reason="torch differentiates x - y, y being tanh(x), as 1 - (1 - y^2). Near 0 the inner difference drops the digits of "
    "y^2, and where it rounds to 1 the gradient is 0, although the exact one, x^2, is a normal number.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

LOST_TAILS = Deviation(
    id="tanhshrink-second-derivative-lost-tails",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "float64", both(3.11, 372.2), 100.0, 0.0, 2.0**53),
        (2, "float64", both(2.04, 3.11), 3.1, None, 80.0),
        (2, "float32", both(3.11, 51.6), 19.5, 0.0, 2.0**24),
        (2, "float32", both(2.04, 3.11), 3.1, None, 80.0),
        (2, "bfloat16", both(2.1, 47.2), 7.625, 0.0, 2.0**8),
        (2, "bfloat16", both(0.92, 2.1), 2.046875, None, 13.0),
        (2, "float16", both(2.1, 9.4), 5.19921875, 0.0, 2.0**11),
        (2, "float16", both(0.94, 2.1), 2.091796875, None, 15.5),
    ),
    reason="torch computes 2 y (1 - y^2) with the rounded y, tanh(x). Where y nears 1 or -1, the difference keeps fewer and "
    "fewer digits, and where y rounds to 1 the second derivative is 0, although the exact one is 8 e^-2|x|.",
    link="https://github.com/pytorch/pytorch/issues/195685",
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="tanhshrink-16-bit-rounding",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "bfloat16", both(0.88, 2.66), 1.8828125, None, 1.5),
        (1, "float16", both(0.88, 3.41), 1.2265625, None, 1.6),
        (2, "float16", both(0.125, 0.28), 0.126220703125, None, 1.75),
    ),
    reason="torch keeps tanh(x) rounded to 16 bits for the backward pass and rounds each operation after it again.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

ROUNDED_FORWARD = Deviation(
    id="tanhshrink-second-derivative-rounded-forward",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "bfloat16", both(0.16, 0.9), 0.87109375, None, 1.75),
        (2, "float16", both(0.028, 0.95), 0.92822265625, None, 1.75),
    ),
    reason="As tanhshrink-16-bit-rounding; in forward mode the operations round in another order.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
    modes=("forward",),
)

TANHSHRINK = Activation(
    name="tanhshrink",
    latex=r"f(x) = x - \tanh(x)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    natives={"torch": Native("torch.nn.functional.tanhshrink")},  # JAX ships none
    deviations=(CANCELLED_VALUE, CANCELLED_GRADIENT, LOST_TAILS, SIXTEEN_BITS, ROUNDED_FORWARD),
)
