"""ReLU, the rectified linear unit: max(0, x). Piecewise linear; its slope at 0 is a choice."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import numpy_of
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return m.maximum(0, x)


def derivative(m: Any, x: Any) -> Any:
    """1 where x > 0, 0 otherwise."""
    return m.where(x > 0, 1.0, 0.0)


def second_derivative(m: Any, x: Any) -> Any:
    """0, also at the kink."""
    return m.where(x > 0, 0.0, 0.0)


def torch_value(torch: Any, x: Any) -> Any:
    return torch.relu(x) + 0.0  # torch.relu(-0.0) is -0.0, JAX's maximum gives 0.0


def jax_value(jax: Any, x: Any) -> Any:
    return jax.numpy.maximum(x, 0)


def gradient(framework: Any, x: Any) -> Any:
    """The step, NaN at NaN in both frameworks."""
    m = numpy_of(framework)
    return m.where(m.isnan(x), x, m.where(x > 0, m.ones_like(x), m.zeros_like(x)))


def second(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(m.isnan(x), x, m.zeros_like(x))


DEVIATIONS = (
    recorded(
        id="relu-negative-zero",
        cause="convention",
        implementations=("torch.native", "jax.native"),
        reason="At -0 torch keeps the sign and JAX returns 0. The maximum of 0 and -0 may be either zero.",
        link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu.html",
    ),
    recorded(
        id="relu-gradient-at-nan",
        cause="convention",
        implementations=("torch.native", "jax.native"),
        reason="At NaN torch's gradient is 1 and JAX's is 0. torch stops the gradient where x <= 0, and JAX lets it "
        "through where x > 0. At NaN neither is true.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    ),
)

RELU = Activation(
    name="relu",
    latex=r"\operatorname{ReLU}(x) = \max(0, x)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=torch_value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=jax_value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    kinks=(Kink(at=0.0, chosen={1: 0.0}, source="https://docs.jax.dev/en/latest/_autosummary/jax.nn.relu.html"),),
    natives={"torch": Native("torch.relu"), "jax": Native("jax.nn.relu")},
    deviations=DEVIATIONS,
)
