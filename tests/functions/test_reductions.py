"""Functions that reduce a row to one number: their truth, by what they are known, their scale, and faults in them."""

import dataclasses
import re
from collections.abc import Callable
from math import inf, nan
from typing import Any

import mpmath
import numpy as np
import pytest
from catalogue import ROWS
from contract import ORDERS
from explained import Explanation, assert_own_reproduced, assert_reproduced, declaring, parts
from floats import Format, each_format, widen
from in_both import derivative, each_framework
from mpmath import mpf
from truths import Sample, fraction, matches, row_truth

import crosscheck
from crosscheck import SpecError

LOGSUMEXP = crosscheck.activations["logsumexp"]
REDUCTIONS = [name for name in ROWS if crosscheck.activations[name].result == "one"]


def rows(fmt: Format, length: int, count: int = 5) -> Sample:
    rng = np.random.default_rng(length)
    x, v = rng.uniform(-9, 9, (count, length)), rng.standard_normal((count, length))
    return Sample.of_rows(x.astype(fmt.dtype), v.astype(fmt.dtype), LOGSUMEXP)


@pytest.mark.parametrize("length", [1, 2, 8, 12])
@each_format
def test_the_truth_is_mpmaths(fmt: Format, length: int) -> None:
    """Of the value, of s_j v, and of s_j (w_j - sum_k s_k w_k) v, v being the first entry of the direction w."""
    sample = rows(fmt, length)
    assert sample.v is not None
    result = row_truth(LOGSUMEXP, sample.x, sample.v, ORDERS)
    assert [result[k].rounded.size for k in ORDERS] == [5, 5 * length, 5 * length]
    with mpmath.workdps(150):
        for i, (row, along) in enumerate(zip(widen(sample.x).tolist(), widen(sample.v).tolist(), strict=True)):
            e = [mpmath.exp(entry) for entry in row]
            s = [entry / mpmath.fsum(e) for entry in e]
            v, mean = mpf(along[0]), mpmath.fsum(a * b for a, b in zip(s, along, strict=True))
            matches(result[0], i, fraction(mpmath.log(mpmath.fsum(e))), fmt)
            for j in range(length) if length > 1 else ():
                matches(result[1], i * length + j, fraction(s[j] * v), fmt)
                matches(result[2], i * length + j, fraction(s[j] * (along[j] - mean) * v), fmt)


LIMITS: dict[str, tuple[list[float], float, list[float]]] = {
    "one plus infinity": ([0.0, inf, 5.0], inf, [0, 0.5, 0]),
    "two": ([inf, inf, 5.0], inf, [nan] * 3),
    "only minus infinity": ([-inf] * 3, -inf, [nan] * 3),
    "one minus infinity": ([-inf, 0.0, 0.0], float(np.log(2)), [0, 0.25, 0.25]),
    "NaN": ([nan, 0.0, 0.0], nan, [nan] * 3),
    "a single entry": ([inf], inf, [0.5]),
}


@pytest.mark.parametrize("case", LIMITS)
@each_format
def test_a_value_may_have_a_limit_where_the_derivatives_have_none(fmt: Format, case: str) -> None:
    row, value, slopes = LIMITS[case]
    x = np.array([row]).astype(fmt.dtype)
    result = row_truth(LOGSUMEXP, x, np.full_like(x, 0.5), ORDERS)
    np.testing.assert_array_equal(widen(result[0].rounded), widen(np.array([value]).astype(fmt.dtype)))
    np.testing.assert_array_equal(widen(result[1].rounded), slopes)
    assert result[0].judged.all()
    for k in (1, 2):
        assert (result[k].judged == ~np.isnan(slopes)).all()
        assert not result[k].undecided.any()
    for framework in ("torch", "jax"):
        own = derivative(framework, getattr(LOGSUMEXP, framework), x)
        np.testing.assert_allclose(widen(own), [value], rtol=1e-2)


def test_a_value_is_known_by_the_largest_entry_and_derivatives_by_how_far_below_it_they_are() -> None:
    x = np.array([[1.0, 3.0], [-inf, 5.0], [nan, 1.0]], np.float32)
    sample = Sample.of_rows(x, -x, LOGSUMEXP)
    np.testing.assert_array_equal(sample.known(0), [3, 5, nan])
    np.testing.assert_array_equal(sample.known(1), [-2, 0, -inf, 0, nan, nan])
    np.testing.assert_array_equal(sample.cotangent, -x[:, :1])
    assert sample.rows(np.array([0]), 2.0).known(0).tolist() == [6]
    assert sample.tiled(7).known(0).shape == (7,)


