"""The record of the truth at a set of inputs, in a form from which the ULP error of a result is one subtraction."""

from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, FloatArray, Format, IntArray, widen
from crosscheck._arithmetic.ulp import ulp, ulp_error


@dataclass(frozen=True)
class Truth:
    """The exact value, or derivative, r at each input, for one format.

    Attributes:
        rounded: r correctly rounded to the format; NaN where r does not exist (no limit, or a derivative at NaN).
        residual: ``(r - rounded) / ulp(r)``, the rest after rounding, between -0.5 and 0.5. Where r overflows, ``rounded``
            is an infinity, which counts as ``2**(e_max + 1)``, and the residual is as large as necessary.
        exponent: ``floor(log2|r|)`` clamped to the format, so that ``ulp(r) = 2**(exponent - (p-1))``. If the enclosure
            cannot decide it, the lower one, which makes an error look larger, never smaller.
        judged: Where there is a truth to compare with: not for a derivative at NaN, and not where undecided.
        undecided: Where the highest precision did not decide. In the catalogue, there is no such input.
        left: At a kink, the one-sided derivative on the left, rounded; NaN elsewhere.
        right: At a kink, the one-sided derivative on the right, rounded; NaN elsewhere.
    """

    fmt: Format
    rounded: FloatArray
    residual: Float64Array
    exponent: IntArray
    judged: BoolArray
    undecided: BoolArray
    left: FloatArray
    right: FloatArray

    def error(self, got: FloatArray) -> Float64Array:
        """``|got - r| / ulp(r)``; NaN where one of them is NaN."""
        return ulp_error(got, self.rounded, self.residual, self.exponent, self.fmt)

    def approximate(self) -> Float64Array:
        """r to about float64's accuracy (exactly ``rounded`` for float64)."""
        with np.errstate(over="ignore"):  # where r overflows, the residual may overflow too
            left = np.where(np.isfinite(self.residual), self.residual, 0) * ulp(self.exponent, self.fmt)
            return widen(self.rounded) + left
