"""Forms that are proven for a function over consecutive floats: a constant up to rounding, a multiple of x, a polynomial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import factorial, frexp, inf, isfinite, isnan, ldexp
from typing import Any

import numpy as np
from flint import arb

from crosscheck._arithmetic.formats import Format
from crosscheck._arithmetic.ulp import round_once
from crosscheck._records.records import Activation
from crosscheck._sweep.positions import Span, position_of, split_at, value_at
from crosscheck._sweep.series import Definition, coefficients
from crosscheck._sweep.tails import BITS, far_out
from crosscheck._truth.balls import precision

PRECISION = 320
"""The precision in bits: the rest of a term of size 1 is known below the smallest subnormal."""
MOST_DEGREE = 10
LARGEST, SMALLEST = 2**18, 32
"""The most floats over which a polynomial is tried, and the fewest: among fewer floats, each is decided alone."""
CLOSE = -44
"""The remainder of a polynomial is at most 2^CLOSE of its values."""
DEEP = 40
"""The number of terms of a series whose rest is small, although balls are too wide for what cancels in the definition."""
FAR = 32.0
"""For inputs of at least this magnitude, an exponential may be too wide for a ball."""
UNIT = 2.0**-53


@dataclass(frozen=True)
class Constant:
    """The same float everywhere; ``value`` is in the middle of the range of the exact results."""

    rounded: float
    value: float


@dataclass(frozen=True)
class Multiple:
    """``factor`` times x, where ``factor`` is a power of two; up to 2^-27 of that.

    ``beside`` is 1 where the exact results are larger than the multiple, -1 where they are smaller, and 0 where they are
    equal, or where it does not matter since no multiple is a tie.
    """

    factor: float
    beside: int


@dataclass(frozen=True)
class Polynomial:
    """``sum c_j ((x - centre) / width)^j`` in float64; ``bound`` is its largest error, including rounding."""

    centre: float
    width: float
    coefficients: tuple[float, ...]
    bound: float


@dataclass(frozen=True)
class Unproven:
    """Nothing is proven for all of them: the exact evaluator decides each."""


@dataclass(frozen=True)
class OutsideDomain:
    """NaN, or outside the domain: the value is NaN, a derivative is not judged."""


Form = Constant | Multiple | Polynomial | Unproven | OutsideDomain


@dataclass(frozen=True)
class Part:
    """Some consecutive floats and, by order, the proven forms."""

    span: Span
    forms: Mapping[int, Form]


def parts(activation: Activation, span: Span, fmt: Format, orders: Sequence[int]) -> list[Part]:
    """A piece, cut into parts with proven forms, at the default values of the parameters.

    In float32, the orders are 0 and 1. In a 16-bit format, which has few values, each value is decided alone, in any order.
    """
    if fmt.bits == 16:
        return [Part(span, dict.fromkeys(orders, Unproven()))]
    parameters = activation.parameters
    definition = partial(activation.definition, **parameters)
    zeros = [position_of(zero, fmt) for zero in (-0.0, 0.0)]
    ends = [position_of(end, fmt) for end in activation.domain]
    bends = [position_of(kink.at, fmt) for kink in activation.kinks_at(parameters)]
    all_parts: list[Part] = []
    for section in split_at(span, [*zeros, *ends, *bends, *(position_of(end, fmt) for end in (-inf, inf))]):
        a, b = value_at(section.first, fmt), value_at(section.last, fmt)
        low, high = activation.domain
        if isnan(a) or isnan(b) or b < low or a > high:
            all_parts.append(Part(section, dict.fromkeys(orders, OutsideDomain())))
        elif section.size == 1:
            all_parts.append(Part(section, dict.fromkeys(orders, Unproven())))
        else:
            all_parts += _proven(definition, section, fmt, orders)
    return all_parts


@precision(53)
def _proven(definition: Definition, span: Span, fmt: Format, orders: Sequence[int]) -> list[Part]:
    if span.size <= SMALLEST:
        return [Part(span, dict.fromkeys(orders, Unproven()))]
    forms = _Interval(definition, value_at(span.first, fmt), value_at(span.last, fmt), fmt).forms(orders, span.size)
    if forms is not None:
        return [Part(span, forms)]
    middle = span.first + span.size // 2
    halves = Span(span.first, middle - 1), Span(middle, span.last)
    return [part for half in halves for part in _proven(definition, half, fmt, orders)]


class _Interval:
    """One attempt at the floats from ``a`` to ``b``, of one sign."""

    def __init__(self, definition: Definition, a: float, b: float, fmt: Format) -> None:
        self.definition, self.a, self.b, self.fmt = definition, a, b, fmt
        self.centre, self.half = (a / 2 + b / 2), (b / 2 - a / 2)
        self.ball = arb(self.centre, self.half)

    def forms(self, orders: Sequence[int], size: int) -> dict[int, Form] | None:
        """A form for each order; None if the interval is too wide."""
        count = MOST_DEGREE + 2 + max(orders)
        around = coefficients(self.definition, self.ball, count, PRECISION)
        at = None if around is None else coefficients(self.definition, arb(self.centre), count, PRECISION)
        forms: dict[int, Form] = {}
        taylor = None if around is None or at is None else (at, around)
        for k in orders:
            form: Form | None = None if taylor is None else self._constant(*self._range(*taylor, k))
            if form is None and taylor is not None and k == 0 and not taylor[1][1].contains(0):
                form = self._multiple(taylor[0][0], taylor[1][1])
            if form is not None:
                forms[k] = form
        missing = [k for k in orders if k not in forms]
        if missing and min(abs(self.a), abs(self.b)) >= FAR:
            forms |= self._far_out(missing)
            missing = [k for k in orders if k not in forms]
        if missing and taylor is not None and size <= LARGEST:
            polynomials = self._polynomials(*taylor, missing) or self._polynomials(*self._deep(), missing)
            return forms | polynomials if polynomials else None
        return None if missing else forms

    def _deep(self) -> tuple[list[Any], list[Any]]:
        if max(abs(self.a), abs(self.b)) < 1:
            return [], []
        expansions = [coefficients(self.definition, ball, DEEP, PRECISION) or [] for ball in (arb(self.centre), self.ball)]
        return expansions[0], expansions[1]

    def _range(self, at: list[Any], around: list[Any], k: int) -> tuple[Any, Any]:
        """The bounds of the k-th derivative: by the mean value theorem, or of the ball itself, whichever is narrower."""
        mean = at[k] * factorial(k) + around[k + 1] * factorial(k + 1) * arb(0, self.half)
        ball = around[k] * factorial(k)
        narrower = mean if mean.rad() < ball.rad() else ball
        return narrower.lower(), narrower.upper()

    def _constant(self, lower: Any, upper: Any) -> Constant | None:
        low, high = float(lower), float(upper)
        if not (isfinite(low) and isfinite(high)):
            return None
        outwards = np.array([low - abs(low) * 2 * UNIT, high + abs(high) * 2 * UNIT])
        rounded = round_once(outwards, self.fmt).astype(np.float64)
        if rounded[0] != rounded[1] or not np.isfinite(rounded[0]):
            return None
        return Constant(float(rounded[0]) + 0.0, low / 2 + high / 2)

    def _multiple(self, value: Any, slope: Any) -> Multiple | None:
        """The multiple, from the value at the centre and the slope over the interval."""
        mantissa, power = frexp(float(slope.mid()))
        factor = ldexp(round(2 * mantissa) / 2, power)
        if abs(frexp(factor)[0]) != 0.5:
            return None
        apart = abs(value - factor * arb(self.centre)) + abs(slope - factor) * self.half
        smallest = min(abs(self.a), abs(self.b)) * abs(factor)
        if not apart < arb(smallest) * arb((1, -27)) or max(abs(self.a), abs(self.b)) * abs(factor) > self.fmt.largest:
            return None
        if abs(factor) >= 1 or smallest >= self.fmt.smallest_normal:
            return Multiple(factor, 0)
        # halves of subnormals are ties
        from_zero = arb(self.a).union(arb(self.b)).union(arb(0))
        point, over = (coefficients(self.definition, ball, 3, PRECISION) for ball in (arb(0), from_zero))
        if point is None or over is None or not (point[0].is_zero() and point[1] == factor):
            return None
        bend = over[2]
        beside = 1 if bend > 0 else -1 if bend < 0 else 0 if bend.is_zero() else None
        return None if beside is None else Multiple(factor, beside)

    def _far_out(self, orders: Sequence[int]) -> dict[int, Form]:
        bounds = far_out(self.definition, self.ball)
        if bounds is None:
            return {}
        forms: dict[int, Form] = {}
        for k in orders:
            form: Form | None = self._constant(bounds[k].lower(), bounds[k].upper())
            if form is None and k == 0 and not bounds[1].contains(0):
                at = coefficients(self.definition, arb(self.centre), 1, BITS)
                form = None if at is None else self._multiple(at[0], bounds[1]) or self._line(at[0], bounds[1])
            if form is not None:
                forms[k] = form
        return forms

    def _line(self, value: Any, slope: Any) -> Polynomial | None:
        """The line, from the value at the centre and the slope over the interval."""
        width = ldexp(1.0, frexp(self.half)[1])
        remainder = abs(slope - slope.mid()) * self.half
        if not remainder < abs(value) * arb((1, CLOSE)):
            return None
        return _rounded(self.centre, width, [value, slope.mid() * width], remainder)

    def _polynomials(self, at: list[Any], around: list[Any], orders: Sequence[int]) -> dict[int, Form] | None:
        forms: dict[int, Form] = {}
        for k in orders:
            polynomial = self._polynomial(at, around, k)
            if polynomial is None:
                return None
            forms[k] = polynomial
        return forms

    def _polynomial(self, at: list[Any], around: list[Any], k: int) -> Polynomial | None:
        """Terms that are small enough are omitted and counted to the rest; the last term is enclosed over the interval."""
        width = ldexp(1.0, frexp(self.half)[1])
        terms = [at[k + j] * (factorial(k + j) // factorial(j)) * arb(width) ** j for j in range(len(at) - k)]
        if not terms:
            return None
        last = len(terms) - 1
        remainder = abs(around[k + last]) * (factorial(k + last) // factorial(last)) * arb(self.half) ** last
        size = (abs(terms[0]) + abs(terms[1])) * arb((1, CLOSE))
        if not remainder < size:
            return None
        degree = last - 1
        while degree > 1 and remainder + abs(terms[degree]) < size:
            remainder += abs(terms[degree])
            degree -= 1
        if degree > MOST_DEGREE:
            return None
        return _rounded(self.centre, width, terms[: degree + 1], remainder)


def _rounded(centre: float, width: float, terms: Sequence[Any], remainder: Any) -> Polynomial | None:
    """A polynomial; its bound includes what is unknown of the terms, their rounding, and that of Horner's rule."""
    c = tuple(map(float, terms))
    for term in terms:
        remainder += term.rad()
    bound = float(remainder.upper()) + (2 * len(c) + 6) * UNIT * sum(map(abs, c))
    return Polynomial(centre, width, c, bound) if isfinite(bound) else None
