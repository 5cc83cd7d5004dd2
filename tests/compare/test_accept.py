"""Disagreements that the caller of compare knows and accepts: they are shown, and pass."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compared import X, assert_fails, double, raising

from crosscheck import PairReport, UsageError, assert_agree, compare

pytestmark = pytest.mark.full


KINK = np.array([-1.0, 0.0, 1.0, 2.0], np.float32)


NAN = float("nan")


@pytest.mark.parametrize(
    "accept",
    [
        "leaky-relu-gradient-at-zero",
        ["leaky-relu-gradient-at-zero"],
        [("convention", (-0.5, 0.5))],
        [("convention", (0, 0))],
        [("convention", None)],
        [("definition", None), ("convention", None)],
    ],
    ids=str,
)
def test_what_is_accepted_passes_and_is_shown(accept: Any) -> None:
    assert_fails(compare(F.leaky_relu, jax.nn.leaky_relu, KINK), cause="convention")
    report = assert_agree(F.leaky_relu, jax.nn.leaky_relu, KINK, accept=accept)
    (name,) = report.deviations
    assert name in report.verdict
    assert f"accepted  {name}" in report.story()
    assert {c.order for c in report.comparisons if c.deviations == (name,)} == {1}


@pytest.mark.parametrize(
    "accept",
    [
        (),
        [("convention", (0.5, 9))],
        [("convention", (-1, -0.5)), ("convention", (0.5, 1))],
        [("definition", None)],
        "elu-second-derivative-at-zero",
        "leaky-relu-subnormals-unscaled",
    ],
    ids=str,
)
def test_what_is_not_covered_still_fails(accept: Any) -> None:
    report = compare(F.leaky_relu, jax.nn.leaky_relu, KINK, accept=accept)
    assert_fails(report, cause="convention")


def test_outside_of_an_accepted_region_the_same_cause_fails() -> None:
    def tripled(x: Any) -> Any:
        return jnp.where(x > 0.5, x * 3, x * 2)

    assert compare(double, tripled, KINK, order=0, accept=[("definition", (1, 2))]).passed
    report = compare(double, tripled, KINK, order=0, accept=[("definition", (1.5, 2.5))])
    assert_fails(report, cause="definition")
    assert report.decisive is not None
    assert report.decisive.uncovered["definition"].count == 1
    assert report.decisive.uncovered["definition"].worst.input == 1.0
    assert report.decisive.causes["definition"].count == 2


def test_a_failure_that_is_not_a_disagreement_cannot_be_accepted() -> None:
    everything = [(cause, None) for cause in ("missing", "special", "definition", "inaccurate", "convention")]
    assert compare(double, lambda x: x * 3, X, accept=everything).passed
    assert not compare(double, raising(RuntimeError()), X, accept=everything).passed
    assert not compare(lambda x: x * NAN, lambda x: x * NAN, X, accept=everything).passed


# assert_agree.


def test_assert_agree_returns_the_report() -> None:
    report = assert_agree(torch.sin, jnp.sin, X, order=0, dtype="bfloat16")
    assert isinstance(report, PairReport)
    assert report.passed
    assert {(c.dtype, c.order) for c in report.comparisons} == {("bfloat16", 0)}


@pytest.mark.parametrize(
    "wrong", [lambda x: x * 3, raising(RuntimeError("no")), lambda x: x[:1]], ids=["other", "raises", "shape"]
)
def test_assert_agree_raises_the_story(wrong: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_agree(double, wrong, X, order=0)
    assert str(caught.value) == compare(double, wrong, X, order=0).story()


def test_assert_agree_leaves_bad_arguments_what_they_are() -> None:
    with pytest.raises(UsageError):
        assert_agree(double, double, "abc")
