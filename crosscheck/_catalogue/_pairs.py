"""Pairs of numbers, of twice the precision: a result that cancels down to its last digits is computed in them.

Neither framework has a dtype wider than float64, and JAX has float64 only where the user has switched it on.
"""

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from crosscheck._catalogue._kernels import numpy_of
from crosscheck._catalogue._sums import long_total, renormalised, two_sum

Pair = tuple[Any, Any]
"""(a, b) stands for a + b, b being at most half a unit in the last place of a."""

LN2 = sum(Fraction(1, k * 2**k) for k in range(1, 250))


@dataclass(frozen=True)
class Precision:
    """How a format's numbers are paired, and how e^r - 1 is computed in pairs.

    Attributes:
        bits: The bits of a number.
        exponents: The bits of the exponent k of a power of two; a number with so many fewer has an exact product with k.
        halvings: r is halved so often before the series, and e^r - 1 is made of its half's so often after it.
        plain: From this term on, single numbers are enough.
        last: The last term.
    """

    bits: int
    exponents: int
    halvings: int
    plain: int
    last: int

    @property
    def bias(self) -> int:
        """What is added to the exponent of a power of two where it is stored."""
        return 2 ** (self.exponents - 1) - 1

    @functools.cached_property
    def ln2(self) -> tuple[float, float, float]:
        """Three parts of log(2); the first two have an exact product with an exponent."""
        kept = self.bits - self.exponents - 1
        first = Fraction(int(LN2 * 2**kept), 2**kept)
        second = Fraction(int((LN2 - first) * 4**kept), 4**kept)
        return float(first), float(second), float(LN2 - first - second)

    def inverse(self, number: int) -> tuple[float, float]:
        """1 / number as a pair."""
        unit = 2 ** (self.bits + number.bit_length() - 2)
        nearest = Fraction(round(Fraction(unit, number)), unit)
        return float(nearest), float(Fraction(1, number) - nearest)


PRECISIONS = {64: Precision(53, 11, 5, 8, 13), 32: Precision(24, 8, 3, 6, 9)}


def once_more(framework: Any, x: Any, y: Any, axis: int, n: int) -> Any:
    """y + log(sum(e^(x - y)) / n), of which the logarithm is near 0.

    y is subtracted from the entries exactly, and the sum is one of pairs. So what is far smaller than the terms that cancel
    keeps its digits.
    """
    m = numpy_of(framework)
    power, s = _exponential(framework, two_sum(x, -y), PRECISIONS[m.finfo(x.dtype).bits])
    is_one, none = power == 1, m.zeros_like(power)
    # e^z where that is far from 1, else e^z - 1: so neither cancels
    term, rest = renormalised(m.where(is_one, none, power), power * s[0])
    whole, lost = long_total(framework, term, axis, rest + power * s[1])
    whole, less = two_sum(whole, m.sum(m.where(is_one, power, none), axis, keepdims=True) - n)
    g = (whole + (less + lost)) / n
    return y + (g - g * g / 2)


def _exponential(framework: Any, z: Pair, of: Precision) -> tuple[Any, Pair]:
    """(p, s) with e^z = p (1 + s), p being a power of two and s a pair from -0.3 to 0.42; p is 0 where e^z is subnormal."""
    m = numpy_of(framework)
    a, b, c = of.ln2
    normal = z[0] > (2 - of.bias) * a
    z = tuple(m.where(normal, part, m.zeros_like(part)) for part in z)
    k = m.round(z[0] / a)
    r = two_sum(z[0] - k * a, -(k * b))
    r = renormalised(r[0], r[1] + (z[1] - k * c))
    y = r[0] * 0.5**of.halvings, r[1] * 0.5**of.halvings
    tail = y[0] * 0
    for i in range(of.last, of.plain - 1, -1):
        tail = 1 / math.factorial(i) + y[0] * tail
    s = tail, tail * 0
    for i in range(of.plain - 1, 0, -1):
        s = _plus(framework, of.inverse(math.factorial(i)), _product(framework, y, s, of))
    s = _product(framework, y, s, of)
    for _ in range(of.halvings):
        square, lost = _product(framework, s, s, of)
        whole, less = renormalised(2 * s[0], square)
        s = renormalised(whole, less + (2 * s[1] + lost))
    return m.where(normal, _power_of_two(framework, k, of), m.zeros_like(k)), s


def _power_of_two(framework: Any, k: Any, of: Precision) -> Any:
    """2^k, by its bits: the frameworks' own are rounded."""
    if framework.__name__ == "torch":
        integer = framework.int64 if of.bits == 53 else framework.int32
        return ((k.to(integer) + of.bias) << (of.bits - 1)).view(k.dtype)
    integer = framework.numpy.int64 if of.bits == 53 else framework.numpy.int32
    return framework.lax.bitcast_convert_type((k.astype(integer) + of.bias) << (of.bits - 1), k.dtype)


def _plus(framework: Any, constant: tuple[float, float], b: Pair) -> Pair:
    """The sum of a pair and a larger constant."""
    first = constant[0]
    if framework.__name__ == "jax":  # or XLA takes (first + b) - first for b
        first = framework.lax.optimization_barrier(framework.numpy.asarray(first, b[0].dtype))
    whole, lost = renormalised(first, b[0])
    return renormalised(whole, lost + (b[1] + constant[1]))


def _product(framework: Any, a: Pair, b: Pair, of: Precision) -> Pair:
    """By Dekker's method: the product of the halves of two numbers is exact."""
    m = numpy_of(framework)
    p = a[0] * b[0]
    p = m.where(m.isnan(p), m.zeros_like(p), p)  # or XLA multiplies and subtracts in one operation, which does not round p
    (h, low), (i, less) = (_halves(part[0], of) for part in (a, b))
    lost = ((h * i - p) + h * less + low * i) + low * less
    return renormalised(p, lost + (a[0] * b[1] + a[1] * b[0]))


def _halves(a: Any, of: Precision) -> Pair:
    """Two numbers of half the digits."""
    scaled = a * (2.0 ** ((of.bits + 1) // 2) + 1)
    high = scaled - (scaled - a)
    return high, a - high
