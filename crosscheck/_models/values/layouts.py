"""Arrays as rows times features, as a weight sees them, for any order of axes.

The weight of a matrix product, a convolution or an embedding is a matrix of inputs times outputs; that of a scale or a
bias is one row of outputs. Its operand is rows times inputs, and its result is rows times outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from crosscheck._frameworks.programs import Array


@dataclass(frozen=True)
class AxesView:
    """The axes of an array that are rows, in order, and those that are features, in order."""

    shape: tuple[int, ...]
    features: tuple[int, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        """The axes that are rows."""
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.features)

    @property
    def size(self) -> tuple[int, int]:
        """The number of rows and the number of features."""
        return prod(self.shape[axis] for axis in self.rows), prod(self.shape[axis] for axis in self.features)

    def matrix(self, array: Array, order: Sequence[int] | None = None) -> Array:
        """The array as rows times features; ``order`` is another order of the axes of the rows."""
        rows = [self.rows[k] for k in order] if order is not None else list(self.rows)
        return np.asarray(array).transpose([*rows, *self.features]).reshape(self.size)

    def array(self, matrix: Array, order: Sequence[int] | None = None) -> Array:
        """The array with this matrix."""
        axes = [*([self.rows[k] for k in order] if order is not None else self.rows), *self.features]
        moved = np.asarray(matrix).reshape([self.shape[axis] for axis in axes])
        return np.ascontiguousarray(moved.transpose(np.argsort(axes)))


def broadcast_features(weight: Sequence[int], result: Sequence[int]) -> tuple[int, ...]:
    """The axes of a result along which a broadcast weight has several numbers; the last axis if it has one number."""
    padded = (1,) * (len(result) - len(weight)) + tuple(weight)
    axes = tuple(axis for axis, size in enumerate(padded) if size > 1)
    return axes or tuple(range(max(0, len(result) - 1), len(result)))
