"""Logmeanexp: log(mean_k e^z_k) along an axis, an average in log space. A smooth maximum; equal entries give that entry."""

from math import inf
from typing import Any

from crosscheck._catalogue import logsumexp
from crosscheck._catalogue._cancelled import corrected
from crosscheck._catalogue._kernels import expm1, in_both, in_float64, log1p, log_sum, numpy_of, wider
from crosscheck._catalogue._sums import total
from crosscheck._recorded.files import recorded
from crosscheck._records.deviations import Deviation
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """log(sum_k e^z_k / n); the largest is taken out of the sum, so that equal entries give themselves exactly."""
    top = m.max(x, axis=axis, keepdims=True)
    return top + m.log(m.sum(m.exp(x - top), axis=axis, keepdims=True) / x.shape[axis])


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """s_j v, s being the softmax, as of logsumexp."""
    return logsumexp.derivative(m, x, v, axis)


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """s_j (w_j - sum_k s_k w_k) v, as of logsumexp."""
    return logsumexp.second_derivative(m, x, v, w, axis)


def value(framework: Any, x: Any, axis: int) -> Any:
    """What ``rounded`` gives, corrected where its terms may cancel; of float64, no correction of float32 is left."""
    y = rounded(framework, x, axis)
    return y if wider(framework, x) else corrected(framework, x, y, axis, x.shape[axis])


@in_float64
def rounded(framework: Any, x: Any, axis: int) -> Any:
    """top + log(mean), the mean of e^(x - top) being 1 + mean(e^(x - top) - 1) where it is near 1."""
    m = numpy_of(framework)
    d, top, rest = log_sum(framework, x, axis)
    n = x.shape[axis]
    below = total(framework, expm1(framework, d), axis)[0] / n
    near = below > -0.5
    logarithm = m.where(near, log1p(framework, m.where(near, below, m.zeros_like(below))), m.log((1 + rest) / n))
    return m.where(m.isinf(top), top, top + logarithm)


JAX = "jax.native"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"


INHERITED = (
    "logsumexp-infinite-maximum",
    "logsumexp-rounded-difference",
    "logsumexp-flushed-factor",
    "logsumexp-16-bit-arithmetic",
    "logsumexp-layout-jax",
)
"""Those of logsumexp's deviations that this has too, since it has the same gradient."""


def without_torch(deviation: Deviation) -> Deviation:
    """logsumexp's deviation in JAX alone: torch ships no logmeanexp."""
    return recorded(
        id=deviation.id.replace("logsumexp", "logmeanexp"),
        cause=deviation.cause,
        implementations=(JAX,),
        reason=deviation.reason,
        link=deviation.link,
        modes=deviation.modes,
    )


DEVIATIONS = (
    recorded(
        id="logmeanexp-subtracted-logarithm",
        cause="inaccurate",
        implementations=(JAX,),
        reason="Where the log-sum-exp and log(n) nearly cancel, JAX's value loses digits. JAX subtracts log(n) from the "
        "log-sum-exp, and the rounding errors of both remain in the difference.",
        link=JAX_SOURCE,
    ),
    *(without_torch(deviation) for deviation in logsumexp.DEVIATIONS if deviation.id in INHERITED),
)

LOGMEANEXP = Activation(
    name="logmeanexp",
    latex=r"f(z) = \log \frac{1}{n} \sum_k e^{z_k}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, logsumexp.gradient, logsumexp.second, logsumexp.along),
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={"jax": Native("jax.nn.logmeanexp")},  # torch ships none
    rows=True,
    symmetric=False,
    result="one",
    deviations=DEVIATIONS,
)
