"""On a GPU: both frameworks really run there, and the catalogue's own implementations hold the budget."""

import pytest

import crosscheck

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("side", ["jax", "torch"])
def test_own_implementations_hold_the_budget_on_the_gpu(side: str) -> None:
    try:
        report = crosscheck.verify(device="gpu", implementations=[side])
    except crosscheck.NoDeviceError as error:
        pytest.skip(str(error))
    assert report.passed, str(report)
    assert {comparison.device for comparison in report.comparisons} == {"gpu"}


def test_a_sweep_runs_the_frameworks_on_the_gpu() -> None:
    report = crosscheck.sweep("sigmoid", range=(0.25, 1.0), device="gpu")
    assert report.environment["device"] == "gpu"
    assert report.passed
    assert all(result.max_ulp is not None and result.max_ulp < 16 for result in report.results)
