"""What tests of ``compare`` share: functions that are compared, and the check of a report that fails."""

from collections.abc import Callable
from typing import Any

from crosscheck import PairReport


def double(x: Any) -> Any:
    return x * 2


def raising(error: Exception) -> Callable[..., Any]:
    def function(*_: Any) -> Any:
        raise error

    return function


def assert_fails(report: PairReport, *parts: str, cause: str = "error", side: str | None = None) -> None:
    """The report fails for this cause and side, and its headline says each of these."""
    assert not report.passed
    assert (report.cause, report.side) == (cause, side), str(report)
    assert all(part in report.headline for part in parts), report.headline
