"""The truth of a function of rows: its value and its derivatives along a direction, row by row."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from flint import arb, arb_series

from crosscheck._exact.balls import Balls, UndecidedError, precision
from crosscheck._exact.decide import decide_many
from crosscheck._exact.evaluate import FACTORIAL, MOST_BITS, START_BITS
from crosscheck._exact.truth import Truth
from crosscheck._numerics.formats import FloatArray, format_of, widen
from crosscheck._spec.records import Activation

MINUS_INFINITY = -arb((1, 200))
"""What stands for an entry of minus infinity: far enough that its exponential vanishes beside any other."""


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

    def sum(self, a: Any, axis: int, keepdims: bool = False) -> Any:
        return np.sum(a, axis=axis, keepdims=keepdims)


def _exp(function: Any, a: Any) -> Any:
    """0 for what stands for minus infinity, exactly, so that results half way between two numbers can be decided."""
    return arb_series([0]) if a[0] < MINUS_INFINITY / 2 else function(a)


def row_truth(
    activation: Activation,
    x: FloatArray,
    v: FloatArray,
    orders: Sequence[int],
    parameters: Mapping[str, float] | None = None,
) -> dict[int, Truth]:
    """The exact value and the derivatives along v, once and twice, of each row of ``x``.

    ``x`` and ``v`` are 2-d arrays of one format, a row each; the truths have the flattened shape. An entry of minus
    infinity, and a single one of plus infinity, has the limit; a row with NaN, or with several infinite maxima, is NaN.
    """
    del parameters  # the rows lie along the last axis here, whatever axis they are taken from
    fmt = format_of(x)
    definition = partial(activation.definition, axis=-1)
    wide, direction = widen(x), widen(v)
    size = x.size
    columns = {
        k: (np.full(size, np.nan), np.zeros(size), np.full(size, fmt.e_min, np.int64), np.zeros(size, bool)) for k in orders
    }
    limitless = _without_limit(wide)
    for i in np.flatnonzero(~limitless):
        place = slice(i * x.shape[1], (i + 1) * x.shape[1])
        bits = START_BITS
        pending = True
        while pending and bits <= MOST_BITS:
            with precision(bits):
                pending = not _attempt_row(definition, wide[i], direction[i], fmt, columns, place)
            bits *= 2
    without = np.repeat(limitless, x.shape[1])
    sides = np.full(size, np.nan).astype(fmt.dtype)
    return {
        k: Truth(
            fmt=fmt,
            rounded=rounded.astype(fmt.dtype),
            residual=residual,
            exponent=exponent,
            judged=decided | (without if k == 0 else np.zeros_like(without)),
            undecided=~decided & ~without,
            left=sides,
            right=sides,
        )
        for k, (rounded, residual, exponent, decided) in columns.items()
    }


def _without_limit(x: Any) -> Any:
    """Rows in which an entry is NaN or the maximum is infinite more than once."""
    top = x.max(axis=1, keepdims=True)
    several = np.isinf(top[:, 0]) & ((x == top).sum(axis=1) > 1)
    return np.isnan(x).any(axis=1) | several


def _attempt_row(definition: Any, x: Any, v: Any, fmt: Any, columns: Any, place: slice) -> bool:
    """Decide one row at the current precision; False where some entry is not decided."""
    m = RowBalls()
    row = np.empty(x.shape, dtype=object)
    for j, (entry, slope) in enumerate(zip(x.tolist(), v.tolist(), strict=True)):
        row[j] = m.variable(arb(entry) if np.isfinite(entry) else -MINUS_INFINITY if entry > 0 else MINUS_INFINITY, slope)
    try:
        result = definition(m, row)
    except (UndecidedError, ValueError, ZeroDivisionError):
        return False
    done = True
    for k, (rounded, residual, exponent, decided) in columns.items():
        balls = [series[k] * FACTORIAL[k] for series in result]
        rounded[place], residual[place], exponent[place], decided[place] = decide_many(balls, fmt)
        done &= bool(decided[place].all())
    return done
