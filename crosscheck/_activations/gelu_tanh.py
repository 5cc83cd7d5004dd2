"""GELU's approximation by tanh: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2. Smooth, not monotonic."""

from dataclasses import replace
from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import Halves, Mended, as_it_is, cut, exp_above, grown, growth, mending, numpy_of
from crosscheck._activations._mechanisms import WITH_AVX2, compiled_anew, scalar_rest
from crosscheck._activations._regions import both, regions
from crosscheck._activations._zeros import GELU_TANH_GRADIENT, GELU_TANH_SECOND
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Limits, Native, Region, Seen


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


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
DEFAULT, MATCHED, JAX = "torch.native", "torch.native.matched", "jax.native"
CPU_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
COMPOSED = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
ONEDNN = "https://uxlfoundation.github.io/oneDNN/dev_guide_eltwise.html"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

INFINITY = Deviation(
    id="gelu-tanh-at-infinity",
    cause="special",
    subjects=(DEFAULT, MATCHED, JAX),
    regions=(
        Region(0, DTYPES, ((-inf, -inf),), (Anchor(-inf, dict.fromkeys((DEFAULT, MATCHED, JAX), nan)),)),
        Region(1, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, dict.fromkeys((DEFAULT, MATCHED, JAX), nan)),)),
        Region(2, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, dict.fromkeys((DEFAULT, MATCHED, JAX), nan)),)),
    ),
    reason="At minus infinity both frameworks compute -inf times 0, NaN, where the limit is 0. The derivatives multiply an "
    "infinite x with a zero in the same way, at both infinities.",
    link=CPU_KERNEL,
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="gelu-tanh-overflow",
    cause="special",
    subjects=(MATCHED,),
    regions=regions(
        MATCHED,
        (1, "float64", both(1.34e154, 1.7976931348623157e308), 1e300, nan, inf),
        (1, "float32", both(1.844e19, 3.4028234663852886e38), 1e30, nan, inf),
        (1, "bfloat16", both(1.844e19, 3.39e38), 1e30, nan, inf),
        (2, "float64", both(1.497e103, 1.7976931348623157e308), 1e300, nan, inf),
        (2, "float32", both(1.85e13, 3.4028234663852886e38), 1e30, nan, inf),
        (2, "bfloat16", both(1.85e13, 3.39e38), 1e30, nan, inf),
        (2, "float16", both(107.0, 65504.0), 1000.0, nan, inf),
    ),
    reason="The derivatives multiply a power of x, infinite out there, with the derivative of tanh, 0 out there.",
    link=COMPOSED,
    seen=SEEN,
)

OVERFLOW_JAX = Deviation(
    id="gelu-tanh-overflow-jax",
    cause="special",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", both(7.74e153, 1.7976931348623157e308), 1e300, nan, inf),
        (1, "float32", both(1.065e19, 3.4028234663852886e38), 1e30, nan, inf),
        (1, "bfloat16", both(1.066e19, 3.39e38), 1e30, nan, inf),
        (1, "float16", both(147.8, 65504.0), 1000.0, nan, inf),
        (2, "float64", ((-1.7976931348623157e308, -9.43e102), (1.188e103, 1.7976931348623157e308)), 1e300, nan, inf),
        (2, "float32", ((-3.4028234663852886e38, -1.166e13), (1.47e13, 3.4028234663852886e38)), 1e30, nan, inf),
        (2, "bfloat16", ((-3.39e38, -1.166e13), (1.47e13, 3.39e38)), 1e30, nan, inf),
        (2, "float16", ((-65504.0, -67.3), (84.8, 65504.0)), 1000.0, nan, inf),
    ),
    reason="The derivatives multiply a power of x, infinite out there, with the derivative of tanh, 0 out there.",
    link=JAX_SOURCE,
    seen=SEEN,
)

