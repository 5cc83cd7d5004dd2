"""Softplus: log(1 + e^(beta x)) / beta, a smooth ReLU. Positive, so that it makes a scale or a variance of any number.

Where beta x is above ``threshold`` it is x itself: a shortcut that saves the exponential, and a jump. There is none unless
one is given. torch's own default is 20, and it needs one: above 88 its exponential overflows in float32.
"""

from dataclasses import replace
from math import frexp, inf
from typing import Any

from crosscheck._activations._kernels import FAR, at_most, cut, exp_above, growth, log1p, numpy_of
from crosscheck._activations._mechanisms import scalar_rest
from crosscheck._activations._regions import regions
from crosscheck._spec.ranges import Range
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Kink, Limits, Native, Region, Seen


def definition(m: Any, x: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    return m.where(x > threshold / beta, x, m.log(1 + m.exp(beta * x)) / beta)


def derivative(m: Any, x: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    """s(beta x), s being the sigmoid; 1 above the threshold."""
    e, c = _decay(m, x, beta, *FLOAT64)
    z = e * c
    return m.where(x > threshold / beta, 1.0, m.where(x > 0, 1, z) / (1 + z))


def second_derivative(m: Any, x: Any, beta: float = 1.0, threshold: float = inf) -> Any:
    """beta s(beta x) s(-beta x); 0 above the threshold."""
    e, c = _decay(m, x, beta, *FLOAT64)
    z = e * c
    return m.where(x > threshold / beta, 0.0, beta * e / (1 + z) / (1 + z) * c)


FLOAT64, FLOAT32 = (2**20, 23, 708), (2**8, 9, 87)
"""The grid of :func:`cut`, the digits of beta's leading part and the k of :func:`exp_above`."""


def _decay(m: Any, x: Any, beta: float, grid: int, digits: int, deep: int) -> tuple[Any, Any]:
    """(e, c) with e^(-beta |x|) = e c, c being 1 unless that would be subnormal.

    exp would magnify the rounding of beta |x| by the product's size. So its argument is the nearest number of a grid to it,
    and what is left is put back; both factors are cut, so that the product of their leading parts is exact.
    """
    fraction, exponent = frexp(beta)
    a = m.abs(x) * 2.0**exponent
    a = m.where(a > FAR, FAR, a)
    if fraction == 0.5:  # a power of two, with which no product is rounded
        return exp_above(m, -a / 2, deep)
    upper = round(fraction * 2**digits) / 2**digits
    h, low = cut(m, a, grid)
    leading, rest = h * upper, a * (fraction - upper)
    q, _ = cut(m, leading + rest, grid)
    rest = m.positive((leading - q) + rest + low * upper)  # one small term in the formula's scale, as in cut
    e, c = exp_above(m, -q, deep)
    return e * (1 + growth(-rest)), c  # not e + e g: e g may be subnormal where e is normal


def _parts(framework: Any, x: Any, beta: Any) -> tuple[Any, Any]:
    m = numpy_of(framework)
    return _decay(m, x, beta, *(FLOAT64 if m.finfo(x.dtype).bits == 64 else FLOAT32))


def value(framework: Any, x: Any, beta: Any, threshold: Any) -> Any:
    """log(1 + e^-|beta x|) / beta, plus x above 0. Where the exponential is subnormal, it is what the logarithm is."""
    m = numpy_of(framework)
    e, c = _parts(framework, x, beta)
    y = m.where(c < 1, e / beta * c, log1p(framework, e * c) / beta)
    return m.where(x > at_most(framework, x, threshold / beta), x, m.where(x > 0, x + y, y))


def gradient(framework: Any, x: Any, beta: Any, threshold: Any) -> Any:
    m = numpy_of(framework)
    e, c = _parts(framework, x, beta)
    z = e * c
    return m.where(x > at_most(framework, x, threshold / beta), 1.0, m.where(x > 0, 1 / (1 + z), z / (1 + z)))


def second(framework: Any, x: Any, beta: Any, threshold: Any) -> Any:
    m = numpy_of(framework)
    e, c = _parts(framework, x, beta)
    z = e * c
    return m.where(x > at_most(framework, x, threshold / beta), 0.0, beta * e / (1 + z * (2 + z)) * c)


def limits(beta: float, threshold: float) -> Limits:
    return Limits(minus=(0, 0, 0), plus=(inf, 1, 0))


def kinks(beta: float, threshold: float) -> tuple[Kink, ...]:
    """The jump at the threshold, which itself belongs to the part below."""
    if threshold == inf:
        return ()
    return (Kink(at=threshold / beta, chosen={1: "left", 2: "left"}, source=DOCUMENTATION),)


SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH, MATCHED, JAX = "torch.native", "torch.native.matched", "jax.native"
DOCUMENTATION = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html"
DOUBLE_BACKWARD = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
LOGADDEXP = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/other.py"


DEFAULT, TWICE, HALF = {"beta": 1.0, "threshold": inf}, {"beta": 2.0, "threshold": 20.0}, {"beta": 0.5, "threshold": 5.0}


def _with(parameters: dict[str, float], *rows: Region) -> tuple[Region, ...]:
    return tuple(replace(row, parameters=parameters) for row in rows)


def _cluster(start: float) -> tuple[Anchor, ...]:
    """So many anchors that the causes of inputs nearby are told apart at one of them, whatever else is sampled."""
    return tuple(Anchor(start + k / 128, {}) for k in range(48))


THRESHOLD = Deviation(
    id="softplus-threshold",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=_with(
        DEFAULT,
        *regions(
            TORCH,
            (0, "float64", ((20.0, 31.88),), 20.125, 20.125, 6e5),
            (1, "float64", ((20.0, 35.1),), 20.125, 1.0, 2e7),
        ),
    ),
    reason="Above its threshold, 20, torch returns x. In float64 the e^-x that it leaves out is up to half a million ULP; "
    "with threshold=88 it is none in any dtype.",
    link=DOCUMENTATION,
    seen=SEEN,
)

THRESHOLD_DERIVATIVES = Deviation(
    id="softplus-threshold-derivatives",
    cause="definition",
    subjects=(TORCH,),
    regions=_with(
        DEFAULT,
        *regions(TORCH, (1, "float64", ((20.3, 20.8),), 20.6, 1.0, 2e7)),
        Region(2, ("float64",), ((20.0, 27.4),), (Anchor(23.0, {TORCH: 0.0}), *_cluster(23.0)), 2.0**53),
        Region(2, ("float32",), ((19.8, 27.4),), (Anchor(23.0, {TORCH: 0.0}), *_cluster(23.0)), 2.0**24),
        *regions(TORCH, (2, "bfloat16", ((19.5, 27.0),), 23.0, 0.0, 2.0**8)),
    ),
    reason="Above the threshold the function is another one, x: its gradient is 1 and its second derivative 0, which is "
    "less than e^-x by more than any rounding.",
    link=DOCUMENTATION,
    seen=SEEN,
)

LOST_TAIL = Deviation(
    id="softplus-second-derivative-lost-tail",
    cause="inaccurate",
    subjects=(TORCH, MATCHED),
    regions=(
        *(
            Region(
                2, (dtype,), ((low, high),), (Anchor(at, dict.fromkeys((TORCH, MATCHED), 0.0)), *more), max_ulp, (), DEFAULT
            )
            for dtype, low, high, at, more, max_ulp in (
                ("float64", 4.0, 745.2, 100.0, _cluster(28.0), 2.0**53),
                ("float32", 4.0, 103.98, 19.5, _cluster(28.0), 2.0**24),
                ("bfloat16", 2.0, 92.5, 15.25, (), 2.0**8),
                ("float16", 2.0, 16.7, 8.3203125, (), 2.0**11),
            )
        ),
        *_with(
            TWICE,
            *regions(
                TORCH,
                (2, "float64", ((2.0, 10.0),), 9.774633839300613, 6.469801118345814e-09, 1e9),
                (2, "float32", ((2.0, 10.0),), 9.75, 0.0, 2.0**24),
                (2, "bfloat16", ((1.0, 9.97),), 7.625, 0.0, 2.0**8),
                (2, "float16", ((1.0, 8.7),), 4.16015625, 0.0, 2.0**11),
            ),
        ),
        *_with(
            HALF,
            *regions(
                TORCH,
                (2, "float64", ((8.0, 10.0),), 9.5, None, 250.0),
                (2, "float32", ((8.0, 10.0),), 9.705511093139648, None, 250.0),
                (2, "bfloat16", ((4.0, 9.97),), 9.25, 0.003875732421875, 40.0),
                (2, "float16", ((4.0, 10.0),), 9.75, 0.003875732421875, 80.0),
            ),
        ),
    ),
    reason="torch computes the second derivative as s (1 - s) of the rounded sigmoid s. Where s nears 1, the difference "
    "keeps fewer and fewer digits, and where s rounds to 1 the result is 0, although the exact one is e^-x.",
    link=DOUBLE_BACKWARD,
    seen=SEEN,
)

LOST_DIGITS = Deviation(
    id="softplus-second-derivative-lost-digits",
    cause="inaccurate",
    subjects=(TORCH, MATCHED),
    regions=tuple(
        Region(2, (dtype,), ((low / beta, high / beta),), (Anchor(at / beta, {}),), max_ulp, (), parameters)
        for parameters, beta in ((DEFAULT, 1.0), (TWICE, 2.0), (HALF, 0.5))
        for dtype, low, high, at, max_ulp in (
            ("float64", 2.3, 4.0, 3.759042454138214, 80.0),
            ("float32", 2.3, 4.0, 3.9688720703125, 80.0),
            ("bfloat16", -6.3, 2.0, 1.859375, 4.0),
            ("float16", -11.0, 2.0, 1.857421875, 4.0),
        )
    ),
    reason="Where 1 - s begins to lose digits, few inputs show it; in 16 bits the steps of s (1 - s) each round as well.",
    link=DOUBLE_BACKWARD,
    seen=SEEN,
)

OVERFLOW = Deviation(
    id="softplus-second-derivative-exp-overflow",
    cause="inaccurate",
    subjects=(TORCH, MATCHED),
    regions=tuple(
        Region(2, (dtype,), ((low / beta, high / beta),), (Anchor(at / beta, results),), beta * max_ulp, (), parameters)
        for parameters, beta, results in (
            (DEFAULT, 1.0, dict.fromkeys((TORCH, MATCHED), 0.0)),
            (TWICE, 2.0, {TORCH: 0.0}),
            (HALF, 0.5, {TORCH: 0.0}),
        )
        for dtype, low, high, at, max_ulp in (
            ("float64", -742.0, -709.79, -710.0, 2.0**52),
            ("float32", -100.95, -88.73, -89.0, 2.0**23),
            ("bfloat16", -92.5, -89.0, -89.0, 2.0**5),
        )
    ),
    reason="That sigmoid is 1 / (1 + e^-x). Where e^-x overflows to infinity it is 0, although the exact result is still a "
    "subnormal number.",
    link="https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UnaryOpsKernel.cpp",
    seen=SEEN,
)

AT_THRESHOLD = Deviation(
    id="softplus-second-derivative-at-threshold",
    cause="convention",
    subjects=(TORCH,),
    regions=(
        Region(2, ("float64", "float32", "bfloat16"), ((10.0, 10.0),), (Anchor(10.0, {TORCH: 0.0}),), parameters=TWICE),
        Region(2, DTYPES, ((10.0, 10.0),), (Anchor(10.0, {TORCH: 0.0}),), parameters=HALF),
    ),
    reason="Where beta x is the threshold itself, torch's value and gradient are those below it, but its second derivative "
    "asks beta x < threshold and is 0, that of the line above.",
    link=DOUBLE_BACKWARD,
    seen=SEEN,
)

ROUNDED_DIFFERENCE = Deviation(
    id="softplus-gradient-rounded-difference",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", ((-36.8, -8.0), (8.0, 36.8)), 33.33572811343883, None, 40.0),
        (1, "float32", ((-17.0, -8.0), (8.0, 17.0)), 8.292569160461426, None, 12.0),
        (1, "bfloat16", ((-5.8, -0.013), (0.2, 5.6)), 4.15625, None, 5.5),
        (1, "float16", ((-8.0, -0.016), (0.06, 7.7)), 4.03125, None, 6.0),
        (2, "float64", ((-36.8, -16.0),), -33.33572811343883, None, 40.0),
        (2, "bfloat16", ((-6.4, -0.09),), -4.25, None, 5.0),
        (2, "float16", ((-8.6, -0.03),), -6.3046875, None, 6.0),
    ),
    reason="JAX computes the gradient as e^(x - y) from the rounded y = log(1 + e^x). The absolute error of y and of the "
    "difference, up to an ULP of x, becomes a relative one. The second derivative inherits it.",
    link=LOGADDEXP,
    seen=SEEN,
)

LOST_TAIL_JAX = Deviation(
    id="softplus-second-derivative-lost-tail-jax",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", ((3.0, 708.4),), 100.0, 0.0, 2.0**53),
        (2, "float64", ((1.8, 3.0),), 2.9625632390135266, None, 50.0),
        (2, "float32", ((3.0, 87.4),), 19.5, 0.0, 2.0**24),
        (2, "float32", ((1.8, 3.0),), 2.6958773136138916, None, 50.0),
        (2, "bfloat16", ((1.0, 87.25),), 15.25, 0.0, 2.0**8),
        (2, "bfloat16", ((0.1, 1.0),), 0.98046875, None, 4.0),
        (2, "float16", ((1.0, 16.7),), 9.0, 0.0, 2.0**11),
        (2, "float16", ((0.04, 1.0),), 0.8994140625, None, 5.0),
    ),
    reason="JAX differentiates that gradient g as g (1 - g). Where g nears 1, the difference keeps fewer and fewer digits, "
    "and where g rounds to 1 the result is 0, although the exact one is e^-x.",
    link=LOGADDEXP,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="softplus-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((-1.39, -1.35), (0.275, 0.276)), -1.3828125, None, 1.5),
        (0, "float16", ((-2.8, -0.49), (0.0012, 0.43)), -2.74609375, None, 1.6),
    ),
    reason="JAX computes each step of log(1 + e^x) in the 16-bit dtype, rounding after each.",
    link=LOGADDEXP,
    seen=SEEN,
)

