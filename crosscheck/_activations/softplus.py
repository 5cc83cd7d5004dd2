"""Softplus: log(1 + e^x), a smooth ReLU. Positive, so that it makes a scale or a variance of any number."""

from math import inf
from typing import Any

from crosscheck._activations._kernels import bell, numpy_of, size
from crosscheck._activations._regions import regions
from crosscheck._spec.records import Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    return m.log(1 + m.exp(x))


def derivative(m: Any, x: Any) -> Any:
    """s(x), the sigmoid."""
    return _stable(m, x)


def second_derivative(m: Any, x: Any) -> Any:
    """s(x) s(-x)."""
    return _stable(m, x) * _stable(m, -x)


def _stable(m: Any, x: Any) -> Any:
    """The sigmoid without the overflow of e^-x."""
    z = m.exp(-m.abs(x))
    return m.where(x > 0, 1, z) / (1 + z)


def value(framework: Any, x: Any) -> Any:
    """log(1 + e^-|x|), plus x above 0."""
    m = numpy_of(framework)
    y = m.log1p(m.exp(-abs(x)))
    return m.where(x > 0, x + y, y)


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    z = m.exp(-abs(x))
    return m.where(x > 0, 1 / (1 + z), z / (1 + z))


def second(framework: Any, x: Any) -> Any:
    _, _, z, d = bell(framework, size(framework, x))
    return z / d


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH, MATCHED, JAX = "torch.native", "torch.native.matched", "jax.native"
DOCUMENTATION = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html"
DOUBLE_BACKWARD = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
LOGADDEXP = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/other.py"


def _cluster(start: float) -> tuple[Anchor, ...]:
    """So many anchors that the causes of inputs nearby are told apart at one of them, whatever else is sampled."""
    return tuple(Anchor(start + k / 128, {}) for k in range(48))


THRESHOLD = Deviation(
    id="softplus-threshold",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (0, "float64", ((20.0, 31.88),), 20.125, 20.125, 6e5),
        (1, "float64", ((20.0, 35.1),), 20.125, 1.0, 2e7),
    ),
    reason="Above its threshold, 20, torch returns x. In float64 the e^-x that it leaves out is up to half a million ULP; "
    "with threshold=88 it is none in any dtype.",
    link=DOCUMENTATION,
    seen=SEEN,
)

THRESHOLD_DERIVATIVES = Deviation(
    id="softplus-threshold-derivatives",
    cause="definition",
    subjects=(TORCH,),
    regions=(
        *regions(TORCH, (1, "float64", ((20.3, 20.8),), 20.6, 1.0, 2e7)),
        Region(2, ("float64",), ((20.0, 27.4),), (Anchor(23.0, {TORCH: 0.0}), *_cluster(23.0)), 2.0**53),
        Region(2, ("float32",), ((19.8, 27.4),), (Anchor(23.0, {TORCH: 0.0}), *_cluster(23.0)), 2.0**24),
        *regions(TORCH, (2, "bfloat16", ((19.5, 27.0),), 23.0, 0.0, 2.0**8)),
    ),
    reason="Above the threshold the function is another one, x: its gradient is 1 and its second derivative 0, which is "
    "less than e^-x by more than any rounding.",
    link=DOCUMENTATION,
    seen=SEEN,
)

LOST_TAIL = Deviation(
    id="softplus-second-derivative-lost-tail",
    cause="inaccurate",
    subjects=(TORCH, MATCHED),
    regions=tuple(
        Region(2, (dtype,), ((low, high),), (Anchor(at, dict.fromkeys((TORCH, MATCHED), 0.0)), *more), max_ulp)
        for dtype, low, high, at, more, max_ulp in (
            ("float64", 4.0, 745.2, 100.0, _cluster(28.0), 2.0**53),
            ("float32", 4.0, 103.98, 19.5, _cluster(28.0), 2.0**24),
            ("bfloat16", 2.0, 92.5, 15.25, (), 2.0**8),
            ("float16", 2.0, 16.7, 8.3203125, (), 2.0**11),
        )
    ),
    reason="torch computes the second derivative as s (1 - s) of the rounded sigmoid s. Where s nears 1, the difference "
    "keeps fewer and fewer digits, and where s rounds to 1 the result is 0, although the exact one is e^-x.",
    link=DOUBLE_BACKWARD,
    seen=SEEN,
)

