"""What compare says against a proven truth: of a definition, or in ball arithmetic where no wider dtype is."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compared import X, noted, raising

import crosscheck
from crosscheck import UsageError, compare

pytestmark = pytest.mark.full

KINK = np.array([-1.0, 0.0, 1.0, 2.0], np.float32)


def silu(m: Any, x: Any) -> Any:
    return x / (1 + m.exp(-x))


@pytest.mark.parametrize(
    "exact", [silu, "silu", "swish", crosscheck.activations["silu"]], ids=["definition", "name", "alias", "record"]
)
@pytest.mark.parametrize(
    ("torch_slope", "jax_slope", "side"),
    [(1, 1, None), (1.01, 1, "torch"), (1, 1.01, "jax"), (1.01, 1.01, "both"), (1.01, 1.02, "both")],
)
def test_against_a_definition_the_wrong_side_is_named(
    exact: Any, torch_slope: float, jax_slope: float, side: str | None
) -> None:
    report = compare(
        lambda x: x * torch.sigmoid(torch_slope * x), lambda x: x * jax.nn.sigmoid(jax_slope * x), X, exact=exact, order=0
    )
    assert (report.passed, report.cause, report.side) == (side is None, None if side is None else "definition", side)


def test_the_proven_truth_is_reported() -> None:
    report = compare(F.silu, lambda x: x * jax.nn.sigmoid(1.01 * x), X, exact=silu, order=2)
    assert report.decisive is not None
    worst = report.decisive.uncovered["definition"].worst
    x = worst.input
    assert worst.truth == pytest.approx(x / (1 + np.exp(-x)), rel=1e-15)
    assert {c.order for c in report.comparisons if not c.passed} == {0, 1, 2}


def test_in_float64_the_truth_is_that_of_ball_arithmetic() -> None:
    x = np.linspace(-40, 5, 100)
    report = compare(F.softplus, lambda x: jnp.log(1 + jnp.exp(x)), x, dtype="float64", order=0)
    assert (report.cause, report.side) == ("inaccurate", "jax"), str(report)
    worst = report.comparisons[0].uncovered["inaccurate"].worst
    assert worst.truth == np.log1p(np.exp(worst.input))
    assert "truth of balls" in noted(report)
    both = compare(lambda x: torch.log(1 + torch.exp(x)), lambda x: jnp.log(1 + jnp.exp(x)), x, dtype="float64", order=0)
    assert both.passed
    assert "both lose digits" in noted(both)
    assert both.comparisons[0].figures["jax_ulp"] > 1e10


def test_in_float64_a_program_without_ball_arithmetic_is_said_to_have_none() -> None:
    x = crosscheck.normal((4, 4))
    report = compare(torch.linalg.svdvals, lambda x: jnp.linalg.svd(x)[1], x, dtype="float64", order=0)
    assert report.passed
    assert "no truth beyond float64" in noted(report)
    assert {"truth of balls", "no truth beyond float64"}.isdisjoint(noted(compare(torch.sin, jnp.sin, X, order=0)))


@pytest.mark.parametrize(
    "error",
    [AttributeError("a"), KeyError("a"), IndexError("a"), RuntimeError("a"), ValueError("a"), TypeError("a")],
    ids=repr,
)
def test_a_definition_that_raises_is_the_callers_fault(error: Exception) -> None:

    with pytest.raises(UsageError, match=rf"^exact: .*{type(error).__name__}"):
        compare(F.silu, jax.nn.silu, X, exact=raising(error))


@pytest.mark.parametrize("value", [None, "abc", (1.0, 2.0)], ids=str)
def test_a_definition_that_gives_no_number_is_the_callers_fault(value: Any) -> None:

    with pytest.raises(UsageError, match=r"^exact: "):
        compare(F.silu, jax.nn.silu, X, exact=lambda m, x: value)


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn", "inputs"),
    [
        (lambda x: x.cumsum(0), lambda x: x.cumsum(0), X),
        (lambda x: x.sum(), lambda x: x.sum(), X),
        (lambda x, y: x + y, lambda x, y: x + y, [X, X]),
    ],
    ids=["cumsum", "sum", "two inputs"],
)
def test_a_definition_of_what_is_not_elementwise_is_refused(torch_fn: Any, jax_fn: Any, inputs: Any) -> None:
    with pytest.raises(UsageError, match=r"^exact: .*not elementwise"):
        compare(torch_fn, jax_fn, inputs, exact=silu)


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn", "exact", "cause"),
    [
        (F.relu, jax.nn.relu, lambda m, x: m.maximum(x, 0), None),
        (F.relu, jax.nn.relu, lambda m, x: m.where(x > 0, x, 0), None),
        (F.relu, jax.nn.relu, "relu", None),
        (F.relu, lambda x: jnp.maximum(x, 0), lambda m, x: m.maximum(x, 0), "convention"),
        (torch.abs, lambda x: x * jnp.sign(x), lambda m, x: m.abs(x), None),
        (torch.abs, jnp.abs, lambda m, x: m.abs(x), "convention"),
        (torch.abs, lambda x: jnp.where(x == 0, 3 * x, jnp.abs(x)), lambda m, x: m.abs(x), "definition"),
    ],
)
def test_at_a_kink_a_choice_is_a_convention_and_no_choice_a_wrong_gradient(
    torch_fn: Any, jax_fn: Any, exact: Any, cause: str | None
) -> None:
    report = compare(torch_fn, jax_fn, KINK, exact=exact)
    assert (report.cause, report.side) == (cause, "jax" if cause == "definition" else None), str(report)
