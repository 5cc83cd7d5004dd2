"""How far two arrays of numbers are apart, relative to the numbers around each of them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import BoolArray
from crosscheck._frameworks.programs import Array

SAME = 1e-9
"""The largest relative difference of ratios that count as one."""
FILLED = 16.0
"""With a smaller root mean square, an array has no fills of a mask, such as -1e9 or the least number of the dtype."""
BESIDE_FILLS = 2.0**-16
"""Numbers below this, relative to the root mean square of all, are no fills, and are judged by themselves."""
SHARE = 1 / 64
"""A smaller share of such numbers may be small by chance."""
UNEVEN = 2.0**-6
"""The numbers of a row, or of a feature, are judged by themselves if their root mean square is that much less than all's."""
LEAST = 2.0**-17
"""They count as at least that much of all, or of ``FILLED``: of smaller ones, float64 may have no digit, as far below 0."""
FEWEST = 4
"""Fewer numbers may be small together, or have one ratio, by chance."""
BLOCK = 2**17
"""So many numbers are compared together, where those around them do not count: what is computed of them fits into caches."""
WHOLE = 2.0**-20
"""The least error of integers that differ, however large they are."""


def blank(numbers: Array) -> bool:
    """Whether all of these numbers are NaN or infinite. If the other side has the same, nothing was compared there.

    This is the one rule for landmarks, gradients and steps of a training: unlike functions are alike where both give NaN.
    """
    return bool(numbers.size) and not np.isfinite(numbers).any()


def distance(matrix: Array, expected: Array, *, in_parts: bool = True) -> float:
    """The largest difference, relative to the root mean square of what is expected, or ``in_parts``: see ``sizes``.

    Infinite if one is NaN or infinite and the other is not equal to it.
    """
    whole = expected.dtype.kind in "iub"
    if not (in_parts or whole) and expected.size > BLOCK:
        return _in_blocks(matrix.reshape(-1), expected.reshape(-1))
    got, wanted = (np.asarray(array, np.float64).reshape(-1) for array in (matrix, expected))
    shape = expected.shape
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        apart = got - wanted
    if not np.isfinite(np.abs(apart, out=apart).max(initial=0.0)):
        finite = np.isfinite(got) & np.isfinite(wanted)
        if not (finite | (got == wanted) | (np.isnan(got) & np.isnan(wanted))).all():
            return float("inf")
        apart, got, wanted, shape = apart[finite], got[finite], wanted[finite], (int(finite.sum()),)
    largest = float(apart.max(initial=0.0))
    # not by numpy.dot: the threads of its library then spin, and take cores from JAX's
    size = _size(wanted, out=apart)
    if whole and largest:
        return max(largest / (size or 1.0), WHOLE)
    in_parts = in_parts and largest > 0 and size > 0
    if in_parts and (_uneven(apart.reshape(shape), size) or _beside_fills(wanted, size) is not None):
        return float((np.abs(got - wanted).reshape(shape) / sizes(wanted.reshape(shape))).max())
    return largest / size if size else (0.0 if largest == 0 else float("inf"))


def _in_blocks(matrix: Array, expected: Array) -> float:
    """The distance relative to the root mean square of all numbers, without another array of their size."""
    distance = DistanceInParts()
    for start in range(0, expected.size, BLOCK):
        distance.add(matrix[start : start + BLOCK], expected[start : start + BLOCK])
    return distance.error


@dataclass
class DistanceInParts:
    """The largest difference of numbers that come part by part, relative to the root mean square of all that is expected.

    Attributes:
        count: How many numbers there were.
        zero: Whether all of them were 0.
        expected_zero: Whether all that was expected is 0.
    """

    count: int = 0
    zero: bool = True
    expected_zero: bool = True
    _finite: int = 0
    _expected_finite: int = 0
    _largest: float = 0.0
    _squares: float = 0.0

    def add(self, matrix: Array, expected: Array) -> None:
        """Take the next numbers."""
        got, wanted = (np.asarray(array, np.float64) for array in (matrix, expected))
        self.count += wanted.size
        self.zero, self.expected_zero = self.zero and not got.any(), self.expected_zero and not wanted.any()
        finite = np.isfinite(wanted)
        self._expected_finite += int(np.count_nonzero(finite))
        finite &= np.isfinite(got)
        if not finite.all():
            if not (finite | (got == wanted) | (np.isnan(got) & np.isnan(wanted))).all():
                self._largest = float("inf")
            got, wanted = got[finite], wanted[finite]
        self._largest = max(self._largest, float(np.abs(got - wanted).max(initial=0.0)))
        size = _size(wanted, out=np.empty_like(wanted))
        self._squares, self._finite = self._squares + size * size * wanted.size, self._finite + wanted.size

    @property
    def blank(self) -> bool:
        """Whether no finite number was expected; see ``blank``."""
        return self.count > 0 and not self._expected_finite

    @property
    def size(self) -> float:
        """The root mean square of the finite numbers that were expected."""
        return float(np.sqrt(self._squares / max(1, self._finite)))

    @property
    def error(self) -> float:
        """The distance; infinite if one number is NaN or infinite and the other is not equal to it."""
        if np.isinf(self._largest):
            return self._largest
        return self._largest / self.size if self.size else (0.0 if self._largest == 0 else float("inf"))


