"""GELU: x times the normal distribution's Phi(x). Smooth, not monotonic, unbounded above."""

from dataclasses import replace
from math import factorial, inf, nan, pi, sqrt
from typing import Any

from crosscheck._activations._kernels import Halves, cut, exp_above, grown, growth, numpy_of, polynomial
from crosscheck._activations._mechanisms import WITH_AVX2, WITH_AVX512, compiled_anew, scalar_rest
from crosscheck._activations._regions import both, regions
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

ZERO, ZERO_FLOAT64 = (0.7517915368080139, -1.211444945855772e-08), (0.7517915246935645, -1.4956759177009883e-17)
"""Where the gradient at -a is 0, in two parts of which the first is a number of the format.

These are from tests/gelu_coefficients.py.
"""

TAIL = (
    0.37764256520787576,
    0.07369424422192968,
    -0.11037962061483919,
    0.10030777139128091,
    -0.06306264153433533,
    0.026428192962019495,
    -0.005509940667666001,
    -0.0009244369534435467,
    0.0008820813927391446,
    -4.8875324979358245e-05,
    -0.00011650165648016508,
    1.661828937675461e-05,
    1.793097412576373e-05,
    -2.602012851964462e-06,
    -3.275934649596408e-06,
    1.9646818506671903e-07,
    6.48957738457219e-07,
    5.782391409791735e-08,
    -1.2366918611678142e-07,
    -3.5964226684542775e-08,
    1.9867688234664664e-08,
    1.1333721177847343e-08,
    -2.2471648035446027e-09,
    -2.257529849043369e-09,
    1.2487019266971894e-10,
    2.2332055910494167e-10,
)
"""a R(a), with R(a) = Phi(-a) e^(a^2/2), for a >= 0, as a polynomial in t = (a - 4)/(a + 4)."""

SLOPE = (
    0.06326896364814262,
    -0.10336589852195688,
    0.06046293676785178,
    -0.028083359953051716,
    0.009504950375062741,
    -0.001788260541162668,
    -0.00015461331219588406,
    0.0001857757740166163,
    -1.7477220164239747e-05,
    -1.8034936190147354e-05,
    3.5389305121446815e-06,
    2.2167310216509068e-06,
    -4.922605230893777e-07,
    -3.4935813863106715e-07,
    5.257210422572209e-08,
    6.325387210039118e-08,
    -9.534703665956023e-10,
    -1.1345296843067405e-08,
    -1.6146802746525225e-09,
    1.6753142712837635e-09,
    4.929166588724104e-10,
    -1.4342854649355361e-10,
    -6.05555302980959e-11,
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


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH, DEFAULT, ERFC = "torch.native", "jax.native", "jax.native.matched"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
ONEDNN = "https://uxlfoundation.github.io/oneDNN/dev_guide_eltwise.html"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

INFINITY = Deviation(
    id="gelu-at-infinity",
    cause="special",
    subjects=(TORCH, DEFAULT, ERFC),
    regions=(
        Region(0, DTYPES, ((-inf, -inf),), (Anchor(-inf, dict.fromkeys((TORCH, DEFAULT, ERFC), nan)),)),
        Region(1, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, dict.fromkeys((TORCH, DEFAULT, ERFC), nan)),)),
        Region(2, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, dict.fromkeys((TORCH, DEFAULT, ERFC), nan)),)),
    ),
    reason="Both frameworks compute x Phi(x): at minus infinity that is -inf times 0, NaN, where the limit is 0. The "
    "derivatives multiply an infinite x with a zero in the same way, at both infinities.",
    link=CPU_KERNEL,
    seen=SEEN,
)

TOP_BINADE = Deviation(
    id="gelu-top-binade",
    cause="special",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (0, "float32", ((2.0**127, 3.4028234663852886e38),), 2e38, inf, inf),
        (0, "bfloat16", ((2.0**127, 3.39e38),), 2e38, inf, inf),
        (0, "float32", ((inf, inf),), inf, nan, inf),
        (0, "bfloat16", ((inf, inf),), inf, nan, inf),
        (0, "float16", ((inf, inf),), inf, nan, inf, "AVX512_FP16"),
    ),
    reason="torch takes oneDNN's kernel, which with AVX-512 computes x (1 + erf(x / sqrt(2))) before it halves: for each of "
    "the 8,388,608 largest floats the product is infinite, although the result is x. At infinity it is NaN.",
    link=ONEDNN,
    seen=WITH_AVX512,
    bug=True,
)

