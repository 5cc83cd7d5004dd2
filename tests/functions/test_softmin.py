"""Softmin is softmax of -x: what is known by the smallest entry is what is known by the largest, with another sign."""

import dataclasses
from collections.abc import Callable
from math import inf, isnan, nan
from typing import Any

import numpy as np
import pytest
from contract import ORDERS
from explained import Explanation, parts
from floats import FORMATS, Format, each_format, widen
from in_both import derivative, each_framework
from truths import coordinates, row_truth, samples

import crosscheck
from crosscheck import SpecError

pytestmark = pytest.mark.full

SOFTMAX, SOFTMIN = (crosscheck.activations[name] for name in ("softmax", "softmin"))


def negated(array: Any, order: int) -> Any:
    """The first derivative changes its sign, a zero included."""
    return array if order != 1 else -array


@each_format
def test_the_truth_is_that_of_softmax_at_the_negative_row(fmt: Format) -> None:
    for sample in samples(SOFTMIN, {"axis": -1}, fmt.name, seed=4, per_binade=0, uniform=0):
        assert sample.v is not None
        if sample.length not in (1, 2, 8):
            continue
        of_softmin = row_truth(SOFTMIN, sample.x, sample.v, ORDERS)
        of_softmax = row_truth(SOFTMAX, -sample.x, sample.v, ORDERS)
        for k in ORDERS:
            np.testing.assert_array_equal(widen(of_softmin[k].rounded), negated(widen(of_softmax[k].rounded), k))
            np.testing.assert_array_equal(of_softmin[k].judged, of_softmax[k].judged)
            assert not of_softmin[k].undecided.any()


@each_framework
@each_format
def test_values_and_derivatives_are_those_of_softmax(framework: str, fmt: Format) -> None:
    rng = np.random.default_rng(5)
    x, v = rng.uniform(-20, 20, (4, 6)).astype(fmt.dtype), rng.standard_normal((4, 6)).astype(fmt.dtype)
    for order in ORDERS:
        results = [
            derivative(framework, getattr(record, framework), at, order, v) for record, at in ((SOFTMIN, x), (SOFTMAX, -x))
        ]
        np.testing.assert_array_equal(widen(results[0]), negated(widen(results[1]), order))


def test_an_entry_is_known_by_how_far_it_lies_above_the_smallest() -> None:
    x = np.array([[1.0, 3.0, -2.0], [inf, 5.0, 5.0], [inf, 0.0, -inf], [inf, inf, inf], [nan, 1.0, 2.0]], np.float32)
    known = coordinates(x, "smallest")
    assert known.dtype == np.float32
    np.testing.assert_array_equal(known.reshape(x.shape), [[3, 5, 0], [inf, 0, 0], [-inf] * 3, [inf] * 3, [nan] * 3])
    assert not np.signbit(known[known == 0]).any()


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_rows_are_those_of_softmax_with_another_sign(dtype: str) -> None:
    of_softmin, of_softmax = (
        samples(record, {"axis": -1}, dtype, seed=3, per_binade=0, uniform=0) for record in (SOFTMIN, SOFTMAX)
    )
    for a, b in zip(of_softmin, of_softmax, strict=True):
        np.testing.assert_array_equal(widen(a.x), -widen(b.x))
        np.testing.assert_array_equal(widen(a.at), -widen(b.at))
        np.testing.assert_array_equal(widen(a.rows(np.array([1, 0]), 2.0).at), -widen(b.rows(np.array([1, 0]), 2.0).at))


def test_what_an_entry_is_known_by_is_checked() -> None:
    with pytest.raises(SpecError, match="softmin: known_by: got 'mean', expected 'largest', 'smallest' or 'gate'"):
        dataclasses.replace(SOFTMIN, known_by="mean")


def test_a_fault_is_found_and_natives_of_one_framework_are_enough() -> None:
    report = crosscheck.verify("softmin", dtypes=["float32"], orders=[0], replace={"torch": SOFTMAX.torch}, quick=True)
    wrong = {c.implementation for c in report.comparisons if not c.passed}
    assert wrong == {"torch"}
    assert {c.side for c in report.comparisons if not c.passed} == {"torch"}
    assert {c.implementation for c in report.comparisons} == {"torch", "jax", "torch.native"}


def test_the_explanation_counts_from_the_smallest_entry(told: Callable[..., Explanation]) -> None:
    seen = [(part.sighting.input, part.row) for part in parts(told("softmin"))]
    assert {row.known_by for _, row in seen} == {"smallest"}
    assert any(len(row.bits) == 1 and row.extreme == -inf and not isnan(apart) for apart, row in seen)
    assert any(0 < apart < inf and row.position is not None for apart, row in seen)
