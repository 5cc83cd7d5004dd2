"""Standardize: x minus its mean, divided by its standard deviation, along an axis. What layer normalisation does before it
scales and shifts: any level and any scale of the activations is removed, which steadies training.
"""

import math
from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import deviation, in_float64, mean, numpy_of
from crosscheck._activations._mechanisms import compiled_anew, long_rows
from crosscheck._activations._regions import regions
from crosscheck._spec.ranges import POSITIVE
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Limits, Native, Region, Seen

FAR = 1e300
"""Beyond it an entry is infinite."""


def definition(m: Any, x: Any, axis: int = -1, epsilon: float = 1e-5) -> Any:
    """(x - mean) / sqrt(mean((x - mean)^2) + epsilon)."""
    n = x.shape[axis]
    c = x - m.sum(x, axis=axis, keepdims=True) / n
    return c / m.sqrt(m.sum(c * c, axis=axis, keepdims=True) / n + epsilon)


def standardized(m: Any, x: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    """(y, s, far), the function itself, what it divides by, and whether that is infinite.

    The mean is subtracted twice, since its rounding may be large beside the differences; these are then taken by their
    magnitude and sign, so that in a formula's scale each is one term and not a difference of two levels.
    """
    n = x.shape[axis]
    c = x - m.sum(x, axis=axis, keepdims=True) / n
    c = c - m.sum(c, axis=axis, keepdims=True) / n
    c = m.where(m.greater(c, 0), m.abs(c), -m.abs(c))
    s = m.sqrt(m.sum(c * c, axis=axis, keepdims=True) / n + epsilon)
    return c / s, s, m.greater(m.max(m.abs(x), axis=axis, keepdims=True), FAR)


def derivative(m: Any, x: Any, v: Any, axis: int = -1, epsilon: float = 1e-5) -> Any:
    """(d - y mean(y v)) / s with d = v - mean(v) and s = sqrt(variance + epsilon), y being the function itself."""
    y, s, far = standardized(m, x, axis, epsilon)
    n = x.shape[axis]
    d = v - m.sum(v, axis=axis, keepdims=True) / n
    return m.where(far, 0, (d - y * (m.sum(y * v, axis=axis, keepdims=True) / n)) / s)


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1, epsilon: float = 1e-5) -> Any:
    """(3 y mean(y v) mean(y w) - d mean(y w) - e mean(y v) - y mean(d e)) / s^2 with d = v - mean(v), e = w - mean(w)."""
    y, s, far = standardized(m, x, axis, epsilon)
    n = x.shape[axis]
    d, e = (a - m.sum(a, axis=axis, keepdims=True) / n for a in (v, w))
    along_v, along_w, both = (m.sum(a, axis=axis, keepdims=True) / n for a in (y * v, y * w, d * e))
    return m.where(far, 0, (3 * y * along_v * along_w - d * along_w - e * along_v - y * both) / s / s)


