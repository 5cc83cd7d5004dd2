"""On a GPU: both frameworks really run there, and the catalogue's own implementations hold the budget."""

import pytest

import crosscheck
from crosscheck._backends import backend
from crosscheck._backends.base import NoDeviceError

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("side", ["jax", "torch"])
def test_own_implementations_hold_the_budget_on_the_gpu(side: str) -> None:
    try:
        backend(side).check_device("gpu")
    except NoDeviceError as error:
        pytest.skip(str(error))
    report = crosscheck.verify(device="gpu", subjects=[side])
    assert report.passed, str(report)
    assert {comparison.device for comparison in report.comparisons} == {"gpu"}
