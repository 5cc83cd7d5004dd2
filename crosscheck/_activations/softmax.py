"""Softmax: e^z_j / sum_k e^z_k along an axis. Turns scores into probabilities: positive, and each row sums to 1."""

from dataclasses import replace
from math import inf, nan
from typing import Any

from crosscheck._activations._kernels import centred, in_float64, softmax_parts, stable_exp
from crosscheck._activations._mechanisms import LONG_SUM, compiled_anew, long_rows
from crosscheck._spec.records import DTYPES, MODES, Activation, Anchor, Deviation, Limits, Native, Region, Seen


def definition(m: Any, x: Any, axis: int = -1) -> Any:
    """e^z_j / sum_k e^z_k; the factor e^-max cancels, and lets equal entries give fractions exactly."""
    e = m.exp(x - m.max(x, axis=axis, keepdims=True))
    return e / m.sum(e, axis=axis, keepdims=True)


def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    """s_i (v_i - sum_j s_j v_j): the Jacobian s_i (delta_ij - s_j) times v."""
    e, total = stable_exp(m, x, axis)
    return e * (v - m.sum(e * v, axis=axis, keepdims=True) / total) / total


def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    """s_i (q_i - sum_j s_j q_j) with q_i = (v_i - sum_j s_j v_j) (w_i - sum_j s_j w_j)."""
    e, total = stable_exp(m, x, axis)
    d, f = (a - m.sum(e * a, axis=axis, keepdims=True) / total for a in (v, w))
    return e * (d * f - m.sum(e * (d * f), axis=axis, keepdims=True) / total) / total


@in_float64
def value(framework: Any, x: Any, axis: int) -> Any:
    e, c, s, g = softmax_parts(framework, x, axis)
    return e * c / s * (1 + g)  # not q + q g: q g may be subnormal where q is normal


@in_float64
def gradient(framework: Any, x: Any, v: Any, axis: int) -> Any:
    """s_i (v_i - mean v)."""
    e, c, s, g = of = softmax_parts(framework, x, axis)
    return e * centred(framework, of, v, axis) / s * (1 + g) * c


@in_float64
def second(framework: Any, x: Any, v: Any, w: Any, axis: int) -> Any:
    """s_i (q_i - mean q) with q = (v - mean v) (w - mean w)."""
    e, c, s, g = of = softmax_parts(framework, x, axis)
    q = centred(framework, of, v, axis) * centred(framework, of, w, axis)
    return e * centred(framework, of, q, axis) / s * (1 + g) * c


BOTH = ("torch.native", "jax.native")
SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
TORCH_SOURCE = "https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/vec/functional_base.h"
TORCH_DERIVATIVES = "https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml"
JAX_SOURCE = "https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py"

INFINITY = Deviation(
    id="softmax-infinite-maximum",
    cause="special",
    subjects=BOTH,
    regions=tuple(
        Region(order, DTYPES, ((at, at),), (Anchor(at, dict.fromkeys(BOTH, nan)),), lengths=lengths)
        for order in (0, 1, 2)
        for at, lengths in ((inf, ()), (-inf, (1,)))
    ),
    reason="Both frameworks subtract the largest entry first; where it is infinite, inf - inf is NaN. The limit exists "
    "where one entry alone is infinite: it is 1 there and 0 elsewhere. A row of one entry is always 1.",
    link="https://github.com/pytorch/pytorch/issues/6864",
    seen=SEEN,
)

