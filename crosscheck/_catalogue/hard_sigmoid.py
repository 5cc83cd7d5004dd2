"""Hard sigmoid: (x + 3) / 6, clipped to between 0 and 1. It approximates the sigmoid without exp, by three lines."""

from typing import Any

from crosscheck._catalogue._kernels import flat, in_both, numpy_of, step
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return m.minimum(m.maximum(x + 3, 0), 6) / 6


def derivative(m: Any, x: Any) -> Any:
    """1/6 where -3 < x < 3, 0 otherwise."""
    return m.where(x > -3, m.where(x < 3, 1 / 6, 0.0), 0.0)


def second_derivative(m: Any, x: Any) -> Any:
    """0, also at the kinks."""
    return m.where(x > 0, 0.0, 0.0)


def value(framework: Any, x: Any) -> Any:
    """Computed by comparisons that are false at NaN, so that NaN stays NaN."""
    m = numpy_of(framework)
    return m.where(x <= -3, 0.0, m.where(x >= 3, 1.0, (x + 3) / 6))


def gradient(framework: Any, x: Any) -> Any:
    return step(framework, x, abs(x) < 3) / 6


second = flat

TORCH, JAX = "torch.native", "jax.native"
SOURCE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="hard-sigmoid-no-second-derivative",
        cause="error",
        implementations=(TORCH,),
        reason="torch raises an error when it is asked for the second derivative of hardsigmoid. It has no derivative of "
        "the backward pass of hardsigmoid; for hardtanh it has one.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="hard-sigmoid-float64-gradient-in-float32",
        cause="definition",
        implementations=(TORCH,),
        reason="In float64 torch's gradient is wrong from the eighth digit on. torch's backward kernel keeps its "
        "constant 1/6 in single precision, for float64 too.",
        link=CPU_KERNEL,
        bug=True,
    ),
    recorded(
        id="hard-sigmoid-gradient-below-three",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At the last float below 3 JAX's gradient is 0. JAX differentiates relu6(x + 3). There x + 3 rounds to 6, "
        "the kink, where the slope of relu6 is 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="hard-sigmoid-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX rounds x + 3 to 16 bits before it divides by 6.",
        link=JAX_SOURCE,
    ),
)

HARD_SIGMOID = Activation(
    name="hard_sigmoid",
    latex=r"f(x) = \frac{\min(\max(x + 3, 0), 6)}{6}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(1, 0, 0)),
    kinks=(Kink(at=-3.0, chosen={1: 0.0}, source=SOURCE), Kink(at=3.0, chosen={1: 0.0}, source=SOURCE)),
    deviations=DEVIATIONS,
    natives={"torch": Native("torch.nn.functional.hardsigmoid"), "jax": Native("jax.nn.hard_sigmoid")},
)