SECOND_OVERFLOW = Deviation(
    id="gelu-second-derivative-overflow",
    cause="special",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "float64", both(1.34e154, 1.7976931348623157e308), 1e300, nan, inf),
        (2, "float32", both(1.844e19, 3.4028234663852886e38), 1e30, nan, inf),
        (2, "bfloat16", both(1.844e19, 3.39e38), 1e30, nan, inf),
        (2, "float16", both(256.0, 65504.0), 1000.0, nan, inf),
    ),
    reason="torch composes the second derivative of operations, of which one squares x: where that is infinite, infinity "
    "times an underflowed e^(-x^2/2) is NaN. The exact value is 0.",
    link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
    seen=SEEN,
    bug=True,
)

DEFAULT_OVERFLOW = Deviation(
    id="gelu-jax-default-overflow",
    cause="special",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (1, "float64", both(7.74e153, 1.7976931348623157e308), 1e300, nan, inf),
        (1, "float32", both(1.065e19, 3.4028234663852886e38), 1e30, nan, inf),
        (1, "bfloat16", both(1.066e19, 3.39e38), 1e30, nan, inf),
        (1, "float16", both(147.8, 65504.0), 1000.0, nan, inf),
        (2, "float64", ((-1.7976931348623157e308, -9.43e102), (1.188e103, 1.7976931348623157e308)), 1e300, nan, inf),
        (2, "float32", ((-3.4028234663852886e38, -1.166e13), (1.47e13, 3.4028234663852886e38)), 1e30, nan, inf),
        (2, "bfloat16", ((-3.39e38, -1.166e13), (1.47e13, 3.39e38)), 1e30, nan, inf),
        (2, "float16", ((-65504.0, -67.3), (84.8, 65504.0)), 1000.0, nan, inf),
    ),
    reason="JAX's default is the approximation by tanh. Its derivatives multiply a power of x, infinite out there, with "
    "the derivative of tanh, 0 out there.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ERFC_OVERFLOW = Deviation(
    id="gelu-jax-erfc-overflow",
    cause="special",
    subjects=(ERFC,),
    regions=regions(
        ERFC,
        (2, "float64", both(1.271e308, 1.7976931348623157e308), 1.5e308, nan, inf),
        (2, "float32", both(2.4e38, 3.4028234663852886e38), 3e38, nan, inf),
        (2, "bfloat16", both(2.4e38, 3.39e38), 3e38, nan, inf),
        (2, "float16", both(46300.0, 65504.0), 60000.0, nan, inf),
    ),
    reason="Where 2 x / sqrt(2) is infinite, the second derivative multiplies it with an underflowed e^(-x^2/2).",
    link=JAX_SOURCE,
    seen=SEEN,
)

DEFAULT_IS_TANH = Deviation(
    id="gelu-jax-default-is-tanh",
    cause="definition",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (0, "float64", ((-8.2, -0.003), (0.003, 6.7)), -3.0, None, 2.0**53),
        (0, "float32", ((-8.0, -0.04), (0.04, 5.2)), -3.0, None, 2.0**24),
        (0, "bfloat16", ((-7.6, -3.95), (-3.0, -2.2)), -5.0, None, 2.0**8),
        (0, "float16", ((-5.61, -4.11), (-3.58, -0.75)), -2.5, None, 2000.0),
        (1, "float64", ((-8.3, -0.002), (0.002, 7.2)), -3.0, None, 2.0**53),
        (1, "float32", ((-8.16, -0.02), (0.02, 5.7)), -3.0, None, 2.0**24),
        (1, "bfloat16", ((-7.7, -4.35), (-2.4, -2.05)), -5.0, None, 2.0**8),
        (1, "float16", ((-5.92, -4.37), (-3.51, -3.35), (-2.68, -0.44)), -5.0, None, 2.0**11),
        (1, "float16", ((-0.44, -0.41),), -0.42041015625, None, 4.5, "AVX512_FP16"),
        (1, "float16", ((1.35, 2.45),), 2.228515625, None, 2.5),
        (2, "float64", both(1e-4, 8.44), -3.0, None, 2.0**53),
        (2, "float32", both(0.008, 8.3), -3.0, None, 2.0**24),
        (2, "bfloat16", both(4.75, 7.65), -5.0, None, 2.0**8),
        (2, "float16", (*both(0.3, 2.86), *both(4.45, 6.22)), -5.0, None, 2.0**11),
    ),
    reason="jax.nn.gelu computes the approximation by tanh unless it is called with approximate=False: another function, "
    "off by up to 5e-4. This catalogue has it as gelu_tanh.",
    link="https://docs.jax.dev/en/latest/_autosummary/jax.nn.gelu.html",
    seen=SEEN,
)

