"""GLU, the gated linear unit: a sigmoid(b), a and b being the halves of a row. Lets a layer choose what it passes on."""

from math import frexp, inf, nan
from typing import Any

from crosscheck._activations import sigmoid
from crosscheck._activations._kernels import FAR, bell, halves, numpy_of, size, tanh
from crosscheck._activations._regions import regions
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """a / (1 + e^-b), as a e^b / (1 + e^b) where b is negative: a gate of minus infinity gives 0."""
    a, b = halves(x, axis)
    z = m.exp(-m.abs(b))
    return a * (m.where(m.greater(b, 0), 1, z) / (1 + z))


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """(s(b) v, a s(b) s(-b) v), s being the sigmoid."""
    a, e, c, z, open_ = _parts(m, x, axis)
    one = m.where(open_, v, v * e) / (1 + z) * m.where(open_, 1, c)
    return m.concatenate((one, a * e / (1 + z) ** 2 * v * c), axis)


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """(s' w_b v, s' (w_a - w_b a tanh(b/2)) v) with s' = s(b) s(-b), w_a and w_b being the halves of w."""
    a, e, c, z, _ = _parts(m, x, axis)
    p, q = halves(w, axis)
    slope = e / (1 + z) ** 2
    t = m.tanh(halves(x, axis)[1] / 2)
    return m.concatenate((slope * q * v * c, (slope * p - slope * a * t * q) * v * c), axis)


def _parts(m: Any, x: Any, axis: int) -> tuple[Any, Any, Any, Any, Any]:
    """(a, e, c, z, b > 0) with z = e c = e^-|b|, c being 1 unless that is tiny: what meets e first keeps its digits."""
    a, b = halves(x, axis)
    d = m.minimum(m.abs(b), FAR)
    half = m.where(m.greater(d, 600), d / 2, 0)
    e, c = m.exp(half - d), m.exp(-half)
    return a, e, c, e * c, m.greater(b, 0)


def value(framework: Any, x: Any, axis: int) -> Any:
    """As silu: above 0, a / (1 + z); below, a meets e before c."""
    a, b = halves(x, axis)
    m = numpy_of(framework)
    return m.where(m.isinf(a) & m.isfinite(b), a, _gated(framework, a, b))


def gradient(framework: Any, x: Any, v: Any, axis: int) -> Any:
    a, b = halves(x, axis)
    k = _unit(framework, a)
    return numpy_of(framework).concatenate((_gated(framework, v, b), _sloped(framework, a / k, k, v, b)), axis)


def second(framework: Any, x: Any, v: Any, w: Any, axis: int) -> Any:
    (a, b), (p, q) = halves(x, axis), halves(w, axis)
    k = _unit(framework, a)
    bent = p / k - q * (a / k) * tanh(framework, b / 2)
    by_a, by_b = _sloped(framework, q, 1.0, v, b), _sloped(framework, bent, k, v, b)
    return numpy_of(framework).concatenate((by_a, by_b), axis)


def along(framework: Any, x: Any, w: Any, axis: int) -> Any:
    """s(b) w_a + a s(b) s(-b) w_b."""
    (a, b), (p, q) = halves(x, axis), halves(w, axis)
    s = getattr(sigmoid.SIGMOID, framework.__name__)
    return s(b) * (p + a * s(-b) * q)


def _gated(framework: Any, a: Any, b: Any) -> Any:
    """a s(b)."""
    m = numpy_of(framework)
    e, c, z, _ = bell(framework, size(framework, b))
    return m.where(b > 0, a, a * e) / (1 + z) * m.where(b > 0, 1.0, c)


