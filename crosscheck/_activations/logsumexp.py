"""Logsumexp: log(sum_k e^z_k) along an axis, a smooth maximum. Normalises scores in log space; softmax is its gradient."""

from math import inf, nan
from typing import Any

from crosscheck._activations import softmax
from crosscheck._activations._kernels import centred, in_float64, log_sum, numpy_of, softmax_parts, stable_exp
from crosscheck._activations._mechanisms import compiled_anew, scalar_rest
from crosscheck._spec.records import DTYPES, LONGEST, Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """log(sum_k e^z_k); the largest is taken out of the sum, so that equal entries give exact slopes."""
    top = m.max(x, axis=axis, keepdims=True)
    return top + m.log(m.sum(m.exp(x - top), axis=axis, keepdims=True))


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """s_j v, s being the softmax."""
    e, whole = stable_exp(m, x, axis)
    return e / whole * v


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """s_j (w_j - sum_k s_k w_k) v."""
    return softmax.derivative(m, x, w, axis) * v


@in_float64
def value(framework: Any, x: Any, axis: int) -> Any:
    """top + log(1 + rest), rest being the sum of what is not the largest. An infinite maximum is the limit."""
    m = numpy_of(framework)
    _, top, rest = log_sum(framework, x, axis)
    return m.where(m.isinf(top), top, top + m.log1p(rest))


@in_float64
def gradient(framework: Any, x: Any, v: Any, axis: int) -> Any:
    e, c, s, g = softmax_parts(framework, x, axis)
    return e * v / s * (1 + g) * c


@in_float64
def second(framework: Any, x: Any, v: Any, w: Any, axis: int) -> Any:
    e, c, s, g = of = softmax_parts(framework, x, axis)
    return e * (centred(framework, of, w, axis) * v) / s * (1 + g) * c


@in_float64
def along(framework: Any, x: Any, w: Any, axis: int) -> Any:
    """sum_k s_k w_k."""
    s = getattr(softmax.SOFTMAX, framework.__name__)(x, axis=axis)
    return numpy_of(framework).sum(s * w, axis, keepdims=True)


TORCH, JAX = BOTH = ("torch.native", "jax.native")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/ReduceOps.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/ops/special.py"

