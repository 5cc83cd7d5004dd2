"""The records that both sides share: an operation of a model, and the use of a weight, where a landmark may be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.values.layouts import AxesView

CONSTANT, WEIGHT, DATA = range(3)
"""What a value depends on; a result has the largest of its operands' kinds."""
BLOCK = 2**14
"""So many numbers stay in the cache of a CPU while they are hashed."""
HASH = ((0x9E3779B97F4A7C15, 32), (0xBF58476D1CE4E5B9, 29), (0x94D049BB133111EB, 32))
"""Factors and shifts of splitmix64; each number is hashed by itself."""

MOVES = frozenset(
    [
        *("broadcast_in_dim", "concatenate", "convert_element_type", "copy", "copy_p", "expand_dims", "reshape", "rev"),
        *("slice", "squeeze", "stack", "stop_gradient", "transpose"),
    ]
)
"""Operations that move numbers without changing them."""


def digest(array: Array) -> str:
    """A key that differs for arrays with different numbers."""
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()


def fingerprint(array: Array) -> tuple[str, int, int]:
    """A key that differs for arrays with different numbers, and does not change if the numbers are permuted.

    It is the sum of a hash of each number: numbers that are not equal have equal sums once in 2^64 times.
    """
    numbers = np.ravel(array, order="K")
    total = sum(_hashed(numbers[start : start + BLOCK]) for start in range(0, numbers.size, BLOCK))
    return numbers.dtype.kind, numbers.size, total % 2**64


def bit_sum(array: Array) -> int:
    """A key that arrays with the same numbers in the same dtype have, in any order; others may have it too."""
    numbers = np.ravel(array, order="K")
    words = np.dtype(f"u{numbers.dtype.itemsize if numbers.dtype.kind != 'c' else numbers.dtype.itemsize // 2}")
    blocks = (numbers[start : start + BLOCK] for start in range(0, numbers.size, BLOCK))
    return sum(int((block + numbers.dtype.type(0)).view(words).sum(dtype=np.uint64)) for block in blocks)


def _hashed(numbers: Array) -> int:
    """The sum of the hashes of some numbers, in whatever dtype they are."""
    wide = numbers.astype(np.complex128 if numbers.dtype.kind == "c" else np.float64)
    bits = (wide + 0.0).view(np.uint64)  # minus zero becomes zero
    for factor, shift in HASH:
        bits *= np.uint64(factor)
        bits ^= bits >> np.uint64(shift)
    return int(bits.sum())


@dataclass(frozen=True)
class Operation:
    """One operation: its name, its module or function, the operations whose results it uses, the dtype of its result."""

    index: int
    name: str
    path: str
    inputs: tuple[int, ...]
    kind: int
    source: str = ""
    dtype: str = ""


@dataclass(frozen=True)
class Values:
    """One array, in the dtype and in float64."""

    narrow: Array
    wide: Array


@dataclass(frozen=True)
class Use:
    """An operation of data with weights.

    Attributes:
        index: Its number among the uses of its side.
        operation: The operation.
        names: The weights, the main one first; for a value computed from several, all their names, joined by ``+``.
        matrices: Their values here, in float64, as matrices of inputs times outputs, or as one row of outputs.
        kind: ``product``, ``convolution``, ``gather``, ``scale``, ``sum``, ``norm`` or ``other``.
        operand: How the main weight sees the data, as rows times features; None if that is not known.
        result: How it sees the result.
        given: The data, if the side records it.
        origin: The operation that made the data, if the side records it.
    """

    index: int
    operation: Operation
    names: tuple[str, ...]
    matrices: tuple[Array, ...]
    kind: str
    operand: AxesView | None
    result: AxesView
    given: Values | None = None
    origin: int | None = None

    def without_numbers(self) -> Use:
        """This use without its matrices, which are as large as all weights together."""
        return replace(self, matrices=())
