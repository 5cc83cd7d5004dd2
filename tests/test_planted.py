"""The detector detects: faults planted in each framework turn the verdict red, with the right side and cause."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
from contract import DTYPES, USUAL_MODES

import crosscheck
from crosscheck import Report

pytestmark = pytest.mark.full


def framework_of(x: Any) -> ModuleType:
    """torch or jax.numpy, by the array."""
    import jax.numpy
    import torch

    return torch if isinstance(x, torch.Tensor) else jax.numpy


def lose_digits(y: Any, x: Any) -> Any:
    """The same values with five significant bits, fewer than any dtype has."""
    m = framework_of(x)
    torch_side = hasattr(x, "detach")
    mantissa, exponent = m.frexp(y.double() if torch_side else y)
    coarse = m.ldexp(m.round(mantissa * 32) / 32, exponent)
    return coarse.to(x.dtype) if torch_side else coarse.astype(x.dtype)


def sigmoid(x: Any) -> Any:
    activation = crosscheck.activations["sigmoid"]
    return (activation.torch if hasattr(x, "detach") else activation.jax)(x)


FAULTS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "constant": (lambda x: 1.02 * sigmoid(x), "definition"),
    "sign": (lambda x: -sigmoid(x), "definition"),
    "branch": (lambda x: framework_of(x).where(x > 3, framework_of(x).ones_like(x), sigmoid(x)), "definition"),
    "swapped": (lambda x: 0.5 * (framework_of(x).tanh(x) + 1), "definition"),
    "nan": (lambda x: framework_of(x).where(x > 3, x * float("nan"), sigmoid(x)), "special"),
}
LIMITS = {"torch": ["eager"], "jax": list(USUAL_MODES)}


def judge(side: str, fault: Callable[[Any], Any], **options: Any) -> Report:
    implementations = ["torch", "jax"]
    return crosscheck.verify(
        "sigmoid", implementations=implementations, replace={side: fault}, quick=True, modes=USUAL_MODES, **options
    )


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("side", ["torch", "jax"])
def test_a_wrong_value_is_found_in_every_dtype_and_mode(side: str, fault: str) -> None:
    function, cause = FAULTS[fault]
    report = judge(side, function, dtypes=DTYPES, orders=[0])
    assert not report.passed
    for dtype in DTYPES:
        for mode in LIMITS[side]:
            (wrong,) = [
                c
                for c in report.comparisons
                if (c.implementation, c.against, c.dtype, c.mode) == (side, "exact", dtype, mode)
            ]
            assert (wrong.passed, wrong.cause, wrong.side) == (False, cause, side), wrong
    for pair in [c for c in report.comparisons if c.against == "jax"]:
        if pair.mode in LIMITS[side] or side == "torch":
            assert (pair.passed, pair.cause, pair.side) == (False, cause, side), pair
    other = "jax" if side == "torch" else "torch"
    assert all(c.passed for c in report.comparisons if c.implementation == other and c.against == "exact")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", ["torch", "jax"])
def test_lost_digits_are_inaccurate(side: str, dtype: str) -> None:
    report = judge(side, lambda x: lose_digits(sigmoid(x), x), dtypes=[dtype], orders=[0])
    wrong = [c for c in report.comparisons if c.implementation == side and c.against == "exact"]
    assert [(c.passed, c.cause, c.side) for c in wrong] == [(False, "inaccurate", side)] * len(LIMITS[side])


@pytest.mark.parametrize("side", ["torch", "jax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_derivative_of_a_right_value_is_found(side: str, dtype: str) -> None:
    """Half the gradient, the value untouched."""

    def half_gradient(x: Any) -> Any:
        if hasattr(x, "detach"):
            y = sigmoid(x)
            return y.detach() + (y - y.detach()) / 2
        import jax

        y = sigmoid(x)
        frozen = jax.lax.stop_gradient(y)
        return frozen + (y - frozen) / 2

    report = judge(side, half_gradient, dtypes=[dtype], orders=[0, 1])
    against_exact = [c for c in report.comparisons if c.implementation == side and c.against == "exact"]
    assert all(c.passed for c in against_exact if c.order == 0)
    for comparison in [c for c in against_exact if c.order == 1]:
        assert (comparison.passed, comparison.cause, comparison.side) == (False, "definition", side)


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_a_detached_derivative_is_missing(side: str) -> None:
    def detached(x: Any) -> Any:
        if hasattr(x, "detach"):
            return sigmoid(x.detach()) + 0 * x.detach()
        import jax

        return sigmoid(jax.lax.stop_gradient(x))

    report = judge(side, detached, orders=[1])
    wrong = [c for c in report.comparisons if c.implementation == side and c.against == "exact"]
    assert wrong
    assert {(c.passed, c.cause, c.side) for c in wrong} == {(False, "missing", side)}


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


def test_a_fault_at_a_single_input_of_sixteen_bits_is_found() -> None:
    report = judge("torch", lambda x: framework_of(x).where(x == 1.5, x, sigmoid(x)), dtypes=["bfloat16"], orders=[0])
    (wrong,) = [c for c in report.comparisons if c.implementation == "torch" and c.against == "exact"]
    assert wrong.uncovered["definition"].count == 1
    assert wrong.worst is not None
    assert wrong.worst.input == 1.5


def test_a_fault_in_one_mode_is_found_in_that_mode() -> None:
    import jax

    def wrong_under_jit(x: Any) -> Any:
        return sigmoid(x) * (2 if isinstance(x, jax.core.Tracer) else 1)

    report = judge("jax", wrong_under_jit, orders=[0])
    verdicts = {(c.mode, c.passed) for c in report.comparisons if c.implementation == "jax"}
    assert verdicts == {("eager", True), ("jit", False)}


def test_a_scale_cannot_hide_a_fault() -> None:
    """The unit follows the analytic formula's own terms, so an error near a zero crossing still counts against them."""
    report = judge("torch", lambda x: sigmoid(x) + 1e-3 * x * x, dtypes=["float32"], orders=[2])
    (wrong,) = [c for c in report.comparisons if c.implementation == "torch" and c.against == "exact"]
    assert (wrong.passed, wrong.cause) == (False, "definition")
