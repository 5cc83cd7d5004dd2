"""Enclosures of whole arrays in double-double arithmetic: for the truth of long rows, Arb would take minutes.

A number is the unevaluated sum of two float64 numbers, times its own power of two, so that no exponential underflows, with a
radius that covers every rounding. The algorithms are Dekker's and Knuth's. Joldes, Muller and Popescu, "Tight and
rigorous error bounds for basic building blocks of double-word arithmetic" (2017), bound the error of a sum by 3 u^2, of a
product by 8 u^2 and of a quotient by 15 u^2 of the result, with u = 2^-53: all are below ``ERROR``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, inf
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, Format, IntArray
from crosscheck._truth.balls import UndecidedError

ERROR = 2.0**-100
"""A bound of the relative error of one operation."""
LEAST = 2.0**-960
"""A bound of the absolute error by underflow in one operation."""
INFLATED = 1 + 2.0**-40
"""The factor of a radius that covers the rounding in its own computation."""
SPLIT = 2.0**27 + 1
NOTHING = -(2**62)
"""The power of a zero; that of any other number is larger."""
PARTS = ("high", "low", "radius")
FAR = 2.0**40
"""For a larger argument, the exponential of this number is computed: both are far beyond every format."""


class Doubles:
    """An array of enclosures: ``(high + low) 2^power``, plus or minus ``radius 2^power``.

    Attributes:
        high: A float64 array: the float64 number nearest to the sum of ``high`` and ``low``. If it is infinite, it is that
            infinity, exactly.
        low: A float64 array of the same shape.
        radius: A float64 array of the same shape, infinite where nothing is known.
        power: Integers of that shape, or 0.
    """

    __array_ufunc__ = None  # numpy leaves mixed arithmetic to this class

    def __init__(self, high: Any, low: Any = None, radius: Any = None, power: Any = 0) -> None:
        self.high: Float64Array = np.asarray(high, dtype=np.float64)
        self.low: Float64Array = np.zeros(self.high.shape) if low is None else low
        self.radius: Float64Array = np.zeros(self.high.shape) if radius is None else radius
        self.power = power

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.high.shape)

    def __getitem__(self, index: Any) -> Doubles:
        power = self.power if isinstance(self.power, int) else self.power[index]
        return Doubles(self.high[index], self.low[index], self.radius[index], power)

    def __neg__(self) -> Doubles:
        return Doubles(-self.high, -self.low, self.radius, self.power)

    def __add__(self, other: Any) -> Doubles:
        other = _doubles(other)
        power: Any = 0
        if not (isinstance(self.power, int) and isinstance(other.power, int)):
            power = np.maximum(*(np.where((a.high == 0) & (a.radius == 0), NOTHING, a.power) for a in (self, other)))
            power = np.where(power == NOTHING, 0, power)
        (a, b, r), (c, d, q) = self._in_units(power), other._in_units(power)
        s, e = _two_sum(a, c)
        t, f = _two_sum(b, d)
        rounded = np.where((b == 0) & (d == 0), 0.0, ERROR * np.abs(s))
        s, e = _fast_two_sum(s, e + t)
        return _with_infinities(_normalised(s, e + f, r + q + rounded, power), a, c, a + c)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Doubles:
        return self + -_doubles(other)

    def __rsub__(self, other: Any) -> Doubles:
        return _doubles(other) + -self

    def __mul__(self, other: Any) -> Doubles:
        other = _doubles(other)
        a, b = np.abs(self.high), np.abs(other.high)
        p, e = _two_product(self.high, other.high)
        e = e + (self.high * other.low + self.low * other.high)
        rounded = np.where((self.low == 0) & (other.low == 0), 0.0, ERROR * np.abs(p))
        underflow = np.where((a == 0) | (b == 0) | (np.abs(p) > 1), 0.0, LEAST)
        radius = a * other.radius + self.radius * (b + other.radius) + rounded + underflow
        result = _normalised(p, e, radius * (1 + 2.0**-50), self.power + other.power)
        return _with_infinities(result, self.high, other.high, p)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Doubles:
        other = _doubles(other)
        d = other.high
        q = self.high / d
        rest = Doubles(self.high, self.low) - Doubles(d, other.low) * Doubles(q)
        quotient = _normalised(q, rest.high / d, np.zeros(q.shape), self.power - other.power)
        size, least = np.abs(q), np.abs(d) * (1 - 2.0**-50) - other.radius
        radius = (self.radius + size * other.radius) / least + ERROR * size + np.where(self.high == 0, 0.0, LEAST)
        quotient.radius = np.where((least > 0) & np.isfinite(quotient.high), radius * INFLATED, inf)
        return _with_infinities(quotient, self.high, 0.0, q)

    def __rtruediv__(self, other: Any) -> Doubles:
        return _doubles(other) / self

    def __pow__(self, power: int) -> Doubles:
        result = self
        for _ in range(power - 1):
            result = result * self
        return result

    def __gt__(self, other: Any) -> BoolArray:
        return (self - other).high > 0

    def __lt__(self, other: Any) -> BoolArray:
        return (self - other).high < 0

    def __ge__(self, other: Any) -> BoolArray:
        return (self - other).high >= 0

    def __le__(self, other: Any) -> BoolArray:
        return (self - other).high <= 0

    def _in_units(self, power: Any) -> tuple[Float64Array, Float64Array, Float64Array]:
        """The parts in units of 2^power."""
        if isinstance(power, int) and isinstance(self.power, int):
            return self.high, self.low, self.radius
        shift = np.clip(self.power - power, -3000, 3000).astype(np.int32)
        lost = np.where((shift < 0) & (self.high != 0), LEAST, 0.0)
        return np.ldexp(self.high, shift), np.ldexp(self.low, shift), np.ldexp(self.radius, shift) + lost


def _with_infinities(result: Doubles, a: Any, b: Any, plain: Float64Array) -> Doubles:
    """Results with an infinite operand are exactly those of float64, unless these are NaN."""
    at = np.isinf(plain) & (np.isinf(a) | np.isinf(b))
    if at.any():
        result.high, result.low, result.radius = (
            np.where(at, exact, part) for exact, part in ((plain, result.high), (0.0, result.low), (0.0, result.radius))
        )
    return result


def _doubles(value: Any) -> Doubles:
    return value if isinstance(value, Doubles) else Doubles(value)


def _normalised(high: Any, low: Any, radius: Any, power: Any) -> Doubles:
    s, rest = _two_sum(high, low)
    return Doubles(s, rest, np.where(np.isfinite(s), radius * INFLATED, inf), power)


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _fast_two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    s = a + b
    return s, b - (s - a)


def _two_product(a: Any, b: Any) -> tuple[Any, Any]:
    p = a * b
    x, y = SPLIT * a, SPLIT * b
    x, y = x - (x - a), y - (y - b)
    return p, ((x * y - p) + x * (b - y) + (a - x) * y) + (a - x) * (b - y)


LOG2 = Doubles(0.6931471805599453, np.asarray(2.3190468138462996e-17), np.asarray(2.0**-108))
HALVINGS, PLAIN, LONGEST = 8, 6, 11
"""The number of halvings of an exponential's argument, the first term that is added in float64, and the last term."""
INVERSES = [Doubles(1.0) / Doubles(float(factorial(k))) for k in range(PLAIN)]


