"""Describe in words how one array holds the numbers of another, given the place there of each number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._records.worded import Worded

SAME, PERMUTED = Worded("the same", "same"), Worded("permuted", "permuted")
TRANSPOSED, USED_TRANSPOSED = Worded("transposed", "transposed"), Worded("used transposed", "used transposed")
Digit = tuple[int, int]
"""The size and the stride of a part of an axis: an axis of 6 may be 2 x 3, each with its own stride."""
_ORDINALS = ("first", "second", "third", "fourth")
_SPACE = {3: "W", 4: "HW", 5: "DHW"}


def ordinal(number: int) -> str:
    """First, second, ..., 5th of a number that counts from 0."""
    return _ORDINALS[number] if number < len(_ORDINALS) else f"{number + 1}th"


def in_words(steps: Sequence[Worded], *more: Worded) -> Worded:
    """A layout in words, about its steps, and more of it."""
    every = [*(steps or [SAME]), *more]
    return Worded(", ".join(every), "layout", *((step.kind, *step.about) for step in every))


def stacked(number: int, count: int) -> Worded:
    """The step that says which slice of an array a weight is."""
    return Worded(f"stacked: slice {number + 1} of {count}", "stacked", number, count)


def layout(places: Array, shape: tuple[int, ...]) -> list[Worded]:
    """Describe how an array is made from another array of a given shape: in some steps, or in none if it is the same.

    Args:
        places: For each number of the array, its place in the other array, flattened; in the shape of the array.
        shape: The other array's shape.
    """
    if places.shape == shape and np.array_equal(places.reshape(-1), np.arange(places.size)):
        return []
    vectors = separated(places)
    if vectors is None:
        return [PERMUTED]
    words: list[Worded] = []
    digits: list[list[Digit]] = []
    for vector in vectors:
        factors = _factored(vector)
        if factors is None:
            blocks = _blocks(vector)
            if blocks is None:
                words.append(
                    Worded(f"its {len(vector)} rows permuted", "rows", len(vector)) if len(vectors) > 1 else PERMUTED
                )
                factors = _factored(np.sort(vector) - vector.min())
            else:
                order, ordered = blocks
                said = f"its {len(order)} parts in the order {', '.join(str(k + 1) for k in order)}"
                words.append(Worded(said, "parts", *order))
                factors = _factored(ordered)
        if factors is None:
            return [PERMUTED]
        digits.append(factors)
    return [*_axes(digits, places, shape), *words]


def separated(places: Array) -> list[Array] | None:
    """What each axis adds to the place of the first number, if they add independently; an array of one number at least."""
    axes = range(places.ndim)
    vectors = [places[tuple(slice(None) if k == axis else 0 for k in axes)] - places.flat[0] for axis in axes]
    return vectors if np.array_equal(outer_sum(places.flat[0], vectors), places) else None


def outer_sum(first: int, vectors: Sequence[Array]) -> Array:
    """The places to which each axis adds its vector."""
    total = np.full((1,) * len(vectors), first)
    for axis, vector in enumerate(vectors):
        total = total + vector.reshape([-1 if k == axis else 1 for k in range(len(vectors))])
    return total


def _factored(vector: Array) -> list[Digit] | None:
    """The digits of an axis, the slowest first; none for an axis of length 1."""
    count = len(vector)
    if count == 1:
        return []
    stride = int(vector[1] - vector[0])
    steps = np.flatnonzero(np.diff(vector) != stride)
    length = int(steps[0]) + 1 if len(steps) else count
    if length == count:
        return [(count, stride)]
    if count % length:
        return None
    blocks = vector.reshape(-1, length)
    if not np.array_equal(blocks - blocks[:, :1], np.broadcast_to(blocks[0] - blocks[0, 0], blocks.shape)):
        return None
    slower = _factored(blocks[:, 0])
    return None if slower is None else [*slower, (length, stride)]


def _blocks(vector: Array) -> tuple[list[int], Array] | None:
    """For an axis whose parts of one size are in another order: that order, and the axis in its own order."""
    stride = int(vector[1] - vector[0])
    steps = np.flatnonzero(np.diff(vector) != stride) + 1
    length = int(np.gcd.reduce([*steps, len(vector)]))
    if length < 2:
        return None
    blocks = vector.reshape(-1, length)
    ranks = np.argsort(np.argsort(blocks[:, 0]))
    return [int(rank) for rank in ranks], np.sort(vector) - vector.min()


def _axes(digits: list[list[Digit]], places: Array, shape: tuple[int, ...]) -> list[Worded]:
    """The permutation of the axes, and which are split or folded."""
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]

    def axis_of(stride: int) -> int:
        return max(
            (axis for axis, own in enumerate(strides) if own <= abs(stride) and shape[axis] > 1),
            key=lambda axis: strides[axis],
            default=len(shape) - 1,
        )

    owners = [[axis_of(stride) for _, stride in axis] for axis in digits]
    every = [
        (*digit, owner) for row, names in zip(digits, owners, strict=True) for digit, owner in zip(row, names, strict=True)
    ]
    flat = [owner for _, _, owner in every]
    order = [owner for k, owner in enumerate(flat) if k == 0 or owner != flat[k - 1]]
    words = _permutation(order, shape, places.shape)
    flipped = {
        owner for axis, own in zip(digits, owners, strict=True) for (_, s), owner in zip(axis, own, strict=True) if s < 0
    }
    if flipped:
        in_space = len(shape) > 2 and flipped == {axis for axis in range(2, len(shape)) if shape[axis] > 1}
        where = "in space" if in_space else f"along {', '.join(map(str, sorted(flipped)))}"
        words.append(Worded(f"flipped {where}", "flipped", *sorted(flipped)))
    words += _split(every, places, shape, strides)
    words += _folded(digits, owners, every, shape)
    return words


def _permutation(order: list[int], shape: tuple[int, ...], result: tuple[int, ...]) -> list[Worded]:
    several = [axis for axis, size in enumerate(shape) if size > 1]
    if len(set(order)) != len(order):
        return []  # an axis in several places is described as folded
    if order == sorted(order):
        return []
    if len(order) == 2 and len(shape) == 2:
        return [TRANSPOSED]
    if len(shape) in _SPACE and len(result) == len(shape):
        space = _SPACE[len(shape)]
        inside = list(range(2, len(shape)))
        for names, last in (("OI", (1, 0)), ("IO", (0, 1))):
            axes = [*inside, *last]
            if [axis for axis in axes if axis in several] == order and tuple(shape[axis] for axis in axes) == result:
                return [Worded(f"{names}{space} to {space}IO", "axes", *axes)]
    if len(order) == 2:
        return [TRANSPOSED]
    return [Worded(f"its axes in the order {', '.join(map(str, order))}", "axes", *order)]


def _split(every: list[tuple[int, int, int]], places: Array, shape: tuple[int, ...], strides: list[int]) -> list[Worded]:
    """Which part of the other array this is."""
    words: list[Worded] = []
    start = int(places.min())
    for axis, size in enumerate(shape):
        own = [(count, stride) for count, stride, owner in every if owner == axis]
        covered = prod(count for count, _ in own)
        if covered == size:
            continue
        first = start // strides[axis] % size
        nearest = min((abs(stride) for _, stride in own), default=strides[axis])
        if size % covered == 0 and nearest == strides[axis] and first % covered == 0:
            parts, number = size // covered, first // covered
            words.append(Worded(f"split in {parts}: this is the {ordinal(number)}", "split", parts, number))
        else:
            said = f"{covered} of {size} along {axis}, from {first} on"
            words.append(Worded(said, "some", covered, size, axis, first))
    return words


def _folded(
    digits: list[list[Digit]], owners: list[list[int]], every: list[tuple[int, int, int]], shape: tuple[int, ...]
) -> list[Worded]:
    """Axes that one side holds as one axis and the other side as several."""
    words: list[Worded] = []
    for axis in range(len(shape)):
        if sum(axis in row for row in owners) > 1:
            sizes = [count for count, _, owner in every if owner == axis]
            words.append(Worded(f"heads folded: {prod(sizes)} as {' x '.join(map(str, sizes))}", "folded", *sizes))
    for row, names in zip(digits, owners, strict=True):
        if any(abs(left[1]) < abs(right[1]) for left, right in pairwise(row)):
            was = sorted(row, key=lambda digit: -abs(digit[1]))
            words.append(Worded(f"the flattened {_sizes(was)} in the order {_sizes(row)}", "reordered", *row))
        elif len(set(names)) > 1:
            words.append(Worded(f"{_sizes(row)} flattened", "flattened", *row))
    return words


def _sizes(digits: list[Digit]) -> str:
    return " x ".join(str(count) for count, _ in digits)