def parts(framework: Any, x: Any, axis: int, epsilon: float) -> tuple[Any, Any, Any]:
    """(y, s, t): the function itself, and s / t, what it divides by.

    Rows of huge entries, whose squares would overflow, are made smaller by t, a power of two. Beside an infinite entry all
    others are equal: a single one has a limit, and two of opposite signs that are alone; t is 0 then. Others have none.
    """
    m = numpy_of(framework)
    n, bits = x.shape[axis], math.frexp(float(m.finfo(x.dtype).max))[1]
    infinite = m.isinf(x)
    signs = m.where(infinite, m.sign(x), x * 0)
    count = m.sum(infinite, axis, keepdims=True)
    top = m.amax(abs(x), axis, keepdims=True)
    limit = ((count < 2) | (m.sum(signs, axis, keepdims=True) == 0) & (n == 2)) & ~m.isnan(top)
    one = m.ones_like(top)
    t = m.where(top > 2.0 ** (bits * 7 // 16), 2.0 ** -(bits * 9 // 16) * one, one)
    c = deviation(framework, m.where(count > 0, signs, x * t), axis)
    rest = m.clip(m.where(count > 0, 0 * one, epsilon * t * t), m.finfo(x.dtype).tiny, None)
    s = m.sqrt(mean(framework, c * c, axis) + rest)
    return m.where(limit, c / s, nan * one), s, m.where(count > 0, m.where(limit, 0 * one, nan * one), t)


@in_float64
def value(framework: Any, x: Any, axis: int, epsilon: float) -> Any:
    return parts(framework, x, axis, epsilon)[0]


@in_float64
def gradient(framework: Any, x: Any, v: Any, axis: int, epsilon: float) -> Any:
    """(d - y mean(y d)) / s with d = v - mean(v)."""
    y, s, t = parts(framework, x, axis, epsilon)
    d = deviation(framework, v, axis)
    return numpy_of(framework).where(t == 0, t, (d - y * mean(framework, y * d, axis)) / s * t)


@in_float64
def second(framework: Any, x: Any, v: Any, w: Any, axis: int, epsilon: float) -> Any:
    """(y (3 mean(y d) mean(y e) - mean(d e)) - d mean(y e) - e mean(y d)) / s^2 with d = v - mean(v), e = w - mean(w)."""
    y, s, t = parts(framework, x, axis, epsilon)
    d, e = (deviation(framework, a, axis) for a in (v, w))
    along_v, along_w, both = (mean(framework, a, axis) for a in (y * d, y * e, d * e))
    whole = y * (3 * along_v * along_w - both) - d * along_w - e * along_v
    return numpy_of(framework).where(t == 0, t, whole / s * t / s * t)


LAYER_NORM = "torch.nn.functional.layer_norm(x.movedim(axis, -1), (x.shape[axis],), eps=epsilon).movedim(-1, axis)"
TORCH, JAX, STABLE = NATIVES = ("torch.native", "jax.native", "jax.native.matched")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/layer_norm_kernel.cpp"
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"
EVERYWHERE = ((-104.0, 0.0),)
OF_TWO, LONGER = (2,), (8, 32, 100, 1000)
"""Rows of two entries, of which two that are nearly equal may leave no digit, and all longer ones."""

INFINITY = Deviation(
    id="standardize-infinite-entry",
    cause="special",
    subjects=NATIVES,
    regions=tuple(
        Region(order, DTYPES, ((at, at),), (Anchor(at, dict.fromkeys(NATIVES, nan)),), lengths=lengths)
        for order in (0, 1, 2)
        for at, lengths in ((inf, ()), (-inf, (1, 2)), (0.0, (2,)))
    ),
    reason="Both frameworks subtract the infinite mean from the infinity. A single infinite entry has a limit: in a "
    "row of n, sqrt(n - 1) up to its sign, and 1/sqrt(n - 1) with the other sign at all others. A row of one is always 0.",
    link=TORCH_SOURCE,
    seen=SEEN,
)

CANCELLED_VARIANCE = Deviation(
    id="standardize-cancelled-variance",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "float64", EVERYWHERE, -0.4357440059466171, 0.8575127065745631, inf, "AVX512"),
        (0, "float64", EVERYWHERE, -0.4357440059466171, 0.8575127068847905, inf, "AVX2"),
        (0, "float32", EVERYWHERE, -1.153076171875, -0.7729305028915405, inf),
        (0, "bfloat16", EVERYWHERE, -24.0, 0.76171875, inf),
        (0, "float16", EVERYWHERE, -1.6875, -0.220947265625, inf),
        (1, "float64", EVERYWHERE, -0.4357440059466171, 3.835645104002836, inf, "AVX512"),
        (1, "float64", EVERYWHERE, -0.4357440059466171, 3.8356451053765213, inf, "AVX2"),
        (1, "float32", EVERYWHERE, -1.72943115234375, -1.41693115234375, inf),
        (1, "bfloat16", EVERYWHERE, -8.0, -1073741824.0, inf),
        (1, "float16", EVERYWHERE, -1.5, -0.5263671875, inf),
        (2, "float64", EVERYWHERE, -1.2601185437217737, 6.349219533738506, inf, "AVX512"),
        (2, "float64", EVERYWHERE, -1.2601185437217737, 6.349219540628837, inf, "AVX2"),
        (2, "float32", EVERYWHERE, -1.153076171875, 4.775390625, inf),
        (2, "bfloat16", EVERYWHERE, -84.0, 6.103515625e-05, inf),
        (2, "float16", EVERYWHERE, -1.0, -0.02734375, inf),
    ),
    reason="By default JAX computes the variance as mean(x^2) - mean(x)^2, of which nothing is left where the mean is "
    "large beside the spread: at 950 with a spread of 1, float32 may be off by half, or divide by sqrt(epsilon) alone. It "
    'is kept for compatibility; algorithm="stable" avoids it.',
    link="https://github.com/jax-ml/jax/issues/37281",
    seen=SEEN,
)

