"""The namespace ``m`` for exact evaluation of a definition: power series whose coefficients are Arb balls.

A definition is called with the series ``x0 + t`` as ``x``. Coefficient k of its result encloses the k-th derivative at x0,
divided by k!. Branches are chosen for t that goes to 0 from above, so the series at ``x0 + t`` and at ``x0 - t`` give both
one-sided derivatives at a kink.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flint
from flint import arb, arb_series

TERMS = 3
"""The number of coefficients: value, first and second derivative."""


class UndecidedError(ArithmeticError):
    """The balls are too wide to choose a branch or to divide; a higher precision may decide."""


_ONE_AT_A_TIME = threading.RLock()
"""flint has one precision for the whole process, which other threads would use and restore."""


@contextmanager
def precision(bits: int, terms: int = TERMS) -> Iterator[None]:
    """Compute with ``bits`` bits and series of ``terms`` terms, one thread at a time; then restore flint's settings."""
    with _ONE_AT_A_TIME:
        before = flint.ctx.prec, flint.ctx.cap
        flint.ctx.prec, flint.ctx.cap = bits, terms
        try:
            yield
        finally:
            flint.ctx.prec, flint.ctx.cap = before


class Condition:
    """A decided comparison of two series, for ``where``; a type of its own, since series have no truth value."""

    __slots__ = ("holds",)

    def __init__(self, holds: bool) -> None:
        self.holds = holds

    def __and__(self, other: "Condition") -> "Condition":
        return Condition(self.holds and other.holds)


class Variable(arb_series):
    """The input: a series that can be compared with a number, as in ``m.where(x > 0, x, 0)``."""

    namespace: "Balls"

    def __gt__(self, other: Any) -> Condition:
        return self.namespace.greater(self, other)

    def __lt__(self, other: Any) -> Condition:
        return self.namespace.less(self, other)

    def __ge__(self, other: Any) -> Condition:
        return self.namespace.greater_equal(self, other)

    def __le__(self, other: Any) -> Condition:
        return self.namespace.less_equal(self, other)


def _series(value: Any) -> Any:
    return value if isinstance(value, arb_series) else arb_series([value])


class Balls:
    """Functions of series, with the names that numpy, torch and jax.numpy use.

    ``tied`` is set if a comparison was an exact tie at x0, so that x0 may be a kink.
    """

    pi = property(lambda self: arb.pi())

    def __init__(self) -> None:
        self.tied = False

    def variable(self, x0: Any, slope: int = 1) -> Variable:
        x = Variable([x0, slope])
        x.namespace = self
        return x

    def point(self, x0: Any) -> Variable:
        """The input alone, without a derivative."""
        x = Variable([x0])
        x.namespace = self
        return x

    # Comparisons, as t goes to 0 from above

    def _sign(self, a: Any, b: Any) -> int:
        difference = _series(a) - _series(b)
        for k in range(TERMS):
            c = difference[k]
            if c > 0:
                return 1
            if c < 0:
                return -1
            if not c.is_zero():
                raise UndecidedError
            self.tied = True
        return 0

    def greater(self, a: Any, b: Any) -> Condition:
        return Condition(self._sign(a, b) > 0)

    def less(self, a: Any, b: Any) -> Condition:
        return Condition(self._sign(a, b) < 0)

    def greater_equal(self, a: Any, b: Any) -> Condition:
        return Condition(self._sign(a, b) >= 0)

    def less_equal(self, a: Any, b: Any) -> Condition:
        return Condition(self._sign(a, b) <= 0)

    def where(self, condition: Condition, a: Any, b: Any) -> Any:
        return _series(a if condition.holds else b)

    def maximum(self, a: Any, b: Any) -> Any:
        return _series(a if self._sign(a, b) >= 0 else b)

    def minimum(self, a: Any, b: Any) -> Any:
        return _series(a if self._sign(a, b) <= 0 else b)

    def abs(self, a: Any) -> Any:
        return _series(a) if self._sign(a, 0) >= 0 else -_series(a)

    # Elementary functions

    def exp(self, a: Any) -> Any:
        return _series(a).exp()

    def log(self, a: Any) -> Any:
        return _series(a).log()

    def sqrt(self, a: Any) -> Any:
        return _series(a).sqrt()

    def erf(self, a: Any) -> Any:
        return _series(a).erf()

    def erfc(self, a: Any) -> Any:
        return _series(a).erfc()

    # arb_series has none of these; composed of ball functions, they cost a fraction of their exponentials

    def tanh(self, a: Any) -> Any:
        a = _series(a)
        t = a[0].tanh()
        # 1 - t^2 where it does not cancel, which saves an exponential
        slope = 1 - t * t if abs(a[0]) < 1 else a[0].sech() ** 2
        return _composed(a, t, slope, -2 * t * slope)

    def sinh(self, a: Any) -> Any:
        a = _series(a)
        sinh, cosh = a[0].sinh_cosh()
        return _composed(a, sinh, cosh, sinh)

    def cosh(self, a: Any) -> Any:
        a = _series(a)
        sinh, cosh = a[0].sinh_cosh()
        return _composed(a, cosh, sinh, cosh)

    def expm1(self, a: Any) -> Any:
        a = _series(a)
        e = a[0].exp()
        return _composed(a, a[0].expm1(), e, e)

    def log1p(self, a: Any) -> Any:
        a = _series(a)
        slope = 1 / (1 + a[0])
        return _composed(a, a[0].log1p(), slope, -slope * slope)


def _composed(a: Any, value: Any, first: Any, second: Any) -> Any:
    """f(a) for a series ``a``, from f and its derivatives at the constant term, and the powers of a."""
    b, c = a[1], a[2]
    return arb_series([value, first * b, first * c + second / 2 * b * b])