DEFAULT_OVERFLOW = Deviation(
    id="gelu-tanh-torch-default-overflow",
    cause="special",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (0, "float32", ((2.0**127, 3.4028234663852886e38),), 2e38, inf, inf, "AVX512"),
        (0, "float32", ((inf, inf),), inf, nan, inf, "AVX512"),
        (0, "bfloat16", ((2.0**127, 3.39e38),), 2e38, inf, inf, "AVX512"),
        (0, "bfloat16", ((inf, inf),), inf, nan, inf, "AVX512"),
        (0, "float16", ((inf, inf),), inf, nan, inf, "AVX512_FP16"),
        (2, "float64", both(1.34e154, 1.7976931348623157e308), 1e300, nan, inf),
        (2, "float32", both(1.844e19, 3.4028234663852886e38), 1e30, nan, inf),
        (2, "bfloat16", both(1.844e19, 3.39e38), 1e30, nan, inf),
        (2, "float16", both(256.0, 65504.0), 1000.0, nan, inf),
    ),
    reason="torch's default is the exact GELU, whose value overflows in the top binade with AVX-512, and whose second "
    "derivative is NaN where x^2 overflows: gelu-top-binade and gelu-second-derivative-overflow.",
    link=ONEDNN,
    seen=SEEN,
)

DEFAULT_IS_ERF = Deviation(
    id="gelu-tanh-torch-default-is-erf",
    cause="definition",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (0, "float64", ((-8.2, -0.003), (0.003, 6.7)), -3.0, None, inf),
        (0, "float32", ((-8.0, -0.04), (0.04, 5.2)), -3.0, None, 2.0**29),
        (0, "bfloat16", ((-7.8, -2.05),), -5.0, None, 6000.0),
        (0, "float16", ((-5.53, -0.75),), -3.0, None, 1500.0),
        (1, "float64", ((-8.4, -0.002), (0.002, 7.3)), -3.0, None, inf),
        (1, "float32", ((-8.2, -1e-5), (0.03, 5.7)), -3.0, None, inf),
        (1, "bfloat16", ((-7.7, -0.6),), -5.0, None, inf),
        (1, "float16", ((-5.9, -0.38),), -3.0, None, 1700.0),
        (1, "float16", ((0.6, 2.4),), 1.998046875, None, 1.5),
        (2, "float64", both(1e-4, 8.4), -3.0, None, inf),
        (2, "float32", both(0.008, 8.3), -3.0, None, inf),
        (2, "bfloat16", both(0.9, 7.75), -5.0, None, inf),
        (2, "float16", both(0.16, 5.8), -3.0, None, 2200.0),
    ),
    reason="torch's gelu computes x Phi(x) unless it is called with approximate='tanh': another function, off by up to "
    "5e-4, and ever farther off, relatively, in the tails. This catalogue has it as gelu.",
    link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gelu.html",
    seen=SEEN,
)

DEFAULT_LOST = Deviation(
    id="gelu-tanh-torch-default-lost-digits",
    cause="inaccurate",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (0, "float64", ((-21.7, -7.0), (-0.3, -5e-5), (5e-5, 0.3), (5.3, 8.2)), -20.0, -0.0, inf),
        (0, "float32", ((-10.8, -7.0), (-5.7, -5.45)), -10.0, -0.0, inf, "AVX512"),
        (0, "float32", ((-10.8, -7.0),), -10.0, 0.0, inf, "AVX2"),
        (0, "float32", ((-0.139, -2.7e-6), (2.7e-6, 0.132)), 0.09660930186510086, None, 46.0, "AVX2"),
        (0, "bfloat16", ((-10.3, -7.65),), -9.4375, -0.0, 2.0**8),
        (0, "bfloat16", ((-7.65, -7.5),), -7.5625, -0.0, 280.0, "AVX2"),
        (0, "bfloat16", both(2.7e-40, 2.342e-38), 2e-38, 0.0, 2.0**7, "AVX512"),
        (0, "float16", ((-5.55, -5.52),), -5.54296875, None, 3.2),
        (1, "float64", ((-38.8, -7.1), (-0.2, -5e-5), (5e-5, 0.2), (5.9, 8.7)), -20.0, None, inf),
        (1, "float32", ((-10.9, -7.1), (-6.4, -6.1), (-0.15, -1e-4), (0.03, 0.09)), -10.0, 0.0, inf),
        (1, "bfloat16", ((-10.4, -7.5),), -9.3125, None, inf),
        (1, "bfloat16", ((-13.75, -10.4),), -10.4375, None, inf, "AVX2"),
        (2, "float64", (*both(4e-7, 0.2), *both(7.0, 38.8)), -20.0, None, inf),
        (2, "float32", both(7.1, 14.4), -10.0, None, inf),
        (2, "bfloat16", both(7.6, 13.6), -10.0, None, inf),
        (2, "bfloat16", both(0.07, 3.4), 1.109375, None, 6.0),
        (2, "float16", both(0.02, 1.0), 0.90283203125, None, 3.2),
    ),
    reason="Where torch's default differs by little, or is all lost digits itself, its errors are the larger part. oneDNN's "
    "bfloat16 kernel, taken with AVX-512, flushes subnormals; where it is not taken, torch keeps a tail of the gradient "
    "that the approximation by tanh has lost.",
    link=ONEDNN,
    seen=SEEN,
)