class Namespace:
    """The functions in formulas of rows, for ``Doubles``; rows lie along the last axis.

    Any other function raises ``UndecidedError``.
    """

    pi = np.pi

    def __init__(self) -> None:
        self._last: tuple[Doubles, Doubles] | None = None

    def exp(self, a: Any) -> Doubles:
        """The last result is kept, since the value and the derivatives of softmax both begin with it."""
        a = _doubles(a)
        if self._last is None or not _same(self._last[0], a):
            self._last = a, _exp(a)
        return self._last[1]

    def expm1(self, a: Any) -> Doubles:
        a = _doubles(a)
        size = np.abs(a.high) + a.radius
        if isinstance(a.power, int) and (size < 2.0**-60).all():  # a residual of rounding: only the first term counts
            return Doubles(a.high, a.low, a.radius + size * size)
        return _exp(a) - 1

    def log(self, a: Any) -> Doubles:
        """y + log(1 + w), where y is the logarithm in float64 and w = a e^-y - 1, which is small."""
        a = _doubles(a)
        y = np.log(a.high)
        w = Doubles(a.high, a.low, a.radius) * _exp(Doubles(-y)) - 1
        result = Doubles(y) + (w - w * w * Doubles(0.5))
        size = np.abs(w.high) + w.radius
        result.radius = np.where((a.high > 0) & (size < 2.0**-20), result.radius + size**3, inf)
        return result if isinstance(a.power, int) else result + Doubles(a.power) * LOG2

    def log1p(self, a: Any) -> Doubles:
        return self.log(1 + _doubles(a))

    def tanh(self, a: Any) -> Doubles:
        size = self.abs(a)
        t = _exp(size * -2)
        return self.where(_doubles(a) < 0, -1, 1) * ((1 - t) / (1 + t))

    def sqrt(self, a: Any) -> Doubles:
        a = _doubles(a) + 0
        if not isinstance(a.power, int):
            raise UndecidedError("the root of a number that may be beyond float64's range")
        s = np.sqrt(a.high)
        rest = Doubles(a.high, a.low) - Doubles(s) * Doubles(s)
        result = _normalised(s, rest.high / (2 * s), np.zeros(s.shape), 0)
        result.radius = np.where(a.high > 2 * a.radius, (a.radius / s + ERROR * s) * INFLATED, inf)
        return result

    def abs(self, a: Any) -> Doubles:
        a = _doubles(a)
        return self.where(a.high < 0, -a, a)

    def where(self, condition: Any, a: Any, b: Any) -> Doubles:
        a, b = _doubles(a), _doubles(b)
        power = 0 if isinstance(a.power, int) and isinstance(b.power, int) else np.where(condition, a.power, b.power)
        high, low, radius = (np.where(condition, getattr(a, part), getattr(b, part)) for part in PARTS)
        return Doubles(high, low, radius, power)

    def greater(self, a: Any, b: Any) -> BoolArray:
        return _doubles(a) > b

    def less(self, a: Any, b: Any) -> BoolArray:
        return _doubles(a) < b

    def greater_equal(self, a: Any, b: Any) -> BoolArray:
        return _doubles(a) >= b

    def less_equal(self, a: Any, b: Any) -> BoolArray:
        return _doubles(a) <= b

    def maximum(self, a: Any, b: Any) -> Doubles:
        return self.where(_doubles(a) >= b, a, b)

    def minimum(self, a: Any, b: Any) -> Doubles:
        return self.where(_doubles(a) <= b, a, b)

    def max(self, a: Any, axis: int, keepdims: bool = False) -> Doubles:
        a = _doubles(a)
        if not isinstance(a.power, int) or a.low.any():
            raise UndecidedError("the largest of numbers that are no float64 numbers")
        return Doubles(a.high.max(-1, keepdims=True), radius=a.radius.max(-1, keepdims=True))

    def min(self, a: Any, axis: int, keepdims: bool = False) -> Doubles:
        return -self.max(-_doubles(a), axis, keepdims)

    def sum(self, a: Any, axis: int, keepdims: bool = False) -> Doubles:
        """Sum in pairs, and pairs of these, so that the error grows with the logarithm of the length."""
        a = _doubles(a)
        while a.shape[-1] > 1:
            half = a.shape[-1] // 2
            pairs = a[..., :half] + a[..., half : 2 * half]
            a = pairs if a.shape[-1] % 2 == 0 else self.concatenate((pairs, a[..., -1:]), -1)
        return a

    def concatenate(self, parts: Sequence[Any], axis: int) -> Doubles:
        of = [_doubles(part) for part in parts]
        powers = [np.broadcast_to(a.power, a.shape) for a in of]
        power = 0 if all(isinstance(a.power, int) for a in of) else np.concatenate(powers, -1)
        high, low, radius = (np.concatenate([getattr(a, part) for a in of], -1) for part in PARTS)
        return Doubles(high, low, radius, power)

    def __getattr__(self, name: str) -> Any:
        raise UndecidedError(f"{name} has no enclosure in double-double arithmetic")