def test_a_value_that_cancels_counts_in_the_ulp_of_its_two_terms() -> None:
    """The largest entry and the logarithm of the sum: only the value of a function that reduces a row has a scale."""
    x = np.array([[-0.7, -0.6875], [3.0, 1.0]])
    scales = Sample.of_rows(x, x, LOGSUMEXP).scales(LOGSUMEXP, ORDERS, {"axis": -1})
    top = x.max(axis=1)
    np.testing.assert_allclose(scales[0], abs(top) + np.log(np.exp(x - top[:, None]).sum(axis=1)), rtol=1e-15)
    assert {k: scale.shape for k, scale in scales.items()} == {0: (2,), 1: (4,), 2: (4,)}
    other = crosscheck.activations["log_softmax"]
    assert set(Sample.of_rows(x, x, other).scales(other, ORDERS, {"axis": -1})) == {1, 2}


@pytest.mark.parametrize("name", REDUCTIONS)
@each_framework
def test_the_axis_is_dropped(name: str, framework: str) -> None:
    x = np.random.default_rng(1).uniform(-2, 2, (2, 3, 4)).astype(np.float32)
    m = pytest.importorskip("torch") if framework == "torch" else pytest.importorskip("jax.numpy")
    for axis, shape in ((-1, (2, 3)), (0, (3, 4)), (1, (2, 4))):
        result = getattr(crosscheck.activations[name], framework)(m.asarray(x), axis=axis)
        assert tuple(result.shape) == shape
        expected = crosscheck.activations[name].definition(np, x.astype(np.float64), axis=axis).squeeze(axis)
        np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-5, atol=1e-6)


FAULTS: dict[str, tuple[Any, list[int], str]] = {
    "the maximum": (lambda x, axis: x.max(axis).values, [0], "definition"),
    "the axis kept": (lambda x, axis: x.logsumexp(axis, keepdim=True).expand(x.shape), [0], "error"),
    "no gradient": (lambda x, axis: LOGSUMEXP.torch(x.detach(), axis=axis), [1], "missing"),
    "half": (lambda x, axis: LOGSUMEXP.torch(x, axis=axis) / 2, [0, 1], "definition"),
    "lost digits": (lambda x, axis: LOGSUMEXP.torch(x.bfloat16(), axis=axis).to(x.dtype), [0, 1], "inaccurate"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    function, orders, cause = FAULTS[fault]
    report = crosscheck.verify(
        "logsumexp", replace={"torch": function}, dtypes=["float32"], orders=orders, implementations=["torch"], quick=True
    )
    assert report.comparisons
    for comparison in report.comparisons:
        assert not comparison.passed
        assert comparison.side == "torch"
        counts = {cause: seen.count for cause, seen in comparison.uncovered.items()} or {comparison.cause: 1}
        assert max(counts, key=counts.__getitem__) == cause


@each_framework
def test_a_result_of_another_length_than_the_direction_is_refused(framework: str) -> None:
    report = crosscheck.verify(
        "logsumexp", replace={framework: lambda x, axis: x * 2}, dtypes=["float32"], implementations=[framework], quick=True
    )
    assert report.comparisons
    for comparison in report.comparisons:
        assert comparison.cause == "error"
        assert re.search(r"the function returned shape \(\d+, \d+\) ", str(comparison.message))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("axis", [-1, pytest.param(0, marks=pytest.mark.full)])
def test_the_snippets_reproduce_it(order: int, axis: int, told: Callable[..., Explanation]) -> None:
    x = -0.16796875 if order == 0 else 0.0
    (part,) = parts(told(declaring(LOGSUMEXP, x, "float64", order, parameters={"axis": axis})))
    assert_reproduced(part)
    assert (part.row.known_by, part.row.entry) == ("largest", part.row.extreme)
    assert (part.row.position is None) == (order == 0)
    assert order or (part.row.entry, len(part.row.bits)) == (x, 2)


@pytest.mark.full
def test_the_snippets_of_the_own_implementations_and_the_formula_reproduce_them(told: Callable[..., Explanation]) -> None:
    def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
        return 1.5 * LOGSUMEXP.derivative(m, x, v, axis)

    def value(side: str) -> Callable[..., Any]:
        return lambda framework, x, axis: 1.5 * getattr(LOGSUMEXP, f"{side}_value")(framework, x, axis)

    wrong = {f"{side}_value": value(side) for side in ("torch", "jax")}
    broken = dataclasses.replace(LOGSUMEXP, deviations=(), natives={}, **wrong)
    assert_own_reproduced(told, broken, derivative)


def test_what_a_row_becomes_is_checked() -> None:
    values = {field: getattr(LOGSUMEXP, field) for field in LOGSUMEXP.__dataclass_fields__}
    with pytest.raises(SpecError, match="logsumexp: result: got 'two', expected 'row', 'half' or 'one'"):
        crosscheck.Activation(**values | {"result": "two"})