LOST_DIGITS = Deviation(
    id="softplus-second-derivative-lost-digits",
    cause="inaccurate",
    subjects=(TORCH, MATCHED),
    regions=(
        Region(2, ("float64",), ((2.3, 4.0),), (Anchor(3.759042454138214, {}),), 80.0),
        Region(2, ("float32",), ((2.3, 4.0),), (Anchor(3.9688720703125, {}),), 80.0),
        Region(2, ("bfloat16",), ((-6.3, 2.0),), (Anchor(1.859375, {}),), 4.0),
        Region(2, ("float16",), ((-8.3, 2.0),), (Anchor(1.857421875, {}),), 4.0),
    ),
    reason="Where 1 - s begins to lose digits, few inputs show it; in 16 bits the steps of s (1 - s) each round as well.",
    link=DOUBLE_BACKWARD,
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="softplus-second-derivative-exp-overflow",
    cause="inaccurate",
    subjects=(TORCH, MATCHED),
    regions=tuple(
        Region(2, (dtype,), ((low, high),), (Anchor(at, dict.fromkeys((TORCH, MATCHED), 0.0)),), max_ulp)
        for dtype, low, high, at, max_ulp in (
            ("float64", -742.0, -709.79, -710.0, 2.0**52),
            ("float32", -100.95, -88.73, -89.0, 2.0**23),
            ("bfloat16", -92.5, -89.0, -89.0, 2.0**5),
        )
    ),
    reason="That sigmoid is 1 / (1 + e^-x). Where e^-x overflows to infinity it is 0, although the exact result is still a "
    "subnormal number.",
    link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UnaryOpsKernel.cpp",
    seen=SEEN,
)

ROUNDED_DIFFERENCE = Deviation(
    id="softplus-gradient-rounded-difference",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", ((-36.8, -8.0), (8.0, 36.8)), 33.33572811343883, None, 40.0),
        (1, "float32", ((-17.0, -8.0), (8.0, 17.0)), 8.292569160461426, None, 12.0),
        (1, "bfloat16", ((-5.8, -0.013), (0.2, 5.6)), 4.15625, None, 5.5),
        (1, "float16", ((-8.0, -0.016), (0.06, 7.7)), 4.03125, None, 6.0),
        (2, "float64", ((-36.8, -16.0),), -33.33572811343883, None, 40.0),
        (2, "bfloat16", ((-6.4, -0.7),), -4.25, None, 5.0),
        (2, "float16", ((-8.6, -0.6),), -6.3046875, None, 6.0),
    ),
    reason="JAX computes the gradient as e^(x - y) from the rounded y = log(1 + e^x). The absolute error of y and of the "
    "difference, up to an ULP of x, becomes a relative one. The second derivative inherits it.",
    link=LOGADDEXP,
    seen=SEEN,
)

LOST_TAIL_JAX = Deviation(
    id="softplus-second-derivative-lost-tail-jax",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", ((3.0, 708.4),), 100.0, 0.0, 2.0**53),
        (2, "float64", ((1.8, 3.0),), 2.9625632390135266, None, 50.0),
        (2, "float32", ((3.0, 87.4),), 19.5, 0.0, 2.0**24),
        (2, "float32", ((1.8, 3.0),), 2.6958773136138916, None, 50.0),
        (2, "bfloat16", ((1.0, 87.25),), 15.25, 0.0, 2.0**8),
        (2, "bfloat16", ((0.1, 1.0),), 0.98046875, None, 4.0),
        (2, "float16", ((1.0, 16.7),), 9.0, 0.0, 2.0**11),
        (2, "float16", ((0.04, 1.0),), 0.8994140625, None, 5.0),
    ),
    reason="JAX differentiates that gradient g as g (1 - g). Where g nears 1, the difference keeps fewer and fewer digits, "
    "and where g rounds to 1 the result is 0, although the exact one is e^-x.",
    link=LOGADDEXP,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="softplus-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((-1.39, -1.35), (0.275, 0.276)), -1.3828125, None, 1.5),
        (0, "float16", ((-2.8, -0.49), (0.0012, 0.43)), -2.74609375, None, 1.6),
    ),
    reason="JAX computes each step of log(1 + e^x) in the 16-bit dtype, rounding after each.",
    link=LOGADDEXP,
    seen=SEEN,
)

SOFTPLUS = Activation(
    name="softplus",
    latex=r"f(x) = \log(1 + e^x)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    natives={"torch": Native("torch.nn.functional.softplus", matched={"threshold": 88.0}), "jax": Native("jax.nn.softplus")},
    deviations=(
        THRESHOLD_DERIVATIVES,
        THRESHOLD,
        LOST_TAIL,
        LOST_DIGITS,
        OVERFLOW,
        ROUNDED_DIFFERENCE,
        LOST_TAIL_JAX,
        SIXTEEN_BITS,
    ),
)