ROUNDED_MEAN = Deviation(
    id="standardize-rounded-mean",
    cause="inaccurate",
    subjects=(TORCH, STABLE),
    regions=tuple(
        Region(
            order,
            (dtype,),
            EVERYWHERE,
            (Anchor(at, {TORCH: torch} if jax is None else {TORCH: torch, STABLE: jax}),),  # None: another on some CPUs
            max_ulp,
            lengths,
            capability=next(iter(capability), None),
        )
        for order, dtype, lengths, max_ulp, at, torch, jax, *capability in (
            (0, "float64", (), inf, -0.6849980137697003, -0.009729268983148446, -0.009729268983358505, "AVX512"),
            (0, "float64", (), inf, -0.6849980137697003, -0.009729268983148446, -0.009729268983358507, "AVX2"),
            (0, "float32", (), inf, -0.68499755859375, -0.009681937284767628, None),
            (2, "float64", OF_TWO, inf, -0.14581761291026396, 0.6204908034306413, 0.620490803048849),
            (2, "float64", LONGER, 1200, -0.9560902099431132, -3.0581758836089823, -3.0581758836082087),
            (2, "float32", OF_TWO, inf, -0.35540771484375, 0.014177322387695312, 0.010530948638916016),
            (2, "float32", LONGER, 1800, -1.23876953125, 8.704514503479004, None),
        )
    ),
    reason="Both frameworks round the mean to the dtype before they subtract it. Half an ULP of a level of 950 is 256 ULP "
    "of a difference of 1, and more of a smaller one: an entry beside the mean keeps no digit.",
    link=TORCH_SOURCE,
    seen=SEEN,
)

ROUNDED_MEAN_GRADIENT = Deviation(
    id="standardize-rounded-mean-gradient",
    cause="inaccurate",
    subjects=(STABLE,),
    regions=tuple(
        Region(1, (dtype,), EVERYWHERE, (Anchor(at, {STABLE: got}),), max_ulp, lengths)
        for dtype, lengths, max_ulp, at, got in (
            ("float64", OF_TWO, inf, -0.14581761291026396, -0.019716190198453276),
            ("float64", LONGER, 1300, -0.269655696057157, -1.1435817296656992),
            ("float32", OF_TWO, inf, -0.35540771484375, -0.0012996196746826172),
            ("float32", LONGER, 1500, -1.23876953125, 2.2541861534118652),
        )
    ),
    reason="As standardize-rounded-mean, where torch deviates by more: see standardize-unshifted-gradient.",
    link=JAX_SOURCE,
    seen=SEEN,
)

UNSHIFTED = Deviation(
    id="standardize-unshifted-gradient",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=tuple(
        Region(1, (dtype,), EVERYWHERE, (Anchor(at, {TORCH: got}),), max_ulp, lengths)
        for dtype, lengths, max_ulp, at, got in (
            ("float64", OF_TWO, inf, -0.14581761291026396, -0.019716190232429653),
            ("float64", LONGER, 2700, -0.8911025040993081, -0.16135736347496277),
            ("float32", OF_TWO, inf, -0.37261962890625, 0.0029296875),
            ("float32", LONGER, 2000, -0.0604248046875, 1.587158203125),
        )
    ),
    reason="torch's gradient is a v + b x + c: it multiplies x as it is, and takes the mean away from sums and products "
    "that are rounded already. With x - mean in its place, as in the value, only the mean's own rounding would be left.",
    link=TORCH_SOURCE,
    seen=SEEN,
    bug=True,
)

