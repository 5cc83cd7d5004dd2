"""The records that both sides share: an operation of a model, and the use of a weight, where a landmark may be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.layouts import View

CONSTANT, WEIGHT, DATA = range(3)
"""What a value depends on; a result has the largest of its operands' kinds."""


def digest(array: Array) -> str:
    """A key that differs for arrays with different numbers."""
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()


@dataclass(frozen=True)
class Operation:
    """One operation: its name, its module or function, and the operations whose results it uses."""

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
        names: The weights, the main one first; for a value computed from several, all their names, joined by ``+``.
        matrices: Their values here, in float64, as matrices of inputs times outputs, or as one row of outputs.
        kind: ``product``, ``convolution``, ``gather``, ``scale``, ``sum``, ``norm`` or ``other``.
        operand: How the main weight sees the data, as rows times features; None if that is not known.
        result: How it sees the result.
        given: The data, if the side records it.
        origin: The operation that made the data, if the side records it.
        digests: The digests of the matrices, if the matrices were dropped.
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
        """This use with the digests of its matrices instead of these, which are as large as all weights together."""
        return replace(self, matrices=(), digests=tuple(digest(one) for one in self.matrices))
