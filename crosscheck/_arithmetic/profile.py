"""The sizes and places of errors: the number of errors of each size, and the largest in each of some columns of inputs."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, FloatArray, IntArray, widen

COLUMNS = 96
LOWEST, HIGHEST = -1, 24
"""Errors are counted by powers of two between these exponents, in ULP."""
SIZES = ("0", *(f"{2.0**k:g}" if k < 11 else f"2^{k}" for k in range(LOWEST, HIGHEST + 1)), "more", "NaN, inf")
"""The sizes: none, up to a number of ULP, larger, and a NaN or infinity on only one side."""


@dataclass(frozen=True)
class Profile:
    """The errors of one comparison.

    Attributes:
        by: ``input``, ``element`` if a result belongs to no single input, or ``binade`` for a sweep.
        x: The middle input of each of up to 96 columns; each column has equally many inputs, in the order of their size.
        worst: The largest error in ULP of each column, infinite where only one side is NaN or infinite.
        counts: The number of errors of each of ``sizes``.
        sizes: None, up to half an ULP, up to 1, 2, 4, ... 2^24, more, not finite; the last two are no sizes.
    """

    by: str
    x: tuple[float, ...]
    worst: tuple[float, ...]
    counts: tuple[int, ...]
    sizes: tuple[str, ...] = SIZES


@dataclass(frozen=True)
class Columns:
    """The columns of some inputs: the middle of each, and the column of each input, -1 for NaN."""

    by: str
    x: Float64Array
    index: IntArray

    @classmethod
    def of(cls, x: FloatArray) -> Columns:
        """The columns of inputs, in the order of their size."""
        wide = widen(x)
        order = np.argsort(wide, kind="stable")[: np.count_nonzero(~np.isnan(wide))]
        count = min(COLUMNS, order.size)
        index = np.full(wide.size, -1)
        # without inputs these arrays are empty, and nothing is divided by zero
        index[order] = np.arange(order.size) * count // order.size
        middle = (2 * np.arange(count) + 1) * order.size // (2 * count)
        return cls("input", wide[order[middle]], index)

    @classmethod
    def of_elements(cls, start: int, stop: int, size: int) -> Columns:
        """The columns of the elements ``start`` to ``stop`` of a result with ``size`` elements, in order."""
        count = min(COLUMNS, size)
        middle = (2 * np.arange(count) + 1) * size // (2 * count)
        return cls("element", middle.astype(np.float64), np.arange(start, stop) * count // size)


def profile(columns: Columns, ulp: Float64Array, special: BoolArray, counted: BoolArray) -> Profile:
    """The profile of the errors at the inputs of the columns. Only ``counted`` errors count, and NaN counts as none."""
    error = np.where(special, inf, np.nan_to_num(ulp, nan=0.0, posinf=inf))
    worst = np.zeros(columns.x.size)
    placed = counted & (columns.index >= 0)
    np.maximum.at(worst, columns.index[placed], error[placed])
    return Profile(columns.by, tuple(columns.x.tolist()), tuple(worst.tolist()), tuple(_counts(error[counted]).tolist()))


def _counts(error: Float64Array) -> IntArray:
    fraction, power = np.frexp(error)
    size = np.clip(power - (fraction == 0.5) - LOWEST, 0, HIGHEST - LOWEST + 1) + 1
    size = np.where(error == 0, 0, np.where(np.isinf(error), len(SIZES) - 1, size))
    return np.bincount(size, minlength=len(SIZES))


def joined(profiles: list[Profile]) -> Profile:
    """Several profiles of the same columns, joined to one."""
    worst = np.max([part.worst for part in profiles], axis=0)
    counts = np.sum([part.counts for part in profiles], axis=0)
    return Profile(profiles[0].by, profiles[0].x, tuple(worst.tolist()), tuple(counts.tolist()))
