"""ELU, the exponential linear unit: x for x > 0, alpha (e^x - 1) otherwise. Smooth where alpha is 1."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import exp_parts, expm1, numpy_of
from crosscheck._activations._mechanisms import compiled_expm1, compiled_nan, compiled_zero, scalar_rest
from crosscheck._spec.ranges import MODERATE
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Kink, Limits, Native, Region, Seen


def definition(m: Any, x: Any, alpha: float = 1.0) -> Any:
    return m.where(x > 0, x, alpha * (m.exp(x) - 1))


def derivative(m: Any, x: Any, alpha: float = 1.0) -> Any:
    """1 where x > 0, alpha e^x otherwise."""
    return m.where(x > 0, 1.0, alpha * m.exp(m.minimum(x, 0)))


def second_derivative(m: Any, x: Any, alpha: float = 1.0) -> Any:
    """0 where x > 0, alpha e^x otherwise."""
    return m.where(x > 0, 0.0, alpha * m.exp(m.minimum(x, 0)))


def value(framework: Any, x: Any, alpha: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x > 0, x, alpha * expm1(framework, m.where(x > 0, m.zeros_like(x), x)))


def gradient(framework: Any, x: Any, alpha: Any) -> Any:
    m = numpy_of(framework)
    e, c = exp_parts(framework, m.clip(x, None, 0.0))
    return m.where(x > 0, 1.0, alpha * e * c)


def second(framework: Any, x: Any, alpha: Any) -> Any:
    m = numpy_of(framework)
    e, c = exp_parts(framework, m.clip(x, None, 0.0))
    return m.where(x > 0, 0.0, alpha * e * c)


def limits(alpha: float) -> Limits:
    return Limits(minus=(-alpha, 0, 0), plus=(inf, 1, 0))


def kinks(alpha: float) -> tuple[Kink, ...]:
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ELU.html"
    return (Kink(at=0.0, chosen={1: alpha, 2: alpha}, source=source),)


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)

SECOND_AT_ZERO = Deviation(
    id="elu-second-derivative-at-zero",
    cause="convention",
    subjects=("torch.native",),
    regions=(Region(2, DTYPES, ((0.0, 0.0), (-0.0, -0.0)), (Anchor(0.0, {"torch.native": 0.0}),)),),
    reason="At 0 the second derivative is 0 or alpha. torch's gradient takes the exponential branch at 0, its second "
    "derivative the other one.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

LOST_TAIL = Deviation(
    id="elu-derivative-lost-tail",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(order, (dtype,), ((low, high),), (Anchor(at, {"jax.native": 0.0}),), max_ulp)
        for order, dtype, low, high, at, max_ulp in (
            (1, "float64", -745.2, -2.5, -100.0, 2.0**53),
            (1, "float32", -103.98, -2.5, -19.5, 2.0**24),
            (1, "bfloat16", -92.5, -1.38, -7.625, 2.0**8),
            (1, "float16", -17.8, -1.3, -8.3203125, 2.0**11),
            (2, "float64", -745.2, -3.2, -100.0, 2.0**53),
            (2, "float32", -103.98, -3.2, -19.5, 2.0**24),
            (2, "bfloat16", -92.5, -1.38, -7.625, 2.0**8),
            (2, "float16", -17.8, -1.3, -8.3203125, 2.0**11),
        )
    ),
    reason="JAX differentiates e^x - 1 through its rounded value y, as y + 1. Where y nears -1, the sum keeps fewer and "
    "fewer digits, and where y rounds to -1 the gradient is 0, although the exact one is alpha e^x.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    seen=SEEN,
)

INACCURATE_VALUE = Deviation(
    id="elu-value-over-budget",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=(Region(0, ("float32",), ((-0.7, -0.001),), (Anchor(-0.006253363098949194, {}),), 6.0),),
    reason="XLA's expm1 on the CPU has a few more ULP of error than the budget allows, at few inputs.",
    link="https://docs.jax.dev/en/latest/accuracy.html",
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="elu-float16-arithmetic",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(order, ("float16",), ((low, high),), (Anchor(at, {}),), max_ulp)
        for order, low, high, at, max_ulp in (
            (0, -0.6, -5e-8, -0.129638671875, 2.75),
            (1, -1.3, -0.1, -0.81640625, 2.5),
            (2, -1.3, -0.1, -0.81640625, 2.5),
        )
    ),
    reason="JAX computes alpha (e^x - 1) and its derivatives in float16, rounding after each step.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    seen=SEEN,
)

COMPILED_EXPM1 = compiled_expm1("elu-compiled-expm1")

COMPILED_ZERO = compiled_zero(
    "elu-compiled-zero-sign",
    *(
        Region(
            0,
            (dtype,),
            ((-0.0, -0.0), *subnormals),
            (Anchor(-0.0, {"torch.native": 0.0, "jax.native": -0.0}),),
            parameters={"alpha": alpha},
        )
        for dtype, alphas, subnormals in (
            ("float64", (1.0, 0.5), ((-6.1e-311, -5e-324),)),
            ("float64", (2.0,), ((-1e-323, -5e-324),)),
            ("float32", (1.0, 0.5), ((-3.22e-41, -1.4e-45),)),
            ("float32", (2.0,), ((-2.81e-45, -1.4e-45),)),
            ("bfloat16", (1.0, 0.5), ((-1.84e-40, -9e-41),)),
            ("bfloat16", (2.0,), ()),
            ("float16", (1.0, 0.5, 2.0), ()),
        )
        for alpha in alphas
    ),
)

COMPILED_NAN = compiled_nan("elu-compiled-nan-gradient", 1.0)

LAYOUT = scalar_rest(
    "elu-layout",
    Region(0, ("float32",), ((-19.0, -3.8e-08),), (Anchor(-4.4539998356185606e-08, {}),), 1.6),
    Region(1, ("float32",), ((nan, nan), (-84.0, -0.22)), (Anchor(-0.3154659867286682, {}),), 1.6),
    Region(1, ("bfloat16",), ((nan, nan),), (Anchor(nan, {}),)),
    Region(2, ("float32",), ((nan, nan), (-84.0, -0.22)), (Anchor(-0.3154659867286682, {}),), 1.6),
    Region(2, ("bfloat16",), ((nan, nan),), (Anchor(nan, {}),)),
    of="e^x",
    more="At NaN the two choose another branch of the gradient.",
)

ELU = Activation(
    name="elu",
    latex=r"f(x) = \begin{cases} x & x > 0 \\ \alpha (e^x - 1) & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=limits,
    kinks=kinks,
    parameters={"alpha": 1.0},
    cases=({"alpha": 0.5}, {"alpha": 2.0}),
    ranges={"alpha": MODERATE},
    natives={"torch": Native("torch.nn.functional.elu"), "jax": Native("jax.nn.elu")},
    deviations=(
        SECOND_AT_ZERO,
        LOST_TAIL,
        INACCURATE_VALUE,
        SIXTEEN_BITS,
        COMPILED_EXPM1,
        COMPILED_ZERO,
        COMPILED_NAN,
        LAYOUT,
    ),
)
