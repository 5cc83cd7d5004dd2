"""The records that leave a sweep: plain, frozen, ready to be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crosscheck._verdict.records import Point


@dataclass(frozen=True)
class Binade:
    """The worst result of the inputs of one sign from ``2^exponent`` up to twice that, or of the subnormals below.

    ``low`` is the input of least magnitude, 0 for the subnormals; ``ulp`` the error at ``input``, in units of ``max_ulp``.
    """

    low: float
    input: float
    ulp: float


@dataclass(frozen=True)
class SweepResult:
    """One subject and order of a sweep.

    max_ulp, worst
        The largest error and its input, over results that are finite, not flushed, and whose truth is normal or 0: in ULP of
        the exact result, or where the terms of the analytic derivative cancel, of the sum of their magnitudes.
        ``max_ulp_of_truth`` and ``worst_of_truth`` are without that exception. The error at the input is exact; no input has
        one that is larger by a thousandth of an ULP, but where it is at most 0.5: then all are correctly rounded, and it is
        the largest that was looked at. None where there is no such result.
    inputs
        How many inputs were judged; of these, ``correctly_rounded`` results are as if computed exactly and rounded once, NaN
        for NaN and an infinity for the same one included.
    flushed
        0 where the truth is subnormal, on a backend that flushes these.
    non_finite, finite
        NaN or an infinity where something else is right; a number where NaN or an infinity is. Of these, ``at_overflow`` are
        within the budget, as an infinity counts as the power of two beyond the largest number.
    subnormal, worst_subnormal
        Numbers beyond the budget where the truth is subnormal, not flushed, and the one of the largest error; the histogram
        counts them too.
    convention
        The other valid derivative at a kink. ``not_judged`` are derivatives at NaN and outside the domain.
    histogram
        By an upper bound, as text: how many finite results are so many floats away from the correctly rounded one, more than
        the bound before. ``"0"`` counts the same inputs as ``correctly_rounded``.
    binades
        For each binade of inputs in which a result is not correctly rounded the worst, in the order of the inputs.
    """

    subject: str
    order: int
    max_ulp: float | None
    worst: Point | None
    max_ulp_of_truth: float | None
    worst_of_truth: Point | None
    inputs: int
    correctly_rounded: int
    flushed: int
    non_finite: int
    finite: int
    convention: int
    not_judged: int
    histogram: Mapping[str, int]
    binades: tuple[Binade, ...]
    at_overflow: int = 0
    subnormal: int = 0
    worst_subnormal: Point | None = None


@dataclass(frozen=True)
class SweepDifference:
    """At how many inputs two subjects differ in bits, one NaN being like another; zeros of either sign differ."""

    subject: str
    against: str
    order: int
    inputs: int
