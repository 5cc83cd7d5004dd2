"""GLU, the gated linear unit: a sigmoid(b), a and b being the halves of a row. b decides how much of a passes."""

from math import frexp
from typing import Any

from crosscheck._catalogue import sigmoid
from crosscheck._catalogue._kernels import FAR, bell, halves, in_both, numpy_of, size, tanh
from crosscheck._catalogue._mechanisms import compiled_anew
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """a / (1 + e^-b), as a e^b / (1 + e^b) where b is negative: a gate of minus infinity gives 0."""
    a, b = halves(x, axis)
    z = m.exp(-m.abs(b))
    return a * (m.where(m.greater(b, 0), 1, z) / (1 + z))


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """(s(b) v, a s(b) s(-b) v), s being the sigmoid."""
    a, e, c, z, open_ = _parts(m, x, axis)
    by_a = m.where(open_, v, v * e) / (1 + z) * m.where(open_, 1, c)
    return m.concatenate((by_a, a * e / _square(z) * v * c), axis)


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """(s' w_b v, s' (w_a - w_b a tanh(b/2)) v) with s' = s(b) s(-b), w_a and w_b being the halves of w."""
    a, e, c, z, _ = _parts(m, x, axis)
    p, q = halves(w, axis)
    slope = e / _square(z)
    t = m.tanh(halves(x, axis)[1] / 2)
    return m.concatenate((slope * q * v * c, (slope * p - slope * a * t * q) * v * c), axis)


def _square(z: Any) -> Any:
    """(1 + z)^2, in which a small z is rounded once."""
    return 1 + z * (2 + z)


def _parts(m: Any, x: Any, axis: int) -> tuple[Any, Any, Any, Any, Any]:
    """(a, e, c, z, b > 0) with z = e c = e^-|b|, c being 1 unless that is tiny: multiply by e first, to keep digits."""
    a, b = halves(x, axis)
    d = m.minimum(m.abs(b), FAR)
    half = m.where(m.greater(d, 600), d / 2, 0)
    e, c = m.exp(half - d), m.exp(-half)
    return a, e, c, e * c, m.greater(b, 0)


def value(framework: Any, x: Any, axis: int) -> Any:
    """As in silu: a / (1 + z) above 0; below, a is multiplied by e before c."""
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
TORCH_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
TORCH_GRADIENT = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/GatedLinearUnit.cpp"
TORCH_SECOND = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"
JAX_SIGMOID = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py"

DEVIATIONS = (
    recorded(
        id="glu-exp-overflow",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="At gates b where e^-b overflows to infinity, torch's result is 0, although the exact product is a normal "
        "number where a is large. torch multiplies a by 1 / (1 + e^-b), which is 0 there. The derivatives are 0 for the "
        "same reason.",
        link=TORCH_KERNEL,
    ),
    recorded(
        id="glu-exp-overflow-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At very negative gates b JAX's result is 0, although the exact one is a normal number. JAX multiplies a "
        "by 1 / (1 + e^-b). This quotient is 0 where e^-b overflows, in float16 from b = -11.09 on. It is also 0 where "
        "it is subnormal, or its product with a direction is, since XLA flushes subnormals.",
        link=JAX_SIGMOID,
    ),
    recorded(
        id="glu-derivative-lost-tail",
        cause="inaccurate",
        implementations=BOTH,
        reason="At large gates b the slope of the gate loses digits, down to 0, although the exact slope is e^-b. Both "
        "frameworks compute the slope as s (1 - s) from the rounded sigmoid s. The closer s is to 1, the fewer digits 1 "
        "- s keeps. Where s rounds to 1, the slope is 0.",
        link=TORCH_KERNEL,
    ),
    recorded(
        id="glu-second-derivative-cancelled",
        cause="inaccurate",
        implementations=BOTH,
        reason="Near a gate of 0 the second derivative loses digits. There the slope s (1 - s) of the gate has its "
        "maximum, so the derivative of the slope is near 0. Both frameworks compute that derivative as a difference of "
        "two products of the rounded sigmoid s, and multiply the error of the difference by a.",
        link=TORCH_SECOND,
    ),
    recorded(
        id="glu-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes the sigmoid, the products and the "
        "derivatives in the 16-bit dtype and rounds after each step.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="glu-16-bit-rounding",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the 16-bit dtypes the rounding errors of torch's derivatives add up. torch rounds the sigmoid to 16 "
        "bits before it computes the gradient from it. It computes the second derivative in several operations, each of "
        "which rounds to 16 bits.",
        link=TORCH_GRADIENT,
    ),
    recorded(
        id="glu-16-bit-underflow",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In float16 torch's derivatives lose digits, down to 0, where the gate is very negative. torch stores the "
        "sigmoid in float16, as glu-16-bit-rounding says. There the stored sigmoid is subnormal, or 0, although its "
        "product with a large a is a normal number.",
        link=TORCH_GRADIENT,
    ),
    recorded(
        id="glu-product-overflow",
        cause="special",
        implementations=(TORCH,),
        reason="Where a is the largest number, torch's second derivative is infinite, and NaN in float16. torch "
        "multiplies a by the direction first, and that product overflows before the slope of the gate makes it small "
        "again. In float16 that slope is 0, and infinity times 0 is NaN.",
        link=TORCH_SECOND,
    ),
    recorded(
        id="glu-product-overflow-jax",
        cause="special",
        implementations=(JAX,),
        reason="Where a is the largest number, JAX's derivatives are infinite or NaN. JAX multiplies a by the cotangent "
        "first, and that product overflows before the slope of the gate makes it small again. The second derivative then "
        "subtracts two such infinities.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="glu-infinite-number",
        cause="special",
        implementations=(JAX,),
        reason="Where a is infinite, JAX's second derivative is NaN: it is the difference of two infinite products. "
        "torch subtracts before it multiplies by a, and returns the limit, which is infinite.",
        link=JAX_SIGMOID,
    ),
    recorded(
        id="glu-zero-sign",
        cause="convention",
        implementations=BOTH,
        reason="Where the slope of the gate is 0, the second derivative is a zero whose sign differs between the "
        "frameworks. It is a sum of zeros. The frameworks multiply in another order, and the order decides the signs.",
        link=TORCH_SECOND,
    ),
    compiled_anew("glu-layout-jax", more=""),
)

GLU = Activation(
    name="glu",
    latex=r"f(a, b)_j = \frac{a_j}{1 + e^{-b_j}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second, along),
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
    deviations=DEVIATIONS,
)