SIXTEEN_BITS = Deviation(
    id="standardize-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(STABLE,),
    regions=regions(
        STABLE,
        (0, "bfloat16", EVERYWHERE, -4.0, -2.0, 350),
        (0, "float16", EVERYWHERE, -0.5, 1.0693359375, 2800),
        (1, "bfloat16", EVERYWHERE, -4.0, -1.0859375, 110),
        (1, "float16", EVERYWHERE, -1.0, 3.373046875, 600),
        (2, "bfloat16", EVERYWHERE, -4.0, 0.546875, 60),
        (2, "float16", EVERYWHERE, -21.0, 0.00046539306640625, 600),
    ),
    reason="JAX rounds the mean, the differences, the variance and the products to 16 bits, one after the other. An entry "
    "beside the mean keeps no digit.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SIXTEEN_BITS_OFFSET = Deviation(
    id="standardize-16-bit-offset",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (0, "bfloat16", EVERYWHERE, -1.0, -1.9073486328125e-06, inf),
        (0, "float16", EVERYWHERE, -0.5, 0.2296142578125, inf),
    ),
    reason="In 16 bits torch computes x / s - mean / s in float32, whose two terms are rounded before they cancel: equal "
    "entries give up to 0.02 where 0 is exact. Since that was reported it subtracts the mean first, but not in 16 bits.",
    link="https://github.com/pytorch/pytorch/issues/108072",
    seen=SEEN,
    bug=True,
)

SIXTEEN_BITS_MOMENTS = Deviation(
    id="standardize-16-bit-moments",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "bfloat16", EVERYWHERE, -4.0, 1.3046875, 260),
        (1, "float16", EVERYWHERE, -0.5, -4.1953125, 2000),
        (2, "bfloat16", EVERYWHERE, -4.0, 1.296875, 450),
        (2, "float16", EVERYWHERE, -0.5, 47.90625, 2400),
    ),
    reason="torch saves the mean and 1 / s for the derivatives in 16 bits. At a level of 950 the mean is off by up to 2 in "
    "bfloat16, more than the spread.",
    link=TORCH_SOURCE,
    seen=SEEN,
)

OVERFLOWN_SQUARE = Deviation(
    id="standardize-float16-square",
    cause="special",
    subjects=(JAX,),
    regions=regions(JAX, *((order, "float16", EVERYWHERE, -64.0, nan, inf) for order in (0, 1, 2))),
    reason="The square of an entry beyond 256 is infinite in float16, and mean(x^2) - mean(x)^2 is NaN for the whole row. "
    "The derivatives of equal entries are NaN too: see standardize-float16-cube.",
    link="https://github.com/jax-ml/jax/issues/37281",
    seen=SEEN,
    bug=True,
)

OVERFLOWN_CUBE = Deviation(
    id="standardize-float16-cube",
    cause="special",
    subjects=(TORCH, STABLE),
    regions=(Region(2, ("float16",), ((-0.25, 0),), (Anchor(0.0, dict.fromkeys((TORCH, STABLE), nan)),)),),
    reason="Both frameworks multiply by 1 / s^3, which is infinite in float16 where the entries are nearly equal, s being "
    "0.003: infinity times a difference of 0 is NaN.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

OVERFLOWN_CUBE_GRADIENT = Deviation(
    id="standardize-float16-cube-gradient",
    cause="special",
    subjects=(STABLE,),
    regions=regions(STABLE, (1, "float16", ((-0.25, 0),), 0.0, nan, inf)),
    reason="As standardize-float16-cube, in the gradient already: NaN for a row of equal entries, such as one of padding.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="standardize-zero-sign",
    cause="convention",
    subjects=(TORCH, JAX),
    regions=(Region(2, ("float64", "float32", "bfloat16"), ((0.0, 0.0),), (Anchor(0.0, {TORCH: -0.0, JAX: 0.0}),)),),
    reason="The second derivative is 0 where all entries are equal. The frameworks add and subtract its terms in another "
    "order, which decides the sign.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

TWICE_FORWARD = Deviation(
    id="standardize-second-derivative-forward",
    cause="definition",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "float64", EVERYWHERE, 0.0, None, 2.0**53),
        (2, "float32", EVERYWHERE, 0.0, None, 2.0**24),
        (2, "bfloat16", EVERYWHERE, 0.0, None, 200.0),
        (2, "float16", EVERYWHERE, 0.0, None, 1500.0),
    ),
    reason="torch's forward-mode rule of layer_norm takes the saved mean and deviation for constants when it is itself "
    "differentiated: the derivative of the derivative lacks terms. Reverse mode, and forward over reverse, have them.",
    link="https://github.com/pytorch/pytorch/issues/196700",
    seen=SEEN,
    modes=("forward",),
    bug=True,
)

