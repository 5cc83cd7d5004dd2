"""The power series of a definition over an interval: coefficients that enclose the derivatives at each of its points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import arb, arb_series

from crosscheck._truth.balls import Balls, UndecidedError, precision

Definition = Callable[[Any, Any], Any]


class SeriesBalls(Balls):
    """The namespace of ``Balls`` for series of any number of terms.

    Functions that ``arb_series`` lacks are composed of exponentials and logarithms. Their value may cancel there, so it is
    replaced.
    """

    def tanh(self, a: Any) -> Any:
        return _with_value(1 - 2 / (self.exp(2 * a) + 1), self._value(a).tanh())

    def sinh(self, a: Any) -> Any:
        return _with_value((self.exp(a) - self.exp(-a)) / 2, self._value(a).sinh())

    def cosh(self, a: Any) -> Any:
        return _with_value((self.exp(a) + self.exp(-a)) / 2, self._value(a).cosh())

    def expm1(self, a: Any) -> Any:
        return _with_value(self.exp(a), self._value(a).expm1())

    def log1p(self, a: Any) -> Any:
        return _with_value(self.log(1 + a), self._value(a).log1p())

    @staticmethod
    def _value(a: Any) -> Any:
        return a[0] if isinstance(a, arb_series) else arb(a)


def _with_value(series: Any, value: Any) -> Any:
    return series - series[0] + value


def coefficients(definition: Definition, x: Any, count: int, bits: int) -> list[Any] | None:
    """The first ``count`` Taylor coefficients of a definition, enclosed at each point of the ball ``x``.

    None if the balls do not decide: at a kink, at a pole, or if they are too wide.
    """
    with precision(bits, count):
        m = SeriesBalls()
        try:
            result = definition(m, m.variable(x))
        except (UndecidedError, ValueError, ZeroDivisionError):
            return None
        if not isinstance(result, arb_series):
            result = arb_series([result])
        terms = [result[k] for k in range(count)]
    return terms if all(ball.is_finite() for ball in terms) else None
