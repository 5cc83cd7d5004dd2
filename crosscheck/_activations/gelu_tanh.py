"""GELU's approximation by tanh: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2. Smooth, not monotonic."""

from math import inf
from typing import Any

from crosscheck._activations._kernels import Halves, cut, exp_above, growth, grown, numpy_of
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any) -> Any:
    return x * (1 + m.tanh(m.sqrt(2 / m.pi) * (x + 44715 * x**3 / 10**6))) / 2


def derivative(m: Any, x: Any) -> Any:
    """s + x s (1 - s) w', with s = 1 / (1 + e^-w) and w = A x + B x^3 = sqrt(8/pi) (x + 0.044715 x^3)."""
    return _gradient(m, x, FLOAT64)


def second_derivative(m: Any, x: Any) -> Any:
    """s (1 - s) (2 w' + x w'' + (1 - 2 s) x w'^2), with s and w as in the derivative."""
    return _second(m, x, FLOAT64)


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


def _gradient(m: Any, x: Any, halves: Halves) -> Any:
    """z (1 + z - a w') / (1 + z)^2 below 0 for a = |x| and z = e^-w of a; 1 minus that above."""
    z, e, g, d, c = _slope(m, x, halves)
    _, (high, low) = _line(m, x, 3, halves)
    y = e * grown(1 - high, z - low, g) / d * c
    return m.where(x > 0, 1 - y, y)


def _second(m: Any, x: Any, halves: Halves) -> Any:
    """z (4 w' - 2 A - a w'^2 (1 - z) / (1 + z)) / (1 + z)^2 for a = |x| and z = e^-w of a: even."""
    z, e, g, d, c = _slope(m, x, halves)
    (v, v_low), (p, p_low) = _line(m, x, 3, halves)
    q, _ = cut(m, p + p_low, halves.grid)
    rest = v * (m.positive(p - q) + p_low) + v_low * (p + p_low)
    small = (4 * v_low - 2 * A[1]) - rest + (v * q + rest) * 2 * z / (1 + z)
    return e * grown(m.positive(4 * v - 2 * A[0]) - v * q, small, g) / d * c


def value(framework: Any, x: Any) -> Any:
    return _value(numpy_of(framework), x, _halves(framework, x))


def gradient(framework: Any, x: Any) -> Any:
    return _gradient(numpy_of(framework), x, _halves(framework, x))


def second(framework: Any, x: Any) -> Any:
    return _second(numpy_of(framework), x, _halves(framework, x))


def _halves(framework: Any, x: Any) -> Halves:
    return FLOAT64 if numpy_of(framework).finfo(x.dtype).bits == 64 else FLOAT32


BOTH = ("torch.native", "jax.native")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)

GELU_TANH = Activation(
    name="gelu_tanh",
    latex=r"f(x) = \frac{x}{2} \left(1 + \tanh\left(\sqrt{2 / \pi} \, (x + 0.044715 \, x^3)\right)\right)",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(0, 0, 0), plus=(inf, 1, 0)),
    natives={
        "torch": Native("torch.nn.functional.gelu", matched={"approximate": "tanh"}),
        "jax": Native("jax.nn.gelu"),
    },
    deviations=(),
)
