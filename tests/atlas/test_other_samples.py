"""What is on record was measured with a few samples: how far another sample may differ from it, and where it may not."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from declared import ANYWHERE, LOST_TAIL, failures
from recorded_here import HERE, nearest

import crosscheck
from crosscheck import Anchor, Region, Report, Seen


def tanh_with(
    errors: Sequence[tuple[float, float, int]],
    max_ulp: float,
    seen: tuple[Seen, ...],
    anchors: tuple[Anchor, ...] = (Anchor(1.25, {}),),
) -> Report:
    """torch's tanh with errors in ULP between two inputs, and a region from 1 to 1.5 on record of ``seen``, if any."""
    region = Region(0, ("float32",), ((1.0, 1.5),), anchors, max_ulp=max_ulp, seen=seen)
    changes: Any = {"cause": "definition", "implementations": ("torch.native",), "regions": (region,), "seen": ANYWHERE}
    tanh = dataclasses.replace(crosscheck.activations["tanh"], deviations=(dataclasses.replace(LOST_TAIL, **changes),))

    def planted(x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(x)
        error = sum(ulp * ((x >= low) & (x <= high)).to(y.dtype) for low, high, ulp in errors)
        return y - torch.ldexp(torch.as_tensor(error), torch.frexp(y).exponent - 24)

    return crosscheck.verify(
        tanh, dtypes=["float32"], orders=[0], implementations=["torch.native"], replace={"torch.native": planted}
    )


RECORDED, DECLARED = (nearest(HERE), *ANYWHERE), ()
"""On record, and observed on this machine too: it may be one that is not on record."""


@pytest.mark.parametrize(
    ("low", "ulp", "seen", "passed"),
    [
        *((low, 6, RECORDED, True) for low in (1.6, 5.5, 0.3)),
        *((low, 6, RECORDED, False) for low in (6.1, 0.2, -1.6)),
        (5.5, 20, RECORDED, False),
        (5.5, 6, DECLARED, False),
    ],
)
def test_just_outside_of_a_region_on_record_an_error_just_above_the_budget_passes(
    low: float, ulp: int, seen: tuple[Seen, ...], passed: bool
) -> None:
    """Rounding exceeds the budget, here of 4 ULP, at other inputs in each sample; a large error there is another one."""
    report = tanh_with([(1.0, 1.5, 40), (low, low + 0.05, ulp)], 60.0, seen)
    assert not failures(report)
    assert report.passed is passed, str(report)
    assert LOST_TAIL.id in {id_ for comparison in report.comparisons for id_ in comparison.deviations}


@pytest.mark.parametrize(
    ("ulp", "max_ulp", "seen", "said"),
    [
        (40, 25, RECORDED, ""),
        (40, 15, RECORDED, "too large"),
        (40, 25, DECLARED, "too large"),
        (600, 100, RECORDED, ""),
        (1200, 100, RECORDED, "too large"),
        (600, 100, DECLARED, "too large"),
        (100, 4000, RECORDED, ""),
        (30, 4000, RECORDED, "stale"),
        (100, 4000, DECLARED, "stale"),
        (2**24, 2.0**40, RECORDED, "stale"),
    ],
)
def test_the_largest_error_of_a_recording_is_of_other_samples(
    ulp: int, max_ulp: float, seen: tuple[Seen, ...], said: str
) -> None:
    """That of this sample may be another one, by a factor that is smaller for rounding; what a person declares holds."""
    failure = failures(tanh_with([(1.0, 1.5, ulp)], max_ulp, seen))
    assert failure == ({said} if said else set())


@pytest.mark.parametrize(("seen", "said"), [(RECORDED, ""), (DECLARED, "stale")])
def test_a_small_error_is_no_news_where_few_samples_show_a_large_one(seen: tuple[Seen, ...], said: str) -> None:
    failure = failures(tanh_with([(1.0, 1.5, 30)], 4000.0, seen, anchors=()))
    assert failure == ({said} if said else set())


@pytest.mark.parametrize(("high", "passed"), [(1.2, True), (1.05, False)])
def test_a_region_on_record_may_show_at_half_as_many_inputs_of_another_sample(high: float, passed: bool) -> None:
    report = tanh_with([(1.0, high, 600), (1.25, 1.25, 600)], 1000, RECORDED)
    assert ("too wide" in failures(report)) is not passed
