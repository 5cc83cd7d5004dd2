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
        reason="Both frameworks multiply x with tanh(softplus(x)): at minus infinity that is -inf times 0, NaN, where the "
        "limit is 0. The derivatives multiply an infinite x with a zero in the same way, at both infinities.",
        link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mish.html",
    ),
    recorded(
        id="mish-second-derivative-overflow",
        cause="special",
        implementations=(TORCH,),
        reason="For the second derivative torch composes softplus of exp and log1p. Where e^x overflows, from 11.09 on in "
        "float16, the derivative of exp is infinite and that of log1p 0, their product NaN. The exact value is 0 or near "
        "it.",
        link=TORCH_DERIVATIVES,
        bug=True,
    ),
    recorded(
        id="mish-second-derivative-overflow-jax",
        cause="special",
        implementations=(JAX,),
        reason="JAX differentiates tanh as (1 + t) (1 - t). The derivative of that multiplies x with 1 + t, which is 2: "
        "where 2 x overflows, infinity times the 0 of a later factor is NaN.",
        link=JAX_RULES,
    ),
    recorded(
        id="mish-subnormal-exp",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch multiplies x with tanh(log1p(e^x)). Where e^x is subnormal it holds few digits, and x multiplies its "
        "error; where it rounds to 0, so does the value, although the exact one does not.",
        link=TORCH_KERNEL,
    ),
    recorded(
        id="mish-derivative-exp-overflow",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="The gradient contains the sigmoid, which torch computes as 1 / (1 + e^-x). Where e^-x overflows to "
        "infinity, the larger of the gradient's two terms is lost, although it is still a normal number at first.",
        link=TORCH_KERNEL,
    ),
    recorded(
        id="mish-flushed-exp",
        cause="inaccurate",
        implementations=(JAX,),
        reason="XLA on the CPU flushes e^x to 0 where it is subnormal, although x e^x is still a normal number.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="mish-value-over-budget",
        cause="inaccurate",
        implementations=(JAX,),
        reason="XLA's tanh on the CPU has a few more ULP of error than the budget allows, at few inputs.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="mish-gradient-near-one",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="The gradient is t + x s (1 - t^2), with t = tanh(softplus(x)) near 1: x multiplies the error of the rounded "
        "t.",
        link=TORCH_KERNEL,
    ),
    recorded(
        id="mish-gradient-near-one-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="As in mish-gradient-near-one, with the larger error of XLA's tanh.",
        link=JAX_RULES,
    ),
    recorded(
        id="mish-derivatives-cancelled",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Towards the zero of the gradient at -1.19 and those of the second derivative at -2.26 and 1.49 the terms "
        "cancel. Nearer to them the error counts in ULP of the terms and passes; around that it counts in ULP of the "
        "result.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="mish-derivatives-rounded-exponent",
        cause="inaccurate",
        implementations=(JAX,),
        reason="JAX computes the sigmoid in the derivatives as e^(x - softplus(x)); exp multiplies the rounding error of "
        "the difference by its size. Towards the zeros of the derivatives, where terms cancel, this and other errors grow.",
        link=JAX_LOGADDEXP,
    ),
    recorded(
        id="mish-second-derivative-lost-tail",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch differentiates through the rounded t = tanh(softplus(x)), with a factor 1 - t^2. Where t nears 1 it "
        "keeps fewer and fewer digits, and where t rounds to 1 the second derivative is 0, although the exact one is not.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="mish-second-derivative-lost-tail-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="As in mish-second-derivative-lost-tail; XLA's tanh stays below 1 for longer, so that in float64 the result "
        "is a hundred times too large before it is 0.",
        link=JAX_RULES,
    ),
    recorded(
        id="mish-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="JAX computes softplus, tanh, the product and the derivatives in the 16-bit dtype, rounding after each step.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="mish-second-derivative-rounded",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch composes the second derivative from operations that each round to 16 bits.",
        link=TORCH_DERIVATIVES,
    ),
    recorded(
        id="mish-gradient-underflow-sign",
        cause="convention",
        implementations=BOTH,
        reason="Where the gradient, a negative number, underflows in float16, torch, which computes it in float32, keeps "
        "its sign and JAX returns +0.",
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
