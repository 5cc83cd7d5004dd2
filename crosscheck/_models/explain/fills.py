"""Rows in which one side has one number alone, such as zeros, where the other side computes something."""

from __future__ import annotations

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import ModelResults

SAME = 1e-6
"""Numbers that differ by less, relative to the largest there, are the same."""


def other_fill(found: ModelResults, number: int) -> str:
    """That one side has only one number, such as 0, in all rows of a landmark that differ, as a clause; empty if not."""
    landmark = found.landmarks[number]
    mine, theirs = landmark.compared(landmark.expected.wide), found.located.values.get(number)
    if theirs is None or np.shape(theirs) != np.shape(mine) or mine.ndim != 2 or not np.isfinite(mine).all():
        return ""
    mine, theirs = mine.astype(np.float64), np.asarray(theirs, np.float64)
    size = max(np.abs(mine).max(initial=0.0), np.abs(theirs).max(initial=0.0))
    wrong = (np.abs(theirs - mine) > SAME * size).any(1)
    for who, own, who_else, other in (("PyTorch", mine, "JAX", theirs), ("JAX", theirs, "PyTorch", mine)):
        if wrong.any() and np.ptp(own[wrong]) == 0 and np.ptp(other[wrong]) > SAME * size:
            value = float(own[wrong].flat[0])
            what = "zeros" if value == 0 else f"{value:.6g}"
            return f"{who} has only {what} {_rows(wrong)}, where {who_else} has other numbers"
    return ""


def _rows(wrong: Array) -> str:
    """Which rows, in words."""
    count, places = wrong.size, np.flatnonzero(wrong)
    if places.size == count:
        return "there"
    first, last = int(places[0]), int(places[-1])
    if last - first + 1 != places.size:
        return f"in {places.size} of {count} rows"
    if first == 0:
        return f"in the first {places.size} of {count} rows"
    return f"in the last {places.size} of {count} rows" if last + 1 == count else f"in the rows {first} to {last} of {count}"