def distances(matrix: Array, expected: Array) -> Array:
    """The same for each row and for each feature of a matrix, one after the other, relative to the same sizes."""
    got, wanted = (np.asarray(array, np.float64) for array in (matrix, expected))
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        apart = np.abs(got - wanted) / sizes(np.where(np.isfinite(wanted), wanted, 0.0))
    apart[(got == wanted) | (np.isnan(got) & np.isnan(wanted))] = 0.0
    apart[np.isnan(apart)] = np.inf
    return np.concatenate([apart.max(axis, initial=0.0) for axis in (1, 0)])


def sizes(numbers: Array) -> Array:
    """What the error of each number is relative to: the root mean square of all of them, without the fills of a mask.

    In rows or features whose numbers are far smaller than those of others, it is the root mean square of those alone.
    """
    return _sizes(numbers, np.ones(numbers.shape, bool))


def _sizes(numbers: Array, among: BoolArray) -> Array:
    """The same ``among`` some of the numbers."""
    largest = float(np.abs(numbers[among]).max(initial=0.0)) or 1.0  # its square may be too large for float64
    squares = np.square(np.where(among, numbers, 0.0) / largest)
    size = largest * float(np.sqrt(squares.sum() / max(1, among.sum())))
    scales = np.full(numbers.shape, size or 1.0)
    for axis in _axes(numbers.shape):
        counts = among.sum(axis, keepdims=True)
        own = largest * np.sqrt(squares.sum(axis, keepdims=True) / np.maximum(counts, 1))
        alone = (own > 0) & (own < UNEVEN * size) & (counts >= FEWEST)
        scales = np.minimum(scales, np.where(alone, np.maximum(own, LEAST * min(size, FILLED)), size or 1.0))
    if (few := _beside_fills(numbers[among], scales[among])) is not None:
        small = np.zeros(numbers.shape, bool)
        small[among] = few
        return np.where(small, _sizes(numbers, small), _sizes(numbers, among & ~small))
    return scales


def _axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes along which the numbers of a row, or of a feature, are."""
    return tuple(axis for axis in (0, 1) if shape[axis] >= FEWEST) if len(shape) == 2 else ()


def _uneven(squares: Array, size: float) -> bool:
    """Whether the numbers of a row, or of a feature, are far smaller than the root mean square of all."""
    limit = (UNEVEN * size) * (UNEVEN * size)  # infinite where it overflows
    means = (squares.mean(axis) for axis in _axes(squares.shape))
    return any(bool(((own > 0) & (own < limit)).any()) for own in means)


def _size(numbers: Array, out: Array) -> float:
    """The root mean square; ``out`` then has the squares."""
    if not numbers.size:
        return 0.0
    with np.errstate(over="ignore"):
        size = float(np.sqrt(np.square(numbers, out=out).mean()))
    if np.isfinite(size):
        return size
    largest = float(np.abs(numbers).max())  # its square is too large for float64
    return largest * float(np.sqrt(np.square(numbers / largest, out=out).mean()))


def _beside_fills(numbers: Array, size: float | Array) -> BoolArray | None:
    """The numbers that are far smaller than the root mean square around them, if those of its size are fills of a mask.

    They are if all are the same, but for what was added to them, or if the smaller ones are too many to be small by chance.
    """
    filled = size > FILLED
    if not np.any(filled):
        return None
    magnitudes, limit = np.abs(numbers), size * BESIDE_FILLS
    few = np.asarray((magnitudes != 0) & (magnitudes < limit) & filled)
    if not few.any():
        return None
    large = numbers[(magnitudes >= limit) & filled]
    return few if few.mean() > SHARE or np.ptp(large) <= np.max(limit) else None


def holds(joined: Array, part: Array, limit: float) -> bool:
    """Whether the numbers of one array, or of several joined ones, are those of a part; all are sorted."""
    if joined.size < part.size or not _may_hold(joined, part, limit):
        return False
    if joined.size > part.size:
        after = np.searchsorted(joined, part).clip(1, joined.size - 1)
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            nearest = np.where(part - joined[after - 1] < joined[after] - part, after - 1, after)
        joined = joined[nearest]
    return distance(joined[:, None], part[:, None]) <= limit


def _may_hold(joined: Array, part: Array, limit: float) -> bool:
    """Whether three of the sorted numbers are there: in most arrays they are not, and this takes little time."""
    if not part.size:
        return True
    reach = limit * max(abs(part.item(0)), abs(part.item(-1)))  # no size of a number is larger
    for place in (0, part.size // 2, part.size - 1):
        number = part.item(place)
        if joined.size == part.size:
            apart = abs(joined.item(place) - number)
        else:
            after = min(max(bisect_left(joined, number), 1), joined.size - 1)
            apart = min(abs(joined.item(after - 1) - number), abs(joined.item(after) - number))
        if apart > reach:
            return False
    return True


def same_numbers(matrix: Array, expected: Array, limit: float) -> bool:
    """Whether both hold the same numbers, in any order."""
    got, wanted = (np.sort(np.asarray(array, np.float64), axis=None)[:, None] for array in (matrix, expected))
    return distance(got, wanted) <= limit


def are_proportional(array: Array, expected: Array) -> bool:
    """Whether the finite numbers of one array are those of the other times one constant, and the others are the same."""
    finite = np.isfinite(array) & np.isfinite(expected)
    if expected.dtype.kind != "f" or not np.array_equal(array[~finite], expected[~finite], equal_nan=True):
        return False
    array, expected = array[finite], expected[finite]
    if expected.size < FEWEST or np.ptp(expected) == 0:
        return False
    largest = np.abs(expected).argmax()
    ratio = float(array[largest] / expected[largest])
    # fills of a mask are so large that any small numbers beside them would count as equal
    return bool(ratio and (np.abs(array - ratio * expected) <= SAME * sizes(ratio * expected)).all())
