"""PReLU, the parametric ReLU: x for x > 0, w x otherwise. A leaky ReLU whose slope w is learned, one or one per channel."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import in_both, numpy_of
from crosscheck._recorded.files import recorded
from crosscheck._records.ranges import MODERATE
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any, weight: float = 0.25) -> Any:
    return m.where(x > 0, x, weight * x)


def derivative(m: Any, x: Any, weight: float = 0.25) -> Any:
    """1 where x > 0, w otherwise."""
    return m.where(x > 0, 1.0, weight)


def second_derivative(m: Any, x: Any, weight: float = 0.25) -> Any:
    """0, also at the kink."""
    return m.where(x > 0, 0.0, 0.0)


def aligned(framework: Any, x: Any, weight: Any) -> Any:
    """The weight in x's dtype; one per channel lies along dimension 1 of x, as torch's prelu has it."""
    if getattr(weight, "ndim", 0):
        count, channels = weight.shape[0], x.shape[1] if x.ndim > 1 else 1
        if weight.ndim > 1 or count not in (1, channels):
            expected = f"one number, or one for each of the {channels} channels of x, of shape {tuple(x.shape)}"
            raise ValueError(f"prelu: weight: got shape {tuple(weight.shape)}, expected {expected}")
        weight = weight.reshape(() if count == 1 else (count, *(1 for _ in range(x.ndim - 2))))
    if framework.__name__ == "jax":
        return framework.numpy.asarray(weight, x.dtype)
    return weight.to(x.dtype) if isinstance(weight, framework.Tensor) else weight


def value(framework: Any, x: Any, weight: Any) -> Any:
    """The weight does not multiply infinity: its gradient there would be 0 times infinity."""
    where = numpy_of(framework).where
    return where(x > 0, x, aligned(framework, x, weight) * where(x == inf, 0.0, x))


def gradient(framework: Any, x: Any, weight: Any) -> Any:
    m = numpy_of(framework)
    ones = m.ones_like(x)
    return m.where(x > 0, ones, aligned(framework, x, weight) * ones)


def second(framework: Any, x: Any, weight: Any) -> Any:
    """Given, since torch would otherwise find no path from the gradient back to the input."""
    return numpy_of(framework).zeros_like(x)


def limits(weight: float) -> Limits:
    return Limits(minus=(-inf * weight, weight, 0), plus=(inf, 1, 0))


def kinks(weight: float) -> tuple[Kink, ...]:
    """As torch's reverse mode chooses; its forward mode tests x >= 0 instead of x > 0, and takes 1."""
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.prelu.html"
    return (Kink(at=0.0, chosen={1: weight}, source=source),)


DEVIATIONS = (
    recorded(
        id="prelu-forward-slope-at-zero",
        cause="convention",
        implementations=("torch.native",),
        reason="At 0 torch's gradient is the weight in reverse mode and 1 in forward mode: two derivatives of one "
        "function. Reverse mode tests x > 0, which is false at 0. Forward mode tests x >= 0, which is true at 0.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
        modes=("forward",),
        bug=True,
    ),
)

PRELU = Activation(
    name="prelu",
    latex=r"f(x) = \begin{cases} x & x > 0 \\ w x & \text{otherwise} \end{cases}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=limits,
    kinks=kinks,
    parameters={"weight": 0.25},
    cases=({"weight": 0.1}, {"weight": 1.5}),
    ranges={"weight": MODERATE},
    # JAX ships none
    natives={"torch": Native("torch.nn.functional.prelu", call="torch.nn.functional.prelu(x, x.new_full((1,), weight))")},
    deviations=DEVIATIONS,
)
