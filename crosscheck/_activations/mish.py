"""Mish: x times tanh(softplus(x)). Smooth, not monotonic, unbounded above; close to SiLU."""

from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import FAR, Mended, as_it_is, exp_parts, mending, numpy_of, size
from crosscheck._activations._mechanisms import compiled_anew, composed_gradient, scalar_rest
from crosscheck._activations._regions import regions
from crosscheck._activations._zeros import MISH_GRADIENT, MISH_SECOND_ABOVE, MISH_SECOND_BELOW
from crosscheck._spec.records import DTYPES, Activation, Anchor, Deviation, Limits, Native, Region, Seen


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
    """(a, e, c) with a = |x| and e^-a = e c, c being 1 unless e^-a is tiny: a factor that meets e first keeps its digits."""
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
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH_KERNEL = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/Activation.cpp"
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"
JAX_RULES = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py"
JAX_LOGADDEXP = "https://github.com/jax-ml/jax/blob/main/jax/_src/lax/other.py"

INFINITY = Deviation(
    id="mish-at-infinity",
    cause="special",
    subjects=BOTH,
    regions=(
        Region(0, DTYPES, ((-inf, -inf),), (Anchor(-inf, dict.fromkeys(BOTH, nan)),)),
        Region(1, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, dict.fromkeys(BOTH, nan)),)),
        Region(2, DTYPES, ((-inf, -inf), (inf, inf)), (Anchor(inf, dict.fromkeys(BOTH, nan)),)),
    ),
    reason="Both frameworks multiply x with tanh(softplus(x)): at minus infinity that is -inf times 0, NaN, where the limit "
    "is 0. The derivatives multiply an infinite x with a zero in the same way, at both infinities.",
    link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mish.html",
    seen=SEEN,
)

SECOND_OVERFLOW = Deviation(
    id="mish-second-derivative-overflow",
    cause="special",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "float64", ((709.783, 1.7976931348623157e308),), 1000.0, nan, inf),
        (2, "float32", ((88.7229, 3.4028234663852886e38),), 1000.0, nan, inf),
        (2, "bfloat16", ((89.0, 3.39e38),), 1000.0, nan, inf),
        (2, "float16", ((11.09, 65504.0),), 1000.0, nan, inf),
    ),
    reason="For the second derivative torch composes softplus of exp and log1p. Where e^x overflows, from 11.09 on in "
    "float16, the derivative of exp is infinite and that of log1p 0, their product NaN. The exact value is 0 or near it.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
    bug=True,
)

SECOND_OVERFLOW_JAX = Deviation(
    id="mish-second-derivative-overflow-jax",
    cause="special",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", ((2.0**1023, 1.7976931348623157e308),), 1.5e308, nan, inf),
        (2, "float32", ((2.0**127, 3.4028234663852886e38),), 3e38, nan, inf),
        (2, "bfloat16", ((2.0**127, 3.39e38),), 3e38, nan, inf),
        (2, "float16", ((32768.0, 65504.0),), 60000.0, nan, inf),
    ),
    reason="JAX differentiates tanh as (1 + t) (1 - t). The derivative of that multiplies x with 1 + t, which is 2: where "
    "2 x overflows, infinity times the 0 of a later factor is NaN.",
    link=JAX_RULES,
    seen=SEEN,
)

SUBNORMAL_EXP = Deviation(
    id="mish-subnormal-exp",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (0, "float64", ((-752.0, -708.3),), -740.0, None, 1500.0),
        (0, "float32", ((-107.2, -87.3),), -101.03064727783203, None, 180.0),
    ),
    reason="torch multiplies x with tanh(log1p(e^x)). Where e^x is subnormal it holds few digits, and x multiplies its "
    "error; where it rounds to 0, so does the value, although the exact one does not.",
    link=TORCH_KERNEL,
    seen=SEEN,
)

SIGMOID_OVERFLOW = Deviation(
    id="mish-derivative-exp-overflow",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        *(
            row
            for order in (1, 2)
            for row in (
                (order, "float64", ((-752.0, -709.7),), -720.0, None, 2.0**53),
                (order, "float32", ((-107.2, -88.7),), -90.0, None, 2.0**25),
                (order, "bfloat16", ((-96.5, -89.0),), -90.5, None, 300.0),
            )
        ),
    ),
    reason="The gradient contains the sigmoid, which torch computes as 1 / (1 + e^-x). Where e^-x overflows to infinity, "
    "the larger of the gradient's two terms is lost, although it is still a normal number at first.",
    link=TORCH_KERNEL,
    seen=SEEN,
)

