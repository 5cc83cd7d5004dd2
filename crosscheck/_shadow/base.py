"""What a lifted program is: the same computation in float64, clean or under seeded noise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""A float64 array where the program has a float one, any other dtype as it is."""

Program = Callable[..., Sequence[Any]]
"""A function of the framework's arrays that returns a flat sequence of the framework's arrays."""


class UntraceableError(Exception):
    """A program raised when it was traced; what it raised is the cause."""


@contextmanager
def tracing() -> Iterator[None]:
    """Tell what a program raises when it is traced from what is raised in working on what was traced."""
    try:
        yield
    except Exception as error:
        raise UntraceableError from error


@dataclass(frozen=True)
class Noise:
    """Rounding imitated: after each inexact operation a relative error, uniform in ``[-unit, unit]``.

    The operands of a sum, a product of matrices, a convolution or a cumulative sum over n elements get it too, and
    there it is ``max(1, sqrt(n) / 4)`` times as wide, since a partial sum is rounded at every step, in whatever order.
    The same seed gives the same noise.
    """

    seed: int
    unit: float


@dataclass(frozen=True)
class Met:
    """What a lifted program met inside.

    Attributes:
        narrow: The float dtypes narrower than the inputs' own that a value was rounded to or computed in, by name.
        opaque: Operations that noise could not enter: they were run as they are, and only their operands or results got
            noise.
    """

    narrow: frozenset[str]
    opaque: frozenset[str]


class Lifted(Protocol):
    """A program in float64."""

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        """The results for arguments of the shapes that the program was lifted for, float ones given in float64.

        A result that the program gives as a float is float64, any other keeps its dtype. The arguments are not changed.
        """

    @property
    def met(self) -> Met:
        """What was met inside; known after a run."""


class Flushing(Lifted, Protocol):
    """A lifted program that can imitate a backend which flushes subnormals."""

    def run_flushed(self, arguments: Sequence[Array]) -> list[Array]:
        """A clean run in which every float result below the smallest normal number of the program's dtype becomes 0."""


def reduction_factor(count: int) -> float:
    """How much wider noise is on the operands of a sum over ``count`` elements."""
    return float(max(1.0, np.sqrt(count) / 4))
