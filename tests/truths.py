"""What tests of numerics share: the truth of elementwise functions and of rows, and a Truth against the exact number."""

from fractions import Fraction
from math import inf
from typing import Any

import pytest
import rational
from floats import Format, following, widen
from mpmath import mpf

from crosscheck._truth import balls, doubles, evaluate, kept, rows
from crosscheck._truth.truth import Truth
from crosscheck._verify.inputs.sample import Sample, coordinates, samples
from crosscheck._verify.inputs.shapes import STARTS, USED, RowShape

__all__ = [
    "ARRAYS",
    "STARTS",
    "USED",
    "RowShape",
    "Sample",
    "Truth",
    "coordinates",
    "doubles",
    "enclosures",
    "fraction",
    "kept",
    "matches",
    "paired",
    "precision",
    "row_truth",
    "rows",
    "samples",
    "truth",
]

row_truth, enclosures, paired = rows.row_truth, rows._enclosures, rows._paired
precision, truth = balls.precision, evaluate.truth
ARRAYS = ("rounded", "residual", "exponent", "judged", "undecided", "left", "right")


def fraction(value: Any) -> Fraction:
    sign, man, power, _ = mpf(value)._mpf_
    return Fraction((-1) ** sign * int(man)) * Fraction(2) ** int(power)


def matches(result: Truth, i: int, r: Fraction, fmt: Format) -> None:
    """Point i of a Truth is what r is: correctly rounded, and every error measured against r."""
    got = float(widen(result.rounded)[i])
    assert got == rational.rounded(r, fmt)
    e = rational.exponent(r, fmt)
    lower = rational.exponent(r * (1 - Fraction(2) ** -200), fmt)  # beside a power of two the lower one may stand
    assert result.exponent[i] in {e, lower}
    unit = Fraction(2) ** (int(result.exponent[i]) - (fmt.precision - 1))
    if abs(r) < Fraction(2) ** (fmt.e_max + 1):
        assert result.residual[i] == pytest.approx(float((r - rational.counted(got, fmt)) / unit), abs=2.0**-19)
    at = result.rounded[i : i + 1]
    for other in (following(following(at, -inf), -inf), at, following(at, inf)):
        point = Truth(fmt, **{name: getattr(result, name)[i : i + 1] for name in ARRAYS})
        measured = float(point.error(other)[0])
        if abs(r) < Fraction(2) ** (fmt.e_max + 1):
            expected = abs(rational.counted(float(widen(other)[0]), fmt) - r) / unit
            assert measured == pytest.approx(float(expected), abs=2.0**-19)
