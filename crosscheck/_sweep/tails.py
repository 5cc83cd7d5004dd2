"""A definition far out, where balls of exponentials are too wide: e^(rate x) stays a symbol as long as possible.

From 256 to 288, e^x grows by a factor of e^32, and no narrow ball encloses e^x / (1 + e^x). Here, 1 + e^x is e^x (1 + e^-x),
where the second factor is 1 up to rounding, so the quotient is found to be 1.
"""

from __future__ import annotations

from typing import Any

from flint import arb

from crosscheck._sweep.series import Definition
from crosscheck._truth.balls import Condition, UndecidedError, precision

BITS = 640


class Growing:
    """e^(rate x) q(x) over an interval of x: balls that enclose q and its derivative q' there.

    ``slope`` is a number a if the quantity is exactly a x, otherwise None: the exponential of a x is a symbol.
    """

    __slots__ = ("derivative", "over", "q", "rate", "slope")

    def __init__(self, over: Any, q: Any, derivative: Any, rate: Any = 0, slope: Any = None) -> None:
        self.over, self.q, self.derivative, self.rate, self.slope = over, q, derivative, arb(rate), slope

    def _other(self, value: Any) -> Growing:
        return value if isinstance(value, Growing) else Growing(self.over, arb(value), arb(0))

    @property
    def constant(self) -> bool:
        return bool(self.derivative.is_zero() and self.rate.is_zero())

    def settled(self) -> Growing:
        """The same quantity without a symbol."""
        return self.beside(arb(0))

    def beside(self, rate: Any) -> Growing:
        """The same quantity as e^(rate x) times another q."""
        difference = self.rate - rate
        if difference.is_zero():
            return self
        e = (difference * self.over.lower()).exp().union((difference * self.over.upper()).exp())
        return Growing(self.over, self.q * e, (self.derivative + difference * self.q) * e, rate)

    def __neg__(self) -> Growing:
        return self * -1

    def __add__(self, value: Any) -> Growing:
        other = self._other(value)
        if other.constant and other.q.is_zero():
            return self
        faster = (self.rate - other.rate) * self.over > 0
        rate = self.rate if faster or self.rate == other.rate else other.rate
        a, b = self.beside(rate), other.beside(rate)
        return Growing(self.over, a.q + b.q, a.derivative + b.derivative, rate)

    __radd__ = __add__

    def __sub__(self, value: Any) -> Growing:
        return self + -self._other(value)

    def __rsub__(self, value: Any) -> Growing:
        return -self + value

    def __mul__(self, value: Any) -> Growing:
        other = self._other(value)
        slope = None
        if other.constant and self.slope is not None:
            slope = self.slope * other.q
        elif self.constant and other.slope is not None:
            slope = other.slope * self.q
        derivative = self.derivative * other.q + self.q * other.derivative
        return Growing(self.over, self.q * other.q, derivative, self.rate + other.rate, slope)

    __rmul__ = __mul__

    def __truediv__(self, value: Any) -> Growing:
        other = self._other(value)
        if other.q.contains(0):
            raise UndecidedError
        inverse = 1 / other.q
        return self * Growing(self.over, inverse, -other.derivative * inverse * inverse, -other.rate)

    def __rtruediv__(self, value: Any) -> Growing:
        return self._other(value) / self

    def __pow__(self, power: int) -> Growing:
        result = self._other(1)
        for _ in range(power):
            result = result * self
        return result

    def __gt__(self, value: Any) -> Condition:
        """Whether it is so at each point of the interval; a tie, too, is undecided."""
        left, right = self.settled().q, self._other(value).settled().q
        if not (left > right or left < right):
            raise UndecidedError
        return Condition(left > right)

    def __lt__(self, value: Any) -> Condition:
        return self._other(value) > self

    __ge__, __le__ = __gt__, __lt__


class Tails:
    """The namespace for such quantities."""

    pi = property(lambda self: arb.pi())

    def __init__(self, over: Any) -> None:
        self.x = Growing(over, over, arb(1), 0, arb(1))

    def _of(self, a: Any) -> Growing:
        return self.x._other(a)

    def _monotone(self, a: Any, f: Any, slope: Any) -> Growing:
        """An increasing or decreasing function, from its values at the ends and its slope, enclosed over the interval."""
        a = self._of(a).settled()
        return Growing(a.over, f(a.q.lower()).union(f(a.q.upper())), slope(a.q) * a.derivative)

    def exp(self, a: Any) -> Growing:
        a = self._of(a)
        if a.slope is not None:
            return Growing(a.over, arb(1), arb(0), a.slope)
        return self._monotone(a, arb.exp, lambda q: q.lower().exp().union(q.upper().exp()))

    def log(self, a: Any) -> Growing:
        a = self._of(a)
        if not a.q > 0:
            raise UndecidedError
        return Growing(a.over, a.rate * a.over + a.q.log(), a.rate + a.derivative / a.q)

    def log1p(self, a: Any) -> Growing:
        return self.log(1 + self._of(a))

    def expm1(self, a: Any) -> Growing:
        return self.exp(a) - 1

    def sqrt(self, a: Any) -> Growing:
        a = self._of(a).settled()
        if not a.q > 0:
            raise UndecidedError
        return self._monotone(a, arb.sqrt, lambda q: 1 / (2 * q.sqrt()))

    def tanh(self, a: Any) -> Growing:
        return self._monotone(a, arb.tanh, lambda q: _outwards(q, lambda end: end.sech() ** 2))

    def erf(self, a: Any) -> Growing:
        return self._monotone(a, arb.erf, lambda q: 2 / arb.pi().sqrt() * _outwards(q, lambda end: (-end * end).exp()))

    def erfc(self, a: Any) -> Growing:
        return self._monotone(a, arb.erfc, lambda q: -2 / arb.pi().sqrt() * _outwards(q, lambda end: (-end * end).exp()))

    def where(self, condition: Condition, a: Any, b: Any) -> Growing:
        return self._of(a if condition.holds else b)

    def maximum(self, a: Any, b: Any) -> Growing:
        return self.where(self._of(a) > b, a, b)

    def minimum(self, a: Any, b: Any) -> Growing:
        return self.where(self._of(a) > b, b, a)

    def abs(self, a: Any) -> Growing:
        return self.where(self._of(a) > 0, a, -self._of(a))

    def greater(self, a: Any, b: Any) -> Condition:
        return self._of(a) > b

    def less(self, a: Any, b: Any) -> Condition:
        return self._of(a) < b

    greater_equal, less_equal = greater, less


def _outwards(q: Any, falling: Any) -> Any:
    """A function that is 1 at 0 and falls on both sides of it, over a ball."""
    ends = falling(q.lower()).union(falling(q.upper()))
    return ends.union(arb(1)) if q.contains(0) else ends


def far_out(definition: Definition, x: Any) -> tuple[Any, Any] | None:
    """Balls that enclose a definition and its derivative at each point of the ball ``x``; None if that is undecided."""
    with precision(BITS, 1):
        m = Tails(x)
        try:
            result = m._of(definition(m, m.x)).settled()
        except (UndecidedError, ValueError, ZeroDivisionError):
            return None
        return (result.q, result.derivative) if result.q.is_finite() and result.derivative.is_finite() else None