DEFAULT_LOST = Deviation(
    id="gelu-jax-default-lost-digits",
    cause="inaccurate",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (0, "float64", ((-38.8, -7.0), (-0.2, -5e-5), (5e-5, 0.2), (5.3, 8.2)), -20.0, -0.0, 2.0**53),
        (0, "float32", ((-13.2, -7.0),), -10.0, -0.0, 2.0**24),
        (0, "bfloat16", ((-13.2, -7.4), (-4.1, -1.9)), -10.0, -0.0, 2.0**8),
        (0, "bfloat16", ((-2.0, -0.2), (0.005, 1.95)), -1.875, None, 13.0),
        (0, "float16", ((-4.14, -3.55), (-3.39, -3.26)), -3.75, -0.0, 2.0**11),
        (0, "float16", ((-1.95, -0.13), (0.0007, 3.0)), -1.8896484375, None, 12.0),
        (1, "float64", ((-38.8, -7.0), (-0.2, -5e-5), (5e-5, 0.2), (5.9, 8.7)), -20.0, 0.0, 2.0**53),
        (1, "float32", ((-13.4, -7.1),), -10.0, 0.0, 2.0**24),
        (1, "bfloat16", ((-13.4, -7.55), (-4.42, -2.0)), -10.0, 0.0, 2.0**8),
        (1, "bfloat16", ((-2.05, -0.002), (0.004, 3.2)), -1.75, None, 16.0),
        (1, "float16", ((-4.41, -3.49), (-3.38, -2.5), (-2.4, -2.09), (-1.77, -1.69)), -3.75, None, 2700.0),
        (1, "float16", ((-1.5, -0.0003), (0.0006, 3.9)), -1.4287109375, None, 11.0),
        (2, "float64", (*both(4e-7, 0.2), *both(6.9, 38.8)), -20.0, 0.0, 2.0**53),
        (2, "float32", both(7.1, 13.6), -10.0, 0.0, 2.0**24),
        (2, "bfloat16", (*both(1.5, 4.9), *both(7.5, 13.6)), -10.0, 0.0, 600.0),
        (2, "bfloat16", both(0.002, 1.6), 1.2421875, None, 16.0),
        (2, "float16", ((-4.48, -2.4), (1.86, 2.15), (2.8, 4.48)), -3.75, None, 5000.0),
        (2, "float16", both(0.0003, 1.01), -0.2327880859375, None, 7.5),
    ),
    reason="1 + tanh and 1 - tanh^2 lose their digits in the tails, down to a 0. Where JAX's default differs from GELU by "
    "little, or computes in 16 bits, its rounding errors are the larger part.",
    link=JAX_SOURCE,
    seen=SEEN,
)

LEFT_TAIL = Deviation(
    id="gelu-lost-left-tail",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (0, "float64", ((-38.8, -1.25),), -20.0, -0.0, 2.0**53),
        (0, "float32", ((-14.3, -1.2),), -10.0, -0.0, 2.0**24, "AVX512"),
        (0, "float32", ((-14.3, -1.2),), -10.0, 0.0, 2.0**24, "AVX2"),
        (0, "bfloat16", ((-13.6, -4.0),), -10.0, -0.0, 2.0**8),
        (0, "float16", ((-5.65, -3.6),), -4.08984375, None, 6.5),
        (0, "float16", ((-3.6, -3.2),), -3.462890625, None, 2.0, "AVX512_FP16"),
        (1, "float64", ((-38.8, -1.4),), -10.0, None, 2.0**47),
        (1, "float32", ((-14.4, -1.4),), -10.0, 0.0, 2.0**25),
        (1, "bfloat16", ((-13.75, -5.2),), -10.0, 0.0, 2.0**8, "AVX512"),
        (1, "bfloat16", ((-13.5, -5.2),), -10.0, None, 11.0, "AVX2"),
    ),
    reason="torch computes Phi(x) as (1 + erf(x / sqrt(2))) / 2. Where erf nears -1 the sum keeps fewer and fewer digits, "
    "and where it rounds to -1 the value is 0, although the exact one is a normal number down to -38. The gradient "
    "contains the same sum.",
    link=CPU_KERNEL,
    seen=SEEN,
)