LOST_TAILS = Deviation(
    id="gelu-tanh-lost-tails",
    cause="inaccurate",
    subjects=(MATCHED,),
    regions=regions(
        MATCHED,
        (0, "float64", ((-21.7, -1.25),), -20.0, -0.0, 2.0**53),
        (0, "float32", ((-10.8, -1.2),), -10.0, -0.0, 2.0**24),
        (0, "bfloat16", ((-10.3, -4.3),), -6.1875, -0.0, 2.0**8),
        (0, "float16", ((-5.25, -3.85),), -5.0625, -0.0, 2.75),
        (1, "float64", ((-21.7, -1.4),), -20.0, 0.0, 2.0**53),
        (1, "float64", ((-1.4, -0.5), (4.5, 7.5)), 7.145274756483353, None, 30.0),
        (1, "float32", ((-10.9, -1.4),), -10.0, 0.0, 2.0**24),
        (1, "float32", ((-1.4, -0.5), (4.9, 5.2)), 5.0724711418151855, None, 20.0),
        (1, "bfloat16", ((-10.4, -4.4),), -5.375, 0.0, 2.0**8),
        (1, "float16", ((-5.5, -3.84),), -5.0625, 0.0, 19.0),
        (2, "float64", both(0.85, 21.8), 7.209136145098476, None, 2.0**50),
        (2, "float32", both(1.5, 11.0), 5.163836479187012, None, 2.0**21),
        (2, "float32", both(0.9, 1.5), 1.0134069919586182, None, 20.0),
        (2, "bfloat16", both(2.2, 10.6), 10.3125, None, 150.0),
        (2, "bfloat16", both(0.06, 2.24), 2.1875, None, 16.0),
        (2, "float16", both(1.7, 5.8), 3.740234375, None, 550.0),
        (2, "float16", both(0.02, 1.7), 1.6953125, None, 16.0),
    ),
    reason="torch computes 1 + tanh and 1 - tanh^2. Where tanh nears -1 or 1 they keep fewer and fewer digits, and where it "
    "rounds to it they are 0, although the exact value is a normal number. The second derivative is composed of operations "
    "that each round, in the 16-bit dtypes to 16 bits.",
    link=COMPOSED,
    seen=SEEN,
)

