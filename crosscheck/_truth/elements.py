"""Balls for JAX's operations on single elements.

A comparison that the balls do not decide is None. Two names of the same object are equal, however wide it is. Infinities are
kept in sums and comparisons as far as masks need them.
"""

# ruff: noqa: SIM905 - a list would take a line a name

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from flint import acb, arb, ctx
from jax.lax import RoundingMethod

LEVELS = (256, 1536, 4096)
"""Precisions in bits, to be tried in this order."""
COSTS: dict[str, tuple[float, ...]] = {
    **dict.fromkeys("acos acosh asin asinh atan atan2 atanh cos cosh".split(), (1, 8, 50)),
    **dict.fromkeys("exp exp2 expm1 log log1p log2 logistic pow sin sinh tan tanh".split(), (1, 8, 50)),
    "cumlogsumexp": (2, 16, 100),
    **dict.fromkeys("bessel_i0e bessel_i1e erf erfc".split(), (6, 40, 160)),
    "erf_inv": (15, 70, 400),
    "lgamma": (4, 90, 600),
    "digamma": (10, 230, 1100),
    "igamma": (50, 600, 3300),
    "igammac": (50, 600, 3300),
    "polygamma": (50, 700, 6000),
    "zeta": (90, 4400, 50000),
}
"""Microseconds that one element takes at each of the precisions, if that is more than one."""
_LARGEST = 2.0**10
"""For larger arguments, incomplete gammas and zetas take seconds, so they count as unknown."""
_WHOLE = arb(2) ** 2048
"""A larger number overflows, and need not become an integer, which might not fit into memory."""


def less(a: Any, b: Any) -> bool | None:
    if a is b:
        return None if isinstance(a, arb) and not a.is_finite() else False
    return True if a < b else False if a >= b else None


def equal(a: Any, b: Any) -> bool | None:
    if not isinstance(a, arb):  # booleans
        return None if a is None or b is None else a == b
    if a is b:
        return True if a.is_finite() else None
    return True if a == b else False if a != b else None


def _less_equal(a: Any, b: Any) -> bool | None:
    return negation(less(b, a))


def negation(a: bool | None) -> bool | None:
    return None if a is None else not a


def _and(a: bool | None, b: bool | None) -> bool | None:
    return False if a is False or b is False else None if a is None or b is None else True


def _or(a: bool | None, b: bool | None) -> bool | None:
    return negation(_and(negation(a), negation(b)))


def _xor(a: bool | None, b: bool | None) -> bool | None:
    return None if a is None or b is None else a != b


def _by_signs(compare: Callable[[Any, Any], bool | None]) -> Callable[[Any, Any], bool | None]:
    """A comparison that distinguishes -0 from 0, which balls do not."""
    return lambda a, b: None if a == 0 and b == 0 else compare(a, b)


def _is_finite(a: Any) -> bool | None:
    return True if a.is_finite() else False if _is_infinity(a) else None


def _is_infinity(a: Any) -> bool:
    return bool(a == arb.pos_inf() or a == arb.neg_inf())


def select(which: Any, *cases: Any) -> Any:
    if which is not None:
        return cases[int(which)]
    if all(isinstance(case, arb) for case in cases):
        return _hull(cases)
    return cases[0] if all(case == cases[0] for case in cases) else None


def _hull(balls: Sequence[Any]) -> Any:
    hull = balls[0]
    for ball in balls[1:]:
        hull = hull.union(ball)
    return hull


def add(a: Any, b: Any) -> Any:
    total = a + b
    if total.is_finite():
        return total
    # Arb loses the sign of an infinity, on which masks depend
    if _is_infinity(a) and (b.is_finite() or a == b):
        return a
    return b if _is_infinity(b) and a.is_finite() else arb.nan()


def _subtract(a: Any, b: Any) -> Any:
    return arb(0) if a is b and a.is_finite() else add(a, -b)


def _larger(a: Any, b: Any) -> Any:
    second = less(a, b)
    return arb.max(a, b) if second is None else b if second else a


def _smaller(a: Any, b: Any) -> Any:
    second = less(b, a)
    return arb.min(a, b) if second is None else b if second else a


def _atan2(y: Any, x: Any) -> Any:
    return arb.nan() if y.contains(0) and x.contains(0) else arb.atan2(y, x)


def _cbrt(a: Any) -> Any:
    return a if a.is_zero() else a.sgn() * abs(a).root(3)


def _lgamma(a: Any) -> Any:
    return a.lgamma() if a > 0 else abs(a.gamma()).log()


