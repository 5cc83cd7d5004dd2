"""Log-sigmoid: log(sigmoid(x)) without its overflow. The log-likelihood of a logistic model, never infinite."""

from math import inf
from typing import Any

from crosscheck._activations._kernels import bell, numpy_of, size
from crosscheck._activations._mechanisms import scalar_rest
from crosscheck._activations._regions import regions
from crosscheck._spec.records import Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    return -m.log(1 + m.exp(-x))


def derivative(m: Any, x: Any) -> Any:
    """s(-x), s being the sigmoid; unlike 1 - s(x) it keeps its digits where s(x) rounds to 1."""
    return _stable(m, -x)


def second_derivative(m: Any, x: Any) -> Any:
    """-s(x) s(-x)."""
    return -_stable(m, x) * _stable(m, -x)


def _stable(m: Any, x: Any) -> Any:
    """The sigmoid without the overflow of e^-x."""
    z = m.exp(-m.abs(x))
    return m.where(x > 0, 1, z) / (1 + z)


def value(framework: Any, x: Any) -> Any:
    """-log(1 + e^-|x|), plus x below 0; where it underflows, the result is -0."""
    m = numpy_of(framework)
    y = -m.log1p(m.exp(-abs(x)))
    return m.where(x > 0, y, x + y)


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    z = m.exp(-abs(x))
    return m.where(x > 0, z / (1 + z), 1 / (1 + z))


def second(framework: Any, x: Any) -> Any:
    _, _, z, d = bell(framework, size(framework, x))
    return -z / d


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH, JAX = "torch.native", "jax.native"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
DOUBLE_BACKWARD = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
LOGADDEXP = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/other.py"

LOST_TAIL = Deviation(
    id="log-sigmoid-second-derivative-lost-tail",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "float64", ((4.0, 745.2),), 100.0, 0.0, 2.0**53),
        (2, "float64", ((2.3, 4.0),), 3.759042454138214, None, 80.0),
        (2, "float32", ((4.0, 103.98),), 19.5, 0.0, 2.0**24),
        (2, "float32", ((2.3, 4.0),), 3.9688720703125, None, 80.0),
        (2, "bfloat16", ((2.0, 92.5),), 15.25, 0.0, 2.0**8),
        (2, "float16", ((2.0, 16.7),), 8.3203125, 0.0, 2.0**11),
    ),
    reason="torch computes the second derivative as (s - 1) s of the rounded sigmoid s. Where s nears 1, the difference "
    "keeps fewer and fewer digits, and where s rounds to 1 the result is 0, although the exact one is -e^-x.",
    link=DOUBLE_BACKWARD,
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="log-sigmoid-second-derivative-exp-overflow",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "float64", ((-742.0, -709.79),), -710.0, -0.0, 2.0**52),
        (2, "float32", ((-100.95, -88.73),), -89.0, -0.0, 2.0**23),
        (2, "bfloat16", ((-92.5, -89.0),), -89.0, -0.0, 2.0**5),
    ),
    reason="That sigmoid is 1 / (1 + e^-x). Where e^-x overflows to infinity it is 0, although the exact result is still a "
    "subnormal number.",
    link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UnaryOpsKernel.cpp",
    seen=SEEN,
)

ROUNDED_BUFFER = Deviation(
    id="log-sigmoid-gradient-rounded-buffer",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(TORCH, (1, "float16", ((1.3, 4.9),), 2.744140625, None, 1.5)),
    reason="torch keeps e^-|x| for the backward pass, rounded to 16 bits, and computes the gradient from it.",
    link=CPU_KERNEL,
    seen=SEEN,
)

ROUNDED_STEPS = Deviation(
    id="log-sigmoid-second-derivative-rounded-steps",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "bfloat16", ((-6.3, 2.0),), 1.859375, None, 4.0),
        (2, "float16", ((-8.3, 2.0),), 1.857421875, None, 4.0),
    ),
    reason="torch composes the second derivative from operations that each round to 16 bits.",
    link=DOUBLE_BACKWARD,
    seen=SEEN,
)

ROUNDED_DIFFERENCE = Deviation(
    id="log-sigmoid-gradient-rounded-difference",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", ((-36.8, -8.0), (8.0, 36.8)), -33.33572811343883, None, 40.0),
        (1, "float32", ((-17.0, -8.0), (8.0, 17.0)), -8.292569160461426, None, 12.0),
        (1, "bfloat16", ((-5.6, -0.2), (0.013, 5.8)), -4.15625, None, 5.5),
        (1, "float16", ((-7.7, -0.06), (0.016, 8.0)), -4.03125, None, 6.0),
        (2, "float64", ((16.0, 36.8),), 33.33572811343883, None, 40.0),
        (2, "bfloat16", ((0.09, 6.4),), 4.25, None, 5.0),
        (2, "float16", ((0.03, 8.6),), 6.3046875, None, 6.0),
    ),
    reason="JAX computes the gradient as e^(-x - y) from the rounded y = log(1 + e^-x). The absolute error of y and of the "
    "difference, up to an ULP of x, becomes a relative one. The second derivative inherits it.",
    link=LOGADDEXP,
    seen=SEEN,
)