LOST_TAILS_JAX = Deviation(
    id="gelu-tanh-lost-tails-jax",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "float64", ((-21.3, -0.7),), -20.0, -0.0, 2.0**59),
        (0, "float32", ((-10.2, -0.8),), -8.0, -0.0, 2.0**24),
        (0, "bfloat16", ((-10.1, -2.2),), -6.1875, -0.0, 2.0**8),
        (1, "float64", ((-21.3, -1.4),), -20.0, 0.0, 2.0**60),
        (1, "float64", ((-1.4, -0.5),), -1.2057906140383388, None, 18.0),
        (1, "float64", ((5.4, 7.4),), 7.33218641399009, None, 200.0),
        (1, "float64", ((2.0, 5.4),), 5.220626378465685, None, 45.0),
        (1, "float32", ((-10.3, -1.4),), -8.0, 0.0, 2.0**24),
        (1, "float32", ((-1.4, -0.5), (2.0, 5.2)), 4.876036643981934, None, 35.0),
        (1, "bfloat16", ((-10.25, -2.12),), -5.375, 0.0, 300.0),
        (2, "float64", both(1.0, 21.3), 7.33218641399009, None, 2.0**60),
        (2, "float32", both(1.9, 10.4), -8.0, 0.0, 2.0**24),
        (2, "float32", both(0.9, 1.9), 1.838230848312378, None, 60.0),
        (2, "bfloat16", both(1.75, 10.4), -3.046875, None, 600.0),
        (2, "float16", both(1.6, 5.8), 4.41015625, 0.0, 5100.0),
    ),
    reason="JAX computes 1 + tanh, and differentiates tanh as (1 + y) (1 - y). Where tanh nears -1 or 1, these keep fewer "
    "and fewer digits, down to 0. XLA's float64 tanh stays 7 ULP below 1 between arguments of 18.2 and 20, where the exact "
    "value goes on: there the result is up to 50 times too large.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="gelu-tanh-jax-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((-2.2, -0.2), (0.005, 1.95)), -1.9140625, None, 14.0),
        (0, "float16", ((-5.2, -2.2),), -3.8828125, -0.0, 2.0**11),
        (0, "float16", ((-2.2, -0.13), (0.0007, 3.2)), -1.9140625, None, 16.0),
        (1, "bfloat16", ((-2.12, -0.002), (0.004, 3.2)), -2.109375, None, 16.0),
        (1, "float16", ((-5.5, -1.68),), -3.583984375, None, 5800.0),
        (1, "float16", ((-1.68, -0.0003), (0.0006, 3.8)), -1.568359375, None, 16.0),
        (2, "bfloat16", both(0.002, 1.75), 1.0078125, None, 16.0),
        (2, "float16", both(0.0003, 1.6), -1.0703125, None, 8.0),
    ),
    reason="JAX rounds to 16 bits after each step, the cube and the constants included.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="gelu-tanh-gradient-zero-sign",
    cause="convention",
    subjects=(DEFAULT, JAX),
    regions=(
        Region(1, ("float16",), ((-14.35, -6.03),), (Anchor(-10.0, {DEFAULT: -0.0, JAX: 0.0}),)),
        Region(1, ("float16",), ((-6.03, -5.96),), (Anchor(-6.0, {}),), capability="AVX512_FP16"),
    ),
    reason="Where the gradient underflows, torch keeps the sign of this negative number and JAX adds a +0 to it.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ZERO_SIGN_COMPILED = replace(
    ZERO_SIGN,
    id="gelu-tanh-gradient-zero-sign-compiled",
    regions=(Region(1, ("bfloat16",), ((-14.35, -13.8),), (Anchor(-14.0, {DEFAULT: -0.0, JAX: 0.0}),)),),
    reason="As gelu-tanh-gradient-zero-sign; compiled, torch's gradient underflows in bfloat16 too.",
    modes=("compile",),
)

ZERO_SIGN_AVX2 = replace(
    ZERO_SIGN,
    id="gelu-tanh-zero-sign-avx2",
    regions=(
        Region(
            0,
            ("float32",),
            ((-0.0, -0.0), (-2.4e-38, -1.4e-45), (-3.4028234663852886e38, -10.5)),
            (Anchor(-100.0, {DEFAULT: 0.0, JAX: -0.0}),),
        ),
        Region(1, ("bfloat16",), ((-14.35, -13.8),), (Anchor(-14.0, {DEFAULT: -0.0, JAX: 0.0}),)),
    ),
    reason="torch's default is the exact GELU: see gelu-zero-sign-avx2.",
    link=ONEDNN,
    seen=WITH_AVX2,
)

DEFAULT_COMPILED = Deviation(
    id="gelu-tanh-torch-default-compiled",
    cause="inaccurate",
    subjects=(DEFAULT,),
    regions=regions(
        DEFAULT,
        (0, "float32", ((-0.132, -2e-4), (2e-4, 0.132)), 0.029154986143112183, None, 21.5),
        (0, "bfloat16", ((-7.63, -7.53),), -7.5625, -0.0, 2.0**9),
        (1, "float32", ((-14.4, -10.8),), -10.92247200012207, None, inf),
        (1, "bfloat16", ((-13.7, -10.4),), -10.4375, None, inf),
    ),
    reason="torch's default is the exact GELU, compiled with an erf of its own. Its gradient keeps the tail that the "
    "approximation by tanh has lost out there.",
    link=COMPOSED,
    seen=SEEN,
    modes=("compile",),
)

