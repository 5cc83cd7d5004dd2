"""GELU: x times the normal distribution's Phi(x). Smooth, not monotonic, unbounded above."""

from math import factorial, inf, pi, sqrt
from typing import Any

from crosscheck._catalogue._gelu_coefficients import SLOPE, TAIL, ZERO, ZERO_FLOAT64
from crosscheck._catalogue._kernels import Halves, cut, exp_above, grown, growth, in_both, numpy_of, polynomial
from crosscheck._catalogue._mechanisms import compiled_anew, scalar_rest
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return x * m.erfc(-x / m.sqrt(2)) / 2


def derivative(m: Any, x: Any) -> Any:
    """Phi(x) + x phi(x), phi(x) = e^(-x^2/2) / sqrt(2 pi)."""
    return _gradient(m, x, FLOAT64)


def second_derivative(m: Any, x: Any) -> Any:
    """(2 - x^2) phi(x), phi(x) = e^(-x^2/2) / sqrt(2 pi)."""
    return _second(m, x, FLOAT64)


FLOAT64, FLOAT32 = Halves(top=64, grid=2**20, deep=708), Halves(top=16, grid=2**8, deep=87)
"""Beyond ``top`` in magnitude, Phi is 0 or 1 in the format."""

PHI_0 = 1 / sqrt(2 * pi)

SERIES = tuple(PHI_0 / (factorial(k) * (2 * k + 1)) for k in range(15))
"""(Phi(x) - 1/2) / x as a power series in -x^2/2, up to |x| = 0.875."""


def _bell(m: Any, x: Any, halves: Halves) -> tuple[Any, ...]:
    """(a, h, l, e, g, c): a = |x| = h + l, cut at the top, and e^(-a^2/2) = e (1 + g) c.

    e^(-h^2/2) has an exact argument, and a^2 = h^2 + l (a + h).
    """
    a = m.abs(x)
    a = m.where(a > halves.top, halves.top, a)
    h, l = cut(m, a, halves.grid)  # noqa: E741
    e, c = exp_above(m, -h * h / 2, halves.deep)
    return a, h, l, e, growth(l * (a + h) / -2), c


def _ratio(a: Any) -> Any:
    return (a - 4) / (a + 4)


def _value(m: Any, x: Any, halves: Halves) -> Any:
    """-y below 0 and x - y above, y = a R(a) e^(-a^2/2) for a = |x|; near 0, x (1/2 + Phi's odd part)."""
    a, h, l, e, g, c = _bell(m, x, halves)  # noqa: E741
    t = _ratio(h) + 8 * l / ((a + 4) * (h + 4))  # _ratio(a), of which h is rounded less
    y = grown(TAIL[0], t * polynomial(TAIL[1:], t), g) * e * c
    near = x * (0.5 + x * polynomial(SERIES, x * x / -2))
    return m.where(a < 0.875, near, m.where(x > 0, x - y, -y))


def _gradient(m: Any, x: Any, halves: Halves) -> Any:
    """e^(-x^2/2) (R(a) - a phi(0)) below 0 for a = |x|, and 1 minus that above; the difference is taken about its zero."""
    a, h, l, e, g, c = _bell(m, x, halves)  # noqa: E741
    zero, rest = ZERO_FLOAT64 if halves is FLOAT64 else ZERO
    d = ((zero - h) - l) + rest  # near the zero the first part is exact
    # in the formula's scale R is one term: positive starts anew, as a function does
    y = grown(PHI_0 * d, m.positive(d * polynomial(SLOPE, _ratio(a))), g) * e * c
    return m.where(x > 0, 1 - y, y)


def _second(m: Any, x: Any, halves: Halves) -> Any:
    """Even; near its zeros 2 - h^2 is exact."""
    a, h, l, e, g, c = _bell(m, x, halves)  # noqa: E741
    return grown(2 - h * h, -l * (a + h), g) * PHI_0 * e * c


def value(framework: Any, x: Any) -> Any:
    return _value(numpy_of(framework), x, _halves(framework, x))


def gradient(framework: Any, x: Any) -> Any:
    return _gradient(numpy_of(framework), x, _halves(framework, x))


def second(framework: Any, x: Any) -> Any:
    return _second(numpy_of(framework), x, _halves(framework, x))


def _halves(framework: Any, x: Any) -> Halves:
    return FLOAT64 if numpy_of(framework).finfo(x.dtype).bits == 64 else FLOAT32


