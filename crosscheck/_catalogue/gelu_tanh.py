"""GELU's approximation by tanh: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2. Smooth, not monotonic."""

from math import inf
from typing import Any

from crosscheck._catalogue._kernels import (
    Halves,
    Mended,
    as_it_is,
    cut,
    exp_above,
    grown,
    growth,
    in_both,
    mending,
    numpy_of,
)
from crosscheck._catalogue._mechanisms import compiled_anew, scalar_rest
from crosscheck._catalogue._zeros import GELU_TANH_GRADIENT, GELU_TANH_SECOND
from crosscheck._recorded.files import recorded
from crosscheck._records.records import Activation, Limits, Native


def definition(m: Any, x: Any) -> Any:
    return x * (1 + m.tanh(m.sqrt(2 / m.pi) * (x + 44715 * x**3 / 10**6))) / 2


def derivative(m: Any, x: Any) -> Any:
    """s + x s (1 - s) w', with s = 1 / (1 + e^-w) and w = A x + B x^3 = sqrt(8/pi) (x + 0.044715 x^3)."""
    return _gradient(m, x, FLOAT64, as_it_is)


def second_derivative(m: Any, x: Any) -> Any:
    """s (1 - s) (2 w' + x w'' + (1 - 2 s) x w'^2), with s and w as in the derivative."""
    return _second(m, x, FLOAT64, as_it_is)


FLOAT64, FLOAT32 = Halves(top=24, grid=2**20, deep=708), Halves(top=11, grid=2**8, deep=87)
"""Beyond ``top`` in magnitude, s is 0 or 1 in the format."""

A, B = (409 / 2**8, -0.0018871283942692883), (2338 / 2**15, 4.718616350248776e-06)
"""sqrt(8/pi) and 0.044715 sqrt(8/pi), each a sum of 12 bits and the rest."""


