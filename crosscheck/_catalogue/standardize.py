"""Standardize: x minus its mean, divided by its standard deviation, along an axis. What layer normalisation does before it
scales and shifts: any level and any scale of the activations is removed, which steadies training.
"""

import math
from math import nan
from typing import Any

from crosscheck._catalogue._kernels import deviation, in_both, in_float64, mean, numpy_of
from crosscheck._catalogue._mechanisms import compiled_anew
from crosscheck._recorded.files import recorded
from crosscheck._records.ranges import POSITIVE
from crosscheck._records.records import Activation, Limits, Native

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
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/layer_norm_kernel.cpp"
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="standardize-infinite-entry",
        cause="special",
        implementations=NATIVES,
        reason="Both frameworks subtract the infinite mean from the infinity. A single infinite entry has a limit: in a row "
        "of n, sqrt(n - 1) up to its sign, and 1/sqrt(n - 1) with the other sign at all others. A row of one is always 0.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="standardize-cancelled-variance",
        cause="inaccurate",
        implementations=(JAX,),
        reason="By default JAX computes the variance as mean(x^2) - mean(x)^2, of which nothing is left where the mean is "
        "large beside the spread: at 950 with a spread of 1, float32 may be off by half, or divide by sqrt(epsilon) alone. "
        'It is kept for compatibility; algorithm="stable" avoids it.',
        link="https://github.com/jax-ml/jax/issues/37281",
    ),
    recorded(
        id="standardize-rounded-mean",
        cause="inaccurate",
        implementations=(TORCH, STABLE),
        reason="Both frameworks round the mean to the dtype before they subtract it. Half an ULP of a level of 950 is 256 "
        "ULP of a difference of 1, and more of a smaller one: an entry beside the mean keeps no digit.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="standardize-rounded-mean-gradient",
        cause="inaccurate",
        implementations=(STABLE,),
        reason="As standardize-rounded-mean, where torch deviates by more: see standardize-unshifted-gradient.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="standardize-unshifted-gradient",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch's gradient is a v + b x + c: it multiplies x as it is, and takes the mean away from sums and products "
        "that are rounded already. With x - mean in its place, as in the value, only the mean's own rounding would be left.",
        link=TORCH_SOURCE,
        bug=True,
    ),
    recorded(
        id="standardize-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(STABLE,),
        reason="JAX rounds the mean, the differences, the variance and the products to 16 bits, one after the other. An "
        "entry beside the mean keeps no digit.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="standardize-16-bit-offset",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In 16 bits torch computes x / s - mean / s in float32, whose two terms are rounded before they cancel: "
        "equal entries give up to 0.02 where 0 is exact. Since that was reported it subtracts the mean first, but not in 16 "
        "bits.",
        link="https://github.com/pytorch/pytorch/issues/108072",
        bug=True,
    ),
    recorded(
        id="standardize-16-bit-moments",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch saves the mean and 1 / s for the derivatives in 16 bits. At a level of 950 the mean is off by up to 2 "
        "in bfloat16, more than the spread.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="standardize-float16-square",
        cause="special",
        implementations=(JAX,),
        reason="The square of an entry beyond 256 is infinite in float16, and mean(x^2) - mean(x)^2 is NaN for the whole "
        "row. The derivatives of equal entries are NaN too: see standardize-float16-cube.",
        link="https://github.com/jax-ml/jax/issues/37281",
        bug=True,
    ),
    recorded(
        id="standardize-float16-cube",
        cause="special",
        implementations=(TORCH, STABLE),
        reason="Both frameworks multiply by 1 / s^3, which is infinite in float16 where the entries are nearly equal, s "
        "being 0.003: infinity times a difference of 0 is NaN.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="standardize-float16-cube-gradient",
        cause="special",
        implementations=(STABLE,),
        reason="As standardize-float16-cube, in the gradient already: NaN for a row of equal entries, such as one of "
        "padding.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="standardize-zero-sign",
        cause="convention",
        implementations=(TORCH, JAX),
        reason="The second derivative is 0 where all entries are equal. The frameworks add and subtract its terms in "
        "another order, which decides the sign.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="standardize-second-derivative-forward",
        cause="definition",
        implementations=(TORCH,),
        reason="torch's forward-mode rule of layer_norm takes the saved mean and deviation for constants when it is itself "
        "differentiated: the derivative of the derivative lacks terms. Reverse mode, and forward over reverse, have them.",
        link="https://github.com/pytorch/pytorch/issues/196700",
        modes=("forward",),
        bug=True,
    ),
    recorded(
        id="standardize-float16-cube-gradient-forward",
        cause="special",
        implementations=(TORCH,),
        reason="As standardize-float16-cube: in forward mode torch multiplies by 1 / s^3 in the first derivative already.",
        link=TORCH_DERIVATIVES,
        modes=("forward",),
    ),
    compiled_anew(
        "standardize-layout-jax",
        more="The default algorithm, mean(x^2) - mean(x)^2, cancels: any of its digits may be left.",
    ),
    recorded(
        id="standardize-long-row",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="As standardize-rounded-mean. In long rows the rounding of the mean, and of the sums of the derivatives, "
        "grows.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="standardize-long-row-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="As standardize-cancelled-variance. In long rows mean(x^2) and mean(x) are sums of more rounded terms.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="standardize-long-row-stable",
        cause="inaccurate",
        implementations=(STABLE,),
        reason="As standardize-rounded-mean-gradient. In long rows the rounding of the sums of the derivatives grows.",
        link=JAX_SOURCE,
    ),
)

STANDARDIZE = Activation(
    name="standardize",
    latex=r"f(x)_j = \frac{x_j - \mu}{\sqrt{\sigma^2 + \epsilon}}, \quad \mu = \frac{1}{n} \sum_k x_k, \quad "
    r"\sigma^2 = \frac{1}{n} \sum_k (x_k - \mu)^2",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
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
    deviations=DEVIATIONS,
)