def _same(a: Doubles, b: Doubles) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in (*PARTS, "power"))


def _exp(a: Doubles) -> Doubles:
    """(1 + expm1(r)) 2^n with a = n log(2) + r; expm1(r) follows from that of r / 2^8, by doubling the argument."""
    vanishes = np.isneginf(a.high)
    high, low, radius = a._in_units(0)
    high = np.where(vanishes, 0.0, np.clip(high, -FAR, FAR))
    n = np.rint(high / LOG2.high)
    r = Doubles(high, np.where(np.abs(high) < FAR, low, 0.0), radius) - Doubles(n) * LOG2
    unit = 2.0**-HALVINGS
    r = Doubles(r.high * unit, r.low * unit, r.radius * unit)
    tail = np.zeros(r.shape)
    for k in range(LONGEST, PLAIN - 1, -1):
        tail = tail * r.high + 1 / factorial(k)
    size = np.abs(r.high) + r.radius
    # its own rounding, the part of r that it ignores, and the omitted terms
    s = Doubles(tail, radius=2.0**-50 * 1e-2 + (np.abs(r.low) + r.radius) * 1e-3 + size ** (LONGEST + 1 - PLAIN) * 1e-8)
    for coefficient in INVERSES[:0:-1]:
        s = s * r + coefficient
    s = s * r
    for _ in range(HALVINGS):
        s = s * (s + 2)
    result = 1 + s
    known = np.where(radius < 1, result.radius, inf)
    return Doubles(
        np.where(vanishes, 0.0, result.high),
        np.where(vanishes, 0.0, result.low),
        np.where(vanishes, 0.0, known),
        n.astype(np.int64),
    )