def _narrow(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose series Arb might sum forever if an operand is a wide ball."""

    def function(*balls: Any) -> Any:
        narrow = all(ball.rad() * arb((1, ctx.prec // 2)) < 1 + abs(ball) for ball in balls)
        return f(*balls) if narrow else arb.nan()

    return function


def _gamma_lower(s: Any, a: Any) -> Any:
    # Arb's own function takes seconds near a = s, and where a is about as large as the precision
    return a.gamma_lower(s, 1) if 0 <= 2 * a < s < _LARGEST and a < 128 else 1 - _gamma_upper(s, a)


def _gamma_upper(s: Any, a: Any) -> Any:
    return a.gamma_upper(s, 1) if 0 < s < _LARGEST and 0 <= a < _LARGEST else arb.nan()


def _order(n: Any) -> int | None:
    order = n.unique_fmpz() if n.is_exact() and 0 <= n < _LARGEST else None
    return None if order is None else int(order)


def _polygamma(n: Any, a: Any) -> Any:
    order = _order(n)
    if order is None:
        return arb.nan()
    if order == 0:
        return a.digamma()
    return (-1) ** (order + 1) * arb.fac_ui(order) * _zeta(n + 1, a)


def _zeta(s: Any, a: Any) -> Any:
    if a > 0:
        return s.zeta(a) if 1 < s < _LARGEST else arb.nan()
    # a power of a negative number is real only if the exponent is an integer
    return arb.nan() if _order(s) is None or not a > -_LARGEST else acb(s).zeta(acb(a)).real


def _truncated(a: Any) -> Any:
    """Rounded towards zero."""
    return a.floor() if a >= 0 else a.ceil() if a < 0 else _hull([a.floor(), a.ceil()])


def integer(a: Any) -> int | None:
    whole = _truncated(a).unique_fmpz() if abs(a) < _WHOLE else None
    return None if whole is None else int(whole)


def _round(method: Any) -> Callable[[Any], Any]:
    def rounded(a: Any) -> Any:
        up = (a + 0.5).floor()
        whole = up.unique_fmpz() if abs(a) < _WHOLE else None
        if whole is None or a + 0.5 > up:
            return up
        if not a.is_exact():
            return _hull([up - 1, up])
        even = method == RoundingMethod.TO_NEAREST_EVEN
        return up - 1 if (whole % 2 if even else whole <= 0) else up

    return rounded


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(arb, name) for name in "acos acosh asin asinh atan atanh ceil cos cosh digamma erf erfc".split()},
    **{name: getattr(arb, name) for name in "exp expm1 floor log log1p rsqrt sin sinh sqrt tan tanh".split()},
    "abs": abs,
    "add": add,
    "add_any": add,
    "and": _and,
    "atan2": _atan2,
    "bessel_i0e": _narrow(lambda a: abs(a).bessel_i(0, scaled=True)),
    "bessel_i1e": _narrow(lambda a: (-abs(a)).exp() * a.bessel_i(1)),
    "cbrt": _cbrt,
    "clamp": lambda low, a, high: _smaller(_larger(low, a), high),
    "div": operator.truediv,
    "eq": equal,
    "eq_to": _by_signs(equal),
    "erf_inv": arb.erfinv,
    "exp2": lambda a: arb(2) ** a,
    "ge": lambda a, b: _less_equal(b, a),
    "gt": lambda a, b: less(b, a),
    "igamma": _narrow(_gamma_lower),
    "igammac": _narrow(_gamma_upper),
    "is_finite": _is_finite,
    "le": _less_equal,
    "le_to": _by_signs(_less_equal),
    "lgamma": _lgamma,
    "log2": lambda a: a.log() / arb(2).log(),
    "logistic": lambda a: 1 / (1 + (-a).exp()),
    "lt": less,
    "lt_to": _by_signs(less),
    "max": _larger,
    "min": _smaller,
    "mul": operator.mul,
    "ne": lambda a, b: negation(equal(a, b)),
    "neg": operator.neg,
    "not": negation,
    "one_minus_square": lambda a: (1 - a) * (1 + a),
    "or": _or,
    "polygamma": _narrow(_polygamma),
    "polynomial": lambda a, *coefficients: functools.reduce(lambda total, c: total * a + c, reversed(coefficients)),
    "pow": lambda a, b: a**b,
    "rem": lambda a, b: a - b * _truncated(a / b),
    "select_n": select,
    "sign": lambda a: a.sgn() if a.is_finite() else arb.nan(),
    "square": lambda a: a * a,
    "sub": _subtract,
    "xor": _xor,
    "zeta": _narrow(_zeta),
}

WITH_PARAMETERS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "integer_pow": lambda params: lambda a: a ** params["y"],
    "round": lambda params: _round(params["rounding_method"]),
}

FOLDS: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "reduce_and": (_and, True),
    "reduce_max": (_larger, None),
    "reduce_min": (_smaller, None),
    "reduce_or": (_or, False),
    "reduce_prod": (operator.mul, 1),
    "reduce_sum": (add, 0),
}

ACCUMULATIONS = {"cummax": _larger, "cummin": _smaller, "cumprod": operator.mul, "cumsum": add}

SCATTERS: dict[str, Callable[[Any, Any], Any]] = {
    "scatter": lambda _, new: new,
    "scatter-add": add,
    "scatter-max": _larger,
    "scatter-min": _smaller,
    "scatter-mul": operator.mul,
    "scatter-sub": _subtract,
}
