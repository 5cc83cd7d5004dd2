"""The words that both sides share: an operation of a model, and the use of a weight, which is where a landmark may be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.layouts import View

CONSTANT, WEIGHT, DATA = range(3)
"""What a value is made of; the largest of those of the operands is that of the result."""


def digest(array: Array) -> str:
    """What tells the numbers of an array from others."""
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()


@dataclass(frozen=True)
class Operation:
    """One operation: its name, the module or function that it stands in, and the operations whose results it takes."""

    index: int
    name: str
    path: str
    inputs: tuple[int, ...]
    kind: int
    source: str = ""


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
        names: The weights, the main one first; of what was computed from several the names of all, joined by ``+``.
        matrices: Their values at this point, in float64, as matrices of inputs times outputs, or one row of outputs.
        kind: ``product``, ``convolution``, ``gather``, ``scale``, ``sum``, ``norm`` or ``other``.
        operand: How the data is seen from the main weight; None where that is not known.
        result: How the result is seen.
        given: The data, where the side records it.
        origin: The operation that made the data, where the side records it.
        digests: Of the matrices, where these were dropped.
    """

    index: int
    operation: Operation
    names: tuple[str, ...]
    matrices: tuple[Array, ...]
    kind: str
    operand: View | None
    result: View
    given: Values | None = None
    origin: int | None = None
    digests: tuple[str, ...] = ()

    def without_numbers(self) -> Use:
        """This use with the digests of its matrices in their place: these are as large as all weights together."""
        return replace(self, matrices=(), digests=tuple(digest(one) for one in self.matrices))