def decide(a: Doubles, fmt: Format) -> tuple[Float64Array, Float64Array, IntArray, BoolArray]:
    """The rounded values as float64, the residuals in ULP, the exponents, and which of them are known well enough.

    The residual is correct up to 2^-20 ULP; if two exponents are possible, it is that of the lower one.
    """
    mantissa, log2 = np.frexp(a.high)
    below = (np.abs(mantissa) == 0.5) & (a.low * np.sign(a.high) < a.radius)
    log2 = log2 - 1 - below + a.power
    e = np.clip(np.where(a.high == 0, fmt.e_min, log2), fmt.e_min, fmt.e_max)
    high, low, radius = a._in_units(e - (fmt.precision - 1))
    nearest = np.rint(high)
    left = high - nearest
    residual = left + low
    tie = np.where(left == 0, nearest % 2 == 1, np.sign(low) == np.sign(left))  # to even, unless low shows the side
    beyond = (np.abs(residual) > 0.5) | ((np.abs(residual) == 0.5) & tie)
    step = np.where(beyond, np.sign(residual), 0.0)
    nearest, residual = nearest + step, residual - step
    rounded = np.ldexp(nearest, (e - (fmt.precision - 1)).astype(np.int32))
    rounded = np.where(np.abs(rounded) > fmt.largest, np.copysign(inf, rounded), rounded)
    infinite = np.isinf(a.high)
    decided = infinite | (np.isfinite(a.high) & (radius < 2.0**-20) & (log2 <= fmt.e_max))
    rounded, residual = np.where(infinite, a.high, rounded), np.where(infinite, 0.0, residual)
    return rounded, residual, np.where(infinite, fmt.e_max, e).astype(np.int64), decided
