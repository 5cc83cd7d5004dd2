"""Rows whose result is nearly 0, or another number: a row or one of its entries is moved until it is."""

from __future__ import annotations

import numpy as np

from crosscheck._arithmetic.formats import Float64Array
from crosscheck._records.records import Activation
from crosscheck._verify.inputs.shapes import ROW, RowShape

STEPS = 80
"""The halvings of the interval in which the row is moved: more than float64 can tell apart."""


def moved(activation: Activation, row: Float64Array, shape: RowShape) -> Float64Array:
    """The row, moved as its shape says, until the definition in float64 crosses the shape's target; as it is if it does not.

    A function with a result for each entry is watched at the entry whose result is nearest to the target. That one is moved,
    or, of a function with one result, the dominant one.
    """
    parameters = {**activation.parameters, "axis": -1}

    def results(row: Float64Array) -> Float64Array:
        with np.errstate(all="ignore"):
            return np.asarray(activation.definition(np, row[None], **parameters)).ravel() - shape.target

    first = results(row)
    at = int(np.argmin(np.abs(np.nan_to_num(first, nan=np.inf))))
    entry = at if activation.result != "one" else int(row.argmin() if activation.known_by == "smallest" else row.argmax())
    direction = np.isfinite(row) if shape.moves == ROW else np.arange(row.size) == entry
    span = 2 * np.abs(row[np.isfinite(row)]).max(initial=1.0) + np.log(row.size)
    low, high = -span, span

    def by(distance: float) -> Float64Array:
        return np.where(direction, row + distance, row)

    below, above = (np.sign(results(by(end))[at]) for end in (low, high))  # signs: a product of results would overflow
    if not below * above < 0:
        return row
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if np.sign(results(by(middle))[at]) == above else (middle, high)
    return by(low)
