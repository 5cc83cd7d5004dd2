"""The truth of a function of rows: its value and its derivatives along a direction, row by row."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from flint import arb, arb_series

from crosscheck._exact.balls import Balls, UndecidedError, precision
from crosscheck._exact.decide import decide_many
from crosscheck._exact.evaluate import FACTORIAL, MOST_BITS, START_BITS
from crosscheck._exact.truth import Truth
from crosscheck._numerics.formats import Float64Array, FloatArray, Format, format_of, widen
from crosscheck._spec.records import Activation

FAR_OUT = 1500
"""An infinite entry is stood in for by 2^FAR_OUT and more: what depends on 1 / x then vanishes, and x overflows."""
VANISHED = -arb((1, FAR_OUT - 100))
"""Below it, an exponential is 0 beside any other."""


class RowBalls(Balls):
    """The namespace of :class:`Balls` over object arrays of series, one per entry of a row."""

    def __getattribute__(self, name: str) -> Any:
        function = super().__getattribute__(name)
        if name == "exp":
            return np.frompyfunc(partial(_exp, function), 1, 1)
        if name in (
            "exp",
            "log",
            "sqrt",
            "tanh",
            "sinh",
            "cosh",
            "expm1",
            "log1p",
            "erf",
            "erfc",
            "abs",
            "maximum",
            "minimum",
        ):
            return np.frompyfunc(function, 2 if name in ("maximum", "minimum") else 1, 1)
        return function

    def max(self, a: Any, axis: int, keepdims: bool = False) -> Any:
        largest = np.empty(1, dtype=object)  # one row
        largest[0] = max(a, key=lambda series: series[0])
        return largest

    def min(self, a: Any, axis: int, keepdims: bool = False) -> Any:
        return -self.max(-a, axis, keepdims)

    def sum(self, a: Any, axis: int, keepdims: bool = False) -> Any:
        return np.sum(a, axis=axis, keepdims=keepdims)


def _exp(function: Any, a: Any) -> Any:
    """0 for the exponential of minus infinity, exactly, so that results half way between two numbers can be decided."""
    return arb_series([0]) if a[0] < VANISHED else function(a)


Decided = dict[int, tuple[Any, Any, Any, Any]]
"""By order, of one row: the rounded results, what the rounding left, the exponents and which are decided."""


def row_truth(
    activation: Activation,
    x: FloatArray,
    v: FloatArray,
    orders: Sequence[int],
    parameters: Mapping[str, float] | None = None,
) -> dict[int, Truth]:
    """The exact value and the derivatives along v, once and twice, of each row of ``x``.

    ``x`` and ``v`` are 2-d arrays of one format, a row each; the truths have the flattened shape. A row with infinite
    entries has the limit, if it is the same along two paths on which its infinite entries grow unequally fast, one in the
    reverse order of the other; without a limit, or with a NaN, a row is NaN.
    """
    del parameters  # the rows lie along the last axis here, whatever axis they are taken from
    fmt = format_of(x)
    definition = partial(activation.definition, axis=-1)
    wide, direction = widen(x), widen(v)
    rows = [_decided(definition, row, along, fmt, orders) for row, along in zip(wide, direction, strict=True)]
    return {k: _truth([row[k] for row in rows], x.shape[1], fmt, k) for k in orders}


def _truth(rows: list[tuple[Any, Any, Any, Any] | None], length: int, fmt: Format, order: int) -> Truth:
    """Of the rows one after the other; None is one that has no limit."""
    limitless = np.full(length, np.nan), np.zeros(length), np.full(length, fmt.e_min), np.zeros(length, bool)
    parts = zip(*(limitless if row is None else row for row in rows), strict=True)
    rounded, residual, exponent, decided = map(np.concatenate, parts)
    without = np.repeat([row is None for row in rows], length)
    sides = np.full(rounded.shape, np.nan).astype(fmt.dtype)
    return Truth(
        fmt=fmt,
        rounded=rounded.astype(fmt.dtype),
        residual=residual,
        exponent=exponent,
        judged=decided | (without if order == 0 else np.zeros_like(without)),
        undecided=~decided & ~without,
        left=sides,
        right=sides,
    )


def _decided(
    definition: Any, x: Float64Array, v: Float64Array, fmt: Format, orders: Sequence[int]
) -> dict[int, tuple[Any, Any, Any, Any] | None]:
    """One row; None for an order in which it has no limit."""
    if np.isnan(x).any():
        return dict.fromkeys(orders)
    if np.isfinite(x).all():
        return dict(_attempts(definition, [arb(entry) for entry in x.tolist()], v, fmt, orders))
    wanted = sorted({0, *orders})
    one, other = (_attempts(definition, path, v, fmt, wanted) for path in _paths(x))
    found: dict[int, tuple[Any, Any, Any, Any] | None] = {}
    for k in wanted:
        rounded, residual, exponent, decided = one[k]
        differ = decided & other[k][3] & (rounded != other[k][0])
        without = differ.any() or (k > 0 and found[0] is None)
        found[k] = None if without else (rounded, np.where(np.isinf(rounded), 0, residual), exponent, decided)
    return {k: found[k] for k in orders}


def _paths(x: Float64Array) -> Iterator[list[Any]]:
    """The row with its infinite entries far out, each at another distance, once growing and once falling with the place."""
    steps = 1 << (x.size - 1).bit_length()
    for reverse in (False, True):
        stand_ins = [arb(steps + j) * arb((1, FAR_OUT)) for j in range(x.size)]
        stand_ins = stand_ins[::-1] if reverse else stand_ins
        yield [
            arb(entry) if np.isfinite(entry) else far if entry > 0 else -far
            for entry, far in zip(x.tolist(), stand_ins, strict=True)
        ]


def _attempts(definition: Any, x: list[Any], v: Float64Array, fmt: Format, orders: Sequence[int]) -> Decided:
    """One row of finite entries, with as much precision as it takes to decide every result."""
    undecided = np.full(len(x), np.nan), np.zeros(len(x)), np.full(len(x), fmt.e_min), np.zeros(len(x), bool)
    found: Decided = dict.fromkeys(orders, undecided)
    bits = START_BITS
    while bits <= MOST_BITS and not all(decided.all() for *_, decided in found.values()):
        with precision(bits):
            m = RowBalls()
            row = np.empty(len(x), dtype=object)
            row[:] = [m.variable(entry, slope) for entry, slope in zip(x, v.tolist(), strict=True)]
            try:
                result = definition(m, row)
            except (UndecidedError, ValueError, ZeroDivisionError):
                pass
            else:
                found = {k: decide_many([series[k] * FACTORIAL[k] for series in result], fmt) for k in orders}
        bits *= 2
    return found
