"""What is noted beside a verdict on two functions: each remark's kind, what it is about, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

from crosscheck._records.names import ORDER_NAMES
from crosscheck._records.worded import Worded

NAN_EVERYWHERE = Worded("both sides are NaN everywhere, so nothing was compared", "nan everywhere")
EMPTY = Worded("the result is empty, so nothing was compared", "empty")
BY_POSITION = Worded("what an element gives depends on its position", "by position")
FINITE_BY_ROUNDING = Worded(
    "rounding alone decides, on both sides, whether a result is finite; nobody is wrong there", "finite by rounding"
)
AT_THESE_INPUTS = Worded(
    "they differ at these inputs alone and agree next to them, so neither side is known to err", "at these inputs"
)
TRUTH_OF_BALLS = Worded(
    "the truth is what the JAX program gives in ball arithmetic, where both sides agree on it", "truth of balls"
)


def of_order(order: int, note: Worded) -> Worded:
    """The remark on the results of one order."""
    return Worded(f"{ORDER_NAMES[order]}: {note}", note.kind, order, *note.about)


def diagnosed(some: int, points: int) -> Worded:
    """Only a part of the elements was diagnosed."""
    return Worded(f"diagnosed at {some:,} of {points:,} elements: those furthest apart, and a sample", "diagnosed")


def both_lose(some: int, points: int, worst: float) -> Worded:
    """Both sides are so many ULP away from the truth."""
    return Worded(
        f"both sides lose digits alike: at {some:,} of {points:,} elements both are far from the truth, "
        f"by up to {worst:.3g} ULP ({log10(max(worst, 1)):.0f} decimal digits)",
        "both lose digits",
    )


def hidden(largest: float, dtype: str) -> Worded:
    """The dtype does not show the difference in float64."""
    words = f"in float64 the functions differ, by {largest:.3g} or less, too little for {dtype}"
    return Worded(words, "hidden in the dtype")


def no_truth(why: str) -> Worded:
    """In float64, nothing knows the truth better than both sides."""
    words = f"float64 has no wider dtype, and this program {why}: the truth is that of the better side"
    return Worded(words, "no truth beyond float64")


def uneven(side: str) -> Worded:
    """Two runs of a side differ."""
    words = f"two runs of the {side} function on the same input differ in their last digits; one of them is judged"
    return Worded(words, "uneven", side)


def changed(side: str, names: Sequence[str], advice: str) -> Worded:
    """A module changes its state."""
    some = f"{', '.join(names[:4])}{' and more' if len(names) > 4 else ''}"
    return Worded(f"the {side} module changes its {some} when it is called; {advice}", "changed", side, *names)


def narrow(side: str, dtypes: Sequence[str]) -> Worded:
    """A side computes in dtypes of fewer digits."""
    return Worded(f"inside, the {side} function computes in {' and '.join(dtypes)}", "narrow", side, *dtypes)


def untraceable(why: str) -> Worded:
    """JAX cannot compile its function."""
    return Worded(f"the JAX function cannot be traced, so it was compared eagerly only ({why})", "untraceable")


def opaque(side: str, operations: Sequence[str]) -> Worded:
    """Operations are whole for the shadow execution."""
    return Worded(f"noise does not enter {', '.join(operations)} in {side}", "opaque", side, *operations)