FLUSHED_EXP = Deviation(
    id="mish-flushed-exp",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        *(
            row
            for order, zero in ((0, -0.0), (1, 0.0), (2, 0.0))
            for row in (
                (order, "float64", ((-715.1, -708.3),), -710.0, zero, 2.0**53),
                (order, "float32", ((-92.0, -87.3),), -90.0, zero, 2.0**24),
                (order, "bfloat16", ((-91.5, -87.3),), -90.5, zero, 300.0),
            )
        ),
    ),
    reason="XLA on the CPU flushes e^x to 0 where it is subnormal, although x e^x is still a normal number.",
    link=JAX_SOURCE,
    seen=SEEN,
)

OVER_BUDGET = Deviation(
    id="mish-value-over-budget",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "float64", ((-13.0, -1e-8), (1e-8, 17.0)), 15.98277693919395, None, 7.5),
        (0, "float32", ((-8.0, -0.5),), -3.2428574562072754, None, 7.0),
    ),
    reason="XLA's tanh on the CPU has a few more ULP of error than the budget allows, at few inputs.",
    link="https://docs.jax.dev/en/latest/accuracy.html",
    seen=SEEN,
)

NEAR_ONE = Deviation(
    id="mish-gradient-near-one",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "float64", ((7.5, 20.0),), 18.715774286559046, None, 24.0),
        (1, "float32", ((8.0, 9.1),), 8.664569854736328, None, 10.5),
    ),
    reason="The gradient is t + x s (1 - t^2), with t = tanh(softplus(x)) near 1: x multiplies the error of the rounded t.",
    link=TORCH_KERNEL,
    seen=SEEN,
)

NEAR_ONE_JAX = Deviation(
    id="mish-gradient-near-one-jax",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", ((2.2, 8.0),), 7.877661193358502, None, 55.0),
        (1, "float64", ((8.0, 20.5),), 19.99930713354935, None, 160.0),
        (1, "float32", ((2.2, 9.1),), 7.552443027496338, None, 40.0),
    ),
    reason="As in mish-gradient-near-one, with the larger error of XLA's tanh.",
    link=JAX_RULES,
    seen=SEEN,
)

CANCELLED = Deviation(
    id="mish-derivatives-cancelled",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (1, "float64", ((-2.5, -1.3),), -1.6579834835974125, None, 9.5),
        (1, "float32", ((-2.1, -1.3),), -1.6915795803070068, None, 10.5),
        (2, "float64", ((-1.9, -1.6), (1.0, 2.0)), 1.9498292186762138, None, 40.0),
        (2, "float32", ((-1.9, -1.6), (1.0, 2.0)), 1.9618921279907227, None, 40.0),
    ),
    reason="Towards the zero of the gradient at -1.19 and those of the second derivative at -2.26 and 1.49 the terms "
    "cancel. Nearer to them the error counts in ULP of the terms and passes; around that it counts in ULP of the result.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

ROUNDED_EXPONENT = Deviation(
    id="mish-derivatives-rounded-exponent",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (1, "float64", ((-37.0, -0.2),), -33.28727436783159, None, 75.0),
        (1, "float32", ((-17.0, -0.2),), -8.226310729980469, None, 18.0),
        (2, "float64", ((-37.0, -4.0), (-1.9, -1.6)), -33.26759330931882, None, 75.0),
        (2, "float64", ((0.3, 2.0),), 1.9988991720933633, None, 120.0),
        (2, "float32", ((-17.0, -4.0), (-1.9, -1.6)), -1.8622891902923584, None, 20.0),
        (2, "float32", ((0.3, 2.0),), 1.969607949256897, None, 140.0),
    ),
    reason="JAX computes the sigmoid in the derivatives as e^(x - softplus(x)); exp multiplies the rounding error of the "
    "difference by its size. Towards the zeros of the derivatives, where terms cancel, this and other errors grow.",
    link=JAX_LOGADDEXP,
    seen=SEEN,
)

LOST_SECOND = Deviation(
    id="mish-second-derivative-lost-tail",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "float64", ((2.0, 376.5),), 20.0, 0.0, 2.0**54),
        (2, "float32", ((2.0, 54.5),), 15.54827880859375, 0.0, 2.0**25),
        (2, "bfloat16", ((1.78, 47.8),), 13.75, 0.0, 300.0),
        (2, "float16", ((1.75, 9.15),), 6.3828125, 0.0, 2.0**12),
    ),
    reason="torch differentiates through the rounded t = tanh(softplus(x)), with a factor 1 - t^2. Where t nears 1 it keeps "
    "fewer and fewer digits, and where t rounds to 1 the second derivative is 0, although the exact one is not.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