OVERFLOWN_CUBE_FORWARD = Deviation(
    id="standardize-float16-cube-gradient-forward",
    cause="special",
    subjects=(TORCH,),
    regions=regions(TORCH, (1, "float16", ((-0.25, 0),), 0.0, nan, inf)),
    reason="As standardize-float16-cube: in forward mode torch multiplies by 1 / s^3 in the first derivative already.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
    modes=("forward",),
)

LAYOUT_JAX = compiled_anew(
    "standardize-layout-jax",
    Region(0, ("float32",), ((-110.0, 0.0),), (Anchor(-0.4630126953125, {}),), 2.0**22, lengths=(8,)),
    Region(1, ("float32",), ((-110.0, 0.0),), (Anchor(0.0, {}),), 2.0**25, lengths=(8,)),
    Region(2, ("float32",), ((-110.0, 0.0),), (Anchor(-0.89105224609375, {}),), 2.0**27, lengths=(8,)),
    more="The default algorithm, mean(x^2) - mean(x)^2, cancels: any of its digits may be left.",
)

FARTHER = -1.1e4
"""Beyond what a mask of -10,000 is below the largest entry."""
LONG_SUM = "As standardize-rounded-mean. In long rows the rounding of the mean, and of the sums of the derivatives, grows."
LONG_ROW = long_rows(
    "standardize-long-row",
    TORCH,
    LONG_SUM,
    TORCH_SOURCE,
    (0, FARTHER, 0, inf, -10010.673828125),
    (1, FARTHER, 0, 4500, -0.06719970703125),
    (2, FARTHER, 0, 31000, -8.5),
)
LONG_ROW_JAX = long_rows(
    "standardize-long-row-jax",
    JAX,
    "As standardize-cancelled-variance. In long rows mean(x^2) and mean(x) are sums of more rounded terms.",
    JAX_SOURCE,
    (0, FARTHER, 0, inf, -10010.673828125),
    (1, FARTHER, 0, inf, -10010.673828125),
)
LONG_ROW_STABLE = long_rows(
    "standardize-long-row-stable",
    STABLE,
    "As standardize-rounded-mean-gradient. In long rows the rounding of the sums of the derivatives grows.",
    JAX_SOURCE,
    (1, FARTHER, 0, 540, -0.0694580078125),
    (2, FARTHER, 0, 310, -0.04229736328125),
)

STANDARDIZE = Activation(
    name="standardize",
    latex=r"f(x)_j = \frac{x_j - \mu}{\sqrt{\sigma^2 + \epsilon}}, \quad \mu = \frac{1}{n} \sum_k x_k, \quad "
    r"\sigma^2 = \frac{1}{n} \sum_k (x_k - \mu)^2",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(-1, 0, 0), plus=(1, 0, 0)),  # of a row of two entries; in one of n, sqrt(n - 1)
    parameters={"axis": -1, "epsilon": 1e-5},
    cases=({"axis": 0, "epsilon": 1e-5}, {"axis": 0, "epsilon": 1e-3}),
    ranges={"epsilon": POSITIVE},
    natives={
        # torch ships none by this name; its layer_norm takes the shape of what it normalizes
        "torch": Native(
            "torch.nn.functional.layer_norm",
            call="torch.nn.functional.layer_norm(x.movedim(axis, -1), (x.shape[axis],), eps=epsilon).movedim(-1, axis)",
        ),
        # the default algorithm loses the variance where the level is large
        "jax": Native("jax.nn.standardize", matched={"algorithm": "stable"}),
    },
    rows=True,
    deviations=(
        INFINITY,
        CANCELLED_VARIANCE,
        ROUNDED_MEAN,
        ROUNDED_MEAN_GRADIENT,
        UNSHIFTED,
        SIXTEEN_BITS,
        SIXTEEN_BITS_OFFSET,
        SIXTEEN_BITS_MOMENTS,
        OVERFLOWN_SQUARE,
        OVERFLOWN_CUBE,
        OVERFLOWN_CUBE_GRADIENT,
        ZERO_SIGN,
        TWICE_FORWARD,
        OVERFLOWN_CUBE_FORWARD,
        LAYOUT_JAX,
        LONG_ROW,
        LONG_ROW_JAX,
        LONG_ROW_STABLE,
    ),
)
