"""The same input gives the same bits wherever it stands, or the cause is ``layout``, with lengths and positions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from facts import subjects

import crosscheck
from crosscheck import Comparison

pytestmark = pytest.mark.full

OPTIONS: dict[str, Any] = {"layout": True, "quick": True, "modes": ["eager", "jit"]}


def layouts(name: str, **options: Any) -> list[Comparison]:
    report = crosscheck.verify(name, **OPTIONS, **options)
    return [comparison for comparison in report.comparisons if comparison.against == "alone"]


@pytest.mark.parametrize("name", ["silu", "softmax"])
def test_own_implementations_do_not_depend_on_the_layout(name: str) -> None:
    report = crosscheck.verify(
        name, layout=True, dtypes=["float32"], implementations=["torch", "jax"], modes=["eager", "jit"]
    )
    alone = [comparison for comparison in report.comparisons if comparison.against == "alone"]
    assert {(c.implementation, c.mode, c.order) for c in alone} == {
        (side, mode, order) for side, mode in (("torch", "eager"), ("jax", "jit")) for order in (0, 1, 2)
    }
    assert all(c.passed and set(c.causes) == {"exact"} and c.points > 0 and not c.notes for c in alone)


FAULTS: dict[str, tuple[Callable[[Any], Any], list[tuple[int, int]] | str]] = {
    "from length 17": (
        lambda x: x + (0.5 if x.shape[0] == 17 else 0),
        [(17, position) for position in range(17)],
    ),
    "the last element": (
        lambda x: torch.cat([x[:-1], x[-1:] + 0.5]) if 1 < x.shape[0] <= 33 else x * 1,
        [(3, 2), (8, 7), (16, 15), (17, 16), (33, 32)],
    ),
    "a view with gaps": (
        lambda x: x + (0.5 if x.stride() == (2,) else 0),
        "with gaps",
    ),
    "a view that begins later": (
        lambda x: x + (0.5 if x.storage_offset() else 0),
        "that begins later",
    ),
    "two axes": (
        lambda x: x + (0.5 if x.ndim == 2 and x.is_contiguous() else 0),
        "of one more axis",
    ),
    "swapped axes": (
        lambda x: x + (0 if x.is_contiguous() or x.ndim == 1 else 0.5),
        "of swapped axes",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_result_that_depends_on_the_layout_is_found(fault: str) -> None:
    function, where = FAULTS[fault]
    for dtype in ("float32", "bfloat16"):
        (comparison,) = layouts("linear", dtypes=[dtype], orders=[0], implementations=["torch"], replace={"torch": function})
        assert (comparison.passed, comparison.cause, comparison.side) == (False, "layout", "torch")
        ((kind, places, views),) = subjects(comparison.notes)
        assert kind == "layout"
        assert places == (() if isinstance(where, str) else tuple(where))
        assert not isinstance(where, str) or views[0] == where
        assert comparison.worst is not None
        assert comparison.worst.got != comparison.worst.expected


def test_layouts_are_asked_for_in_two_dtypes_and_only_where_wanted() -> None:
    every = crosscheck.verify("relu", layout=True, orders=[0], implementations=["torch"])
    assert {c.dtype for c in every.comparisons if c.against == "alone"} == {"float32", "bfloat16"}
    assert not [
        c for c in crosscheck.verify("relu", orders=[0], implementations=["torch"]).comparisons if c.against == "alone"
    ]


def test_a_failure_is_told_with_its_lengths_and_positions() -> None:
    function, _ = FAULTS["from length 17"]
    options: dict[str, Any] = {
        "dtypes": ["float32"],
        "orders": [0],
        "implementations": ["torch"],
        "replace": {"torch": function},
    }
    report = crosscheck.verify("linear", **OPTIONS, **options)
    (failed,) = [comparison for comparison in report.comparisons if not comparison.passed]
    text = " ".join(str(report).split())
    assert (failed.function, failed.order, failed.dtype, failed.mode) == ("linear", 0, "float32", "eager")
    assert failed.notes[0].startswith("not as in a one-element array in length 17 at positions 0 to 16")
    assert f": own torch: {failed.notes[0]}" in text
    assert ": own torch: layout, " in text


def test_a_implementation_that_raises_for_one_layout_is_an_error_there() -> None:
    def picky(x: Any) -> Any:
        if x.shape[0] == 3:
            raise RuntimeError("three")
        return x * 1

    (comparison,) = layouts("linear", dtypes=["float32"], orders=[0], implementations=["torch"], replace={"torch": picky})
    assert (comparison.passed, comparison.cause, comparison.message) == (False, "error", "RuntimeError: three")
