"""The numbers that a parameter of an activation may have."""

from dataclasses import dataclass
from math import inf

from crosscheck._records import fields
from crosscheck._records.errors import SpecError
from crosscheck._records.fields import Kind, instance, number, several


@dataclass(frozen=True)
class Range:
    """The numbers that a parameter of an activation may have: an interval, perhaps without the numbers near 0.

    Attributes:
        low: The lower end.
        high: The upper end, above ``low``.
        open: Whether the lower end and the upper end are excluded.
        smallest: The least magnitude of a number other than 0, for parameters that float32 loses near 0.

    Raises:
        SpecError: If a field has a wrong type, ``low`` is not below ``high``, or ``smallest`` is negative or infinite.

    Examples:
        >>> from crosscheck import Range
        >>> positive = Range(low=0.0, open=(True, False))
        >>> 0.0 in positive, 2.5 in positive
        (False, True)
        >>> print(positive)
        a number above 0
    """

    low: float = -inf
    high: float = inf
    open: tuple[bool, bool] = (False, False)
    smallest: float = 0.0

    def __post_init__(self) -> None:
        if said := fields.wrong(self, RANGE_FIELDS):
            raise SpecError(f"Range.{said}")
        if not self.low < self.high:
            raise SpecError(f"Range: got the ends {self.low} and {self.high}, expected a lower and a higher one")
        if not 0 <= self.smallest < inf:
            raise SpecError(f"Range.smallest: got {self.smallest}, expected a number that is not negative")

    def __contains__(self, value: float) -> bool:
        above = self.low < value if self.open[0] else self.low <= value
        below = value < self.high if self.open[1] else value <= self.high
        return above and below and (value == 0 or abs(value) >= self.smallest)

    def __str__(self) -> str:
        if self == FINITE:
            return "a finite number"
        low = f" above {self.low:g}" if self.open[0] else "" if self.low == -inf else f" of at least {self.low:g}"
        high = f" below {self.high:g}" if self.open[1] else "" if self.high == inf else f" of at most {self.high:g}"
        far = f", 0 or at least {self.smallest:g} away from it" if self.smallest else ""
        return f"a number{low}{' and' if low and high else ''}{high}{far}"


RANGE_FIELDS = {
    **dict.fromkeys(("low", "high", "smallest"), Kind(number, "a number")),
    "open": Kind(lambda ends: several(instance(bool))(ends) and len(ends) == 2, "True or False for each of the two ends"),
}

ANY_NUMBER, FINITE = Range(), Range(open=(True, True))

POSITIVE, MODERATE = Range(1e-30, 1e30), Range(-1e30, 1e30, smallest=1e-30)
"""Numbers well inside float32's range, so that products and quotients with them neither overflow nor vanish."""
