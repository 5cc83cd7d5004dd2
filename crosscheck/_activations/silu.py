"""SiLU, also called swish: x times sigmoid(x). Smooth, not monotonic, unbounded above."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import FAR, bell, numpy_of, size
from crosscheck._activations._mechanisms import compiled_anew, composed_gradient, scalar_rest
from crosscheck._activations._regions import regions
from crosscheck._activations._zeros import SILU_GRADIENT, SILU_SECOND
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    return x / (1 + m.exp(-x))


def derivative(m: Any, x: Any) -> Any:
    """s(x) (1 + x s(-x)), s being the sigmoid; as z (1 - |x| + z) / (1 + z)^2 below 0, z = e^-|x|, 1 minus that above."""
    a, e, c = _tail(m, x)
    z = e * c
    g = e * ((1 - a) + z) / (1 + z) ** 2 * c
    return m.where(x > 0, 1 - g, g)


def second_derivative(m: Any, x: Any) -> Any:
    """s(x) s(-x) (2 + x (s(-x) - s(x))), s being the sigmoid; as z (2 - |x| + z (2 + |x|)) / (1 + z)^3, z = e^-|x|."""
    a, e, c = _tail(m, x)
    z = e * c
    return e * ((2 - a) + z * (2 + a)) / (1 + z) ** 3 * c


def _tail(m: Any, x: Any) -> tuple[Any, Any, Any]:
    """(a, e, c) with a = |x| and e^-a = e c, c being 1 unless e^-a is tiny: a factor that meets e first keeps its digits."""
    a = m.minimum(m.abs(x), FAR)
    half = m.where(a > 600, a / 2, 0)
    return a, m.exp(half - a), m.exp(-half)


def value(framework: Any, x: Any) -> Any:
    """x / (1 + z) above 0; below, the factor x meets e before c."""
    m = numpy_of(framework)
    e, c, z, _ = bell(framework, size(framework, x))
    return m.where(x > 0, x, m.clip(x, -FAR, None) * e) / (1 + z) * m.where(x > 0, 1.0, c)


def gradient(framework: Any, x: Any) -> Any:
    """g = z (1 - |x| + z) / (1 + z)^2 below 0 and 1 - g above."""
    a = size(framework, x)
    e, c, z, d = bell(framework, a)
    g = e * SILU_GRADIENT.mended(framework, a, (1 - a) + z) / d * c
    return numpy_of(framework).where(x > 0, 1 - g, g)


def second(framework: Any, x: Any) -> Any:
    """z (2 - |x| + z (2 + |x|)) / (1 + z)^3: even."""
    a = size(framework, x)
    e, c, z, d = bell(framework, a)
    return e * SILU_SECOND.mended(framework, a, (2 - a) + z * (2 + a)) / (d * (1 + z)) * c


BOTH = ("torch.native", "jax.native")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)

INFINITY = Deviation(
    id="silu-at-infinity",
    cause="special",
    subjects=BOTH,
    regions=(
        Region(0, DTYPES, ((-inf, -inf),), (Anchor(-inf, dict.fromkeys(BOTH, nan)),)),
        Region(1, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, dict.fromkeys(BOTH, nan)),)),
        Region(2, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, dict.fromkeys(BOTH, nan)),)),
    ),
    reason="Both frameworks compute x s(x): at minus infinity that is -inf times 0, NaN, where the limit is 0. The "
    "derivatives multiply an infinite x with a zero in the same way, at both infinities.",
    link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.silu.html",
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="silu-exp-overflow",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=tuple(
        Region(order, (dtype,), ((low, high),), (Anchor(at, {"torch.native": result}),), max_ulp)
        for order, result in ((0, -0.0), (1, -0.0), (2, 0.0))
        for dtype, low, high, at, max_ulp in (
            ("float64", -750.5, -709.79, -710.0, 2.0**53),
            ("float32", -107.5, -88.73, -90.0, 2.0**24),
            ("bfloat16", -97.0, -89.0, -90.5, 2.0**8),
        )
    ),
    reason="torch computes x / (1 + e^-x). Where e^-x overflows to infinity, the result is 0, although the exact value is "
    "still a normal number at first; the derivatives inherit the 0.",
    link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp",
    seen=SEEN,
)

OVERFLOW_JAX = Deviation(
    id="silu-exp-overflow-jax",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(order, (dtype,), ((low, high),), (Anchor(at, {"jax.native": result}),), max_ulp)
        for order, result in ((0, -0.0), (1, 0.0), (2, 0.0))
        for dtype, low, high, at, max_ulp in (
            ("float64", -715.0, -708.3, -710.0, 2.0**53),
            ("float32", -91.8, -87.3, -90.0, 2.0**24),
            ("bfloat16", -91.75, -87.25, -90.5, 2.0**8),
            ("float16", -20.0, -11.09, -11.234375, 2.0**11),
        )
    ),
    reason="JAX multiplies x with 1 / (1 + e^-x), which is 0 where e^-x overflows, or where the quotient is subnormal and "
    "flushed, although the product is still a normal number. In float16, e^-x overflows below -11.09 already.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    seen=SEEN,
)

LOST_SECOND = Deviation(
    id="silu-second-derivative-lost-tail",
    cause="inaccurate",
    subjects=BOTH,
    regions=tuple(
        Region(2, (dtype,), ((low, high),), (Anchor(at, dict.fromkeys(BOTH, 0.0)),), max_ulp)
        for dtype, low, high, at, max_ulp in (
            ("float64", 2.2, 750.5, 100.0, 2.0**53),
            ("float32", 2.2, 107.5, 19.4976863861084, 2.0**24),
            ("bfloat16", 3.0, 97.0, 27.5, 2.0**8),
            ("float16", 1.9, 20.0, 11.234375, 2.0**11),
        )
    ),
    reason="Both frameworks differentiate through the rounded sigmoid s, with factors 1 - s. Where s nears 1, these keep "
    "fewer and fewer digits, and where s rounds to 1 the second derivative is 0, although the exact one is not.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

GRADIENT_NEAR_ONE = Deviation(
    id="silu-gradient-near-one",
    cause="inaccurate",
    subjects=BOTH,
    regions=(
        Region(1, ("float64",), ((6.0, 40.0),), (Anchor(35.62323212463502, {}),), 20.0),
        Region(1, ("float32",), ((6.0, 18.0),), (Anchor(16.633867263793945, {}),), 12.0),
    ),
    reason="Both frameworks compute the gradient with the rounded 1 - s, s being the sigmoid; x multiplies its error.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="silu-16-bit-arithmetic",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(order, (dtype,), ((low, high),), (Anchor(at, {}),), max_ulp)
        for order, dtype, low, high, at, max_ulp in (
            (0, "bfloat16", -87.0, 5.0, -0.287109375, 2.75),
            (0, "float16", -11.085, 9.0, -10.859375, 4.0),
            (1, "bfloat16", -87.0, 9.0, -1.5625, 6.0),
            (1, "float16", -11.085, 10.0, -1.5986328125, 8.0),
            (2, "bfloat16", -87.0, 3.0, 1.9765625, 16.0),
            (2, "float16", -11.085, 1.9, 1.787109375, 16.0),
        )
    ),
    reason="JAX computes the sigmoid, the product and the derivatives in the 16-bit dtype, rounding after each step.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    seen=SEEN,
)

ROUNDED_GRADIENT = Deviation(
    id="silu-second-derivative-rounded",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=(
        Region(2, ("bfloat16",), ((-88.75, 3.0),), (Anchor(1.9296875, {}),), 7.5),
        Region(2, ("float16",), ((-20.0, 1.9),), (Anchor(-17.34375, {}),), 12.0),
    ),
    reason="torch composes the second derivative from operations that each round to 16 bits.",
    link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
    seen=SEEN,
)

CANCELLED = Deviation(
    id="silu-derivatives-cancelled",
    cause="inaccurate",
    subjects=BOTH,
    regions=(
        Region(2, ("float64",), ((1.5, 2.2),), (Anchor(1.9766022570993158, {}),), 28.0),
        Region(2, ("float32",), ((1.5, 2.2),), (Anchor(1.9563789367675781, {}),), 28.0),
    ),
    reason="Towards the zero of the second derivative at 2.4 its terms cancel. Nearer to it the error counts in ULP of the "
    "terms and passes; here, where the cancellation begins, it counts in ULP of the result, at few inputs.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

CANCELLED_GRADIENT = Deviation(
    id="silu-gradient-cancelled",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=(
        Region(1, ("float64",), ((-1.06, -1.0),), (Anchor(-1.0369205874748921, {}),), 6.5),
        Region(1, ("float32",), ((-1.06, -1.0),), (Anchor(-1.0371818542480469, {}),), 7.0),
    ),
    reason="Towards the zero of the gradient at -1.28 its terms cancel. Nearer to it the error counts in ULP of the terms "
    "and passes; here, where the cancellation begins, it counts in ULP of the result, at few inputs.",
    link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    seen=SEEN,
)

CANCELLED_GRADIENT_JAX = Deviation(
    id="silu-gradient-cancelled-jax",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=(
        Region(1, ("float64",), ((-1.7, -1.0),), (Anchor(-1.6414339606844683, {}),), 10.0),
        Region(1, ("float32",), ((-1.7, -1.0),), (Anchor(-1.0438144207000732, {}),), 12.0),
    ),
    reason="As in silu-gradient-cancelled, with the larger errors of the terms that JAX composes the gradient from.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="silu-gradient-underflow-sign",
    cause="convention",
    subjects=BOTH,
    regions=tuple(
        Region(1, (dtype,), ((low, high),), (Anchor(-1000.0, {"torch.native": -0.0, "jax.native": 0.0}),))
        for dtype, low, high in (
            ("float64", -1.7976931348623157e308, -709.0),
            ("float32", -3.4028234663852886e38, -87.0),
            ("bfloat16", -3.39e38, -87.0),
            ("float16", -65504.0, -11.0),
        )
    ),
    reason="Where the gradient, a negative number, underflows to zero, torch keeps its sign and JAX returns +0.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    seen=SEEN,
)

ROUNDED_GRADIENT_FUNCTIONAL = composed_gradient(
    "silu-functional-gradient-rounded",
    *regions(
        "torch.native",
        (1, "bfloat16", ((-84.5, -0.184), (0.228, 6.57)), -0.9140625, None, 4.5),
        (1, "float16", ((-19.6, -0.0073), (0.0449, 9.01)), -17.34375, None, 10.5),
    ),
)

LAYOUT = scalar_rest(
    "silu-layout",
    Region(0, ("float32",), ((-84.0, -0.11), (0.24, 2.6)), (Anchor(-16.755929946899414, {}),), 4.9),
    Region(1, ("float32",), ((-84.0, -0.11), (0.24, 1.9)), (Anchor(-1.1933997869491577, {}),), 16.0),
    Region(2, ("float32",), ((-84.0, -0.11), (0.24, 2.6)), (Anchor(2.3341405391693115, {}),), 100.0),
    of="e^x",
)

LAYOUT_JAX = compiled_anew(
    "silu-layout-jax",
    Region(1, ("float32",), ((-75.0, -0.05), (0.2, 7.3)), (Anchor(-1.279308557510376, {}),), 730.0),
    Region(2, ("float32",), ((-90.0, -1e-5), (1e-5, 17.0)), (Anchor(-2.3925087451934814, {}),), 250.0),
)

SILU = Activation(
    name="silu",
    aliases=("swish",),
    latex=r"f(x) = \frac{x}{1 + e^{-x}}",
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
    natives={"torch": Native("torch.nn.functional.silu"), "jax": Native("jax.nn.silu")},
    deviations=(
        INFINITY,
        ZERO_SIGN,
        OVERFLOW,
        OVERFLOW_JAX,
        LOST_SECOND,
        GRADIENT_NEAR_ONE,
        CANCELLED,
        CANCELLED_GRADIENT,
        CANCELLED_GRADIENT_JAX,
        ROUNDED_GRADIENT,
        SIXTEEN_BITS,
        ROUNDED_GRADIENT_FUNCTIONAL,
        LAYOUT,
        LAYOUT_JAX,
    ),
)
