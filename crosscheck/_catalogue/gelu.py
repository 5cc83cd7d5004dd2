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
        reason="At minus infinity both frameworks return NaN, where the limit is 0. They compute x Phi(x), which is -inf "
        "times 0. At both infinities the derivatives are NaN, too: they also multiply an infinite x by 0.",
        link=CPU_KERNEL,
    ),
    recorded(
        id="gelu-top-binade",
        cause="special",
        implementations=(TORCH,),
        reason="With AVX-512 torch's value is infinite for each of the 8,388,608 largest floats, although the exact "
        "value is x; at infinity it is NaN. torch calls oneDNN's kernel, which computes x (1 + erf(x / sqrt(2))) before "
        "it halves, and that product overflows.",
        link=ONEDNN,
        bug=True,
    ),
    recorded(
        id="gelu-second-derivative-overflow",
        cause="special",
        implementations=(TORCH,),
        reason="Where x^2 is infinite, torch's second derivative is NaN; the exact value is 0. torch computes the second "
        "derivative in several operations, one of which squares x. The infinite square is multiplied by e^(-x^2/2), "
        "which is 0, and the product is NaN.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
        bug=True,
    ),
    recorded(
        id="gelu-jax-default-overflow",
        cause="special",
        implementations=(DEFAULT,),
        reason="At large x the derivatives of JAX's default, the approximation by tanh, are NaN. They multiply a power "
        "of x, which is infinite, by the derivative of tanh, which is 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-jax-erfc-overflow",
        cause="special",
        implementations=(ERFC,),
        reason="Where 2 x / sqrt(2) is infinite, JAX's second derivative is NaN. It multiplies this infinity by "
        "e^(-x^2/2), which has underflowed to 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-jax-default-is-tanh",
        cause="definition",
        implementations=(DEFAULT,),
        reason="Unless it is called with approximate=False, jax.nn.gelu computes another function: the approximation by "
        "tanh, which is off by up to 5e-4. This catalogue has it as gelu_tanh. In the 16-bit dtypes its rounding differs "
        "in forward mode and in later releases.",
        link="https://docs.jax.dev/en/latest/_autosummary/jax.nn.gelu.html",
    ),
    recorded(
        id="gelu-jax-default-lost-digits",
        cause="inaccurate",
        implementations=(DEFAULT,),
        reason="In the tails JAX's default, the approximation by tanh, loses digits, down to 0, because it computes 1 + "
        "tanh and 1 - tanh^2. Where it hardly differs from the exact GELU, or computes in 16 bits, its rounding errors "
        "are larger than that difference. It rounds differently in forward mode and in later releases.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-lost-left-tail",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="For negative x torch's results lose digits, down to 0, although the exact value is a normal number down "
        "to x = -38. torch computes Phi(x) as (1 + erf(x / sqrt(2))) / 2, in the gradient too. The closer erf is to -1, "
        "the fewer digits the sum keeps. Where erf rounds to -1, the value is 0.",
        link=CPU_KERNEL,
    ),
    recorded(
        id="gelu-bfloat16-subnormal-results",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="With AVX-512 torch's bfloat16 value is 0 where the exact one is subnormal. There torch calls oneDNN's "
        "bfloat16 kernel, which flushes subnormals to 0. torch's other kernels keep them.",
        link=ONEDNN,
    ),
    recorded(
        id="gelu-over-budget",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="The error of torch's value and gradient is above the budget. oneDNN approximates erf to fewer digits "
        "than float32 has; with AVX2 it approximates erf in another way. Near the gradient's zero at -0.75 its terms "
        "cancel, which makes the error a larger part of the result.",
        link=ONEDNN,
    ),
    recorded(
        id="gelu-second-derivative-squared-input",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="The error of torch's second derivative grows with |x|. torch computes it in several operations, each of "
        "which rounds. The first is x^2, and e^(-x^2/2) multiplies the error of its argument by up to x^2/2.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
    ),
    recorded(
        id="gelu-jax-erfc-tail",
        cause="inaccurate",
        implementations=(ERFC,),
        reason="With approximate=False JAX computes x erfc(-x / sqrt(2)) / 2, which keeps the left tail but loses digits "
        "there. erfc multiplies the rounding error of its argument by up to x^2, and XLA's erfc loses further digits. "
        "Where erfc is subnormal, XLA flushes it to 0, although x times erfc is a normal number.",
        link="https://docs.jax.dev/en/latest/accuracy.html",
    ),
    recorded(
        id="gelu-jax-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(ERFC,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX rounds to 16 bits after each step, and it rounds "
        "sqrt(2) and the constant of the derivative, too.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-zero-sign",
        cause="convention",
        implementations=(TORCH, DEFAULT),
        reason="Where the gradient, a negative number, underflows to zero, torch keeps its sign and JAX adds a +0 to it. "
        "In bfloat16 it underflows under torch.compile and with AVX2. Where the value is 0, oneDNN's float32 kernel for "
        "AVX2 returns +0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-compiled-over-budget",
        cause="inaccurate",
        implementations=(TORCH,),
        reason="At a few inputs the error under torch.compile is a few ULP more than the budget allows. torch.compile "
        "computes x (1 + erf(x / sqrt(2))) / 2 in vectors, with an erf of its own that has this error.",
        link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/cpu/vec/vec512/vec512_float.h",
        modes=("compile",),
    ),
    compiled_anew("gelu-layout-jax"),
    compiled_anew("gelu-layout-jax-matched", implementation="jax.native.matched"),
    scalar_rest(
        "gelu-layout",
        of="erf",
        more="The scalar code loses the left tail at other inputs, never overflows and flushes no subnormals. With AVX2 the "
        "vectorised code is oneDNN's, and gives +0 where the scalar code gives -0.",
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
