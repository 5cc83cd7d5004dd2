"""Hard tanh: max(-1, min(x, 1)). Bounded as tanh is, at the cost of two comparisons; its slope at -1 and 1 is a choice."""

from typing import Any

from crosscheck._activations._kernels import flat, numpy_of, step
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Kink, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    return m.maximum(-1, m.minimum(x, 1))


def derivative(m: Any, x: Any) -> Any:
    """1 where -1 < x < 1, 0 otherwise."""
    return m.where(x > -1, m.where(x < 1, 1.0, 0.0), 0.0)


def second_derivative(m: Any, x: Any) -> Any:
    """0, also at the kinks."""
    return m.where(x > 0, 0.0, 0.0)


def value(framework: Any, x: Any) -> Any:
    """By comparisons that NaN fails, so that it stays."""
    m = numpy_of(framework)
    return m.where(x <= -1, -1.0, m.where(x >= 1, 1.0, x))


def gradient(framework: Any, x: Any) -> Any:
    return step(framework, x, abs(x) < 1)


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
SOURCE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html"
JAX_SOURCE = "https://docs.jax.dev/en/latest/_autosummary/jax.nn.hard_tanh.html"

HARD_TANH = Activation(
    name="hard_tanh",
    aliases=("hardtanh",),
    latex=r"f(x) = \max(-1, \min(x, 1))",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=flat,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=flat,
    limits=Limits(minus=(-1, 0, 0), plus=(1, 0, 0)),
    kinks=(Kink(at=-1.0, chosen={1: 0.0}, source=SOURCE), Kink(at=1.0, chosen={1: 0.0}, source=SOURCE)),
    natives={"torch": Native("torch.nn.functional.hardtanh"), "jax": Native("jax.nn.hard_tanh")},
    deviations=(),
)