INFINITY = Deviation(
    id="logsumexp-infinite-maximum",
    cause="special",
    subjects=BOTH,
    regions=tuple(
        Region(order, DTYPES, ((at, at),), (Anchor(at, dict.fromkeys(BOTH, nan)),), lengths=lengths)
        for order in (1, 2)
        for at, lengths in ((inf, ()), (-inf, (1,)))
    ),
    reason="The value is right where the largest entry is infinite, but the derivatives subtract the infinity from itself. "
    "Where one entry alone is infinite they have limits: its slope is 1, the others' are 0.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

ROUNDED_RESULT = Deviation(
    id="logsumexp-rounded-result",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=tuple(
        Region(order, (dtype,), ((low, 0),), (Anchor(at, {TORCH: got}),), max_ulp)
        for order, dtype, low, max_ulp, at, got in (
            (1, "float64", -128, 600, -0.42897000268635566, 0.030802166096294728),
            (1, "float32", -104, 600, -0.95648193359375, -0.24531441926956177),
            (1, "bfloat16", -104, 4000, -4.0, -0.01806640625),
            (1, "float16", -32, 1000, -0.5, 0.03594970703125),
            (2, "float64", -128, 1200, -0.823997360323574, 0.17430701182470504),
            (2, "float32", -104, 1200, -0.78271484375, 0.09509693086147308),
            (2, "bfloat16", -104, 12000, -4.0, 0.00531005859375),
            (2, "float16", -32, 1600, -1.5, 0.03790283203125),
        )
    ),
    reason="torch computes the gradient as e^(x - y), y being the rounded result. Half an ULP of y, an absolute error, "
    "becomes a relative one: 500 ULP of the gradient where the entries are near 1000, and most of it in 16 bits.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
    bug=True,
)

ROUNDED_DIFFERENCE = Deviation(
    id="logsumexp-rounded-difference",
    cause="inaccurate",
    subjects=(JAX,),
    regions=tuple(
        Region(order, (dtype,), ((low, high),), (Anchor(at, {JAX: got}),), max_ulp)
        for order, dtype, low, high, max_ulp, at, got in (
            (1, "float64", -128, -64, 75, -89.81981981981983, -3.635323892354715e-40),
            (1, "float64", -64, -32, 40, -57.218500046285854, -3.1659424039396177e-27),
            (1, "float64", -32, -5, 25, -30.445900360935404, 2.4625796583304953e-14),
            (1, "float32", -92, -64, 75, -82.85606384277344, -2.3240811086624563e-38),
            (1, "float32", -64, -32, 40, -59.35871887207031, -3.72407612215308e-28),
            (1, "float32", -32, -4.4, 25, -16.916114807128906, 5.120319102047688e-08),
            (2, "float64", -128, -64, 75, -89.81981981981983, -7.021535250308866e-40),
            (2, "float64", -64, -8, 40, -42.94458748397115, -4.5590085905029614e-20),
            (2, "float32", -86, -64, 75, -82.94351196289062, -3.618177017479957e-38),
            (2, "float32", -64, -8, 40, -43.40247344970703, 8.976811515374369e-20),
        )
    ),
    reason="JAX rounds x - max before the exponential, which turns the absolute error of the difference, half an ULP of it, "
    "into a relative one: up to 32 to 64 ULP of the result at a difference between 64 and 128.",
    link=JAX_SOURCE,
    seen=SEEN,
)

FLUSHED_FACTOR = Deviation(
    id="logsumexp-flushed-factor",
    cause="inaccurate",
    subjects=(JAX,),
    regions=(
        Region(2, ("float32",), ((-92, -86),), (Anchor(-88.02020263671875, {JAX: -0.0}),), 2.0**24),
        Region(1, ("float32",), ((-92, -87.3),), (Anchor(-87.3368148803711, {}),), 2.0**24, lengths=(LONGEST,)),
    ),
    reason="The second derivative is a product with the exponential of the difference from the largest entry. XLA on CPU "
    "flushes that to 0 where it is subnormal, although the product is still a normal number.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="logsumexp-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=tuple(
        Region(order, (dtype,), ((low, 0),), (Anchor(at, {JAX: got}),), max_ulp)
        for order, dtype, low, max_ulp, at, got in (
            (1, "bfloat16", -92, 200, -66.0, -5.022825294961911e-31),
            (1, "float16", -32, 10, -9.375, -0.00010222196578979492),
            (2, "bfloat16", -92, 2.0**8, -85.0, -3.03057137321371e-38),
            (2, "float16", -32, 120, 0.0, -3.504753112792969e-05),
        )
    ),
    reason="JAX computes the difference, the exponential, the sum over the row and the products in the 16-bit dtype, "
    "rounding after each step, and flushing what is subnormal.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SIXTEEN_BITS_VALUE = Deviation(
    id="logsumexp-16-bit-rounding",
    cause="inaccurate",
    subjects=BOTH,
    regions=(
        Region(0, ("bfloat16",), ((-1, 1),), (Anchor(-0.16796875, dict.fromkeys(BOTH, -0.16796875)),), 4),
        Region(0, ("float16",), ((-1, 1),), (Anchor(0.00909423828125, dict.fromkeys(BOTH, 0.4052734375)),), 2.5),
    ),
    reason="Both frameworks round the logarithm of the sum to 16 bits before they add the largest entry, where another "
    "rounding follows.",
    link=TORCH_SOURCE,
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="logsumexp-zero-sign",
    cause="convention",
    subjects=BOTH,
    regions=(Region(2, DTYPES, ((-inf, -inf),), (Anchor(-inf, {TORCH: 0.0, JAX: -0.0}),)),),
    reason="At an entry of minus infinity the second derivative is 0 times what depends on the other entries; the "
    "frameworks multiply and add these in another order, which decides the sign.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

LAYOUT_JAX = compiled_anew(
    "logsumexp-layout-jax",
    Region(2, ("float32",), ((0.0, 0.0), (-22.0, -0.027)), (Anchor(0.0, {}),), 100.0, lengths=(8,)),
)

LAYOUT = scalar_rest(
    "logsumexp-layout",
    Region(1, ("bfloat16",), ((-92.5, -87.0),), (Anchor(-89.0, {}),), 1.3, lengths=(8,)),
    of="e^x",
    more="Here it is a subnormal that differs.",
)

LOGSUMEXP = Activation(
    name="logsumexp",
    latex=r"f(z) = \log \sum_k e^{z_k}",
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
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={
        "torch": Native("torch.logsumexp", parameters={"axis": "dim"}),
        "jax": Native("jax.nn.logsumexp"),
    },
    rows=True,
    symmetric=False,
    result="one",
    deviations=(
        INFINITY,
        ROUNDED_RESULT,
        ROUNDED_DIFFERENCE,
        FLUSHED_FACTOR,
        SIXTEEN_BITS,
        SIXTEEN_BITS_VALUE,
        ZERO_SIGN,
        LAYOUT_JAX,
        LAYOUT,
    ),
)
