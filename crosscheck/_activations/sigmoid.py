"""Sigmoid, the logistic function: 1 / (1 + e^-x). Nonlinear, smooth, monotonic, bounded by 0 and 1."""

from typing import Any

from crosscheck._activations._kernels import bell, numpy_of, size, tanh
from crosscheck._activations._mechanisms import scalar_rest
from crosscheck._spec.records import Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def derivative(m: Any, x: Any) -> Any:
    """s(x) s(-x): unlike s(x) (1 - s(x)) it keeps its digits where s(x) rounds to 1."""
    return _stable(m, x) * _stable(m, -x)


def second_derivative(m: Any, x: Any) -> Any:
    """s(x) s(-x) (s(-x) - s(x))."""
    return _stable(m, x) * _stable(m, -x) * (_stable(m, -x) - _stable(m, x))


def _stable(m: Any, x: Any) -> Any:
    """The same function without the overflow of e^-x."""
    z = m.exp(-m.abs(x))
    return m.where(x > 0, 1, z) / (1 + z)


def value(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    z = m.exp(-abs(x))
    return m.where(x > 0, 1 / (1 + z), z / (1 + z))


def gradient(framework: Any, x: Any) -> Any:
    _, _, z, d = bell(framework, size(framework, x))
    return z / d


def second(framework: Any, x: Any) -> Any:
    return -tanh(framework, x / 2) * gradient(framework, x)


BOTH = ("torch.native", "jax.native")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)

LOST_TAIL = Deviation(
    id="sigmoid-derivative-lost-tail",
    cause="inaccurate",
    subjects=BOTH,
    regions=tuple(
        Region(order, (dtype,), ((low, high),), (Anchor(at, dict.fromkeys(BOTH, result)),), max_ulp)
        for order, dtype, low, high, at, result, max_ulp in (
            (1, "float64", 1.6, 745.2, 100.0, 0.0, 2.0**53),
            (1, "float32", 1.6, 103.98, 19.5, 0.0, 2.0**24),
            (1, "bfloat16", 1.6, 92.5, 15.25, 0.0, 2.0**8),
            (1, "float16", 1.76, 17.0, 8.3203125, 0.0, 2.0**11),
            (2, "float64", 2.3, 745.2, 100.0, -0.0, 2.0**53),
            (2, "float32", 2.3, 103.98, 19.5, -0.0, 2.0**24),
            (2, "bfloat16", 2.29, 92.5, 15.25, -0.0, 2.0**8),
            (2, "float16", 2.26, 17.0, 8.3203125, -0.0, 2.0**11),
        )
    ),
    reason="Both frameworks differentiate through the rounded value, as y (1 - y). Where y nears 1, the difference keeps "
    "fewer and fewer digits, and where y rounds to 1 the gradient is 0, although the exact one is e^-x.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="sigmoid-exp-overflow",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=tuple(
        Region(order, (dtype,), ((low, high),), (Anchor(at, {"torch.native": 0.0}),), max_ulp)
        for order in (0, 1, 2)
        for dtype, low, high, at, max_ulp in (
            ("float64", -745.2, -709.79, -710.0, 2.0**52),
            ("float32", -103.98, -88.73, -89.0, 2.0**23),
            ("bfloat16", -92.5, -89.0, -89.0, 2.0**5),
        )
    ),
    reason="torch computes 1 / (1 + e^-x) on the CPU. Where e^-x overflows to infinity, the result is 0, although the "
    "exact value is still a subnormal number; the derivatives inherit the 0.",
    link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UnaryOpsKernel.cpp",
    seen=SEEN,
)

FLOAT16_OVERFLOW = Deviation(
    id="sigmoid-exp-overflow-float16",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(order, ("float16",), ((-17.0, -11.09),), (Anchor(-11.09375, {"jax.native": 0.0}),), 2.0**8)
        for order in (0, 1, 2)
    ),
    reason="JAX computes 1 / (1 + e^-x) in float16 itself. Below -11.09 the e^-x overflows to infinity and the result is "
    "0, although the exact value is a subnormal number.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    seen=SEEN,
)

ROUNDED_VALUE = Deviation(
    id="sigmoid-derivative-rounded-value",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=tuple(
        Region(order, (dtype,), ((-10.0, high),), (Anchor(at, {}),), max_ulp)
        for order, dtype, high, at, max_ulp in (
            (1, "bfloat16", 1.6, 1.4296875, 2.0),
            (1, "float16", 1.76, 1.7294921875, 2.25),
            (2, "bfloat16", 2.29, 0.259765625, 5.0),
            (2, "float16", 2.26, 0.25439453125, 9.5),
        )
    ),
    reason="torch keeps the value rounded to 16 bits for the backward pass and differentiates through it, so its rounding "
    "error enters the derivatives.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

CANCELLED_SECOND = Deviation(
    id="sigmoid-second-derivative-cancelled",
    cause="inaccurate",
    subjects=BOTH,
    regions=(
        Region(2, ("float64",), ((-0.26, -0.25), (0.25, 0.26)), (Anchor(0.2552159883169647, {}),), 24.0),
        Region(2, ("float32",), ((-0.26, -0.25), (0.25, 0.26)), (Anchor(0.2522386908531189, {}),), 24.0),
    ),
    reason="Both frameworks multiply by 1 - 2y, whose terms cancel towards 0. Nearer to 0 the error counts in ULP of the "
    "terms and passes; here, where the cancellation only begins, it counts in ULP of the result, at a few inputs.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="sigmoid-16-bit-arithmetic",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(order, (dtype,), ((low, high),), (Anchor(at, {}),), max_ulp)
        for order, dtype, low, high, at, max_ulp in (
            (0, "bfloat16", -60.0, 6.0, -5.59375, 2.5),
            (0, "float16", -11.09, 6.0, -0.02935791015625, 2.5),
            (1, "bfloat16", -60.0, 1.6, 1.3671875, 3.5),
            (1, "float16", -11.09, 1.76, 1.7578125, 4.5),
            (2, "bfloat16", -60.0, 2.29, -0.0115966796875, 10.0),
            (2, "float16", -11.09, 2.26, -0.0014629364013671875, 16.0),
        )
    ),
    reason="JAX computes each step of 1 / (1 + e^-x) and of its derivatives in the 16-bit dtype, rounding after each; "
    "the errors of the steps add up to more than one ULP.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    seen=SEEN,
)

LAYOUT = scalar_rest(
    "sigmoid-layout",
    Region(0, ("float32",), ((-84.0, -0.11), (0.24, 2.6)), (Anchor(-16.755929946899414, {}),), 4.9),
    Region(1, ("float32",), ((-84.0, -0.27), (0.24, 2.6)), (Anchor(2.3341405391693115, {}),), 11.0),
    Region(2, ("float32",), ((-84.0, -0.11), (0.24, 2.6)), (Anchor(-0.12060051411390305, {}),), 29.0),
    of="e^x",
)

SIGMOID = Activation(
    name="sigmoid",
    latex=r"\sigma(x) = \frac{1}{1 + e^{-x}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(0, 0, 0), plus=(1, 0, 0)),
    natives={"torch": Native("torch.sigmoid"), "jax": Native("jax.nn.sigmoid")},
    deviations=(LOST_TAIL, OVERFLOW, FLOAT16_OVERFLOW, CANCELLED_SECOND, ROUNDED_VALUE, SIXTEEN_BITS, LAYOUT),
)
