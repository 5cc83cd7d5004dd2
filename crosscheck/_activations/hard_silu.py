"""Hard SiLU, also called hard swish: x times hard sigmoid(x). Made of a parabola between two lines; not monotonic."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import numpy_of, step
from crosscheck._activations._mechanisms import compiled_nan, scalar_rest
from crosscheck._activations._regions import regions
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Kink, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    return x * m.minimum(m.maximum(x + 3, 0), 6) / 6


def derivative(m: Any, x: Any) -> Any:
    """(2x + 3) / 6 where -3 < x < 3; 0 to the left of it, 1 to the right."""
    return m.where(x > -3, m.where(x < 3, (2 * m.minimum(x, 3) + 3) / 6, 1.0), 0.0)


def second_derivative(m: Any, x: Any) -> Any:
    """1/3 where -3 < x < 3, 0 otherwise."""
    return m.where(x > -3, m.where(x < 3, 1 / 3, 0.0), 0.0)


def value(framework: Any, x: Any) -> Any:
    """By comparisons that NaN fails, so that it stays."""
    m = numpy_of(framework)
    return m.where(x <= -3, 0.0, m.where(x >= 3, x, x * ((x + 3) / 6)))


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x <= -3, 0.0, m.where(x >= 3, 1.0, (2 * x + 3) / 6))


def second(framework: Any, x: Any) -> Any:
    return step(framework, x, abs(x) < 3) / 3


TORCH, JAX = "torch.native", "jax.native"
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
SOURCE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardswish.html"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

INFINITY = Deviation(
    id="hard-silu-at-infinity",
    cause="special",
    subjects=(TORCH, JAX),
    regions=(Region(0, DTYPES, ((-inf, -inf),), (Anchor(-inf, {TORCH: nan, JAX: nan}),)),),
    reason="Both frameworks multiply x with the hard sigmoid: at minus infinity that is -inf times 0, NaN, where the limit "
    "is 0.",
    link=SOURCE,
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="hard-silu-overflow",
    cause="special",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (0, "float64", ((2.9961e307, 1.7976931348623157e308),), 1e308, inf, inf),
        (0, "float32", ((5.6713e37, 3.4028234663852886e38),), 2e38, inf, inf),
        (0, "bfloat16", ((5.6713e37, 3.39e38),), 2e38, inf, inf),
    ),
    reason="torch computes x times 6 before it divides by 6: from a sixth of the largest float on, the product is infinite, "
    "although the result is x.",
    link=CPU_KERNEL,
    seen=SEEN,
    bug=True,
)

LAST_BELOW_THREE = Deviation(
    id="hard-silu-derivatives-below-three",
    cause="inaccurate",
    subjects=(JAX,),
    regions=tuple(
        Region(order, (dtype,), ((at, at),), (Anchor(at, {JAX: result}),), max_ulp)
        for order, result in ((1, 1.0), (2, 0.0))
        for dtype, at, max_ulp in (
            ("float64", 3 - 2.0**-51, 2.0**53),
            ("float32", 3 - 2.0**-22, 2.0**24),
            ("bfloat16", 3 - 2.0**-6, 2.0**8),
            ("float16", 3 - 2.0**-9, 2.0**11),
        )
    ),
    reason="JAX differentiates relu6(x + 3): at the last float below 3 the sum rounds to 6, the kink, where the slope of "
    "relu6 is 0.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="hard-silu-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((-3.0, 3.0),), 2.203125, None, 2.0),
        (0, "float16", ((-3.0, 3.0),), 0.01464080810546875, None, 3.1),
        (1, "bfloat16", ((-2.22, -0.029), (0.058, 1.49)), -0.7734375, None, 3.5),
        (1, "float16", ((-1.2, 2.996),), -0.7568359375, None, 3.1),
    ),
    reason="JAX adds, divides and multiplies in the 16-bit dtype, rounding after each step.",
    link=JAX_SOURCE,
    seen=SEEN,
)

INFINITY_FORWARD = Deviation(
    id="hard-silu-gradient-at-infinity-forward",
    cause="special",
    subjects=(JAX,),
    regions=(Region(1, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, {JAX: nan}), Anchor(-inf, {JAX: nan}))),),
    reason="In forward mode JAX multiplies x with the slope of relu6, which is 0 out there: at the infinities that is NaN."
    " In reverse mode the product comes before the choice that drops it.",
    link=JAX_SOURCE,
    seen=SEEN,
    modes=("forward",),
)

SECOND_AT_NAN = Deviation(
    id="hard-silu-second-derivative-at-nan",
    cause="convention",
    subjects=(TORCH, JAX),
    regions=(Region(2, DTYPES, ((nan, nan),), (Anchor(nan, {TORCH: nan, JAX: 0.0}),)),),
    reason="At NaN torch's second derivative in forward mode is NaN, JAX's is 0, that of the constant slope it chooses.",
    link=JAX_SOURCE,
    seen=SEEN,
    modes=("forward",),
)

LAYOUT = scalar_rest(
    "hard-silu-layout",
    Region(1, ("float32",), ((nan, nan),), (Anchor(nan, {}),)),
    Region(1, ("bfloat16",), ((nan, nan),), (Anchor(nan, {}),)),
    of="the gradient",
    more="At NaN the one gives NaN, the other 1.",
)

COMPILED_NAN = compiled_nan("hard-silu-compiled-nan-gradient", 1.0)

HARD_SILU = Activation(
    name="hard_silu",
    aliases=("hardswish", "hard_swish"),
    latex=r"f(x) = \frac{x}{6} \min(\max(x + 3, 0), 6)",
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
    # JAX chooses so too
    kinks=(Kink(at=-3.0, chosen={1: 0.0, 2: 0.0}, source=SOURCE), Kink(at=3.0, chosen={1: 1.0, 2: 0.0}, source=SOURCE)),
    natives={"torch": Native("torch.nn.functional.hardswish"), "jax": Native("jax.nn.hard_silu")},
    deviations=(INFINITY, OVERFLOW, LAST_BELOW_THREE, SIXTEEN_BITS, INFINITY_FORWARD, SECOND_AT_NAN, COMPILED_NAN, LAYOUT),
)
