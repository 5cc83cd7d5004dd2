"""Hard tanh: max(-1, min(x, 1)). Bounded as tanh is, by two comparisons; its slope at -1 and 1 is a choice."""

from typing import Any

from crosscheck._catalogue._kernels import flat, in_both, numpy_of, step
from crosscheck._catalogue._mechanisms import scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return m.maximum(-1, m.minimum(x, 1))


def derivative(m: Any, x: Any) -> Any:
    """1 where -1 < x < 1, 0 otherwise."""
    return m.where(x > -1, m.where(x < 1, 1.0, 0.0), 0.0)


def second_derivative(m: Any, x: Any) -> Any:
    """0, also at the kinks."""
    return m.where(x > 0, 0.0, 0.0)


def value(framework: Any, x: Any) -> Any:
    """Computed by comparisons that are false at NaN, so that NaN stays NaN."""
    m = numpy_of(framework)
    return m.where(x <= -1, -1.0, m.where(x >= 1, 1.0, x))


def gradient(framework: Any, x: Any) -> Any:
    return step(framework, x, abs(x) < 1)


SOURCE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html"
JAX_SOURCE = "https://docs.jax.dev/en/latest/_autosummary/jax.nn.hard_tanh.html"

DEVIATIONS = (
    recorded(
        id="hard-tanh-gradient-at-ends",
        cause="convention",
        implementations=("jax.native",),
        reason="At -1 and 1 torch's gradient is 0 and JAX's is 1. On one side of these points the slope is 0, on the "
        "other 1. torch stops the gradient where x <= -1 or x >= 1. JAX clips x where x < -1 or x > 1, so that -1 and 1 "
        "belong to the line.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="hard-tanh-gradient-at-nan",
        cause="convention",
        implementations=("torch.native", "jax.native"),
        reason="At NaN JAX's gradient is 1; torch's is 0 in its vectorised kernel and 1 in its scalar kernel. JAX lets "
        "the gradient through where x is not clipped, and NaN is not clipped. torch's vectorised kernel lets it through "
        "where -1 < x < 1, which is false for NaN. torch's scalar kernel computes the last entries of a tensor.",
        link="https://github.com/pytorch/pytorch/issues/195075",
    ),
    scalar_rest("hard-tanh-layout", of="the gradient", more="At NaN one of them gives 0, the other 1."),
)

HARD_TANH = Activation(
    name="hard_tanh",
    aliases=("hardtanh",),
    latex=r"f(x) = \max(-1, \min(x, 1))",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, flat),
    limits=Limits(minus=(-1, 0, 0), plus=(1, 0, 0)),
    kinks=(Kink(at=-1.0, chosen={1: 0.0}, source=SOURCE), Kink(at=1.0, chosen={1: 0.0}, source=SOURCE)),
    natives={"torch": Native("torch.nn.functional.hardtanh"), "jax": Native("jax.nn.hard_tanh")},
    deviations=DEVIATIONS,
)