LOST_TAIL_JAX = Deviation(
    id="log-sigmoid-second-derivative-lost-tail-jax",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", ((-708.4, -3.0),), -100.0, -0.0, 2.0**53),
        (2, "float64", ((-3.0, -1.8),), -2.9625632390135266, None, 50.0),
        (2, "float32", ((-87.4, -3.0),), -19.5, -0.0, 2.0**24),
        (2, "float32", ((-3.0, -1.8),), -2.6958773136138916, None, 50.0),
        (2, "bfloat16", ((-87.25, -1.0),), -15.25, -0.0, 2.0**8),
        (2, "bfloat16", ((-1.0, -0.1),), -0.98046875, None, 4.0),
        (2, "float16", ((-16.7, -1.0),), -9.0, -0.0, 2.0**11),
        (2, "float16", ((-1.0, -0.04),), -0.8994140625, None, 5.0),
    ),
    reason="JAX differentiates that gradient g as g (1 - g). Where g nears 1, the difference keeps fewer and fewer digits, "
    "and where g rounds to 1 the result is 0, although the exact one is -e^x.",
    link=LOGADDEXP,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="log-sigmoid-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((-0.276, -0.275), (1.35, 1.39)), 1.3828125, None, 1.5),
        (0, "float16", ((-0.43, -0.0012), (0.49, 2.8)), 2.74609375, None, 1.6),
    ),
    reason="JAX computes each step of log(1 + e^-x) in the 16-bit dtype, rounding after each.",
    link=LOGADDEXP,
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="log-sigmoid-underflow-sign",
    cause="convention",
    subjects=(TORCH, JAX),
    regions=tuple(
        Region(order, (dtype,), ((low, inf),), (Anchor(1000.0, {TORCH: 0.0, JAX: -0.0}),))
        for order, dtype, low in (
            (0, "float64", 740.0),
            (0, "float32", 102.0),
            (0, "bfloat16", 102.0),
            (0, "float16", 102.0),
            (2, "float64", 740.0),
            (2, "float32", 100.0),
            (2, "bfloat16", 92.5),
            (2, "float16", 17.3),
        )
    ),
    reason="Where the result, a negative number, underflows to zero, JAX keeps its sign and torch returns +0.",
    link=CPU_KERNEL,
    seen=SEEN,
)

ZERO_SIGN_FORWARD = Deviation(
    id="log-sigmoid-derivative-underflow-sign-forward",
    cause="convention",
    subjects=(TORCH, JAX),
    regions=tuple(
        Region(order, (dtype,), ((-inf, -low) if order == 2 else (low, inf),), (Anchor(at, {TORCH: 0.0, JAX: -0.0}),))
        for order, at in ((1, 1000.0), (2, -1000.0))
        for dtype, low in (("float64", 872.4), ("float32", 101.0), ("bfloat16", 92.5), ("float16", 17.3))
    ),
    reason="In forward mode JAX computes the derivatives as products with a negative number: where they underflow to zero "
    "it keeps that sign, and torch returns +0.",
    link=LOGADDEXP,
    seen=SEEN,
    modes=("forward",),
)

LAYOUT = scalar_rest(
    "log-sigmoid-layout",
    Region(2, ("float32",), ((-84.0, -0.27), (0.24, 4.4)), (Anchor(3.9688720703125, {}),), 99.0),
    of="the sigmoid",
)

LOG_SIGMOID = Activation(
    name="log_sigmoid",
    aliases=("logsigmoid",),
    latex=r"f(x) = -\log(1 + e^{-x})",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(-inf, 1, 0), plus=(0, 0, 0)),
    natives={"torch": Native("torch.nn.functional.logsigmoid"), "jax": Native("jax.nn.log_sigmoid")},
    deviations=(
        LOST_TAIL,
        OVERFLOW,
        ROUNDED_BUFFER,
        ROUNDED_STEPS,
        ROUNDED_DIFFERENCE,
        LOST_TAIL_JAX,
        SIXTEEN_BITS,
        ZERO_SIGN,
        ZERO_SIGN_FORWARD,
        LAYOUT,
    ),
)
