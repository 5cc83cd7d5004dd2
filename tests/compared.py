"""What tests of ``compare`` share: functions that are compared, and the check of a report that fails."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from facts import kind_of

from crosscheck import PairReport, UsageError, compare

X = np.array([-1.5, -0.25, 0.5, 2.0], np.float32)


def double(x: Any) -> Any:
    return x * 2


def raising(error: Exception) -> Callable[..., Any]:
    def function(*_: Any) -> Any:
        raise error

    return function


def assert_refused(call: Callable[[], object], *parts: str) -> None:
    """The call raises a UsageError itself, none of another kind, in one line that says each of these."""
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message


def assert_fails(report: PairReport, *parts: str, cause: str = "error", side: str | None = None) -> None:
    """The report fails for this cause and side, and its verdict says each of these."""
    assert not report.passed
    assert (report.cause, report.side) == (cause, side), str(report)
    assert all(part in report.verdict for part in parts), report.verdict


def noted(report: PairReport) -> set[str]:
    """The kinds of the notes of a report's comparisons."""
    return {kind_of(note) for comparison in report.comparisons for note in comparison.notes}


def report(torch_fn: Any, jax_fn: Any, *inputs: Any, order: int = 0) -> PairReport:
    """What compare says of compiled functions of these inputs, by default of their values alone."""
    return compare(torch_fn, jax_fn, list(inputs), order=order, modes="jit")
