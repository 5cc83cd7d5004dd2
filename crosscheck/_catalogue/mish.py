"""Mish: x times tanh(softplus(x)). Smooth, not monotonic, unbounded above; close to SiLU."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import FAR, Mended, as_it_is, exp_parts, in_both, mending, numpy_of, size
from crosscheck._catalogue._mechanisms import compiled_anew, composed_gradient, scalar_rest
from crosscheck._catalogue._zeros import MISH_GRADIENT, MISH_SECOND_ABOVE, MISH_SECOND_BELOW
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return x * m.tanh(m.log1p(m.exp(x)))


def derivative(m: Any, x: Any) -> Any:
    """With z = e^-|x|, z (1 - |x| - z q / (2 + z (2 + z))^2), q being (2 - 4 |x|) (1 + 2 z) + z^2 (3 - 4 |x| + z (1 - |x|)).

    That is below 0; above, 1 - 2 z^2 (1 + 2 (z - x) (1 + z)) / (1 + 2 z (1 + z))^2.
    """
    return _gradient(m, x, *_tail(m, x), as_it_is)


def second_derivative(m: Any, x: Any) -> Any:
    """With z = e^-|x|, 4 z (2 (2 - |x|) + z (8 - 2 |x| + z (6 + 3 |x| + 2 z (1 + |x|)))) / (2 + z (2 + z))^3.

    That is below 0; above, 4 z^2 (2 (1 - x) + z (3 (2 - x) + 2 z (4 + x + z (2 + x)))) / (1 + 2 z (1 + z))^3.
    """
    return _second(m, x, *_tail(m, x), as_it_is)


def _tail(m: Any, x: Any) -> tuple[Any, Any, Any]:
    """(a, e, c) with a = |x| and e^-a = e c, c being 1 unless e^-a is tiny: multiply by e first, to keep digits."""
    a = m.minimum(m.abs(x), FAR)
    half = m.where(a > 600, a / 2, 0)
    return a, m.exp(half - a), m.exp(-half)


def _gradient(m: Any, x: Any, a: Any, e: Any, c: Any, mended: Mended) -> Any:
    z = e * c
    q = (2 - 4 * a) * (1 + 2 * z) + z * z * ((3 - 4 * a) + z * (1 - a))
    below = e * mended(MISH_GRADIENT, (1 - a) - z * q / (2 + z * (2 + z)) ** 2) * c
    above = 2 * z * z * (1 + 2 * (z - a) * (1 + z)) / (1 + 2 * z * (1 + z)) ** 2
    return m.where(x > 0, 1 - above, below)


def _second(m: Any, x: Any, a: Any, e: Any, c: Any, mended: Mended) -> Any:
    """The polynomials meet e before what is tiny."""
    z = e * c
    of_below = 2 * (2 - a) + z * ((8 - 2 * a) + z * ((6 + 3 * a) + 2 * z * (1 + a)))
    below = 4 * e * mended(MISH_SECOND_BELOW, of_below) / (2 + z * (2 + z)) ** 3
    w = 2 * (z + z * z)  # 1 + w cubed, by Horner's rule, rounds less than as a product
    of_above = 2 * (1 - a) + z * (3 * (2 - a) + 2 * z * ((4 + a) + z * (2 + a)))
    above = 4 * e * mended(MISH_SECOND_ABOVE, of_above) / (1 + w * (3 + w * (3 + w))) * z
    return m.where(x > 0, above, below) * c


def value(framework: Any, x: Any) -> Any:
    """With z = e^-|x|, x z (1 - z (1 + z) / (2 + z (2 + z))) below 0 and x (1 - 2 z^2 / (1 + 2 z (1 + z))) above."""
    m = numpy_of(framework)
    a = size(framework, x)
    e, c = exp_parts(framework, -a)
    z = e * c
    below = -a * e * (1 - z * (1 + z) / (2 + z * (2 + z))) * c
    return m.where(x > 0, x * (1 - 2 * z * z / (1 + 2 * z * (1 + z))), below)


def gradient(framework: Any, x: Any) -> Any:
    a = size(framework, x)
    return _gradient(numpy_of(framework), x, a, *exp_parts(framework, -a), mending(framework, x))


def second(framework: Any, x: Any) -> Any:
    a = size(framework, x)
    return _second(numpy_of(framework), x, a, *exp_parts(framework, -a), mending(framework, x))


TORCH, JAX = "torch.native", "jax.native"
BOTH = (TORCH, JAX)
TORCH_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"
JAX_RULES = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py"
JAX_LOGADDEXP = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/other.py"

DEVIATIONS = (
    recorded(
        id="mish-at-infinity",
        cause="special",
        implementations=BOTH,
        reason="At minus infinity both frameworks return NaN, where the limit is 0. They multiply x by "
        "tanh(softplus(x)), and -inf times 0 is NaN. At both infinities the derivatives are NaN, too: they also multiply "
        "an infinite x by 0.",
        link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mish.html",
    ),
    recorded(
        id="mish-second-derivative-overflow",
        cause="special",
        implementations=(TORCH,),
        reason="Where e^x overflows, from 11.09 on in float16, torch's second derivative is NaN; the exact value is 0 or "
        "near 0. For the second derivative torch computes softplus from exp and log1p. There the derivative of exp is "
        "infinite and that of log1p is 0, and their product is NaN.",
        link=TORCH_DERIVATIVES,
        bug=True,
    ),
    recorded(
        id="mish-second-derivative-overflow-jax",
        cause="special",
        implementations=(JAX,),
        reason="Where 2 x overflows, JAX's second derivative is NaN. JAX computes the derivative of tanh as (1 + t) (1 - "
        "t). The derivative of that multiplies x by 1 + t, which is 2. The infinite product meets a later factor, which "
        "is 0, and infinity times 0 is NaN.",
        link=JAX_RULES,
    ),
    recorded(
        id="mish-subnormal-exp",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Where e^x is subnormal, torch's value loses digits; where e^x rounds to 0, the value is 0, although the "
        "exact one is not. torch multiplies x by tanh(log1p(e^x)). A subnormal e^x holds few digits, and x multiplies "
        "its error.",
        link=TORCH_KERNEL,
    ),
    recorded(
        id="mish-derivative-exp-overflow",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Where e^-x overflows to infinity, torch's derivatives lose the larger of the gradient's two terms, "
        "although it is still a normal number at first. This term contains the sigmoid, which torch computes as 1 / (1 + "
        "e^-x).",
        link=TORCH_KERNEL,
    ),
    recorded(
        id="mish-flushed-exp",
        cause="inaccurate",
        implementations=(JAX,),
        reason="Where e^x is subnormal, JAX's results are 0, although x e^x is still a normal number. XLA on the CPU "
        "flushes e^x to 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="mish-value-over-budget",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At a few inputs the error of JAX's value is a few ULP more than the budget allows. It is the error of "
        "XLA's tanh on the CPU.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="mish-gradient-near-one",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Where t = tanh(softplus(x)) is near 1, torch's gradient loses digits. The gradient is t + x s (1 - t^2), "
        "s being the sigmoid, and x multiplies the error of the rounded t.",
        link=TORCH_KERNEL,
    ),
    recorded(
        id="mish-gradient-near-one-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="Where tanh(softplus(x)) is near 1, JAX's gradient loses digits, as torch's does: see "
        "mish-gradient-near-one. JAX's error is larger, since XLA's tanh has a larger error.",
        link=JAX_RULES,
    ),
    recorded(
        id="mish-derivatives-cancelled",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Near the zero of the gradient at -1.19, and near the zeros of the second derivative at -2.26 and 1.49, "
        "torch's derivatives lose digits, since their terms cancel. Very near to a zero, the error is counted in ULP of "
        "the terms, and passes. Further away, it is counted in ULP of the result, and is above the budget.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="mish-derivatives-rounded-exponent",
        cause="inaccurate",
        implementations=(JAX,),
        reason="At negative x JAX's derivatives lose digits. JAX computes their sigmoid as e^(x - softplus(x)), and the "
        "exponential multiplies the rounding error of its argument by the size of the argument. Near the zeros of the "
        "derivatives, where terms cancel, this error and others are larger.",
        link=JAX_LOGADDEXP,
    ),
    recorded(
        id="mish-second-derivative-lost-tail",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Where t = tanh(softplus(x)) is near 1, torch's second derivative loses digits, down to 0, although the "
        "exact one is not 0. It has a factor 1 - t^2, which torch computes from the rounded t. The closer t is to 1, the "
        "fewer digits the factor keeps. Where t rounds to 1, the second derivative is 0.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="mish-second-derivative-lost-tail-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="Where tanh(softplus(x)) is near 1, JAX's second derivative loses digits, as torch's does: see "
        "mish-second-derivative-lost-tail. XLA's tanh stays below 1 for longer. In float64 the result is therefore a "
        "hundred times too large before it is 0.",
        link=JAX_RULES,
    ),
    recorded(
        id="mish-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes softplus, tanh, the product and the "
        "derivatives in the 16-bit dtype and rounds after each step.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="mish-second-derivative-rounded",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="In the 16-bit dtypes the rounding errors of torch's second derivative add up. torch computes it in "
        "several operations, each of which rounds to 16 bits.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="mish-gradient-underflow-sign",
        cause="convention",
        implementations=BOTH,
        reason="Where the gradient, a negative number, underflows to zero in float16, torch keeps its sign and JAX "
        "returns +0. torch computes the gradient in float32.",
        link=JAX_SOURCE,
    ),
    composed_gradient("mish-functional-gradient-rounded"),
    scalar_rest("mish-layout", of="e^x, log1p and tanh"),
    compiled_anew("mish-layout-jax"),
)

MISH = Activation(
    name="mish",
    latex=r"f(x) = x \tanh(\log(1 + e^x))",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    natives={"torch": Native("torch.nn.functional.mish"), "jax": Native("jax.nn.mish")},
    deviations=DEVIATIONS,
)