LOST_SECOND_JAX = Deviation(
    id="mish-second-derivative-lost-tail-jax",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (2, "float64", ((2.0, 357.5),), 19.99930713354935, -5.906171073428942e-14, 2.0**60),
        (2, "float32", ((2.0, 46.7),), 15.54827880859375, 0.0, 2.0**25),
        (2, "bfloat16", ((1.89, 46.5),), 13.75, 0.0, 300.0),
        (2, "float16", ((1.76, 9.15),), 6.3828125, 0.0, 2.0**12),
    ),
    reason="As in mish-second-derivative-lost-tail; XLA's tanh stays below 1 for longer, so that in float64 the result is a "
    "hundred times too large before it is 0.",
    link=JAX_RULES,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="mish-16-bit-arithmetic",
    cause="inaccurate",
    subjects=(JAX,),
    regions=regions(
        JAX,
        (0, "bfloat16", ((-51.3, -2.77e-38), (2.77e-38, 1.05)), 0.001617431640625, None, 2.1),
        (0, "float16", ((-19.7, -1.9e-4), (7e-4, 1.9)), -17.34375, None, 10.5),
        (1, "bfloat16", ((-83.5, -0.0217), (0.0393, 0.28), (1.97, 3.65)), -1.65625, None, 8.5),
        (1, "float16", ((-19.6, -0.0021), (7e-4, 0.366), (0.63, 4.89)), -17.34375, None, 10.5),
        (1, "float16", ((0.366, 0.63),), 0.383056640625, None, 1.5, "AVX512_FP16"),
        (2, "bfloat16", ((-87.0, -0.003), (0.0019, 1.89)), 1.796875, None, 13.5),
        (2, "float16", ((-19.5, -2.4e-4), (7e-4, 1.76), (9.15, 10.5)), 9.15625, None, 16.0),
    ),
    reason="JAX computes softplus, tanh, the product and the derivatives in the 16-bit dtype, rounding after each step.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ROUNDED_SECOND = Deviation(
    id="mish-second-derivative-rounded",
    cause="inaccurate",
    subjects=(TORCH,),
    regions=regions(
        TORCH,
        (2, "bfloat16", ((-88.75, -0.0117), (0.0078, 1.78), (48.0, 49.0)), 1.7421875, None, 14.5),
        (2, "float16", ((-19.5, -2.4e-4), (9.7e-4, 1.75), (9.15, 10.5)), 9.15625, None, 16.0),
    ),
    reason="torch composes the second derivative from operations that each round to 16 bits.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="mish-gradient-underflow-sign",
    cause="convention",
    subjects=BOTH,
    regions=(Region(1, ("float16",), ((-88.7, -20.2),), (Anchor(-30.0, {TORCH: -0.0, JAX: 0.0}),)),),
    reason="Where the gradient, a negative number, underflows in float16, torch, which computes it in float32, keeps its "
    "sign and JAX returns +0.",
    link=JAX_SOURCE,
    seen=SEEN,
)

ROUNDED_GRADIENT_FUNCTIONAL = composed_gradient(
    "mish-functional-gradient-rounded",
    *regions(
        TORCH,
        (1, "bfloat16", ((-83.5, -0.0217), (0.0024, 3.65)), -2.515625, None, 5.5),
        (1, "float16", ((-19.6, -0.0021), (7e-4, 4.89)), -17.34375, None, 10.5),
    ),
)

LAYOUT = scalar_rest(
    "mish-layout",
    Region(0, ("float32",), ((-120.0, -0.23), (0.091, 9.9)), (Anchor(-101.03064727783203, {}),), 160.0),
    Region(1, ("float32",), ((-120.0, -0.23), (0.091, 9.9)), (Anchor(-1.1936023235321045, {}),), 1700.0),
    Region(2, ("float32",), ((-84.0, -0.11), (0.24, 2.6)), (Anchor(-2.2638063430786133, {}),), 420.0),
    of="e^x, log1p and tanh",
)

LAYOUT_JAX = compiled_anew(
    "mish-layout-jax",
    Region(1, ("float32",), ((-75.0, -0.05), (0.03, 2.7)), (Anchor(-1.1936023235321045, {}),), 900.0),
    Region(2, ("float32",), ((-19.0, -1e-8), (1e-8, 8.6)), (Anchor(-2.2562499046325684, {}),), 3500.0),
)

MISH = Activation(
    name="mish",
    latex=r"f(x) = x \tanh(\log(1 + e^x))",
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
    natives={"torch": Native("torch.nn.functional.mish"), "jax": Native("jax.nn.mish")},
    deviations=(
        INFINITY,
        SECOND_OVERFLOW,
        SECOND_OVERFLOW_JAX,
        SUBNORMAL_EXP,
        SIGMOID_OVERFLOW,
        FLUSHED_EXP,
        OVER_BUDGET,
        NEAR_ONE,
        NEAR_ONE_JAX,
        CANCELLED,
        ROUNDED_EXPONENT,
        LOST_SECOND,
        LOST_SECOND_JAX,
        SIXTEEN_BITS,
        ROUNDED_SECOND,
        ZERO_SIGN,
        ROUNDED_GRADIENT_FUNCTIONAL,
        LAYOUT,
        LAYOUT_JAX,
    ),
)