def _unit(framework: Any, a: Any) -> Any:
    """A power of two by which a huge a is divided, so that a product with it does not overflow on the way: else 1."""
    m = numpy_of(framework)
    unit = 2.0 ** (frexp(m.finfo(a.dtype).max)[1] // 2)
    return m.where(abs(a) > unit, m.full_like(a, unit), m.ones_like(a))


def _sloped(framework: Any, y: Any, k: Any, v: Any, b: Any) -> Any:
    """y k s(b) s(-b) v, in an order in which nothing is subnormal on the way unless the result is."""
    m = numpy_of(framework)
    e, c, _, d = bell(framework, size(framework, b))
    slope = e / d
    return m.where(m.isinf(y), y * v, m.where(abs(y) < 1, y * v * slope, y * slope * v) * (c * k))


TORCH, JAX = BOTH = ("torch.native", "jax.native")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
TORCH_GRADIENT = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/GatedLinearUnit.cpp"
TORCH_SECOND = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"
JAX_SIGMOID = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py"
LOST = {"float64": 2.0**53, "float32": 2.0**24, "bfloat16": 2.0**8, "float16": 2.0**11}
"""The error in ULP of a 0 where the result is not."""

OVERFLOW = Deviation(
    id="glu-exp-overflow",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        *(
            (order, dtype, ((low, high),), at, result, LOST[dtype])
            for dtype, low, high, at, results in (
                ("float32", -116, -88.72, -91.03662872314453, (0.0, -0.0, 0.0)),
                ("float64", -751, -709.78, -713.7663842243346, (0.0, -0.0, -0.0)),
                ("bfloat16", -104, -88.72, -91.0, (0.0, -0.0, 0.0)),
            )
            for order, result in enumerate(results)
        ),
    ),
    reason="torch multiplies a with 1 / (1 + e^-b), which is 0 where e^-b overflows to infinity, although the exact product "
    "is a normal number where a is large; the derivatives inherit the 0.",
    link=TORCH_KERNEL,
    seen=SEEN,
)

OVERFLOW_JAX = Deviation(
    id="glu-exp-overflow-jax",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        *(
            (order, dtype, ((low, high if order else high_of_value),), at, result, LOST[dtype])
            for dtype, low, high_of_value, high, at, results in (
                ("float32", -99, -87.3, -80, -91.03662872314453, (0.0, -0.0, -0.0)),
                ("float64", -720, -708.3, -700, -709.846472697061, (0.0, -0.0, 0.0)),
                ("bfloat16", -99, -87.3, -80, -87.5, (-0.0, -0.0, 0.0)),
                ("float16", -29, -11.08, -11.08, -11.9609375, (0.0, 0.0, 0.0)),
            )
            for order, result in enumerate(results)
        ),
    ),
    reason="JAX multiplies a with 1 / (1 + e^-b), which is 0 where e^-b overflows, in float16 at -11.09 already, or where "
    "the quotient, or its product with a direction, is subnormal and flushed, although the result is a normal number.",
    link=JAX_SIGMOID,
    seen=SEEN,
)

LOST_TAIL = Deviation(
    id="glu-derivative-lost-tail",
    cause="inaccurate",
    subjects=BOTH,
    regions=tuple(
        Region(order, (dtype,), ((1.3, high),), (Anchor(at, dict.fromkeys(BOTH, result)),), LOST[dtype])
        for order, dtype, high, at, result in (
            (1, "float64", 751, 55.16709923365626, -0.0),
            (1, "float32", 116, 55.16709899902344, -0.0),
            (1, "bfloat16", 104, 13.625, 0.0),
            (1, "float16", 29, 9.1953125, -0.0),
            (2, "float64", 751, 608.2643544394514, 0.0),
            (2, "float32", 116, 65.39305877685547, 0.0),
            (2, "bfloat16", 104, 81.5, 0.0),
            (2, "float16", 29, 8.5625, 0.0),
        )
    ),
    reason="Both frameworks compute the slope of the gate as s (1 - s) from the rounded sigmoid s. Where s nears 1, the "
    "difference keeps fewer and fewer digits, and where s rounds to 1 the slope is 0, although the exact one is e^-b.",
    link=TORCH_KERNEL,
    seen=SEEN,
)

CANCELLED = Deviation(
    id="glu-second-derivative-cancelled",
    cause="inaccurate",
    subjects=BOTH,
    regions=tuple(
        Region(2, (dtype,), ((-0.5, 0.5),), (Anchor(0.001, {}),), max_ulp)
        for dtype, max_ulp in (("float64", 8000), ("float32", 8000), ("bfloat16", 1000), ("float16", 8000))
    ),
    reason="Near a gate of 0 the slope s (1 - s) has a maximum, and its derivative a zero. Both frameworks compute it as a "
    "difference of two products of the rounded sigmoid, whose error is multiplied with a.",
    link=TORCH_SECOND,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="glu-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((-87.3, 6),), -0.205078125, None, 3),
        (0, "float16", ((-11.08, 9),), -7.921875, None, 3.5),
        (1, "bfloat16", ((-80, 1.3),), -6.1875, None, 5),
        (1, "float16", ((-11.08, 1.3),), -0.72509765625, None, 5),
        (2, "bfloat16", ((-80, -0.5), (0.5, 1.3)), 0.55078125, None, 10),
        (2, "float16", ((-11.08, -0.5), (0.5, 1.3)), 0.55224609375, None, 11),
    ),
    reason="JAX computes the sigmoid, the products and the derivatives in the 16-bit dtype, rounding after each step.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ROUNDED_SIGMOID = Deviation(
    id="glu-16-bit-rounding",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "bfloat16", ((-88.72, 1.3),), -13.0625, None, 2),
        (1, "float16", ((-9.7, 1.3),), 0.8916015625, None, 2),
        (2, "bfloat16", ((-88.72, -0.5), (0.5, 1.3)), 0.68359375, None, 8),
        (2, "float16", ((-9.7, -0.5), (0.5, 1.3)), -0.7734375, None, 8),
    ),
    reason="torch stores the sigmoid in 16 bits before it computes the gradient from it, and composes the second derivative "
    "from operations that each round to 16 bits.",
    link=TORCH_GRADIENT,
    seen=SEEN,
)

