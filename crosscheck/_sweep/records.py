"""The records that leave a sweep: plain, frozen, ready to be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crosscheck._verdict.records import Point


@dataclass(frozen=True)
class Binade:
    """The worst result of the inputs of one sign from ``2^exponent`` up to twice that, or of the subnormals below.

    Attributes:
        low: The input of least magnitude; 0 for the subnormals.
        input: The input with the largest error.
        ulp: The error there, in the units of ``SweepResult.max_ulp``.
    """

    low: float
    input: float
    ulp: float


@dataclass(frozen=True)
class SweepResult:
    """One implementation and order of a sweep.

    Errors are over results that are finite, not flushed, and whose truth is normal or 0: in ULP of the exact result, or
    where the terms of the analytic derivative cancel, of the sum of their magnitudes. The error at a worst input is exact.
    No other input has an error that is larger by a thousandth of an ULP, except where the largest is at most 0.5: then all
    results are correctly rounded, and it is the largest of those that were computed.

    Attributes:
        implementation: What is judged, for example ``torch.native``.
        order: 0 for the value, 1 for the gradient, 2 for the second derivative.
        max_ulp: The largest error; None where there is no such result.
        worst: The point with this error; None where there is none.
        max_ulp_of_truth: The largest error, always in ULP of the exact result.
        worst_of_truth: The point with this error.
        inputs: The number of inputs that were judged.
        correctly_rounded: At how many the result is as if computed exactly and rounded once. NaN for NaN, and an infinity
            for the same one, count.
        flushed: At how many the result is 0 where the truth is subnormal, on a backend that flushes subnormals.
        special: At how many the result is a wrong NaN or infinity, or a number where NaN or an infinity is right.
        convention: At how many the result is the other valid derivative at a kink.
        not_judged: How many derivatives are at NaN or outside the domain.
        histogram: How many finite results differ from the correctly rounded one by up to so many floats, and by more than
            the bound before; by the bound, as text. ``"0"`` counts the same inputs as ``correctly_rounded``.
        binades: The worst result of each binade of inputs in which a result is not correctly rounded, in the order of the
            inputs.
        at_overflow: At how many one of the result and the truth is an infinity, and they are within the budget: an infinity
            counts as the power of two beyond the largest number.
        subnormal: At how many the truth is subnormal, and the result is beyond the budget and not flushed. The histogram
            counts them too.
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
    """How many results of two implementations differ in bits. All NaNs are alike; zeros of different sign differ.

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
