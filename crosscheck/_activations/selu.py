"""SELU, the scaled ELU: l x for x > 0, l a (e^x - 1) otherwise. With these l and a, layers keep mean 0 and variance 1."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import exp_parts, expm1, numpy_of
from crosscheck._activations._mechanisms import compiled_expm1, compiled_nan, compiled_zero, scalar_rest
from crosscheck._activations._regions import regions
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Kink, Limits, Native, Region, Seen

SCALE = 1.0507009873554804934193349852946
NEGATIVE = SCALE * 1.6732632423543772848170429916717
"""l and l a, to the digits that the paper and both frameworks have. Here they mean these float64 numbers."""


def definition(m: Any, x: Any) -> Any:
    return m.where(x > 0, SCALE * x, NEGATIVE * (m.exp(x) - 1))


def derivative(m: Any, x: Any) -> Any:
    """l where x > 0, l a e^x otherwise."""
    return m.where(x > 0, SCALE, NEGATIVE * m.exp(m.minimum(x, 0)))


def second_derivative(m: Any, x: Any) -> Any:
    """0 where x > 0, l a e^x otherwise."""
    return m.where(x > 0, 0.0, NEGATIVE * m.exp(m.minimum(x, 0)))


def value(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x > 0, SCALE * x, NEGATIVE * expm1(framework, m.where(x > 0, m.zeros_like(x), x)))


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    e, c = exp_parts(framework, m.clip(x, None, 0.0))
    return m.where(x > 0, SCALE, NEGATIVE * e * c)


def second(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    e, c = exp_parts(framework, m.clip(x, None, 0.0))
    return m.where(x > 0, 0.0, NEGATIVE * e * c)


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH, JAX = "torch.native", "jax.native"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"
AT_ZERO = ((0.0, 0.0), (-0.0, -0.0))

SECOND_AT_ZERO = Deviation(
    id="selu-second-derivative-at-zero",
    cause="convention",
    subjects=(TORCH,),
    regions=(Region(2, DTYPES, AT_ZERO, (Anchor(0.0, {TORCH: 0.0}),)),),
    reason="At 0 the second derivative is 0 or l a. torch's gradient takes the exponential branch at 0, its second "
    "derivative the other one.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

LOST_TAIL = Deviation(
    id="selu-derivative-lost-tail",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", ((-709.0, -1.9),), -100.0, 0.0, 2.0**53),
        (1, "float32", ((-88.0, -1.9),), -19.5, 0.0, 2.0**24),
        (1, "bfloat16", ((-88.0, -3.4),), -7.625, 0.0, 2.0**9),
        (1, "float16", ((-17.2, -3.34),), -8.8828125, 0.0, 2.0**12),
        (2, "float64", ((-709.0, -3.3),), -100.0, 0.0, 2.0**53),
        (2, "float32", ((-88.0, -3.3),), -19.5, 0.0, 2.0**24),
        (2, "bfloat16", ((-88.0, -3.4),), -7.625, 0.0, 2.0**9),
        (2, "float16", ((-17.2, -3.34),), -8.8828125, 0.0, 2.0**12),
    ),
    reason="JAX differentiates e^x - 1 through its rounded value y, as y + 1. Where y nears -1, the sum keeps fewer and "
    "fewer digits, and where y rounds to -1 the gradient is 0, although the exact one is l a e^x.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    seen=SEEN,
)

OVER_BUDGET = Deviation(
    id="selu-value-over-budget",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "float64", ((-0.34, -5e-8),), -0.00013779924415624134, None, 7.0),
        (0, "float32", ((-0.34, -8e-4),), -0.03600205108523369, None, 7.5),
    ),
    reason="XLA's expm1 on the CPU has up to 5 ULP of error, and the factors l and a are multiplied one after the other, "
    "each product rounded: together a little more than the budget, at few inputs.",
    link="https://docs.jax.dev/en/latest/accuracy.html",
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="selu-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((-inf, -inf), (-3.39e38, -1.17e-38), (1.17e-38, 3.24e38)), -0.83984375, None, 3.25),
        (0, "float16", ((-6.75, -1.5e-7),), -5.2988529205322266e-05, None, 3.5),
        (1, "bfloat16", ((-3.4, -1.17e-38),), -3.390625, None, 12.0),
        (1, "float16", ((-17.4, -17.2), (-3.34, -0.001)), -3.33984375, None, 15.0),
        (2, "bfloat16", ((-3.4, -1.17e-38),), -3.390625, None, 12.0),
        (2, "float16", ((-17.4, -17.2), (-3.34, -0.001)), -3.33984375, None, 15.0),
    ),
    reason="JAX rounds to 16 bits after each step, and l and a themselves: in bfloat16 they are 1.046875 and 1.671875, and "
    "the limit at minus infinity is -1.75 instead of -1.758.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ROUNDED_SLOPE = Deviation(
    id="selu-bfloat16-slope-at-zero",
    cause="convention",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "bfloat16", AT_ZERO, 0.0, 1.75, inf),
        (2, "bfloat16", AT_ZERO, 0.0, 1.75, inf),
    ),
    reason="JAX takes the same side at 0, with l and a rounded to bfloat16: 1.75, one ULP below the rounded l a.",
    link=JAX_SOURCE,
    seen=SEEN,
)

LATE_OVERFLOW = Deviation(
    id="selu-bfloat16-late-overflow",
    cause="special",
    subjects=(JAX,),
    regions=regions(JAX, (0, "bfloat16", ((3.235e38, 3.25e38),), 3.2433163097151947e38, 3.3895313892515355e38, inf)),
    reason="l rounded to bfloat16 is 0.4 % too small, so that JAX's product stays finite at the first input where the exact "
    "one overflows.",
    link=JAX_SOURCE,
    seen=SEEN,
)

COMPILED_EXPM1 = compiled_expm1("selu-compiled-expm1")

COMPILED_ZERO = compiled_zero(
    "selu-compiled-zero-sign",
    *(
        Region(0, (dtype,), ((-0.0, -0.0), *subnormals), (Anchor(-0.0, {TORCH: 0.0, JAX: -0.0}),))
        for dtype, subnormals in (
            ("float64", ((-1.5e-323, -5e-324),)),
            ("float32", ((-4.21e-45, -1.4e-45),)),
            ("bfloat16", ()),
            ("float16", ()),
        )
    ),
)

COMPILED_NAN = compiled_nan("selu-compiled-nan-gradient", 1.0507009873554805)

LAYOUT = scalar_rest(
    "selu-layout",
    Region(0, ("float32",), ((-19.0, -3.8e-08),), (Anchor(-4.4539998356185606e-08, {}),), 1.6),
    Region(1, ("float32",), ((nan, nan), (-84.0, -0.22)), (Anchor(-6.110969066619873, {}),), 3.2),
    Region(1, ("bfloat16",), ((nan, nan),), (Anchor(nan, {}),)),
    Region(2, ("float32",), ((nan, nan), (-84.0, -0.22)), (Anchor(-6.110969066619873, {}),), 3.2),
    Region(2, ("bfloat16",), ((nan, nan),), (Anchor(nan, {}),)),
    of="e^x",
    more="At NaN the two choose another branch of the gradient.",
)

SELU = Activation(
    name="selu",
    latex=r"f(x) = \lambda \begin{cases} x & x > 0 \\ \alpha (e^x - 1) & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(-NEGATIVE, 0, 0), plus=(inf, SCALE, 0)),
    kinks=(
        Kink(
            at=0.0,
            chosen={1: NEGATIVE, 2: NEGATIVE},
            source="https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html",
        ),
    ),
    natives={"torch": Native("torch.nn.functional.selu"), "jax": Native("jax.nn.selu")},
    deviations=(
        SECOND_AT_ZERO,
        LOST_TAIL,
        OVER_BUDGET,
        SIXTEEN_BITS,
        ROUNDED_SLOPE,
        LATE_OVERFLOW,
        COMPILED_EXPM1,
        COMPILED_ZERO,
        COMPILED_NAN,
        LAYOUT,
    ),
)
