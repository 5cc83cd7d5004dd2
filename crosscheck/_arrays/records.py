"""The records of a comparison of arrays: plain and frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from crosscheck._arithmetic.formats import BoolArray, Float64Array
from crosscheck._arithmetic.profile import Profile


@dataclass(frozen=True)
class ArrayLimits:
    """How far apart two elements may be: in ULP of the larger one, or ``atol + rtol * |b|``. None means no such limit.

    Where both are given, an element passes if it is within either.
    """

    ulp: float | None
    rtol: float | None = None
    atol: float | None = None

    def hold(self, apart: Float64Array, size: Float64Array, ulp: Float64Array) -> BoolArray:
        """Whether finite differences are within the limits; ``size`` is \\|b\\|."""
        within = ulp <= (-1.0 if self.ulp is None else self.ulp)
        if self.rtol is not None or self.atol is not None:
            within = within | (apart <= (self.atol or 0.0) + (self.rtol or 0.0) * size)
        return within

    def __str__(self) -> str:
        given = [f"{name} {value:g}" for name, value in (("rtol", self.rtol), ("atol", self.atol)) if value is not None]
        parts = ([] if self.ulp is None else [f"{self.ulp:g} ULP"]) + ([" and ".join(given)] if given else [])
        return " or ".join(parts)


@dataclass(frozen=True)
class Element:
    """One element of both arrays; ``ulp`` is infinite where only one of them is finite, or only one is NaN."""

    index: tuple[int, ...]
    a: float
    b: float
    ulp: float
    within: bool
    truth: float | None = None

    def at(self, index: Iterable[int]) -> Element:
        return replace(self, index=tuple(index))


@dataclass(frozen=True)
class ArrayComparison:
    """Two arrays of one name.

    Attributes:
        passed: Whether there are elements, and each is within the limits.
        equal: How many elements are equal (NaN equals NaN, -0 equals 0).
        beyond: How many elements are beyond the limits.
        special: How many elements are NaN or infinite on one side and another number on the other.
        figures: ``ulp_p50, ulp_p99, ulp_max``, ``abs_...``, ``rel_...``: percentiles and the largest difference over the
            elements that are finite in both, in ULP of the larger element, absolute, and relative to B's; the percentiles to
            three digits. So ``rel_max`` and ``abs_max`` are the smallest rtol and atol that hold, the other one being 0.
            ``rms_ulp`` is ``abs_max`` in ULP of the root mean square of B: a few, where sums were rounded in another order.
        worst: The elements that differ most; if any is beyond the limits, only these.
        a_ulp: Where the truth was given, the largest error of A in ULP of it.
        b_ulp: The same of B.
        side: Where the truth was given, the side that differs more from it where elements are beyond the limits: ``A``,
            ``B`` or ``both``.
        profile: How large the differences are and where; not part of the JSON. None where there are no elements.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    passed: bool
    equal: int
    beyond: int
    special: int
    figures: Mapping[str, float]
    worst: tuple[Element, ...]
    a_ulp: float | None = None
    b_ulp: float | None = None
    side: str | None = None
    profile: Profile | None = field(default=None, compare=False, repr=False)
