"""GELU: x times the normal distribution's Phi(x). Smooth, not monotonic, unbounded above."""

from math import factorial, inf, nan, pi, sqrt
from typing import Any

from crosscheck._activations._kernels import Halves, cut, exp_above, growth, grown, numpy_of, polynomial
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Limits, Native, Region, Seen


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

ZERO = (0.7517914772033691, 4.74901953168329e-08)
"""Where the gradient at -a is 0, in two parts of which the first is a float32. These are from tests/gelu_coefficients.py."""

TAIL = (
    0.37764256520787576, 0.07369424422192968, -0.11037962061483919, 0.10030777139128091, -0.06306264153433533,
    0.026428192962019495, -0.005509940667666001, -0.0009244369534435467, 0.0008820813927391446, -4.8875324979358245e-05,
    -0.00011650165648016508, 1.661828937675461e-05, 1.793097412576373e-05, -2.602012851964462e-06, -3.275934649596408e-06,
    1.9646818506671903e-07, 6.48957738457219e-07, 5.782391409791735e-08, -1.2366918611678142e-07, -3.5964226684542775e-08,
    1.9867688234664664e-08, 1.1333721177847343e-08, -2.2471648035446027e-09, -2.257529849043369e-09, 1.2487019266971894e-10,
    2.2332055910494167e-10,
)
"""a R(a), with R(a) = Phi(-a) e^(a^2/2), for a >= 0, as a polynomial in t = (a - 4)/(a + 4)."""

SLOPE = (
    0.06326896364814262, -0.10336589852195688, 0.06046293676785178, -0.028083359953051716, 0.009504950375062741,
    -0.001788260541162668, -0.00015461331219588406, 0.0001857757740166163, -1.7477220164239747e-05, -1.8034936190147354e-05,
    3.5389305121446815e-06, 2.2167310216509068e-06, -4.922605230893777e-07, -3.4935813863106715e-07, 5.257210422572209e-08,
    6.325387210039118e-08, -9.534703665956023e-10, -1.1345296843067405e-08, -1.6146802746525225e-09, 1.6753142712837635e-09,
    4.929166588724104e-10, -1.4342854649355361e-10, -6.05555302980959e-11,
)
"""(R(a) - R(ZERO)) / (ZERO - a), likewise."""

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
    a, _, _, e, g, c = _bell(m, x, halves)
    y = grown(TAIL[0], _ratio(a) * polynomial(TAIL[1:], _ratio(a)), g) * e * c
    near = x * (0.5 + x * polynomial(SERIES, x * x / -2))
    return m.where(a < 0.875, near, m.where(x > 0, x - y, -y))


def _gradient(m: Any, x: Any, halves: Halves) -> Any:
    """e^(-x^2/2) (R(a) - a phi(0)) below 0 for a = |x|, and 1 minus that above; the difference is taken about its zero."""
    a, h, l, e, g, c = _bell(m, x, halves)  # noqa: E741
    d = (ZERO[0] - h) + (ZERO[1] - l)
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


BOTH = ("torch.native", "jax.native")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)

GELU = Activation(
    name="gelu",
    latex=r"f(x) = x \, \Phi(x) = \frac{x}{2} \left(1 + \operatorname{erf} \frac{x}{\sqrt{2}}\right)",
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
        "torch": Native("torch.nn.functional.gelu"),
        "jax": Native("jax.nn.gelu", matched={"approximate": False}),
    },
    deviations=(),
)