SUBNORMALS = Deviation(
    id="gelu-bfloat16-subnormal-results",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(TORCH, (0, "bfloat16", both(2.7e-40, 2.342e-38), 2e-38, 0.0, 2.0**7)),
    reason="oneDNN's bfloat16 kernel, taken with AVX-512, flushes subnormals to 0, in a backend that keeps them elsewhere.",
    link=ONEDNN,
    seen=WITH_AVX512,
)

OVER_BUDGET = Deviation(
    id="gelu-over-budget",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (0, "float32", ((2.8, 4.0),), 3.4810190200805664, None, 5.6, "AVX512"),
        (0, "float32", ((-1.21, -2.7e-6), (2.7e-6, 0.38)), -1.1961727142333984, None, 10.7, "AVX2"),
        (1, "float64", ((-1.4, -0.5),), -0.6242475689265525, None, 20.0),
        (1, "float32", ((-1.4, -1e-5), (1e-5, 0.2)), -1.2653050422668457, None, 40.0),
    ),
    reason="oneDNN approximates erf to fewer digits than float32 has, with AVX2 in another way, and the terms of the "
    "gradient cancel towards its zero at -0.75.",
    link=ONEDNN,
    seen=SEEN,
)

SQUARED = Deviation(
    id="gelu-second-derivative-squared-input",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "float64", both(5.6, 38.8), 38.0, None, 700.0),
        (2, "float32", both(5.6, 13.0), 12.955934524536133, None, 80.0),
        (2, "float32", both(13.0, 14.6), -13.507254600524902, None, 200.0),
        (2, "bfloat16", both(0.07, 5.0), 4.75, None, 6.5),
        (2, "bfloat16", both(5.0, 13.9), 13.5625, 0.0, 100.0),
        (2, "float16", both(0.02, 4.0), 3.8125, None, 5.0),
        (2, "float16", both(4.0, 6.3), 5.69921875, 0.0, 19.5),
    ),
    reason="torch composes the second derivative of operations that each round, x^2 first: e^(-x^2/2) multiplies the error "
    "of its argument by up to x^2/2.",
    link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
    seen=SEEN,
)

