"""ReLU, the rectified linear unit: max(0, x). Piecewise linear; its slope at 0 is a choice."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import numpy_of
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Kink, Limits, Native, Region, Seen


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


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)

NEGATIVE_ZERO = Deviation(
    id="relu-negative-zero",
    cause="convention",
    subjects=("torch.native", "jax.native"),
    regions=(Region(0, DTYPES, ((-0.0, -0.0),), (Anchor(-0.0, {"torch.native": -0.0, "jax.native": 0.0}),)),),
    reason="The maximum of 0 and -0 may be either zero: torch keeps the sign of the input -0, JAX returns 0.",
    link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu.html",
    seen=SEEN,
)

GRADIENT_AT_NAN = Deviation(
    id="relu-gradient-at-nan",
    cause="convention",
    subjects=("torch.native", "jax.native"),
    regions=(Region(1, DTYPES, ((nan, nan),), (Anchor(nan, {"torch.native": 1.0, "jax.native": 0.0}),)),),
    reason="torch masks the gradient where x <= 0, JAX keeps it where x > 0; NaN is neither, so torch lets the gradient "
    "through and JAX stops it.",
    link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    seen=SEEN,
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
    deviations=(NEGATIVE_ZERO, GRADIENT_AT_NAN),
)