LAYOUT = scalar_rest(
    "softplus-layout",
    Region(0, ("float32",), ((-120.0, -1e-9), (1e-9, 16.0)), (Anchor(-1.2647652626037598, {}),), 3.2),
    Region(1, ("float32",), ((-84.0, -1e-9), (1e-9, 19.0)), (Anchor(16.83690643310547, {}),), 3.2),
    Region(2, ("float32",), ((-84.0, -0.2), (0.1, 20.0)), (Anchor(-13.0, {}),), 4.0),
    of="e^x and log1p",
    subjects=(
        "torch.native",
        "torch.native.matched",
    ),
)

SOFTPLUS = Activation(
    name="softplus",
    latex=r"f(x) = \tfrac{1}{\beta} \log(1 + e^{\beta x})",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=limits,
    kinks=kinks,
    parameters={"beta": 1.0, "threshold": inf},
    # with which torch rounds neither the product nor the threshold; an infinite one it cannot do: see tests/test_softplus.py
    cases=({"beta": 2.0, "threshold": 20.0}, {"beta": 0.5, "threshold": 5.0}),
    ranges={"beta": Range(1e-15, 1e30), "threshold": Range(open=(True, False))},
    natives={
        "torch": Native("torch.nn.functional.softplus", matched={"threshold": 88.0}),
        "jax": Native("jax.nn.softplus", lacks=("beta", "threshold")),
    },
    deviations=(
        THRESHOLD_DERIVATIVES,
        THRESHOLD,
        LOST_TAIL,
        LOST_DIGITS,
        OVERFLOW,
        AT_THRESHOLD,
        ROUNDED_DIFFERENCE,
        LOST_TAIL_JAX,
        SIXTEEN_BITS,
        LAYOUT,
    ),
)