ROUNDED_DIFFERENCE = Deviation(
    id="softmax-rounded-difference",
    cause="inaccurate",
    subjects=BOTH,
    regions=tuple(
        Region(
            order,
            (dtype,),
            ((low, high),),
            (Anchor(at, {"torch.native": torch, "jax.native": jax}),),
            max_ulp,
            capability=next(iter(capability), None),
        )
        for order, dtype, low, high, max_ulp, at, torch, jax, *capability in (
            (0, "float32", -104, -64, 68, -64.48861694335938, 9.838967010529476e-29, 9.838967010529476e-29),
            (0, "float64", -128, -64, 68, -69.97036443382629, 4.9293563737356367e-32, 4.9293563737356367e-32, "AVX512"),
            (0, "float64", -128, -64, 68, -69.97036443382629, 4.929356373735638e-32, 4.9293563737356367e-32, "AVX2"),
            (0, "float64", -64, -32, 35, -46.43585843557709, 8.197780893044181e-22, 8.197780893044181e-22, "AVX512"),
            (0, "float64", -64, -32, 35, -46.43585843557709, 8.197780893044183e-22, 8.197780893044181e-22, "AVX2"),
            (0, "float64", -32, -16, 19, -17.001709519240258, 7.2665988930073825e-09, 7.26659889300738e-09, "AVX512"),
            (0, "float64", -32, -16, 19, -17.001709519240258, 7.266598893007381e-09, 7.26659889300738e-09, "AVX2"),
            (0, "float64", -16, 0, 12, -11.77070131409215, 6.6171264722830615e-06, 6.6171264722830615e-06, "AVX512"),
            (0, "float64", -16, 0, 12, -11.77070131409215, 6.617126472283062e-06, 6.6171264722830615e-06, "AVX2"),
            (0, "float32", -64, -32, 35, -40.936431884765625, 1.6654573360355714e-18, 1.6654573360355714e-18),
            (0, "float32", -32, -16, 20, -21.57384490966797, 4.270093723057755e-10, 4.270093723057755e-10),
            (0, "float32", -16, 0, 13, -8.049440383911133, 5.613741450360976e-05, 5.6137410865630955e-05),
            (1, "float64", -128, -64, 70, -83.12988854737745, -2.9409119711453245e-36, -2.9409119711453245e-36),
            (1, "float64", -64, -32, 37, -59.748154295329186, -6.059942615299598e-27, -6.0599426152995994e-27),
            (1, "float64", -32, -16, 21, -17.001709519240258, -1.0386715240310658e-08, -1.0386715240310653e-08, "AVX512"),
            (1, "float64", -32, -16, 21, -17.001709519240258, -1.0386715240310653e-08, -1.0386715240310653e-08, "AVX2"),
            (1, "float64", -16, 0, 13, -11.77070131409215, 4.263227947660248e-06, 4.263227947660247e-06, "AVX512"),
            (1, "float64", -16, 0, 13, -10.293969862223577, -4.954098659552749e-05, -4.954098659552749e-05, "AVX2"),
            (1, "float32", -86, -64, 70, -66.85115051269531, -1.1347368583741926e-29, -1.1347370088374695e-29),
            (1, "float32", -64, -32, 37, -59.74815368652344, -6.059946658920204e-27, -6.059945888548226e-27, "AVX512"),
            (1, "float32", -64, -32, 37, -59.74815368652344, -6.059945888548226e-27, -6.059945888548226e-27, "AVX2"),
            (1, "float32", -32, 0, 21, -21.57384490966797, 1.3941535703665409e-09, 1.3941536813888433e-09),
            (2, "float64", -128, -64, 75, -89.46146146146147, 4.676120792521222e-39, 4.676120792521222e-39),
            (2, "float64", -64, -16, 40, -42.94458748397115, 6.765353382417243e-20, 6.765353382417243e-20),
            (2, "float32", -86, -64, 75, -85.22482299804688, 1.4386383039842947e-38, 1.4386381638544483e-38),
            (2, "float32", -64, -16, 40, -53.835880279541016, 1.1847958733499552e-23, 1.1847958733499552e-23),
        )
    ),
    reason="Both frameworks round x - max before the exponential, which turns the absolute error of the difference, half an "
    "ULP of it, into a relative one: up to 32 to 64 ULP of the result at a difference between 64 and 128.",
    link=TORCH_SOURCE,
    seen=SEEN,
    modes=tuple(mode for mode in MODES if mode != "forward"),
)

ROUNDED_DIFFERENCE_FAR = Deviation(
    id="softmax-rounded-difference-far",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=(
        Region(1, ("float32",), ((-104, -86),), (Anchor(-88.14141082763672, {"torch.native": 1.5963425351071061e-38}),), 70),
        Region(2, ("float32",), ((-104, -86),), (Anchor(-88.67267608642578, {"torch.native": 2.1620748912541677e-38}),), 75),
    ),
    reason="As softmax-rounded-difference, where JAX deviates by more: see softmax-flushed-factor.",
    link=TORCH_SOURCE,
    seen=SEEN,
)

FLUSHED_FACTOR = Deviation(
    id="softmax-flushed-factor",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(order, (dtype,), ((-92, -86),), (Anchor(at, {"jax.native": 0.0}),), max_ulp)
        for order, dtype, at, max_ulp in (
            (1, "float32", -88.28282928466797, 2.0**24),
            (1, "bfloat16", -88.5, 2.0**8),
            (2, "float32", -88.67267608642578, 2.0**24),
            (2, "bfloat16", -88.5, 2.0**8),
        )
    ),
    reason="The derivative is a product with the softmax itself. XLA on CPU flushes that to 0 where it is subnormal, "
    "although the product is still a normal number.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SIXTEEN_BITS = Deviation(
    id="softmax-16-bit-arithmetic",
    cause="inaccurate",
    subjects=("jax.native",),
    regions=tuple(
        Region(order, (dtype,), ((low, 0),), (Anchor(at, {"jax.native": result}),), max_ulp)
        for order, dtype, low, max_ulp, at, result in (
            (1, "float16", -25, 130, -7.265625, 0.00018453598022460938),
            (0, "bfloat16", -92, 180, -44.25, 7.517417406881916e-21),
            (0, "float16", -25, 6.5, -7.3359375, 0.00011479854583740234),
            (1, "bfloat16", -86, 190, -62.25, 1.2148457940403582e-28),
            (2, "bfloat16", -86, 90, -61.75, 8.64591552122229e-28),
            (2, "float16", -32, 1500, -8.9375, 0.0004551410675048828),
        )
    ),
    reason="JAX computes the difference, the exponential, the sums over the row and the products in the 16-bit dtype, "
    "rounding after each step. In rows of 1000 the sums of the float16 derivatives lose most digits.",
    link=JAX_SOURCE,
    seen=SEEN,
)

