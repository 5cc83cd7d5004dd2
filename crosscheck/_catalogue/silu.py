"""SiLU, also called swish: x times sigmoid(x). Smooth, not monotonic, unbounded above."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import FAR, bell, in_both, numpy_of, size
from crosscheck._catalogue._mechanisms import compiled_anew, composed_gradient, scalar_rest
from crosscheck._catalogue._zeros import SILU_GRADIENT, SILU_SECOND
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return x / (1 + m.exp(-x))


def derivative(m: Any, x: Any) -> Any:
    """s(x) (1 + x s(-x)), s being the sigmoid; as z (1 - |x| + z) / (1 + z)^2 below 0, z = e^-|x|, 1 minus that above."""
    a, e, c = _tail(m, x)
    z = e * c
    g = e * ((1 - a) + z) / (1 + z) ** 2 * c
    return m.where(x > 0, 1 - g, g)


def second_derivative(m: Any, x: Any) -> Any:
    """s(x) s(-x) (2 + x (s(-x) - s(x))), s being the sigmoid; as z (2 - |x| + z (2 + |x|)) / (1 + z)^3, z = e^-|x|."""
    a, e, c = _tail(m, x)
    z = e * c
    return e * ((2 - a) + z * (2 + a)) / (1 + z) ** 3 * c


def _tail(m: Any, x: Any) -> tuple[Any, Any, Any]:
    """(a, e, c) with a = |x| and e^-a = e c, c being 1 unless e^-a is tiny: multiply by e first, to keep digits."""
    a = m.minimum(m.abs(x), FAR)
    half = m.where(a > 600, a / 2, 0)
    return a, m.exp(half - a), m.exp(-half)


def value(framework: Any, x: Any) -> Any:
    """x / (1 + z) above 0; below, x is multiplied by e before c."""
    m = numpy_of(framework)
    e, c, z, _ = bell(framework, size(framework, x))
    return m.where(x > 0, x, m.clip(x, -FAR, None) * e) / (1 + z) * m.where(x > 0, 1.0, c)


def gradient(framework: Any, x: Any) -> Any:
    """g = z (1 - |x| + z) / (1 + z)^2 below 0 and 1 - g above."""
    a = size(framework, x)
    e, c, z, d = bell(framework, a)
    g = e * SILU_GRADIENT.mended(framework, a, (1 - a) + z) / d * c
    return numpy_of(framework).where(x > 0, 1 - g, g)


def second(framework: Any, x: Any) -> Any:
    """z (2 - |x| + z (2 + |x|)) / (1 + z)^3: even."""
    a = size(framework, x)
    e, c, z, d = bell(framework, a)
    return e * SILU_SECOND.mended(framework, a, (2 - a) + z * (2 + a)) / (d * (1 + z)) * c


BOTH = ("torch.native", "jax.native")

DEVIATIONS = (
    recorded(
        id="silu-at-infinity",
        cause="special",
        implementations=BOTH,
        reason="At minus infinity both frameworks return NaN, where the limit is 0. They multiply x by the sigmoid, and "
        "-inf times 0 is NaN. At both infinities the derivatives are NaN, too: they also multiply an infinite x by 0.",
        link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.silu.html",
    ),
    recorded(
        id="silu-gradient-underflow-sign",
        cause="convention",
        implementations=BOTH,
        reason="Where the gradient, a negative number, underflows to zero, torch keeps its sign and JAX returns +0.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    ),
    recorded(
        id="silu-exp-overflow",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="Where e^-x overflows to infinity, torch's value is 0, although the exact value is still a normal number "
        "at first. torch computes the value as x / (1 + e^-x). The derivatives are 0 for the same reason.",
        link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp",
    ),
    recorded(
        id="silu-exp-overflow-jax",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="At very negative x JAX's results are 0, although the exact value is still a normal number. JAX "
        "multiplies x by 1 / (1 + e^-x). This quotient is 0 where e^-x overflows, in float16 below -11.09. It is also 0 "
        "where it is subnormal, since XLA flushes subnormals.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    ),
    recorded(
        id="silu-second-derivative-lost-tail",
        cause="inaccurate",
        implementations=BOTH,
        reason="Where the sigmoid s is near 1, the second derivative loses digits, down to 0, although the exact one is "
        "not 0. It has factors 1 - s, which both frameworks compute from the rounded s. The closer s is to 1, the fewer "
        "digits these keep. Where s rounds to 1, the second derivative is 0.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="silu-gradient-near-one",
        cause="inaccurate",
        implementations=BOTH,
        reason="Where the sigmoid s is near 1, the gradient loses digits. Both frameworks compute it from the rounded 1 "
        "- s, and x multiplies the rounding error.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="silu-derivatives-cancelled",
        cause="inaccurate",
        implementations=BOTH,
        reason="Near the zero of the second derivative at 2.4 it loses digits at a few inputs, since its terms cancel. "
        "Very near to the zero, the error is counted in ULP of the terms, and passes. Here, where the terms only begin "
        "to cancel, it is counted in ULP of the result.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="silu-gradient-cancelled",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="Near the zero of the gradient at -1.28 it loses digits at a few inputs, since its terms cancel. Very "
        "near to the zero, the error is counted in ULP of the terms, and passes. Here, where the terms only begin to "
        "cancel, it is counted in ULP of the result.",
        link="https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml",
    ),
    recorded(
        id="silu-gradient-cancelled-jax",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="Near its zero JAX's gradient loses digits, as torch's does: see silu-gradient-cancelled. JAX's errors "
        "are larger, since the terms that it adds up have larger errors.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    ),
    recorded(
        id="silu-second-derivative-rounded",
        cause="inaccurate",
        implementations=("torch.native",),
        reason="In the 16-bit dtypes the rounding errors of torch's second derivative add up. torch computes it in "
        "several operations, each of which rounds to 16 bits.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
    ),
    recorded(
        id="silu-16-bit-arithmetic",
        cause="inaccurate",
        implementations=("jax.native",),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX computes the sigmoid, the product and the "
        "derivatives in the 16-bit dtype and rounds after each step.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py",
    ),
    composed_gradient("silu-functional-gradient-rounded"),
    scalar_rest("silu-layout", of="e^x"),
    compiled_anew("silu-layout-jax"),
)

SILU = Activation(
    name="silu",
    aliases=("swish",),
    latex=r"f(x) = \frac{x}{1 + e^{-x}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    natives={"torch": Native("torch.nn.functional.silu"), "jax": Native("jax.nn.silu")},
    deviations=DEVIATIONS,
)
