"""A sweep: its truth is the exact evaluator's, its counts and maxima those of judging each input, and a fault is found."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from floats import FORMATS, to_ordinal, widen
from in_both import derivative
from judging import CODE, JudgingSetting, judge, scale
from truths import truth

import crosscheck
from crosscheck import SweepReport, SweepResult, activations
from crosscheck._sweep.forms import Constant, Multiple, OutsideDomain, Polynomial, parts
from crosscheck._sweep.positions import PIECE, Span, bits_at, floats, pieces, position_of, value_at, whole
from crosscheck._sweep.truths import Truths

pytestmark = pytest.mark.full

FMT = FORMATS["float32"]
SWEPT = (
    "sigmoid",
    "tanh",
    "silu",
    "gelu",
    "relu",
    "leaky_relu",
    "elu",
    "softplus",
    "gelu_tanh",
    "mish",
    "selu",
    "log_sigmoid",
    "squareplus",
    "tanhshrink",
    "log1mexp",
)
NATIVES = ("torch.native", "jax.native")
COUNT = 4096
"""Inputs that fill vectors: what is left over, torch computes in another way."""


def around(x: float, count: int) -> tuple[str, str]:
    """The bits of so many floats with x in their middle."""
    middle = position_of(x, FMT)
    first, last = (f"0x{bits_at(middle + offset, FMT):08x}" for offset in (-(count // 2), (count - 1) // 2))
    return first, last


def result_of(report: SweepReport, implementation: str, order: int) -> SweepResult:
    (result,) = [
        candidate for candidate in report.results if (candidate.implementation, candidate.order) == (implementation, order)
    ]
    return result


def test_every_bit_pattern_has_one_position_in_the_order_of_values() -> None:
    for fmt in (FORMATS["float16"], FORMATS["bfloat16"]):
        x = floats(whole(fmt), fmt)
        assert np.unique(x.view(np.uint16)).size == 2**16
        ordinals = to_ordinal(x)
        assert (np.diff(ordinals) >= 0).all()
        assert [bits_at(i, fmt) for i in range(0, 2**16, 997)] == x.view(np.uint16)[::997].tolist()
    spans = list(pieces(whole(FMT)))
    assert (spans[0].first, spans[-1].last, len(spans)) == (0, 2**32 - 1, 4096)
    assert all(a.last + 1 == b.first for a, b in pairwise(spans))
    for value in (-math.inf, -1.0, -0.0, 0.0, 2.0**-149, 3.0, math.inf):
        at = value_at(position_of(value, FMT), FMT)
        assert (at, math.copysign(1, at)) == (value, math.copysign(1, value))


@pytest.mark.parametrize("name", SWEPT)
def test_the_truth_is_that_of_the_exact_evaluator(name: str) -> None:
    """At random inputs of random pieces, some of them where the function bends or ends."""
    rng = np.random.default_rng([ord(letter) for letter in name])
    activation, truths, kinds = activations[name], Truths(activations[name], FMT), set()
    near = [position_of(x, FMT) // PIECE for x in (-103.9, -20.0, -1.3, -1e-3, -1e-41, 2e-8, 0.3, 88.0, 3e38)]
    for number in [*near, *rng.integers(0, 4096, 5).tolist()]:
        span = Span(number * PIECE, (number + 1) * PIECE - 1)
        x = floats(span, FMT)
        several = parts(activation, span, FMT, (0, 1))
        assert [part.span.first for part in several[1:]] == [part.span.last + 1 for part in several[:-1]]
        for i in rng.integers(0, len(several), 2).tolist():
            for blocks in truths.blocks(several[i], span.first, x):
                for k, block in blocks.items():
                    kinds.add(type(several[i].forms[k]))
                    if isinstance(several[i].forms[k], OutsideDomain):
                        continue
                    at = np.unique(rng.integers(0, block.x.size, 2))
                    exact = truth(activation, block.x[at], [k])[k]
                    rounded, value = (np.broadcast_to(b, block.x.shape)[at] for b in (block.rounded, block.value))
                    assert ((rounded == exact.rounded) | ~exact.judged).all(), (block.x[at], several[i].forms[k])
                    if not isinstance(several[i].forms[k], Constant):
                        unit = np.ldexp(1.0, (exact.exponent - 23).astype(np.int32))
                        with np.errstate(invalid="ignore"):
                            off = np.abs(widen(np.asarray(value)) - exact.approximate()) / unit
                        assert not (off[np.isfinite(rounded)] > 0.126).any()
    assert kinds & {Constant, OutsideDomain}
    assert kinds & {Multiple, Polynomial}


def test_ties_that_no_precision_decides_are_not_tried_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """There tanhshrink is x - 1, half way between two numbers, and a little more; elsewhere what is open is decided."""
    tried = []

    def counted(self: Truths, x: Any, k: int) -> Any:
        tried.append(x.size)
        return truth(self.activation, x, [k])[k]

    monkeypatch.setattr(Truths, "decided", counted)
    for name, low, bound in (("tanhshrink", 2.0**24, 0.0), ("sigmoid", 0.7, 1e-10)):
        tried.clear()
        first = position_of(low, FMT)
        span = Span(first, first + 2**14 - 1)
        (part,) = parts(activations[name], span, FMT, (0,))
        form = part.forms[0]
        assert isinstance(form, Polynomial)
        part = replace(part, forms={0: replace(form, bound=form.bound + bound)})
        (block,) = Truths(activations[name], FMT).blocks(part, first, floats(span, FMT))
        exact = truth(activations[name], block[0].x[::37], [0])[0]
        assert (exact.judged == (name == "sigmoid")).mean() > 0.4
        assert ((block[0].rounded[::37] == exact.rounded) | ~exact.judged).all()
        assert (sum(tried) > 8) == (name == "sigmoid")


def test_a_wrong_truth_is_seen() -> None:
    """The test above can fail: coefficients off by 2^-40 give other roundings, which nothing but it would tell."""
    span = Span(position_of(0.5, FMT), position_of(0.5, FMT) + 2**14 - 1)
    activation, x = activations["sigmoid"], floats(span, FMT)
    (part,) = parts(activation, span, FMT, (0,))
    form = part.forms[0]
    assert isinstance(form, Polynomial)
    wrong = Polynomial(form.centre, form.width, (form.coefficients[0] * (1 + 2.0**-30), *form.coefficients[1:]), form.bound)
    rounded = truth(activation, x, [0])[0].rounded
    for tried, right in ((form, True), (wrong, False)):
        (blocks,) = Truths(activation, FMT).blocks(type(part)(span, {0: tried}), span.first, x)
        assert (blocks[0].rounded == rounded).all() == right


RANGES = {
    "sigmoid": -87.3,
    "tanh": 9.01,
    "silu": -1.2784645,
    "gelu": -13.1,
    "elu": -1e-3,
    "softplus": -87.0,
    "mish": 1e-39,
    "leaky_relu": 0.0,
    "selu": 3.2386e38,
    "relu": math.inf,
}


@pytest.mark.parametrize("name", RANGES)
def test_counts_and_maxima_are_those_of_judging_each_input(name: str) -> None:
    """By the exact evaluator and the causes of ``verify``, without pieces or polynomials."""
    activation, ends = activations[name], around(RANGES[name], COUNT)
    report = crosscheck.sweep(name, range=ends, implementations=NATIVES)
    first = position_of(RANGES[name], FMT) - COUNT // 2
    x = floats(Span(first, first + COUNT - 1), FMT)
    got = {side: natives(activation, side, x) for side in ("torch", "jax")}
    for order in (0, 1):
        exact, at_zero = (truth(activation, at, [order])[order] for at in (x, np.zeros(1, np.float32)))
        terms = scale(lambda m, x: activation.derivative(m, x, **activation.parameters), widen(x)) if order else None
        for side in ("torch", "jax"):
            flush = side == "jax"
            setting = JudgingSetting((4.0, 5.0)[order], flush, flush, at_zero, terms)
            y = got[side][order]
            judged = judge(x, y, exact, setting)
            result = result_of(report, f"{side}.native", order)
            assert result.not_judged == np.count_nonzero(~exact.judged)
            right = exact.judged & ((y == exact.rounded) | (np.isnan(y) & np.isnan(exact.rounded)))
            assert result.correctly_rounded == result.histogram.get("0", 0) == np.count_nonzero(right)
            either = ~(np.isfinite(y) & np.isfinite(exact.rounded))
            assert result.special + result.at_overflow == np.count_nonzero(exact.judged & ~right & either)
            assert sum(result.histogram.values()) == COUNT - sum(
                (result.flushed, result.special, result.at_overflow, result.convention, result.not_judged)
            )
            special = np.count_nonzero(judged.codes == CODE["special"])
            assert result.special == special
            assert result.flushed >= np.count_nonzero(judged.codes == CODE["flush"])
            size = np.abs(widen(exact.rounded))
            counts = (size >= FMT.smallest_normal) & np.isfinite(size) | (size == 0)
            counts &= np.isin(judged.codes, [CODE[cause] for cause in ("exact", "rounding", "inaccurate")])
            if counts.any():
                assert result.max_ulp == pytest.approx(judged.ulp_of_unit[counts].max(), abs=1e-3)
                assert result.max_ulp_of_truth == pytest.approx(judged.ulp[counts].max(), rel=1e-6, abs=1e-3)
        apart = got["torch"][order].view(np.uint32) != got["jax"][order].view(np.uint32)
        apart &= ~(np.isnan(got["torch"][order]) & np.isnan(got["jax"][order]))
        (difference,) = [candidate for candidate in report.differences if candidate.order == order]
        assert difference.inputs == np.count_nonzero(apart)


def natives(activation: Any, side: str, x: Any) -> tuple[Any, Any]:
    native = getattr(activation, side).native
    value, gradient = (derivative(side, native, x, order, jit=True) for order in (0, 1))
    return value, gradient


def planted(at: float, floats_off: int) -> Callable[[Any], Any]:
    """torch.sigmoid, and at one input the value and the slope off by about so many floats."""

    def function(x: Any) -> Any:
        y = torch.sigmoid(x)
        return torch.where(x == np.float32(at), y * (1 + floats_off * 2.0**-24), y)

    return function


@pytest.mark.parametrize(("at", "form"), [(1e-20, Constant), (1.2345679, Polynomial)], ids=["trivial", "curved"])
def test_a_fault_at_exactly_one_float_is_found(at: float, form: type) -> None:
    number = position_of(at, FMT) // PIECE
    piece = Span(number * PIECE, (number + 1) * PIECE - 1)
    assert {type(part.forms[0]) for part in parts(activations["sigmoid"], piece, FMT, (0,))} == {form}
    ends = tuple(f"0x{bits_at(position, FMT):08x}" for position in (piece.first, piece.last))
    options: dict[str, Any] = {"range": ends, "implementations": ["torch"]}
    sound = crosscheck.sweep("sigmoid", **options, replace={"torch": planted(0.0, 0)})
    report = crosscheck.sweep("sigmoid", **options, replace={"torch": planted(at, 64)})
    for order in (0, 1):
        good, bad = result_of(sound, "torch", order), result_of(report, "torch", order)
        assert bad.worst is not None
        assert bad.worst.input == np.float32(at)
        assert (good.max_ulp or 0) < 5
        assert (bad.max_ulp or 0) > 30
        assert sum(count for edge, count in bad.histogram.items() if int(edge) > 16) == 1
        assert bad.correctly_rounded >= good.correctly_rounded - 1
    assert not report.passed
    assert sound.passed


@pytest.mark.parametrize("at", [3e-39, -1e-44])
def test_a_fault_where_the_truth_is_subnormal_is_found(at: float) -> None:
    """Which no maximum counts, as the frameworks may flush there."""
    at = float(np.float32(at))

    def function(x: Any) -> Any:
        return torch.where(x == at, x * 4, x)

    report = crosscheck.sweep(
        "linear", range=around(at, COUNT), implementations=["torch"], orders=[0], replace={"torch": function}
    )
    (result,) = report.results
    assert (result.subnormal, report.passed) == (1, False)
    assert result.worst_subnormal is not None
    assert result.worst_subnormal.input == at
    assert crosscheck.sweep("linear", range=around(at, COUNT), implementations=["torch"], orders=[0]).passed


def test_an_infinity_for_a_flushed_input_is_no_wrong_one() -> None:
    """log1mexp is minus infinity at 0, which JAX takes a subnormal for; at any other input that is a fault."""

    def infinite(x: Any) -> Any:
        y = activations["log1mexp"].jax(x)
        return jnp.where(x == np.float32(2e-38), -jnp.inf, y)

    options: dict[str, Any] = {"range": (-1e-39, 3e-38), "implementations": ["jax"], "orders": [0]}
    sound = crosscheck.sweep("log1mexp", **options)
    assert result_of(sound, "jax", 0).flushed > 10**6
    assert (result_of(sound, "jax", 0).special, sound.passed) == (0, True)
    report = crosscheck.sweep("log1mexp", **options, replace={"jax": infinite})
    assert (result_of(report, "jax", 0).special, report.passed) == (1, False)


def test_one_wrong_nan_in_jax_is_found() -> None:
    def function(x: Any) -> Any:
        return jnp.where(x == jnp.float32(3e38), jnp.nan, jnp.maximum(x, 0))

    report = crosscheck.sweep("relu", range=(2.9e38, 3.1e38), implementations=["jax"], orders=[0], replace={"jax": function})
    (result,) = report.results
    assert (result.special, result.inputs - result.correctly_rounded, result.max_ulp) == (1, 1, 0.0)
    assert not report.passed


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits_are_those_of_verify(dtype: str) -> None:
    implementations = ["torch", "jax.native"]
    report = crosscheck.sweep("tanh", dtype=dtype, implementations=implementations)
    verified = crosscheck.verify("tanh", dtypes=[dtype], implementations=implementations)
    compared = 0
    for comparison in verified.comparisons:
        if (
            comparison.against == "exact"
            and comparison.implementation in implementations
            and not (comparison.mode == "eager" and "jax" in comparison.implementation)
        ):
            result = result_of(report, comparison.implementation, comparison.order)
            assert (result.inputs, result.inputs - result.not_judged) == (2**16, comparison.points)
            assert result.max_ulp == pytest.approx(comparison.max_ulp, abs=1e-9)
            compared += 1
    assert compared == 6