SIXTEEN_BITS_TORCH = Deviation(
    id="softmax-16-bit-rounding",
    cause="inaccurate",
    subjects=("torch.native",),
    regions=tuple(
        Region(
            order,
            (dtype,),
            ((-110, 0),),
            (Anchor(at, {"torch.native": result}),),
            max_ulp,
            capability=next(iter(capability), None),
        )
        for order, dtype, max_ulp, at, result, *capability in (
            (0, "bfloat16", 1.5, -46.25, 6.5909751208225245e-21, "AVX512"),
            (0, "float16", 1.5, -4.03125, 0.0151824951171875, "AVX512"),
            (1, "bfloat16", 2.4, -20.0, -5.296897143125534e-09, "AVX512"),
            (1, "float16", 2.8, -14.6875, -3.5762786865234375e-07),
            (2, "bfloat16", 7.5, -61.75, 8.267262286716204e-28),
            (2, "float16", 8, -14.6875, 9.5367431640625e-07),
        )
    ),
    reason="torch differentiates with the softmax that was rounded to 16 bits, and composes the second derivative from "
    "operations that each round again; with AVX-512 the value along another axis than the last is rounded twice.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

ZERO_SIGN = Deviation(
    id="softmax-zero-sign",
    cause="convention",
    subjects=BOTH,
    regions=tuple(
        Region(order, (dtype,), ((-inf, -inf),), (Anchor(-inf, {}),), lengths=lengths)
        for order, dtype, lengths in ((2, "bfloat16", (100, 1000)), (1, "float16", (1000,)), (2, "float16", (1000,)))
    ),
    reason="At an entry of minus infinity the derivative is 0 times a difference, whose sign is decided by the rounding to "
    "16 bits.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
)

ROUNDED_DIFFERENCE_FORWARD = replace(
    ROUNDED_DIFFERENCE,
    id="softmax-rounded-difference-forward",
    regions=tuple(
        replace(region, max_ulp=2.0**24, anchors=(Anchor(-85.22482299804688, {}),))
        if region.intervals == ((-86, -64),)
        else replace(region, anchors=tuple(Anchor(anchor.input, {}) for anchor in region.anchors))
        for region in ROUNDED_DIFFERENCE.regions
        if region.order > 0
    ),
    reason="As softmax-rounded-difference. In forward mode XLA flushes a product of JAX's to 0 where it is subnormal, too,"
    " from a difference of 80 on.",
    modes=("forward",),
)

ZERO_SIGN_FORWARD = Deviation(
    id="softmax-zero-sign-forward",
    cause="convention",
    subjects=BOTH,
    regions=(Region(1, DTYPES, ((-inf, -inf),), (Anchor(-inf, {}),)),),
    reason="At an entry of minus infinity the derivative is 0 times a difference; in forward mode the frameworks subtract "
    "its terms in another order, which decides the sign.",
    link=TORCH_DERIVATIVES,
    seen=SEEN,
    modes=("forward",),
)

ZERO_SIGN_COMPILED = Deviation(
    id="softmax-zero-sign-compiled",
    cause="convention",
    subjects=BOTH,
    regions=(Region(1, DTYPES, ((-inf, -inf),), (Anchor(-inf, {}),)),),
    reason="At an entry of minus infinity the derivative is 0 times a difference; compiled, torch subtracts the products "
    "p v - p sum(p v), whose zeros have another sign.",
    link="https://github.com/pytorch/pytorch/blob/main/torch/_decomp/decompositions.py",
    seen=SEEN,
    modes=("compile",),
)

LAYOUT_JAX = compiled_anew(
    "softmax-layout-jax",
    Region(2, ("float32",), ((0.0, 0.0), (-22.0, -0.046)), (Anchor(-0.57110595703125, {}),), 230.0, lengths=(8,)),
)

LONG_ROWS = ((0, -104, 0, 3000, -8.5), (1, -104, 0, 2600, -8.5), (2, -104, 0, 1600, -8.5))
LONG_ROW = long_rows("softmax-long-row", "torch.native", LONG_SUM, TORCH_SOURCE, *LONG_ROWS)

SOFTMAX = Activation(
    name="softmax",
    latex=r"s(z)_j = \frac{e^{z_j}}{\sum_k e^{z_k}}",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=gradient,
    torch_second=second,
    jax_value=value,
    jax_gradient=gradient,
    jax_second=second,
    limits=Limits(minus=(0, 0, 0), plus=(1, 0, 0)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    natives={
        "torch": Native("torch.nn.functional.softmax", parameters={"axis": "dim"}),
        "jax": Native("jax.nn.softmax"),
    },
    rows=True,
    deviations=(
        INFINITY,
        ROUNDED_DIFFERENCE,
        ROUNDED_DIFFERENCE_FAR,
        FLUSHED_FACTOR,
        SIXTEEN_BITS,
        SIXTEEN_BITS_TORCH,
        ZERO_SIGN,
        ROUNDED_DIFFERENCE_FORWARD,
        ZERO_SIGN_FORWARD,
        ZERO_SIGN_COMPILED,
        LAYOUT_JAX,
        LONG_ROW,
    ),
)