LAYOUT_JAX = compiled_anew(
    "gelu-tanh-layout-jax",
    Region(1, ("float32",), ((-8.0, -2.0),), (Anchor(-3.7520949840545654, {}),), 1.6),
    Region(2, ("float32",), ((-5.4, -0.087), (0.42, 5.3)), (Anchor(-1.416297435760498, {}),), 160.0),
)

LAYOUT = scalar_rest(
    "gelu-tanh-layout",
    Region(
        0,
        ("float32",),
        ((inf, inf), (-6.1, -1.6e-08), (4.8e-08, 5.6), (1.5e38, 3.4028234663852886e38)),
        (Anchor(-5.53393030166626, {}),),
        2.0**30,
    ),
    Region(
        0,
        ("bfloat16",),
        ((inf, inf), (-2.6e-38, -1.4e-45), (-5.9, -2.8), (1.4e-45, 2.6e-38), (1.5e38, 3.4028234663852886e38)),
        (Anchor(-5.34375, {}),),
        2200.0,
    ),
    Region(1, ("float32",), ((-16.0, -3.2e-08), (6.5e-08, 6.5)), (Anchor(-10.206735610961914, {}),)),
    Region(1, ("bfloat16",), ((-16.0, -4.3),), (Anchor(-10.25, {}),)),
    of="erf",
    more="torch's default is the exact GELU: see gelu-layout.",
)

LAYOUT_MATCHED = scalar_rest(
    "gelu-tanh-layout-matched",
    Region(0, ("float32",), ((-5.7, -1.1),), (Anchor(-5.153900146484375, {}),), 2.0**26),
    Region(0, ("bfloat16",), ((-5.7, -4.6),), (Anchor(-5.15625, {}),), 540.0),
    Region(1, ("float32",), ((-5.7, -1.1), (4.5, 5.7)), (Anchor(-5.153900146484375, {}),), 2.0**25),
    Region(1, ("bfloat16",), ((-5.7, -4.6),), (Anchor(-5.15625, {}),), 480.0),
    of="tanh",
    more="Where tanh rounds to -1 or 1 in one of them only, the result is 0 there.",
    subjects=("torch.native.matched",),
)

LAYOUT_AVX2 = replace(
    scalar_rest(
        "gelu-tanh-layout-avx2",
        Region(
            0,
            ("float32",),
            ((-0.0, -0.0), (-2.4e-38, -1.4e-45), (-3.4028234663852886e38, -3.7e-08), (7.1e-08, 5.2)),
            (Anchor(-4.983308792114258, {}),),
            9e6,
            capability="AVX2",
        ),
        Region(0, ("bfloat16",), ((-4.41, -3.14),), (Anchor(-3.8125, {}),), 3.4, capability="AVX2"),
        Region(1, ("float32",), ((-14.4, -3.7e-08), (7.1e-08, 5.95)), (Anchor(-6.9090375900268555, {}),), capability="AVX2"),
        of="erf",
        more="torch's default is the exact GELU: see gelu-layout-avx2.",
    ),
    seen=WITH_AVX2,
)

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
    deviations=(
        INFINITY,
        OVERFLOW,
        OVERFLOW_JAX,
        DEFAULT_OVERFLOW,
        DEFAULT_IS_ERF,
        DEFAULT_LOST,
        LOST_TAILS,
        LOST_TAILS_JAX,
        SIXTEEN_BITS,
        ZERO_SIGN,
        ZERO_SIGN_COMPILED,
        ZERO_SIGN_AVX2,
        DEFAULT_COMPILED,
        LAYOUT_JAX,
        LAYOUT,
        LAYOUT_MATCHED,
        LAYOUT_AVX2,
    ),
)
