"""Hard SiLU, also called hard swish: x times hard sigmoid(x). A parabola between two lines; not monotonic."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import in_both, numpy_of, step
from crosscheck._catalogue._mechanisms import compiled_anew, compiled_nan, scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Kink, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return x * m.minimum(m.maximum(x + 3, 0), 6) / 6


def derivative(m: Any, x: Any) -> Any:
    """(2x + 3) / 6 where -3 < x < 3; 0 to the left of it, 1 to the right."""
    return m.where(x > -3, m.where(x < 3, (2 * m.minimum(x, 3) + 3) / 6, 1.0), 0.0)


def second_derivative(m: Any, x: Any) -> Any:
    """1/3 where -3 < x < 3, 0 otherwise."""
    return m.where(x > -3, m.where(x < 3, 1 / 3, 0.0), 0.0)


def value(framework: Any, x: Any) -> Any:
    """Computed by comparisons that are false at NaN, so that NaN stays NaN."""
    m = numpy_of(framework)
    return m.where(x <= -3, 0.0, m.where(x >= 3, x, x * ((x + 3) / 6)))


def gradient(framework: Any, x: Any) -> Any:
    m = numpy_of(framework)
    return m.where(x <= -3, 0.0, m.where(x >= 3, 1.0, (2 * x + 3) / 6))


def second(framework: Any, x: Any) -> Any:
    return step(framework, x, abs(x) < 3) / 3


TORCH, JAX = "torch.native", "jax.native"
SOURCE = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardswish.html"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="hard-silu-at-infinity",
        cause="special",
        implementations=(TORCH, JAX),
        reason="At minus infinity both frameworks return NaN, where the limit is 0. They multiply x by the hard sigmoid, "
        "and -inf times 0 is NaN.",
        link=SOURCE,
    ),
    recorded(
        id="hard-silu-overflow",
        cause="special",
        implementations=(TORCH,),
        reason="From a sixth of the largest float on, torch's value is infinite, although the exact value is x. torch "
        "multiplies x by 6 before it divides by 6, and that product overflows.",
        link=CPU_KERNEL,
        bug=True,
    ),
    recorded(
        id="hard-silu-derivatives-below-three",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At the last float below 3 JAX's derivatives are those to the right of 3. JAX differentiates relu6(x + "
        "3). There x + 3 rounds to 6, the kink, where the slope of relu6 is 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="hard-silu-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX adds, divides and multiplies in the 16-bit dtype "
        "and rounds after each step.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="hard-silu-gradient-at-infinity-forward",
        cause="special",
        implementations=(JAX,),
        reason="At the infinities JAX's gradient in forward mode is NaN. It multiplies x by the slope of relu6, which is "
        "0 there. In reverse mode JAX multiplies before it selects the slope, and the selection drops the product.",
        link=JAX_SOURCE,
        modes=("forward",),
    ),
    recorded(
        id="hard-silu-second-derivative-at-nan",
        cause="convention",
        implementations=(TORCH, JAX),
        reason="At NaN torch's second derivative in forward mode is NaN and JAX's is 0. JAX selects a constant slope, "
        "whose derivative is 0.",
        link=JAX_SOURCE,
        modes=("forward",),
    ),
    compiled_nan("hard-silu-compiled-nan-gradient", 1.0),
    compiled_anew("hard-silu-layout-jax"),
    scalar_rest("hard-silu-layout", of="the gradient", more="At NaN one of them gives NaN, the other 1."),
)

HARD_SILU = Activation(
    name="hard_silu",
    aliases=("hardswish", "hard_swish"),
    latex=r"f(x) = \frac{x}{6} \min(\max(x + 3, 0), 6)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    # JAX chooses so too
    kinks=(Kink(at=-3.0, chosen={1: 0.0, 2: 0.0}, source=SOURCE), Kink(at=3.0, chosen={1: 1.0, 2: 0.0}, source=SOURCE)),
    natives={"torch": Native("torch.nn.functional.hardswish"), "jax": Native("jax.nn.hard_silu")},
    deviations=DEVIATIONS,
)
