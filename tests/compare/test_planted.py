"""What is said of a planted fault, beside its side and its cause, which tests/detection has for many more."""

from collections.abc import Callable
from typing import Any

import pytest
from contract import USUAL_MODES

import crosscheck
from crosscheck import Report

pytestmark = pytest.mark.full


def sigmoid(x: Any) -> Any:
    activation = crosscheck.activations["sigmoid"]
    return (activation.torch if hasattr(x, "detach") else activation.jax)(x)


def judge(side: str, fault: Callable[[Any], Any], **options: Any) -> Report:
    implementations = ["torch", "jax"]
    return crosscheck.verify(
        "sigmoid", implementations=implementations, replace={side: fault}, quick=True, modes=USUAL_MODES, **options
    )


def test_the_derivative_of_a_constant_is_zero_and_not_missing() -> None:
    """relu's second derivative, of which torch's own Identity and multiplications by a mask know nothing."""
    report = crosscheck.verify(
        "relu", implementations=["torch"], orders=[2], replace={"torch": lambda x: (x + abs(x)) / 2}, dtypes=["float32"]
    )
    (comparison,) = report.comparisons
    assert "missing" not in comparison.causes


def test_a_implementation_that_raises_is_an_error_and_the_other_side_is_still_judged() -> None:
    def broken(x: Any) -> Any:
        raise RuntimeError("out of luck")

    report = judge("torch", broken, orders=[0])
    errors = [c for c in report.comparisons if c.implementation == "torch" and c.against == "exact"]
    assert {(c.cause, c.passed, c.message) for c in errors} == {("error", False, "RuntimeError: out of luck")}
    assert all(c.passed and c.points for c in report.comparisons if c.implementation == "jax")
    assert "out of luck" in str(report)


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_a_wrong_shape_or_dtype_is_an_error(side: str) -> None:
    report = judge(side, lambda x: sigmoid(x)[:3], orders=[0])
    wrong = [c for c in report.comparisons if c.implementation == side and c.against == "exact"]
    assert {c.cause for c in wrong} == {"error"}
    assert "shape (3,)" in (wrong[0].message or "")


def test_a_wrong_analytic_derivative_is_found() -> None:
    report = crosscheck.verify("sigmoid", implementations=["analytic"], replace={"analytic": lambda m, x: m.exp(-abs(x))})
    assert {(c.cause, c.passed) for c in report.comparisons} == {("definition", False)}


def test_a_scale_cannot_hide_a_fault() -> None:
    """The unit follows the analytic formula's own terms, so an error near a zero crossing still counts against them."""
    report = judge("torch", lambda x: sigmoid(x) + 1e-3 * x * x, dtypes=["float32"], orders=[2])
    (wrong,) = [c for c in report.comparisons if c.implementation == "torch" and c.against == "exact"]
    assert (wrong.passed, wrong.cause) == (False, "definition")
