"""The size of the terms that elements of a result may have in common: the rounding of large ones reaches small ones."""

from __future__ import annotations

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, IntArray

SLICE = 8
"""Slices with fewer elements along an axis than this say nothing about the size of others."""


def common_size(size: Float64Array, moves: BoolArray, sources: IntArray) -> Float64Array:
    """The root mean square of the elements that may have terms in common with each element.

    Rounding reaches an element only from what it depends on. So constants, which noise does not move, are left out, and so
    are elements that depend on other inputs. Of the others, those at the same index of some axis are taken if they are
    smaller than the rest: the columns of a matrix, for example, to which large columns were joined.
    """
    common = np.zeros(size.shape)
    for source in np.unique(sources):
        related = moves & ((sources & source != 0) | (sources == source))
        norm = np.broadcast_to(_root_mean_square(size, related, None), size.shape)
        for axis in range(size.ndim if size.ndim > 1 else 0):
            others = tuple(other for other in range(size.ndim) if other != axis)
            enough = related.sum(axis=others, keepdims=True) >= SLICE
            norm = np.where(enough, np.minimum(norm, _root_mean_square(size, related, others)), norm)
        common = np.where(sources == source, norm, common)
    return np.asarray(np.where(moves, common, 0.0))


def _root_mean_square(size: Float64Array, where: BoolArray, axis: tuple[int, ...] | None) -> Float64Array:
    largest = float(size.max(initial=0.0, where=where)) or 1.0
    squares = np.where(where, size / largest, 0.0) ** 2
    count = where.sum(axis=axis, keepdims=True)
    return np.asarray(largest * np.sqrt(squares.sum(axis=axis, keepdims=True) / np.maximum(count, 1)))
