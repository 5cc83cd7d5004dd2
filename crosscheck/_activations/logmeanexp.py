"""Logmeanexp: log(mean_k e^z_k) along an axis, a smooth maximum that keeps equal entries. Averages in log space."""

from dataclasses import replace
from math import inf
from typing import Any

from crosscheck._activations import logsumexp
from crosscheck._activations._kernels import expm1, in_float64, log1p, log_sum, numpy_of, total
from crosscheck._spec.records import Activation, Anchor, Deviation, Limits, Native, Region


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


@in_float64
def value(framework: Any, x: Any, axis: int) -> Any:
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


def without_torch(deviation: Deviation) -> Deviation:
    """logsumexp's deviation, whose gradient this has too, in JAX alone: torch ships no logmeanexp."""
    regions = tuple(
        replace(
            region,
            anchors=tuple(
                Anchor(one.input, {name: got for name, got in one.results.items() if name == JAX}) for one in region.anchors
            ),
        )
        for region in deviation.regions
    )
    return replace(deviation, id=deviation.id.replace("logsumexp", "logmeanexp"), subjects=(JAX,), regions=regions)


SUBTRACTED = Deviation(
    id="logmeanexp-subtracted-logarithm",
    cause="inaccurate",
    subjects=(JAX,),
    regions=(
        Region(0, ("float64",), ((0, 0),), (Anchor(0.0, {JAX: -0.6931471805599458}),), 6),
        Region(0, ("bfloat16",), ((-1, 1.1),), (Anchor(0.1962890625, {JAX: 0.01953125}),), 4),
        Region(0, ("float16",), ((-1, 1.1),), (Anchor(0.00909423828125, {JAX: -0.2880859375}),), 5),
    ),
    reason="JAX subtracts log(n) from the log-sum-exp. Where the two cancel, what the rounding of each has left remains.",
    link=JAX_SOURCE,
    seen=logsumexp.SEEN,
)

LOGMEANEXP = Activation(
    name="logmeanexp",
    latex=r"f(z) = \log \frac{1}{n} \sum_k e^{z_k}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=logsumexp.gradient,
    torch_second=logsumexp.second,
    torch_along=logsumexp.along,
    jax_value=value,
    jax_gradient=logsumexp.gradient,
    jax_second=logsumexp.second,
    jax_along=logsumexp.along,
    limits=Limits(minus=(-inf, 1, 0), plus=(inf, 1, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={"jax": Native("jax.nn.logmeanexp")},  # torch ships none
    rows=True,
    symmetric=False,
    result="one",
    deviations=(
        SUBTRACTED,
        without_torch(logsumexp.INFINITY),
        without_torch(logsumexp.ROUNDED_DIFFERENCE),
        without_torch(logsumexp.FLUSHED_FACTOR),
        without_torch(logsumexp.SIXTEEN_BITS),
        without_torch(logsumexp.LAYOUT_JAX),
    ),
)
