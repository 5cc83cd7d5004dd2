"""The records of a sweep: plain and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import copysign

from crosscheck._verdict.records import Point

EDGES = (0, 1, 2, 3, 4, *(2**k for k in range(3, 33)))
"""The histogram's bounds: each counts results at most so many floats from the correct one, and more than the last bound."""


@dataclass(frozen=True)
class Binade:
    """The worst result at inputs of one sign from ``2^exponent`` to just below twice that, or at subnormal inputs.

    Attributes:
        low: The input of least magnitude; 0 for the subnormals.
        input: The input with the largest error.
        ulp: The error there, in the unit of ``SweepResult.max_ulp``.
    """

    low: float
    input: float
    ulp: float

    @property
    def place(self) -> tuple[float, float]:
        """The sort key: the subnormals of either sign have a binade of their own."""
        return self.low, copysign(1.0, self.low)


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep for one implementation and order.

    Errors are those of results that are finite and not flushed, with a truth that is normal or 0. They are in ULP of the
    exact result, or where the terms of the analytic derivative cancel, of the sum of their magnitudes. The error at a worst
    input is exact. No other input has an error that is larger by a thousandth of an ULP. One exception: if the largest error
    is at most 0.5, all results are correctly rounded, and it is only the largest of the errors that were computed.

    Attributes:
        implementation: What is judged, for example ``torch.native``.
        order: 0 for the value, 1 for the gradient, 2 for the second derivative.
        max_ulp: The largest error; None if there is no such result.
        worst: The point with this error; None if there is none.
        max_ulp_of_truth: The largest error, always in ULP of the exact result.
        worst_of_truth: The point with this error.
        inputs: The number of inputs that were judged.
        correctly_rounded: The number of results that equal the exact result, rounded once. NaN for NaN, and an infinity for
            the same infinity, count.
        flushed: The number of results that are 0 for a subnormal truth, on a backend that flushes subnormals.
        special: The number of results that are a wrong NaN or infinity, or a number where NaN or an infinity is right.
        convention: The number of results that are the other valid derivative at a kink.
        not_judged: The number of derivatives at NaN or outside the domain.
        histogram: By bound, as text: the number of finite results that differ from the correctly rounded one by at most this
            many floats, and by more than the previous bound. ``"0"`` counts the same inputs as ``correctly_rounded``.
        binades: The worst result of each binade of inputs with a result that is not correctly rounded, in the order of the
            inputs.
        at_overflow: The number of results within the budget where the result or the truth is an infinity, and the other is
            not: an infinity counts as the power of two beyond the largest number.
        subnormal: The number of results beyond the budget with a subnormal truth that are not flushed. The histogram counts
            them too.
        worst_subnormal: The one of these with the largest error.
    """

    implementation: str
    order: int
    max_ulp: float | None
    worst: Point | None
    max_ulp_of_truth: float | None
    worst_of_truth: Point | None
    inputs: int
    correctly_rounded: int
    flushed: int
    special: int
    convention: int
    not_judged: int
    histogram: Mapping[str, int]
    binades: tuple[Binade, ...]
    at_overflow: int = 0
    subnormal: int = 0
    worst_subnormal: Point | None = None


@dataclass(frozen=True)
class SweepDifference:
    """How many results of two implementations differ in bits. All NaNs count as equal; zeros of different sign differ.

    Attributes:
        implementation: One implementation.
        against: The other one.
        order: 0 for the value, 1 for the gradient, 2 for the second derivative.
        inputs: The number of inputs at which their results differ.
    """

    implementation: str
    against: str
    order: int
    inputs: int
