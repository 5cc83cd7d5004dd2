"""Standardize: x minus its mean, divided by its standard deviation, along an axis. What layer normalisation does before it
scales and shifts: any level and any scale of the activations is removed, which steadies training.
"""

import math
from math import nan
from typing import Any

from crosscheck._catalogue._kernels import deviation, in_both, in_float64, numpy_of
from crosscheck._catalogue._mechanisms import compiled_anew
from crosscheck._catalogue._sums import mean
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
    ones = m.ones_like(top)
    t = m.where(top > 2.0 ** (bits * 7 // 16), 2.0 ** -(bits * 9 // 16) * ones, ones)
    c = deviation(framework, m.where(count > 0, signs, x * t), axis)
    rest = m.clip(m.where(count > 0, 0 * ones, epsilon * t * t), m.finfo(x.dtype).tiny, None)
    s = m.sqrt(mean(framework, c * c, axis) + rest)
    return m.where(limit, c / s, nan * ones), s, m.where(count > 0, m.where(limit, 0 * ones, nan * ones), t)


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
        reason="Where an entry of a row is infinite, both frameworks return NaN: they subtract the infinite mean from "
        "the infinity. With a single infinite entry the limit exists. In a row of n entries it is sqrt(n - 1), up to its "
        "sign, for that entry, and 1/sqrt(n - 1) with the other sign for all others. In a row of one entry the result is "
        "always 0.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="standardize-cancelled-variance",
        cause="inaccurate",
        implementations=(JAX,),
        reason="Where the mean is large beside the spread, JAX's result may lose all digits. By default JAX computes the "
        "variance as mean(x^2) - mean(x)^2, of which no digit is left there. At a mean of 950 with a spread of 1, "
        "float32 may be off by half, or divide by sqrt(epsilon) alone. JAX keeps this default for compatibility; "
        'algorithm="stable" avoids it.',
        link="https://github.com/jax-ml/jax/issues/37281",
    ),
    recorded(
        id="standardize-rounded-mean",
        cause="inaccurate",
        implementations=(TORCH, STABLE),
        reason="An entry near the mean of its row may lose all digits. Both frameworks round the mean to the dtype "
        "before they subtract it. At a mean of 950, half an ULP of the mean is 256 ULP of a difference of 1, and more of "
        "a smaller difference.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="standardize-rounded-mean-gradient",
        cause="inaccurate",
        implementations=(STABLE,),
        reason="JAX's gradient has the error of standardize-rounded-mean, too. torch deviates by more at these inputs: "
        "see standardize-unshifted-gradient.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="standardize-unshifted-gradient",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Where the mean is large beside the spread, torch's gradient loses digits. torch computes it as a v + b x "
        "+ c: it multiplies x as it is, and subtracts the mean from sums and products that are already rounded. With x - "
        "mean in place of x, as in the value, only the rounding of the mean would remain.",
        link=TORCH_SOURCE,
        bug=True,
    ),
    recorded(
        id="standardize-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(STABLE,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX rounds the mean, the differences, the variance "
        "and the products to 16 bits, one after the other. An entry near the mean keeps no digit.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="standardize-16-bit-offset",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the 16-bit dtypes torch's value loses its digits where an entry is near the mean of its row. torch "
        "computes x / s - mean / s in float32, and rounds both terms before they cancel. In float16, where the "
        "difference is too small for the format, the result is sometimes -0. Since this was reported, torch subtracts the "
        "mean first, but not in the 16-bit dtypes.",
        link="https://github.com/pytorch/pytorch/issues/108072",
        bug=True,
    ),
    recorded(
        id="standardize-16-bit-moments",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the 16-bit dtypes torch's derivatives lose digits. torch saves the mean and 1 / s for them in 16 "
        "bits. At a mean of 950 the saved mean is off by up to 2 in bfloat16, which is more than the spread.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="standardize-float16-square",
        cause="special",
        implementations=(JAX,),
        reason="In float16 JAX returns NaN for a whole row if an entry is beyond 256. JAX computes mean(x^2) - "
        "mean(x)^2, and the square of that entry is infinite. For a row of equal entries the derivatives are NaN, too: "
        "see standardize-float16-cube.",
        link="https://github.com/jax-ml/jax/issues/37281",
        bug=True,
    ),
    recorded(
        id="standardize-float16-cube",
        cause="special",
        implementations=(TORCH, STABLE),
        reason="In float16 the second derivative is NaN where the entries of a row are nearly equal. Both frameworks "
        "multiply by 1 / s^3, which is infinite there, s being 0.003. They multiply it by a difference of 0, and "
        "infinity times 0 is NaN.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="standardize-float16-cube-gradient",
        cause="special",
        implementations=(STABLE,),
        reason="In float16 JAX's gradient is NaN, too, for a row of equal entries, such as a row of padding: see "
        "standardize-float16-cube.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="standardize-zero-sign",
        cause="convention",
        implementations=(TORCH, JAX),
        reason="Where all entries of a row are equal, the second derivative is a zero whose sign differs between the "
        "frameworks. They add and subtract its terms in another order, and the order decides the sign.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="standardize-second-derivative-forward",
        cause="definition",
        implementations=(TORCH,),
        reason="In forward mode torch's second derivative lacks terms. torch's forward-mode rule of layer_norm takes the "
        "saved mean and deviation for constants when it is itself differentiated. Reverse mode, and forward over "
        "reverse, have these terms.",
        link="https://github.com/pytorch/pytorch/issues/196700",
        modes=("forward",),
        bug=True,
    ),
    recorded(
        id="standardize-float16-cube-gradient-forward",
        cause="special",
        implementations=(TORCH,),
        reason="In float16 torch's gradient in forward mode is NaN where the entries of a row are nearly equal. There "
        "torch multiplies by 1 / s^3 in the first derivative already: see standardize-float16-cube.",
        link=TORCH_DERIVATIVES,
        modes=("forward",),
    ),
    compiled_anew(
        "standardize-layout-jax",
        more="The terms of the default algorithm, mean(x^2) - mean(x)^2, cancel, so that any digit may differ.",
    ),
    recorded(
        id="standardize-long-row",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In long rows the error of standardize-rounded-mean is larger. There the rounding errors of the mean, and "
        "of the sums of the derivatives, are larger.",
        link=TORCH_SOURCE,
    ),
    recorded(
        id="standardize-long-row-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In long rows the error of standardize-cancelled-variance is larger. There mean(x^2) and mean(x) are sums "
        "of more rounded terms.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="standardize-long-row-stable",
        cause="inaccurate",
        implementations=(STABLE,),
        reason="In long rows the error of standardize-rounded-mean-gradient is larger. There the rounding errors of the "
        "sums of the derivatives are larger.",
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
