"""Declared deviations are strict: each is missed when it is not declared, and a wrong declaration fails the run."""

import dataclasses
from typing import Any

import pytest

import crosscheck
from crosscheck import Activation, Anchor, Deviation, Region, Report
from crosscheck._compare.deviations import Environment, seen_here
from crosscheck._spec.records import Seen

SIGMOID = crosscheck.activations["sigmoid"]
LOST_TAIL = next(deviation for deviation in SIGMOID.deviations if deviation.id == "sigmoid-derivative-lost-tail")
FLOAT32 = next(region for region in LOST_TAIL.regions if (region.order, region.dtypes) == (1, ("float32",)))


def gradient_of(activation: Activation, **options: Any) -> Report:
    return crosscheck.verify(activation, dtypes=["float32"], orders=[1], subjects=["torch.native", "jax.native"], **options)


def declared(*regions: Region, **changes: Any) -> Activation:
    """sigmoid with the lost tail alone, in float32, declared as given."""
    deviation = dataclasses.replace(LOST_TAIL, regions=regions, **changes)
    overflow = [deviation for deviation in SIGMOID.deviations if deviation.id == "sigmoid-exp-overflow"]
    return dataclasses.replace(SIGMOID, deviations=(deviation, *overflow))


def failures(report: Report) -> str:
    return "\n".join(finding.message for finding in report.findings if finding.failed)


def test_the_declaration_as_it_stands_passes() -> None:
    report = gradient_of(declared(FLOAT32))
    assert report.passed, str(report)
    assert LOST_TAIL.id in report.deviations


def test_a_region_drawn_too_wide_fails() -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, intervals=((-1e30, 1e30),))))
    assert not report.passed
    assert "too wide" in failures(report)


def test_a_region_drawn_too_narrow_leaves_points_uncovered() -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, intervals=((10.0, 103.98),))))
    assert not report.passed
    assert any(comparison.uncovered for comparison in report.comparisons)


def test_a_changed_declared_result_fails() -> None:
    anchor = Anchor(19.5, {"torch.native": 1e-9, "jax.native": 0.0})
    report = gradient_of(declared(dataclasses.replace(FLOAT32, anchors=(anchor,))))
    assert not report.passed
    assert "not the declared 1e-09" in failures(report)


def test_an_anchor_at_which_it_does_not_occur_fails() -> None:
    region = dataclasses.replace(FLOAT32, intervals=((0.5, 103.98),), anchors=(Anchor(0.5, {}),))
    report = gradient_of(declared(region))
    assert not report.passed
    assert "does not occur at its anchor 0.5" in failures(report)


def test_an_error_beyond_the_declared_maximum_fails() -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, max_ulp=2.0**20)))
    assert not report.passed
    assert "more than the declared" in failures(report)


def test_a_stale_maximum_fails() -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, max_ulp=2.0**28)))
    assert not report.passed
    assert "stale" in failures(report)


def test_in_another_environment_an_absence_is_a_note_and_the_region_still_covers() -> None:
    region = dataclasses.replace(FLOAT32, intervals=((1.6, 103.98),), anchors=(Anchor(1.6, {}),))
    report = gradient_of(declared(region, seen=(Seen(torch="<1", jax="<0.1"),)))
    assert report.passed, str(report)
    assert any("does not occur at its anchor" in finding.message for finding in report.findings)


@pytest.mark.parametrize("name", tuple(crosscheck.activations))
def test_each_deviation_is_missed_when_it_is_not_declared(name: str) -> None:
    activation = crosscheck.activations[name]
    for deviation in activation.deviations:
        orders = sorted({region.order for region in deviation.regions})
        dtypes = sorted({dtype for region in deviation.regions for dtype in region.dtypes})
        report = crosscheck.verify(name, without=[deviation.id], orders=orders[:1], dtypes=dtypes[:1])
        assert not report.passed, deviation.id
        uncovered = {cause for comparison in report.comparisons for cause in comparison.uncovered}
        assert deviation.cause in uncovered


def test_a_deviation_covers_natives_only() -> None:
    """A fault in an own implementation inside a declared region, with the declared cause, still fails."""
    report = crosscheck.verify(
        "sigmoid",
        dtypes=["float32"],
        orders=[1],
        subjects=["torch"],
        replace={"torch": SIGMOID.torch.native},
    )
    assert not report.passed


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"torch": "2.12.1"}, False),
        ({"jax": None}, False),
        ({"device": "gpu"}, False),
        ({"capability": "DEFAULT"}, False),
        ({"torch": "2.13.0+cpu"}, True),
    ],
    ids=str,
)
def test_the_environment_decides_whether_it_must_occur(changes: dict[str, Any], expected: bool) -> None:
    here = Environment(torch="2.13.0", jax="0.10.2", device="cpu", capability="AVX2")
    deviation = Deviation(
        id="one",
        cause="inaccurate",
        subjects=("torch.native", "jax.native"),
        regions=(FLOAT32,),
        reason="because",
        link="https://example.org",
        seen=(Seen(torch="~=2.13.0", jax="~=0.10.2"),),
    )
    assert seen_here(deviation, dataclasses.replace(here, **changes)) is expected
