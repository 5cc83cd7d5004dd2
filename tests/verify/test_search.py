"""The search for the worst row: it keeps to its effort, is the same for a seed, and finds what its first rows miss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from facts import subjects
from floats import Float64Array
from truths import STARTS, RowShape

import crosscheck
from crosscheck._verify.inputs.search import Effort, neighbours, worst, worst_first

pytestmark = pytest.mark.full

AT_ONCE = 11


class Narrow:
    """An error that grows towards a dominant entry whose rest lies 9.31 below, and one that is the same everywhere."""

    def __init__(self) -> None:
        self.tried: list[RowShape] = []

    def __call__(self, shapes: Sequence[RowShape]) -> dict[object, Float64Array]:
        self.tried += shapes
        peak = [1 / (1 + 50 * abs(shape.distance - 9.31)) if shape.kind == "dominant" else 0.01 for shape in shapes]
        return {"peak": np.array(peak), "flat": np.full(len(shapes), 0.3)}


def test_it_finds_a_narrow_peak() -> None:
    errors = Narrow()
    first = worst(errors, Effort(330, (1000,)), AT_ONCE, seed=0)[0]
    assert first.kind == "dominant"
    assert first.distance == pytest.approx(9.31, abs=0.02)
    assert max(1 / (1 + 50 * abs(shape.distance - 9.31)) for shape in STARTS) < 0.03


def test_it_tries_as_many_rows_as_it_may_and_begins_with_those_that_hurt() -> None:
    errors = Narrow()
    worst(errors, Effort(33, (1000,)), AT_ONCE, seed=0)
    assert len(errors.tried) == 33
    assert tuple(errors.tried[: len(STARTS)]) == STARTS


def test_the_same_seed_tries_the_same_rows() -> None:
    tried = []
    for seed in (3, 3, 4):
        errors = Narrow()
        worst(errors, Effort(66, (1000,)), AT_ONCE, seed=seed)
        tried.append(errors.tried)
    assert tried[0] == tried[1] != tried[2]


def test_a_row_that_gives_no_number_is_the_worst() -> None:
    def errors(shapes: Sequence[RowShape]) -> dict[object, Float64Array]:
        return {0: np.array([np.nan if shape.kind == "ties" else 1.0 for shape in shapes])}

    assert worst(errors, Effort(22, (1000,)), AT_ONCE, seed=0)[0].kind == "ties"


@pytest.mark.parametrize("shape", STARTS, ids=str)
def test_rows_are_what_is_said_of_them(shape: RowShape) -> None:
    row = shape.draw(1000, -np.inf)
    assert row.shape == (1000,)
    np.testing.assert_array_equal(row, shape.draw(1000, -np.inf))
    assert not np.isnan(row).any()
    assert np.isneginf(row).any() == (shape.kind == "masked")
    assert not np.isinf(shape.draw(1000, -1e4)).any()


def test_verify_finds_a_fault_that_only_rows_of_one_kind_show() -> None:
    """A softmax that is off by 1e-4 where a single entry dominates many others at a distance of 10.9 to 11.1."""

    def fault(x: torch.Tensor, axis: int) -> torch.Tensor:
        y = crosscheck.activations.softmax.torch(x, axis=axis)
        below = x.amax(axis, keepdim=True) - x.median(axis, keepdim=True).values
        return torch.where((below > 10.9) & (below < 11.1) & (x.shape[axis] == 1000), y * 1.0001, y)

    report = crosscheck.verify(
        "softmax", replace={"torch": fault}, implementations=["torch"], dtypes=["float32"], orders=[0], modes=["eager"]
    )
    (failed,) = [comparison for comparison in report.comparisons if not comparison.passed]
    assert failed.wrt == "x, rows of 1000, found by a search"
    ((kind, shape),) = subjects(failed.notes)
    assert kind == "worst row"
    assert (shape.kind, shape.share, f"{shape.distance:.6g}") == ("dominant", 0, "11")
    assert failed.notes[0] in " ".join(str(report).split())


# Inputs of elementwise functions, by their bits

X = np.linspace(-4, 4, 1001).astype(np.float32)


def test_no_result_crowds_out_another() -> None:
    """Its worst inputs are kept, however much larger the errors of another one are."""
    assert worst_first({"small": [0.1, 0.0, 0.0, 0.2], "large": np.array([1.0, 3.0, 2.0, 0.0])}) == [1, 3, 2, 0]
    assert worst_first({0: [0.0, np.nan, 1.0]}) == [1, 2, 0]


def test_the_inputs_tried_next_are_near_the_worst_for_each_result() -> None:
    errors = {0: np.where(X > 3.5, 1.0, 0.0), 1: np.where(X < -3.5, 1.0, 0.0)}
    near = neighbours(X, errors, seed=0)
    np.testing.assert_array_equal(near, neighbours(X, errors, seed=0))
    assert (np.abs(near) > 1.7).all()
    assert (near > 0).any()
    assert (near < 0).any()
    near = neighbours(np.array([1.0, -1.0, 100.0] * 100, np.float32), {0: np.array([0, 0, 1.0] * 100)}, seed=1)
    assert near.dtype == np.float32
    assert (near > 40).all()
    assert (near < 250).all()
    assert len(np.unique(near)) > 200


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_inputs_tried_next_are_finite(dtype: type) -> None:
    largest = np.finfo(dtype).max
    near = neighbours(np.full(1000, largest, dtype), {0: np.zeros(1000)}, seed=0)
    assert np.isfinite(near).all()
    assert near.max() == largest


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_verify_climbs_to_a_fault_between_the_inputs_that_are_sampled(side: str) -> None:
    """The error rises towards the middle of the widest gap from 1 to 2, near which alone it is beyond the budget."""
    linear = crosscheck.activations.linear  # which has no rounding errors of its own
    sampled: list[float] = []

    def fault(x: Any) -> Any:
        if not sampled:
            at = np.sort(np.asarray(x.detach() if side == "torch" else x, np.float64))
            at = at[(at >= 1) & (at <= 2)]
            widest = np.diff(at).argmax()
            sampled.extend(at[widest : widest + 2])
        low, high = sampled
        bump = 1 / (1 + ((x - (low + high) / 2) / ((high - low) / 20)) ** 2)
        return getattr(linear, side)(x) * (1 + 1e-5 * bump)

    options: dict[str, Any] = {"implementations": [side], "dtypes": ["float32"], "orders": [0], "modes": ["eager"]}
    report = crosscheck.verify("linear", replace={side: fault}, **options, thorough=True)
    comparisons = {c.wrt: c for c in report.comparisons}
    assert comparisons["x"].passed
    climbed = comparisons["x, found by a search"]
    assert (climbed.passed, climbed.side) == (False, side)
    assert climbed.worst is not None
    assert sampled[0] < climbed.worst.input < sampled[1]


def test_nothing_is_searched_for_where_every_input_is_tried() -> None:
    report = crosscheck.verify("silu", implementations=["torch"], dtypes=["bfloat16", "float16"], orders=[0])
    assert {c.wrt for c in report.comparisons} == {"x"}