UNDERFLOW = Deviation(
    id="glu-16-bit-underflow",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "float16", ((-29, -9.7),), -17.0625, 0.0001531839370727539, LOST["float16"]),
        (2, "float16", ((-29, -9.7),), -17.0625, -5.418062210083008e-05, LOST["float16"]),
    ),
    reason="As glu-16-bit-rounding, where the stored sigmoid is subnormal in float16, or 0, although its product with a "
    "large a is a normal number.",
    link=TORCH_GRADIENT,
    seen=SEEN,
)

PRODUCT = Deviation(
    id="glu-product-overflow",
    cause="special",
    subjects=(TORCH,),
    regions=(
        Region(2, ("float64", "float32", "bfloat16"), ((-25, -25),), (Anchor(-25, {TORCH: inf}),)),
        Region(2, ("float16",), ((-25, -25),), (Anchor(-25, {TORCH: nan}),)),
    ),
    reason="torch multiplies a with the direction first, which overflows where a is the largest number, before the slope of "
    "the gate makes the product small again; in float16 that slope is 0, and infinity times 0 is NaN.",
    link=TORCH_SECOND,
    seen=SEEN,
)

PRODUCT_JAX = Deviation(
    id="glu-product-overflow-jax",
    cause="special",
    subjects=(JAX,),
    regions=(
        Region(1, ("float64", "float32", "bfloat16"), ((-25, -25),), (Anchor(-25, {JAX: inf}),)),
        Region(1, ("float16",), ((-25, -25),), (Anchor(-25, {JAX: nan}),)),
        Region(2, DTYPES, ((-25, -25),), (Anchor(-25, {JAX: nan}),)),
    ),
    reason="JAX multiplies a with the cotangent first, which overflows where a is the largest number, before the slope of "
    "the gate makes the product small again. The second derivative then subtracts two such infinities.",
    link=JAX_SOURCE,
    seen=SEEN,
)

INFINITE = Deviation(
    id="glu-infinite-number",
    cause="special",
    subjects=(JAX,),
    regions=(Region(2, DTYPES, ((0.5, 0.5),), (Anchor(0.5, {JAX: nan}),)),),
    reason="Where a is infinite, JAX's second derivative is the difference of two infinite products, NaN; torch subtracts "
    "before it multiplies with a, and has the infinite limit.",
    link=JAX_SIGMOID,
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="glu-zero-sign",
    cause="convention",
    subjects=BOTH,
    regions=(Region(2, DTYPES, ((-inf, -744), (744, inf)), (Anchor(inf, {TORCH: 0.0, JAX: -0.0}),)),),
    reason="Where the slope of the gate is 0, the second derivative is a sum of zeros, whose signs depend on the order in "
    "which the frameworks multiply.",
    link=TORCH_SECOND,
    seen=SEEN,
)

GLU = Activation(
    name="glu",
    latex=r"f(a, b)_j = \frac{a_j}{1 + e^{-b_j}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    torch_along=along,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    jax_along=along,
    limits=Limits(minus=(0, 0, 0), plus=(1, 0, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={
        "torch": Native("torch.nn.functional.glu", parameters={"axis": "dim"}),
        "jax": Native("jax.nn.glu"),
    },
    rows=True,
    symmetric=False,
    result="half",
    known_by="gate",
    deviations=(
        OVERFLOW,
        OVERFLOW_JAX,
        LOST_TAIL,
        CANCELLED,
        SIXTEEN_BITS,
        ROUNDED_SIGMOID,
        UNDERFLOW,
        PRODUCT,
        PRODUCT_JAX,
        INFINITE,
        ZERO_SIGN,
    ),
)
