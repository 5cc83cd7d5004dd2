"""A constant that explains a fault: JAX has torch's numbers times a constant, such as a forgotten scale."""

from __future__ import annotations

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.distances import sizes

FEWEST = 8
"""Fewer numbers may have the same ratio by chance."""
SAME = 1e-9
"""The largest relative difference of ratios that count as one."""
MOST = 2**16
"""Integers up to this are looked for under the square root of a ratio."""


def relation(theirs: Array, mine: Array) -> str:
    """By which constant JAX's numbers are a multiple of torch's, as a clause; empty if by none.

    Numbers that are not finite must be the same on both sides.
    """
    if mine.dtype.kind != "f":
        return ""
    finite = np.isfinite(theirs) & np.isfinite(mine)
    if not np.array_equal(theirs[~finite], mine[~finite], equal_nan=True):
        return ""
    theirs, mine = theirs[finite], mine[finite]
    if mine.size < FEWEST or np.ptp(mine) == 0:
        return ""
    largest = np.abs(mine).argmax()
    ratio = float(theirs[largest] / mine[largest])
    # fills of a mask are so large that any small numbers beside them would count as equal
    if ratio and (np.abs(theirs - ratio * mine) <= SAME * sizes(ratio * mine)).all():
        return f"JAX's numbers there are PyTorch's times {ratio:.6g}{root(ratio)}"
    return ""


def root(ratio: float) -> str:
    """Which square root a ratio is, as the scale of scores in attention is one over a square root."""
    for root, said in ((ratio, ""), (1 / ratio, "1/")):
        square = root * root
        whole = round(square)
        if root > 1 and whole <= MOST and abs(square - whole) <= SAME * square and round(whole**0.5) ** 2 != whole:
            return f" = {said}sqrt({whole})"
    return ""