ERFC_TAIL = Deviation(
    id="gelu-jax-erfc-tail",
    cause="inaccurate",
    subjects=(ERFC,),
    regions=regions(
        ERFC,
        (0, "float64", ((-37.52, -1.1),), -32.471761872468534, None, 3000.0),
        (0, "float64", ((-37.65, -37.52),), -37.6, -0.0, 2.0**53),
        (0, "float32", ((-13.2, -0.9),), -13.041043281555176, -0.0, 2.0**24),
        (0, "bfloat16", ((-13.2, -5.0),), -13.0625, -0.0, 200.0),
        (1, "float64", ((-37.505, -1.4),), -32.471761872468534, None, 3000.0),
        (1, "float64", ((-37.8, -37.505),), -37.7, 0.0, 2.0**53),
        (1, "float64", ((-1.4, -0.5),), -1.1606301988045042, None, 20.0),
        (1, "float32", ((-13.4, -3.0),), -13.296610832214355, 0.0, 2.0**24),
        (1, "float32", ((-3.0, -0.5),), -2.921522617340088, None, 20.0),
        (1, "bfloat16", ((-13.4, -4.7),), -13.25, 0.0, 2.0**8),
        (2, "float64", both(1.1, 37.59), -32.471761872468534, None, 3000.0),
        (2, "float64", both(37.59, 37.9), -37.7, 0.0, 2.0**53),
        (2, "float32", both(2.5, 13.6), 13.222092628479004, 0.0, 2.0**24),
        (2, "bfloat16", both(4.5, 13.6), 12.0625, None, 300.0),
        (2, "float16", both(4.0, 6.3), 4.84375, None, 21.0),
    ),
    reason="With approximate=False JAX computes x erfc(-x / sqrt(2)) / 2, which keeps the tail. But erfc multiplies the "
    "rounding of its argument by up to x^2, XLA's own loses further digits, and where it is subnormal it is flushed to 0 "
    "although x times it is normal.",
    link="https://docs.jax.dev/en/latest/accuracy.html",
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="gelu-jax-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(ERFC,),
    regions=regions(
        ERFC,
        (0, "bfloat16", ((-5.0, -0.5), (0.005, 0.36)), -4.71875, None, 14.0),
        (0, "float16", ((-5.6, -0.25), (0.0007, 1.14)), -4.0234375, None, 15.75),
        (1, "bfloat16", ((-4.7, -0.007), (0.014, 0.86)), -4.03125, None, 15.5),
        (1, "float16", ((-6.0, -0.002), (0.004, 1.6)), -4.45703125, None, 16.0),
        (2, "bfloat16", both(0.06, 4.5), 4.03125, None, 14.0),
        (2, "float16", ((-4.0, 4.0),), 3.990234375, None, 15.0),
    ),
    reason="JAX rounds to 16 bits after each step; sqrt(2) and the constant of the derivative are rounded too.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="gelu-gradient-zero-sign",
    cause="convention",
    subjects=(TORCH, DEFAULT),
    regions=(
        Region(1, ("float16",), ((-14.35, -6.03),), (Anchor(-10.0, {TORCH: -0.0, DEFAULT: 0.0}),)),
        Region(1, ("float16",), ((-6.03, -5.96),), (Anchor(-6.0, {}),), capability="AVX512_FP16"),
    ),
    reason="Where the gradient underflows, torch keeps the sign of this negative number and JAX adds a +0 to it.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ZERO_SIGN_COMPILED = replace(
    ZERO_SIGN,
    id="gelu-gradient-zero-sign-compiled",
    regions=(Region(1, ("bfloat16",), ((-14.35, -13.8),), (Anchor(-14.0, {TORCH: -0.0, DEFAULT: 0.0}),)),),
    reason="As gelu-gradient-zero-sign; compiled, torch's gradient underflows in bfloat16 too.",
    modes=("compile",),
)

ZERO_SIGN_AVX2 = replace(
    ZERO_SIGN,
    id="gelu-zero-sign-avx2",
    regions=(
        Region(
            0,
            ("float32",),
            ((-0.0, -0.0), (-2.4e-38, -1.4e-45), (-3.4028234663852886e38, -14.2)),
            (Anchor(-100.0, {TORCH: 0.0, DEFAULT: -0.0}),),
        ),
        Region(1, ("bfloat16",), ((-14.35, -13.8),), (Anchor(-14.0, {TORCH: -0.0, DEFAULT: 0.0}),)),
    ),
    reason="oneDNN's float32 kernel for AVX2 gives +0 wherever the value is a zero, also that of -0 itself; JAX keeps "
    "the sign. In bfloat16 torch's own code keeps the sign of a gradient that underflows, and JAX adds a +0.",
    link=ONEDNN,
    seen=WITH_AVX2,
)

IS_TANH_FORWARD = Deviation(
    id="gelu-jax-default-is-tanh-forward",
    cause="definition",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (1, "bfloat16", ((-4.35, -4.21),), -4.21875, 0.0, 260.0),
        (1, "bfloat16", ((-1.1, -1.03),), -1.0859375, None, 10.2),
        (1, "float16", ((-4.37, -4.22), (-3.33, -3.06)), -4.36328125, 0.0, 2.0**11 * 1.1),
        (2, "bfloat16", ((-4.72, -4.62), (1.75, 1.76), (4.62, 4.72)), 4.71875, 0.0, 280.0),
        (2, "bfloat16", ((1.6, 1.87),), 1.796875, None, 15.0),
        (2, "float16", both(4.32, 4.45), 4.37109375, 0.0, 2.0**11 * 1.1),
        (2, "float16", both(2.86, 3.01), -2.94140625, None, 200.0),
    ),
    reason="As gelu-jax-default-is-tanh; in forward mode the derivatives round differently in 16 bits, so that it shows at "
    "these inputs too.",
    link=JAX_SOURCE,
    seen=SEEN,
    modes=("forward",),
)