def _line(m: Any, x: Any, k: int, halves: Halves) -> tuple[Any, ...]:
    """v = A + k B a^2 and a v for a = |x|, cut at the top; each is a sum of two parts, of which the first is exact."""
    a = m.abs(x)
    a = m.where(a > halves.top, halves.top, a)
    h, l = cut(m, a, halves.grid)  # noqa: E741
    s, _ = cut(m, a * a, halves.grid // 8)
    rest = m.positive((h * h - s) + l * (a + h))
    exact, small = A[0] + k * B[0] * s, A[1] + k * (B[1] * s + (B[0] + B[1]) * rest)
    high, _ = cut(m, exact + small, halves.grid)
    low = m.positive(exact - high) + small
    return (high, low), (h * high, l * high + a * low)


def _slope(m: Any, x: Any, halves: Halves) -> tuple[Any, ...]:
    """(z, e, g, d, c): z = e^-w of |x| and z / (1 + z)^2 = e (1 + g) / d c; e has an exact argument, and d is exact."""
    _, (high, low) = _line(m, x, 1, halves)
    e, c = exp_above(m, -high, halves.deep)
    g = growth(-low)
    z = (e + e * g) * c
    upper, lower = cut(m, z, 8 * halves.grid)
    r = lower / (1 + z)
    return z, e, g + r * (r - 2) * (1 + g), (1 + upper) * (1 + upper), c


def _value(m: Any, x: Any, halves: Halves) -> Any:
    """x / (1 + z) above 0, x z / (1 + z) below, z = e^-w of |x|."""
    _, (high, low) = _line(m, x, 1, halves)
    e, c = exp_above(m, -high, halves.deep)
    y = m.where(x > 0, x, m.where(x < -halves.top, -halves.top, x) * e)
    return y / (1 + m.where(x > 0, e * c * (1 + growth(-low)), growth(low) + e * c)) * m.where(x > 0, 1.0, c)


def _gradient(m: Any, x: Any, halves: Halves, mended: Mended) -> Any:
    """z (1 + z - a w') / (1 + z)^2 below 0 for a = |x| and z = e^-w of a; 1 minus that above."""
    z, e, g, d, c = _slope(m, x, halves)
    _, (high, low) = _line(m, x, 3, halves)
    y = e * mended(GELU_TANH_GRADIENT, grown(1 - high, z - low, g), g) / d * c
    return m.where(x > 0, 1 - y, y)


def _second(m: Any, x: Any, halves: Halves, mended: Mended) -> Any:
    """z (4 w' - 2 A - a w'^2 (1 - z) / (1 + z)) / (1 + z)^2 for a = |x| and z = e^-w of a: even."""
    z, e, g, d, c = _slope(m, x, halves)
    (v, v_low), (p, p_low) = _line(m, x, 3, halves)
    q, _ = cut(m, p + p_low, halves.grid)
    rest = v * (m.positive(p - q) + p_low) + v_low * (p + p_low)
    small = (4 * v_low - 2 * A[1]) - rest + (v * q + rest) * 2 * z / (1 + z)
    return e * mended(GELU_TANH_SECOND, grown(m.positive(4 * v - 2 * A[0]) - v * q, small, g), g) / d * c


def value(framework: Any, x: Any) -> Any:
    return _value(numpy_of(framework), x, _halves(framework, x))


def gradient(framework: Any, x: Any) -> Any:
    return _gradient(numpy_of(framework), x, _halves(framework, x), mending(framework, x))


def second(framework: Any, x: Any) -> Any:
    return _second(numpy_of(framework), x, _halves(framework, x), mending(framework, x))


def _halves(framework: Any, x: Any) -> Halves:
    return FLOAT64 if numpy_of(framework).finfo(x.dtype).bits == 64 else FLOAT32


DEFAULT, MATCHED, JAX = "torch.native", "torch.native.matched", "jax.native"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
COMPOSED = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
ONEDNN = "https://uxlfoundation.github.io/oneDNN/dev_guide_eltwise.html"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

DEVIATIONS = (
    recorded(
        id="gelu-tanh-at-infinity",
        cause="special",
        implementations=(DEFAULT, MATCHED, JAX),
        reason="At minus infinity both frameworks return NaN, where the limit is 0. They multiply -inf by 0. At both "
        "infinities the derivatives are NaN, too: they also multiply an infinite x by 0.",
        link=CPU_KERNEL,
    ),
    recorded(
        id="gelu-tanh-overflow",
        cause="special",
        implementations=(MATCHED,),
        reason="At large x the derivatives are NaN. They multiply a power of x, which is infinite, by the derivative of "
        "tanh, which is 0.",
        link=COMPOSED,
    ),
    recorded(
        id="gelu-tanh-overflow-jax",
        cause="special",
        implementations=(JAX,),
        reason="At large x the derivatives are NaN. They multiply a power of x, which is infinite, by the derivative of "
        "tanh, which is 0.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-tanh-torch-default-overflow",
        cause="special",
        implementations=(DEFAULT,),
        reason="torch's default is the exact GELU. With AVX-512 its value overflows in the top binade: see "
        "gelu-top-binade. Where x^2 overflows, its second derivative is NaN: see gelu-second-derivative-overflow.",
        link=ONEDNN,
    ),
    recorded(
        id="gelu-tanh-torch-default-is-erf",
        cause="definition",
        implementations=(DEFAULT,),
        reason="Unless it is called with approximate='tanh', torch's gelu computes another function: the exact GELU, x "
        "Phi(x). It is off by up to 5e-4; in the tails its relative error keeps growing. This catalogue has it as gelu.",
        link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gelu.html",
    ),
    recorded(
        id="gelu-tanh-torch-default-lost-digits",
        cause="inaccurate",
        implementations=(DEFAULT,),
        reason="torch's default is the exact GELU. Where it hardly differs from the approximation by tanh, or has lost "
        "its digits, its own rounding errors decide. With AVX-512 torch calls oneDNN's bfloat16 kernel, which flushes "
        "subnormals. Where torch does not call it, torch keeps a tail of the gradient that the approximation by tanh has "
        "lost.",
        link=ONEDNN,
    ),
    recorded(
        id="gelu-tanh-lost-tails",
        cause="inaccurate",
        implementations=(MATCHED,),
        reason="In the tails torch's results lose digits, down to 0, although the exact value is a normal number. torch "
        "computes 1 + tanh and 1 - tanh^2. The closer tanh is to -1 or 1, the fewer digits they keep. Where tanh rounds "
        "to -1 or 1, they are 0. torch computes the second derivative in several operations, each of which rounds, in "
        "the 16-bit dtypes to 16 bits.",
        link=COMPOSED,
    ),
    recorded(
        id="gelu-tanh-lost-tails-jax",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the tails JAX's results lose digits, down to 0. JAX computes 1 + tanh, and it computes the derivative "
        "of y = tanh as (1 + y) (1 - y). The closer y is to -1 or 1, the fewer digits these keep. In float64 XLA's tanh "
        "stays 7 ULP below 1 between arguments of 18.2 and 20, while the exact value goes on towards 1. There the result "
        "is up to 50 times too large.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-tanh-jax-16-bit-arithmetic",
        cause="inaccurate",
        implementations=(JAX,),
        reason="In the 16-bit dtypes JAX's rounding errors add up. JAX rounds to 16 bits after each step, and it rounds "
        "the cube and the constants, too.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-tanh-zero-sign",
        cause="convention",
        implementations=(DEFAULT, JAX),
        reason="Where the gradient, a negative number, underflows to zero, torch keeps its sign and JAX adds a +0 to it. "
        "torch's default is the exact GELU: see gelu-zero-sign.",
        link=JAX_SOURCE,
    ),
    recorded(
        id="gelu-tanh-torch-default-compiled",
        cause="inaccurate",
        implementations=(DEFAULT,),
        reason="torch's default is the exact GELU, and torch.compile computes it with an erf of its own. Its value is a "
        "few ULP beyond the budget at a few inputs, and its gradient keeps a tail that the approximation by tanh has lost.",
        link=COMPOSED,
        modes=("compile",),
    ),
    compiled_anew("gelu-tanh-layout-jax"),
    scalar_rest("gelu-tanh-layout", of="erf", more="torch's default is the exact GELU: see gelu-layout."),
    scalar_rest(
        "gelu-tanh-layout-matched",
        of="tanh",
        more="Where tanh rounds to -1 or 1 in only one of them, the result of that one is 0.",
        implementations=("torch.native.matched",),
    ),
)

GELU_TANH = Activation(
    name="gelu_tanh",
    latex=r"f(x) = \frac{x}{2} \left(1 + \tanh\left(\sqrt{2 / \pi} \, (x + 0.044715 \, x^3)\right)\right)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    **in_both(value, gradient, second),
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    natives={
        "torch": Native("torch.nn.functional.gelu", matched={"approximate": "tanh"}),
        "jax": Native("jax.nn.gelu"),
    },
    deviations=DEVIATIONS,
)
