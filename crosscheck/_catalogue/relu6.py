"""ReLU6: min(max(0, x), 6). A ReLU that is at most 6, so that a format of few bits keeps its digits."""

from typing import Any

from crosscheck._catalogue._kernels import flat, in_both, numpy_of, step
from crosscheck._catalogue._mechanisms import compiled_nan, scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return m.minimum(m.maximum(0, x), 6)


def derivative(m: Any, x: Any) -> Any:
    """1 where 0 < x < 6, 0 otherwise."""
    return m.where(x > 0, m.where(x < 6, 1.0, 0.0), 0.0)


def second_derivative(m: Any, x: Any) -> Any:
    """0, also at the kinks."""
    return m.where(x > 0, 0.0, 0.0)


def value(framework: Any, x: Any) -> Any:
    """Computed by comparisons that are false at NaN, so that NaN stays NaN; either zero gives 0."""
    m = numpy_of(framework)
    return m.where(x <= 0, 0.0, m.where(x >= 6, 6.0, x))


def gradient(framework: Any, x: Any) -> Any:
    return step(framework, x, (x > 0) & (x < 6))


SOURCE = "https://docs.jax.dev/en/latest/_autosummary/jax.nn.relu6.html"

# At NaN torch's gradient is 0 or 1, by the position in the tensor (https://github.com/pytorch/pytorch/issues/195075): its
# vectorised kernel asks 0 < x < 6 and its scalar one, for what is left at the end, x <= 0 or x >= 6. The inputs hold NaN
# where the vectorised one runs, which agrees with JAX.

DEVIATIONS = (
    recorded(
        id="relu6-negative-zero",
        cause="convention",
        implementations=("torch.native", "jax.native"),
        reason="At -0 torch keeps the sign and JAX returns 0. The maximum of 0 and -0 may be either zero.",
        link="https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html",
    ),
    compiled_nan("relu6-compiled-nan-gradient", 1.0, 0.0),
    scalar_rest("relu6-layout", of="the gradient", more="At NaN one of them gives 0, the other 1."),
)

RELU6 = Activation(
    name="relu6",
    latex=r"\operatorname{ReLU6}(x) = \min(\max(0, x), 6)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, flat),
    limits=Limits(minus=(0, 0, 0), plus=(6, 0, 0)),
    # torch chooses so too
    kinks=(Kink(at=0.0, chosen={1: 0.0}, source=SOURCE), Kink(at=6.0, chosen={1: 0.0}, source=SOURCE)),
    natives={"torch": Native("torch.nn.functional.relu6"), "jax": Native("jax.nn.relu6")},
    deviations=DEVIATIONS,
)
