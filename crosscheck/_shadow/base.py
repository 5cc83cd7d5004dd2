"""The interface of a lifted program: the same computation in float64, clean or under seeded noise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""A float64 array where the program has a float array; other dtypes are unchanged."""

Program = Callable[..., Sequence[Any]]
"""A function of the framework's arrays that returns a flat sequence of the framework's arrays."""


class UntraceableError(Exception):
    """A program raised an exception while it was traced; ``__cause__`` is that exception."""


@contextmanager
def tracing() -> Iterator[None]:
    """Turn exceptions of a program's tracing into ``UntraceableError``, unlike those of later work on what was traced."""
    try:
        yield
    except Exception as error:
        raise UntraceableError from error


@dataclass(frozen=True)
class Noise:
    """Imitated rounding: a relative error after each inexact operation, uniform in ``[-unit, unit]``.

    The operands of a sum, a product of matrices, a convolution or a cumulative sum over n elements get such an error, too.
    There it is ``max(1, sqrt(n) / 4)`` times as large, since a partial sum is rounded at every step, in any order. The same
    seed gives the same noise.
    """

    seed: int
    unit: float


@dataclass(frozen=True)
class Met:
    """What a lifted program contains.

    Attributes:
        narrow: The names of float dtypes, narrower than the inputs', in which values were rounded or computed.
        opaque: Operations that noise could not enter: they ran unchanged, and only their operands or results got noise.
    """

    narrow: frozenset[str]
    opaque: frozenset[str]


class Lifted(Protocol):
    """A program in float64."""

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        """The results for arguments of the shapes for which the program was lifted; float arguments are given in float64.

        A float result is float64; another result keeps its dtype. The arguments are not changed.
        """

    @property
    def met(self) -> Met:
        """What the program contains; known after a run."""


class Flushing(Lifted, Protocol):
    """A lifted program that can imitate a backend that flushes subnormals."""

    def run_flushed(self, arguments: Sequence[Array]) -> list[Array]:
        """A clean run in which every float result below the smallest normal number of the program's dtype becomes 0."""


BLOCK = 2**20
"""The most numbers of a weight that are held in float64 together, where a product may be computed part by part."""


def parts(size: int, length: int) -> list[slice]:
    """Equal parts of an axis of an array of so many numbers, each with at most ``BLOCK`` of them where that is possible."""
    rows = max(1, -(-length // max(1, min(length, -(-size // BLOCK)))))
    return [slice(begin, min(begin + rows, length)) for begin in range(0, length, rows)]


def reduction_factor(count: int) -> float:
    """The factor of the noise on the operands of a sum over ``count`` elements."""
    return float(max(1.0, np.sqrt(count) / 4))