LOST_FORWARD = Deviation(
    id="gelu-jax-default-lost-digits-forward",
    cause="inaccurate",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (1, "float16", ((-3.49, -3.38), (-1.69, -1.66)), -3.48828125, None, 2100.0),
        (2, "float16", ((-2.24, -1.93),), -2.140625, None, 62.0),
        (2, "float16", ((-1.93, -1.92),), -1.9287109375, None, 10.2),
    ),
    reason="As gelu-jax-default-lost-digits; in forward mode the derivatives round differently in 16 bits, so that it "
    "shows at these inputs too.",
    link=JAX_SOURCE,
    seen=SEEN,
    modes=("forward",),
)

COMPILED = Deviation(
    id="gelu-compiled-over-budget",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(TORCH, (0, "float32", ((-1.21, -2e-4), (2e-4, 0.1)), -1.1385040283203125, None, 10.5)),
    reason="torch.compile computes x (1 + erf(x / sqrt(2))) / 2 in vectors, with an erf of its own that has a few more ULP"
    " of error than the budget allows, at few inputs.",
    link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/cpu/vec/vec512/vec512_float.h",
    seen=SEEN,
    modes=("compile",),
)

LATER = (Seen(torch=">=2.15,<2.16", jax=">=0.12,<0.13"),)

IS_TANH_LATER = Deviation(
    id="gelu-jax-default-is-tanh-16-bit-later",
    cause="definition",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (1, "bfloat16", ((-4.35, -4.34),), -4.34375, 0.0, 160.0),
        (1, "bfloat16", ((-2.05, -1.0),), -1.96875, None, 14.5),
        (1, "float16", ((-3.35, -2.8),), -3.322265625, None, 600.0),
        (1, "float16", ((-0.44, -0.424),), -0.4375, None, 4.8),
        (2, "bfloat16", (*both(4.62, 8.0), (2.67, 3.07)), 4.71875, 0.0, 300.0),
        (2, "bfloat16", both(1.6, 1.92), 1.8515625, None, 16.0),
        (2, "float16", both(3.23, 3.65), 3.5859375, 0.0, 2.0**11 * 1.1),
    ),
    reason="As gelu-jax-default-is-tanh; later releases round differently in 16 bits, so that it shows at these inputs too.",
    link=JAX_SOURCE,
    seen=LATER,
)

LOST_LATER = Deviation(
    id="gelu-jax-default-lost-digits-16-bit-later",
    cause="inaccurate",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (1, "float16", ((-1.56, -1.5),), -1.5185546875, None, 8.0),
        (2, "float16", both(4.48, 4.97), 4.546875, 0.0, 2.0**11 * 1.1),
    ),
    reason="As gelu-jax-default-lost-digits; later releases round differently in 16 bits, so that it shows at these inputs"
    " too.",
    link=JAX_SOURCE,
    seen=LATER,
)

IS_TANH_LATER_FORWARD = Deviation(
    id="gelu-jax-default-is-tanh-16-bit-later-forward",
    cause="definition",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (1, "bfloat16", ((-8.13, -7.71),), -7.78125, 0.0, 270.0, "AVX2"),
        (1, "bfloat16", ((-0.934, -0.898),), -0.91796875, None, 12.7),
        (1, "float16", ((-3.59, -2.79),), -3.58203125, None, 800.0),
        (1, "float16", ((-0.424, -0.416),), -0.4189453125, None, 4.3),
        (2, "bfloat16", ((-4.6, -4.53), (-2.6, -2.23), (4.5, 4.6)), 4.5625, 0.0, 262.0),
        (2, "bfloat16", ((-2.22, -2.18), (1.12, 1.25)), 1.2109375, None, 13.7),
        (2, "float16", both(3.01, 3.17), 3.09765625, None, 292.0),
    ),
    reason="As gelu-jax-default-is-tanh-forward; later releases round differently in 16 bits, so that it shows at these "
    "inputs too.",
    link=JAX_SOURCE,
    seen=LATER,
    modes=("forward",),
)

