"""Bounds of errors on record: they must hold, be near to what is measured, and do so with other seeds."""

import dataclasses
from math import inf
from typing import Any

import pytest
from declared import ANYWHERE, FLOAT32, LOST_TAIL, declared, deviation_of, failures, gradient_of
from facts import subjects

import crosscheck
from crosscheck import Anchor, Region
from crosscheck._atlas.bounds import bounded

SMALL = 64.0


def region(max_ulp: float = inf) -> Region:
    return Region(0, ("float32",), ((1.0, 2.0),), (Anchor(1.0, {}),), max_ulp)


@pytest.mark.parametrize(
    ("strict", "others", "bounds"),
    [
        ({"eager": [100.0, 90.0], "jit": [80.0]}, {}, (200.0, {})),
        ({"eager": [100.0, 20.0]}, {}, (160.0, {})),
        ({"eager": [100.0, 10.0]}, {}, (inf, {})),
        ({"eager": [1000.0], "jit": [10.0]}, {}, (2000.0, {"jit": 20.0})),
        ({"eager": [1000.0], "jit": [10.0, 1.0]}, {}, (inf, {"eager": 2000.0})),
        ({"eager": [100.0]}, {"compile": [150.0], "vmap": [7000.0, 1.0]}, (200.0, {"vmap": 14000.0})),
        ({"eager": [40.0]}, {}, (SMALL, {})),
        ({"eager": [inf]}, {}, (inf, {})),
        ({}, {}, (inf, {})),
    ],
    ids=[
        "twice the largest",
        "no more than another seed bears",
        "seeds too far apart",
        "modes too far apart",
        "seeds of one mode too far apart",
        "other modes only where they need more",
        "small errors stay small",
        "infinite",
        "nothing measured",
    ],
)
def test_a_bound_holds_and_is_not_stale_in_any_run(
    strict: dict[str, list[float]], others: dict[str, list[float]], bounds: tuple[float, dict[str, float]]
) -> None:
    made = bounded(region(), strict, others, SMALL)
    assert (made.max_ulp, made.max_ulp_in) == bounds


@pytest.mark.parametrize(("old", "kept"), [(110.0, True), (490.0, True), (510.0, False), (99.0, False)])
def test_a_bound_on_record_is_kept_while_it_is_near(old: float, kept: bool) -> None:
    assert bounded(region(old), {"eager": [100.0]}, {}, SMALL).max_ulp == (old if kept else 200.0)


def test_an_error_beyond_the_declared_maximum_fails() -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, max_ulp=2.0**20)))
    assert not report.passed
    assert failures(report) == {"too large"}


def test_a_stale_maximum_fails() -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, max_ulp=2.0**28)))
    assert not report.passed
    assert failures(report) == {"stale"}


@pytest.mark.parametrize(
    ("bound", "failed"),
    [(2.0**24, set()), (2.0**20, {("too large", "jit")}), (2.0**28, {("stale", "jit")})],
)
def test_a_mode_may_have_a_bound_of_its_own_which_must_hold_and_not_be_stale(
    bound: float, failed: set[tuple[object, ...]]
) -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, max_ulp=2.0**24, max_ulp_in={"jit": bound})))
    assert report.passed is not bool(failed)
    assert subjects(finding.message for finding in report.findings if finding.failed) == failed


@pytest.mark.parametrize(("bound", "passed"), [(2.0**24, True), (2.0**20, False)])
def test_another_function_loses_digits_too_up_to_its_bound(bound: float, passed: bool) -> None:
    """Which of both an error is may change with the sample."""
    report = gradient_of(declared(dataclasses.replace(FLOAT32, max_ulp=bound), cause="definition"))
    assert all(comparison.passed for comparison in report.comparisons) is passed
    assert "stale" in failures(report)  # a bound is about the errors of its own cause


@pytest.mark.parametrize(("bound", "is_stale"), [(5.37e21, False), (5.37e22, True)])
def test_a_bound_of_another_function_is_borne_out_by_lost_digits_at_an_anchor(bound: float, is_stale: bool) -> None:
    """An error that the inputs beside it do not share is judged as lost digits, however large."""
    gelu = crosscheck.activations["gelu_tanh"]
    deviation = deviation_of("gelu_tanh", "gelu-tanh-torch-default-is-erf")
    at = -7.76288709195299
    region = Region(0, ("float64",), ((-8.2, -0.003), (0.003, 6.7)), (Anchor(at, {}),), bound)
    gelu = dataclasses.replace(gelu, deviations=(dataclasses.replace(deviation, regions=(region,), seen=ANYWHERE),))
    options: Any = {"dtypes": ["float64"], "orders": [0], "implementations": ["torch.native"], "seed": 1}
    assert ("stale" in failures(crosscheck.verify(gelu, **options))) is is_stale


@pytest.mark.parametrize(("factor", "passed"), [(2.0, False), (1 + 2.0**-20, True)])
def test_lost_digits_are_another_function_only_where_they_are_few(factor: float, passed: bool) -> None:
    region = Region(0, ("float32",), ((-inf, inf),), (Anchor(0.5, {}),), inf if factor == 2 else 16.0)
    deviation = dataclasses.replace(LOST_TAIL, regions=(region,), cause="inaccurate", implementations=("torch.native",))
    linear = dataclasses.replace(
        crosscheck.activations["linear"], deviations=(dataclasses.replace(deviation, seen=ANYWHERE),)
    )
    options: Any = {"dtypes": ["float32"], "orders": [0], "implementations": ["torch.native"]}
    report = crosscheck.verify(linear, **options, replace={"torch.native": lambda x: x * factor})
    assert any("definition" in comparison.causes for comparison in report.comparisons)
    assert report.passed is passed
