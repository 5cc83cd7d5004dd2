"""The same input gives the same bits wherever it stands, or the cause is ``layout``, with lengths and positions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

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


FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "from length 17": (
        lambda x: x + (0.5 if x.shape[0] == 17 else 0),
        "not as in a one-element array in length 17 at positions 0 to 16",
    ),
    "the last element": (
        lambda x: torch.cat([x[:-1], x[-1:] + 0.5]) if 1 < x.shape[0] <= 33 else x * 1,
        "not as in a one-element array in length 3 at position 2, length 8 at position 7, length 16 at position 15, "
        "length 17 at position 16, length 33 at position 32",
    ),
    "a view with gaps": (
        lambda x: x + (0.5 if x.stride() == (2,) else 0),
        "through a view with gaps,",
    ),
    "a view that begins later": (
        lambda x: x + (0.5 if x.storage_offset() else 0),
        "through a view that begins later,",
    ),
    "two axes": (
        lambda x: x + (0.5 if x.ndim == 2 and x.is_contiguous() else 0),
        "through a view of one more axis,",
    ),
    "swapped axes": (
        lambda x: x + (0 if x.is_contiguous() or x.ndim == 1 else 0.5),
        "through a view of swapped axes,",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_result_that_depends_on_the_layout_is_found(fault: str) -> None:
    function, told = FAULTS[fault]
    for dtype in ("float32", "bfloat16"):
        (comparison,) = layouts("linear", dtypes=[dtype], orders=[0], implementations=["torch"], replace={"torch": function})
        assert (comparison.passed, comparison.cause, comparison.side) == (False, "layout", "torch")
        assert comparison.notes[0].startswith(told), comparison.notes
        assert comparison.worst is not None
        assert comparison.worst.got != comparison.worst.expected


def test_layouts_are_asked_for_in_two_dtypes_and_only_where_wanted() -> None:
    every = crosscheck.verify("relu", layout=True, orders=[0], implementations=["torch"])
    assert {c.dtype for c in every.comparisons if c.against == "alone"} == {"float32", "bfloat16"}
    assert not [
        c for c in crosscheck.verify("relu", orders=[0], implementations=["torch"]).comparisons if c.against == "alone"
    ]


def test_a_failure_is_told_with_its_lengths_and_positions() -> None:
    function, told = FAULTS["from length 17"]
    options: dict[str, Any] = {
        "dtypes": ["float32"],
        "orders": [0],
        "implementations": ["torch"],
        "replace": {"torch": function},
    }
    text = " ".join(str(crosscheck.verify("linear", **OPTIONS, **options)).split())
    assert f"linear value, float32 eager: own torch: {told}" in text
    assert "linear value, float32 eager: own torch: layout, " in text


def test_a_implementation_that_raises_for_one_layout_is_an_error_there() -> None:
    def picky(x: Any) -> Any:
        if x.shape[0] == 3:
            raise RuntimeError("three")
        return x * 1

    (comparison,) = layouts("linear", dtypes=["float32"], orders=[0], implementations=["torch"], replace={"torch": picky})
    assert (comparison.passed, comparison.cause, comparison.message) == (False, "error", "RuntimeError: three")