LOST_LATER_FORWARD = Deviation(
    id="gelu-jax-default-lost-digits-16-bit-later-forward",
    cause="inaccurate",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (1, "bfloat16", ((-4.44, -4.43),), -4.4375, 0.0, 206.0),
        (1, "float16", ((-4.48, -4.41),), -4.41015625, 0.0, 1850.0),
        (2, "float16", both(1.01, 1.05), 1.0361328125, None, 10.3),
    ),
    reason="As gelu-jax-default-lost-digits-forward; later releases round differently in 16 bits, so that it shows at these "
    "inputs too.",
    link=JAX_SOURCE,
    seen=LATER,
    modes=("forward",),
)

LAYOUT_JAX = compiled_anew(
    "gelu-layout-jax",
    Region(1, ("float32",), ((-8.0, -2.0),), (Anchor(-3.7520949840545654, {}),), 0.81),
    Region(2, ("float32",), ((-5.4, -0.087), (0.42, 5.3)), (Anchor(-1.4141569137573242, {}),), 2.0**13),
)

LAYOUT_JAX_MATCHED = compiled_anew(
    "gelu-layout-jax-matched",
    Region(0, ("float32",), ((-14.0, -0.5),), (Anchor(-2.0229125022888184, {}),), 66.0),
    Region(1, ("float32",), ((-14.0, -0.5),), (Anchor(-2.0229125022888184, {}),), 45.0),
    Region(2, ("float32",), ((-15.0, -0.00038), (0.00038, 15.0)), (Anchor(13.191411972045898, {}),), 2.0**17),
    subject="jax.native.matched",
)

LAYOUT = scalar_rest(
    "gelu-layout",
    Region(
        0,
        ("float32",),
        ((inf, inf), (-6.1, -1.6e-08), (4.8e-08, 5.6), (1.5e38, 3.4028234663852886e38)),
        (Anchor(-5.53393030166626, {}),),
        2.0**26,
    ),
    Region(
        0,
        ("bfloat16",),
        ((inf, inf), (-2.6e-38, -1.4e-45), (-5.9, -2.8), (1.4e-45, 2.6e-38), (1.5e38, 3.4028234663852886e38)),
        (Anchor(1.7014118346046923e38, {}),),
        420.0,
    ),
    Region(1, ("float32",), ((-16.0, -3.2e-08), (6.5e-08, 6.5)), (Anchor(-6.805883407592773, {}),), 2.0**25),
    Region(1, ("bfloat16",), ((-16.0, -4.3),), (Anchor(-6.375, {}),), 430.0),
    of="erf",
    more="The scalar code loses the left tail elsewhere, overflows nowhere and flushes no subnormals.",
)

LAYOUT_AVX2 = replace(
    scalar_rest(
        "gelu-layout-avx2",
        Region(
            0,
            ("float32",),
            ((-0.0, -0.0), (-2.4e-38, -1.4e-45), (-3.4028234663852886e38, -3.7e-08), (7.1e-08, 5.2)),
            (Anchor(-4.983308792114258, {}),),
            2.2e6,
            capability="AVX2",
        ),
        Region(0, ("bfloat16",), ((-4.41, -3.14),), (Anchor(-3.140625, {}),), 1.7, capability="AVX2"),
        Region(
            1,
            ("float32",),
            ((-14.4, -3.7e-08), (7.1e-08, 5.95)),
            (Anchor(-6.9090375900268555, {}),),
            2.0**25,
            capability="AVX2",
        ),
        of="erf",
        more="The vectorised code, oneDNN's for AVX2, gives +0 where the scalar code gives -0.",
    ),
    seen=WITH_AVX2,
)

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
    deviations=(
        INFINITY,
        TOP_BINADE,
        SECOND_OVERFLOW,
        DEFAULT_OVERFLOW,
        ERFC_OVERFLOW,
        DEFAULT_IS_TANH,
        DEFAULT_LOST,
        LEFT_TAIL,
        SUBNORMALS,
        OVER_BUDGET,
        SQUARED,
        ERFC_TAIL,
        SIXTEEN_BITS,
        ZERO_SIGN,
        ZERO_SIGN_COMPILED,
        ZERO_SIGN_AVX2,
        IS_TANH_FORWARD,
        IS_TANH_LATER,
        LOST_LATER,
        IS_TANH_LATER_FORWARD,
        LOST_LATER_FORWARD,
        LOST_FORWARD,
        COMPILED,
        LAYOUT_JAX,
        LAYOUT_JAX_MATCHED,
        LAYOUT,
        LAYOUT_AVX2,
    ),
)