TORCH, DEFAULT, ERFC = "torch.native", "jax.native", "jax.native.matched"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
ONEDNN = "https://uxlfoundation.github.io/oneDNN/dev_guide_eltwise.html"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="gelu-at-infinity",
        cause="special",
        implementations=(TORCH, DEFAULT, ERFC),
        reason="Both frameworks compute x Phi(x): at minus infinity that is -inf times 0, NaN, where the limit is 0. The "
        "derivatives multiply an infinite x with a zero in the same way, at both infinities.",
        link=CPU_KERNEL,
    ),
    recorded(
        id="gelu-top-binade",
        cause="special",
        implementations=(TORCH,),
        reason="torch takes oneDNN's kernel, which with AVX-512 computes x (1 + erf(x / sqrt(2))) before it halves: for "
        "each of the 8,388,608 largest floats the product is infinite, although the result is x. At infinity it is NaN.",
        link=ONEDNN,
        bug=True,
    ),
    recorded(
        id="gelu-second-derivative-overflow",
        cause="special",
        implementations=(TORCH,),
        reason="torch computes the second derivative in several operations, one of which squares x. Where the square is "
        "infinite, it is multiplied with an e^(-x^2/2) that is 0, which gives NaN. The exact value is 0.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
        bug=True,
    ),
    recorded(
        id="gelu-jax-default-overflow",
        cause="special",
        implementations=(DEFAULT,),
        reason="JAX's default is the approximation by tanh. At large x its derivatives multiply a power of x, which is "
        "infinite, with the derivative of tanh, which is 0: the product is NaN.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-jax-erfc-overflow",
        cause="special",
        implementations=(ERFC,),
        reason="Where 2 x / sqrt(2) is infinite, the second derivative multiplies it with an underflowed e^(-x^2/2).",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-jax-default-is-tanh",
        cause="definition",
        implementations=(DEFAULT,),
        reason="jax.nn.gelu computes the approximation by tanh unless it is called with approximate=False: another "
        "function, off by up to 5e-4. This catalogue has it as gelu_tanh. In 16 bits it is rounded differently "
        "in forward mode and in later releases.",
        link="https://docs.jax.dev/en/latest/_autosummary/jax.nn.gelu.html",
    ),
    recorded(
        id="gelu-jax-default-lost-digits",
        cause="inaccurate",
        implementations=(DEFAULT,),
        reason="1 + tanh and 1 - tanh^2 lose their digits in the tails, down to a 0. Where JAX's default differs from GELU "
        "by little, or computes in 16 bits, its rounding errors are the larger part. It rounds differently in "
        "forward mode and in later releases.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-lost-left-tail",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch computes Phi(x) as (1 + erf(x / sqrt(2))) / 2, in the gradient too. Where erf nears -1 the sum loses "
        "digits, and where it rounds to -1 the value is 0, although the exact one is a normal number down to -38.",
        link=CPU_KERNEL,
    ),
    recorded(
        id="gelu-bfloat16-subnormal-results",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="oneDNN's bfloat16 kernel, taken with AVX-512, flushes subnormals to 0; torch's other kernels keep them.",
        link=ONEDNN,
    ),
    recorded(
        id="gelu-over-budget",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="oneDNN approximates erf to fewer digits than float32 has, with AVX2 in another way, and the terms of the "
        "gradient cancel towards its zero at -0.75.",
        link=ONEDNN,
    ),
    recorded(
        id="gelu-second-derivative-squared-input",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch computes the second derivative in several operations, each of which rounds. The first is x^2, and "
        "e^(-x^2/2) multiplies the error of its argument by up to x^2/2.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
    ),
    recorded(
        id="gelu-jax-erfc-tail",
        cause="inaccurate",
        implementations=(ERFC,),
        reason="With approximate=False JAX computes x erfc(-x / sqrt(2)) / 2, which keeps the tail. But erfc multiplies the "
        "rounding of its argument by up to x^2, XLA's own loses further digits, and where it is subnormal it is flushed to "
        "0 although x times it is normal.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="gelu-jax-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(ERFC,),
        reason="JAX rounds to 16 bits after each step; sqrt(2) and the constant of the derivative are rounded too.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-zero-sign",
        cause="convention",
        implementations=(TORCH, DEFAULT),
        reason="Where the gradient underflows, torch keeps the sign of this negative number and JAX adds a +0 to it; in "
        "bfloat16 it underflows compiled or with AVX2. oneDNN's float32 kernel for AVX2 gives +0 for each value that is 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-compiled-over-budget",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="torch.compile computes x (1 + erf(x / sqrt(2))) / 2 in vectors, with an erf of its own that has a few more "
        "ULP of error than the budget allows, at few inputs.",
        link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/cpu/vec/vec512/vec512_float.h",
        modes=("compile",),
    ),
    compiled_anew("gelu-layout-jax"),
    compiled_anew("gelu-layout-jax-matched", implementation="jax.native.matched"),
    scalar_rest(
        "gelu-layout",
        of="erf",
        more="The scalar code loses the left tail elsewhere, overflows nowhere and flushes no subnormals. With AVX2 the "
        "vectorised code, oneDNN's, gives +0 where the scalar code gives -0.",
    ),
)

GELU = Activation(
    name="gelu",
    latex=r"f(x) = x \, \Phi(x) = \frac{x}{2} \left(1 + \operatorname{erf} \frac{x}{\sqrt{2}}\right)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    natives={
        "torch": Native("torch.nn.functional.gelu"),
        "jax": Native("jax.nn.gelu", matched={"approximate": False}),
    },
    deviations=DEVIATIONS,
)
