"""Rows in which one side has one number alone, such as zeros, where the other side computes something."""

from __future__ import annotations

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import ModelResults

SAME = 1e-6
"""Numbers that differ by less, relative to the largest there, are the same."""


def other_fill(results: ModelResults, number: int) -> tuple[Fact, ...]:
    """That one side has only one number, such as 0, in all rows of a landmark that differ, as a clause; empty if not."""
    landmark = results.landmarks[number]
    torch_values, jax_values = landmark.compared(landmark.expected.wide), results.located.values.get(number)
    if (
        jax_values is None
        or np.shape(jax_values) != np.shape(torch_values)
        or torch_values.ndim != 2
        or not np.isfinite(torch_values).all()
    ):
        return ()
    torch_values, jax_values = torch_values.astype(np.float64), np.asarray(jax_values, np.float64)
    size = max(np.abs(torch_values).max(initial=0.0), np.abs(jax_values).max(initial=0.0))
    wrong = (np.abs(jax_values - torch_values) > SAME * size).any(1)
    for who, own, other in (("PyTorch", torch_values, jax_values), ("JAX", jax_values, torch_values)):
        if wrong.any() and np.ptp(own[wrong]) == 0 and np.ptp(other[wrong]) > SAME * size:
            value = float(own[wrong].flat[0])
            what = "zeros" if value == 0 else f"{value:.6g}"
            return (Fact("only", what, who, where=_rows(wrong)),)
    return ()


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
