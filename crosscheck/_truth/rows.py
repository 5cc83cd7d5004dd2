"""The truth of a function of rows: its value and its derivatives along a direction, row by row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb, arb_series

from crosscheck._arithmetic.formats import Float64Array, FloatArray, Format, format_of, widen
from crosscheck._records.records import Activation
from crosscheck._truth import doubles
from crosscheck._truth.balls import Balls, UndecidedError, precision
from crosscheck._truth.decide import decide_many
from crosscheck._truth.doubles import Doubles, Namespace
from crosscheck._truth.evaluate import FACTORIAL, MOST_BITS, START_BITS
from crosscheck._truth.truth import Truth

FAR_OUT = 1500
"""2^FAR_OUT and larger numbers replace infinite entries: then terms in 1 / x vanish, and x overflows."""
FARTHER_OUT, NOT_SO_FAR = 10**6, 11
"""2^NOT_SO_FAR replaces an infinite gate beside a number of 2^FARTHER_OUT."""
VANISHED = -arb((1, FAR_OUT - 100))
"""Below this argument, an exponential is 0 beside any other."""


ENTRYWISE = {
    **dict.fromkeys(("exp", "log", "sqrt", "tanh", "sinh", "cosh", "expm1", "log1p", "erf", "erfc", "abs"), 1),
    **dict.fromkeys(("maximum", "minimum", "greater", "less", "greater_equal", "less_equal"), 2),
    "where": 3,
}
"""Functions of ``Balls`` that are applied to an array of series entry by entry, and the number of their arguments."""

LONG = 1000
"""Rows of at least this length are first tried in double-double arithmetic."""
LONGEST_PROVEN = 8
"""Derivatives of rows up to this length come from the definition. Longer rows use closed forms, which these prove."""


class RowBalls(Balls):
    """The namespace of ``Balls`` over object arrays of series, one per entry of a row."""

    def __getattribute__(self, name: str) -> Any:
        function = super().__getattribute__(name)
        if name in ENTRYWISE:
            return np.frompyfunc(partial(_exp, function) if name == "exp" else function, ENTRYWISE[name], 1)
        return function

    def max(self, a: Any, axis: int, keepdims: bool = False) -> Any:
        largest = np.empty(1, dtype=object)  # one row
        largest[0] = max(a, key=lambda series: series[0])
        return largest

    def min(self, a: Any, axis: int, keepdims: bool = False) -> Any:
        return -self.max(-a, axis, keepdims)

    def sum(self, a: Any, axis: int, keepdims: bool = False) -> Any:
        return np.sum(a, axis=axis, keepdims=keepdims)

    def concatenate(self, parts: Any, axis: int) -> Any:
        return np.concatenate(parts, axis)


def _exp(function: Any, a: Any) -> Any:
    """0 exactly for the exponential of minus infinity, so that results half way between two numbers can be decided."""
    return arb_series([0]) if a[0] < VANISHED else function(a)


Column = tuple[Any, Any, Any, Any]
"""For one row and order: the rounded results, the residuals, the exponents and which are decided."""


def row_truth(
    activation: Activation,
    x: FloatArray,
    v: FloatArray,
    orders: Sequence[int],
    parameters: Mapping[str, float] | None = None,
) -> dict[int, Truth]:
    """The exact value f, J^T v and its derivative along v, of each row of ``x``; J is the Jacobian.

    ``x`` and ``v`` are 2-d arrays of one format, with one row each. The truths are flat; that of the value has as many
    entries as the rows have results. J^T uses as many of the first entries of v. A row with infinite entries has the limit,
    if it is the same along two paths on which its infinite entries grow unequally fast, one in the reverse order of the
    other. Without a limit, or with a NaN, a row is NaN. If the result is half of a row, each pair counts as a row of its
    own.
    """
    fmt = format_of(x)
    long = {
        number: columns
        for number, row in enumerate(widen(x))
        if row.size >= LONG and _masked_at_most(activation, row)
        if (columns := _in_doubles(activation, parameters or {}, widen(v)[number], row, orders, fmt))
    }
    lengths = {k: x.shape[1] if k else activation.outputs(x.shape[1]) for k in range(max(orders) + 1)}
    if activation.result == "half" and x.shape[1] > 2:
        rest = [number for number in range(len(x)) if number not in long]
        whole = {k: _truth([long.get(i, {}).get(k) for i in range(len(x))], lengths[k], fmt, k) for k in orders}
        if not rest:
            return whole
        pairs = row_truth(activation, _paired(x[rest]), _paired(v[rest]), orders, parameters)
        unpaired = {k: truth if k == 0 else _unpaired(truth, x.shape[1]) for k, truth in pairs.items()}
        return {k: _inserted(unpaired[k], rest, whole[k], lengths[k]) for k in orders}
    paths = _paths_of_pair if activation.result == "half" else _paths
    finite: list[tuple[int, list[Any]]] = []
    infinite: list[tuple[int, list[Any]]] = []
    along = widen(v)
    decided: list[list[dict[int, Column]]] = [[] for _ in x]
    for number, row in enumerate(widen(x)):
        if number in long:
            decided[number].append(long[number])
        elif np.isfinite(row).all():
            finite.append((number, list(map(arb, row.tolist()))))
        elif not np.isnan(row).any():
            infinite += [(number, path) for path in paths(row)]
    # without a limit in a lower order, there is none
    for some, wanted in ((finite, list(orders)), (infinite, list(range(max(orders) + 1)))):
        enclosures = [partial(_enclosures, activation, parameters or {}, along[i], path, wanted) for i, path in some]
        for (number, _), columns in zip(some, _decided(enclosures, fmt, {k: lengths[k] for k in wanted}), strict=True):
            decided[number].append(columns)
    rows = [_settled(columns, orders) for columns in decided]
    return {k: _truth([row[k] for row in rows], lengths[k], fmt, k) for k in orders}


def _masked_at_most(activation: Activation, row: Float64Array) -> bool:
    """Whether a row is finite except for masked entries: infinitely below the dominant ones, or with closed gates."""
    finite = np.isfinite(row)
    if activation.known_by == "gate":
        finite[row.size // 2 :] |= np.isneginf(row[row.size // 2 :])
    else:
        finite |= row == (np.inf if activation.known_by == "smallest" else -np.inf)
    return bool(finite.all() and np.isfinite(row).any())


def _in_doubles(
    activation: Activation,
    parameters: Mapping[str, float],
    v: Float64Array,
    x: Float64Array,
    orders: Sequence[int],
    fmt: Format,
) -> dict[int, Column] | None:
    """The definition and the closed forms of a row in double-double arithmetic; None if they do not decide all of it.

    Infinities are computed as infinities, and are undecided unless each operation has a limit there.
    """
    m = Namespace()
    first = v[: activation.outputs(x.size)]
    fixed = {**activation.parameters, **parameters, "axis": -1}
    formulas = (activation.definition, activation.derivative, activation.second_derivative)
    by_order: dict[int, Column] = {}
    with np.errstate(all="ignore"):
        for k in orders:
            try:
                result = formulas[k](m, Doubles(x), *map(Doubles, (first, v)[:k]), **fixed)
            except UndecidedError:
                return None
            rounded, residual, exponent, decided = doubles.decide(result, fmt)
            if not decided.all():
                return None
            length = x.size if k else activation.outputs(x.size)
            columns = (np.broadcast_to(column, length) for column in (rounded, residual, exponent, decided))
            by_order[k] = (next(columns), next(columns), next(columns), next(columns))
    return by_order


def _paired(x: FloatArray) -> FloatArray:
    return x.reshape(len(x), 2, -1).swapaxes(1, 2).reshape(-1, 2)


def _inserted(some: Truth, rows: Sequence[int], whole: Truth, length: int) -> Truth:
    """A truth in which these rows come from another one."""
    arrays = {}
    for field in fields(whole):
        if field.name != "fmt":
            array = getattr(whole, field.name).reshape(-1, length).copy()
            array[list(rows)] = getattr(some, field.name).reshape(-1, length)
            arrays[field.name] = array.ravel()
    return replace(whole, **arrays)


def _unpaired(truth: Truth, length: int) -> Truth:
    """The derivatives by both entries of pairs, in the order of the rows."""
    order = np.arange(truth.rounded.size).reshape(-1, length // 2, 2).swapaxes(1, 2).ravel()
    arrays = {field.name: getattr(truth, field.name) for field in fields(truth) if field.name != "fmt"}
    return replace(truth, **{name: array[order] for name, array in arrays.items()})


def _enclosures(
    activation: Activation,
    parameters: Mapping[str, float],
    v: Float64Array,
    x: list[Any],
    orders: Sequence[int],
    *,
    closed: bool | None = None,
) -> dict[int, list[Any]]:
    """If J is symmetric, J v follows from the definition's power series along v.

    Otherwise it follows from the series along every entry, or from the ``closed`` forms, by default in long rows; the test
    of every record compares the two.
    """
    m = RowBalls()
    first = v[: activation.outputs(len(x))]
    fixed = {**activation.parameters, **parameters, "axis": -1}  # for any axis of the rows

    def series(directions: Iterable[Any]) -> Any:
        row = [m.variable(entry, slope) for entry, slope in zip(x, directions, strict=True)]
        return activation.definition(m, _array(row), **fixed)

    if activation.symmetric and closed is None:
        result = series(v.tolist())
        return {k: [entry[k] * FACTORIAL[k] for entry in result] for k in orders}
    by_order: dict[int, list[Any]] = {}
    closed = len(x) > LONGEST_PROVEN if closed is None else closed
    for k in orders:
        if k == 0:
            by_order[k] = [entry[0] for entry in series([0] * len(x))]
        elif closed:
            formula = (activation.derivative, activation.second_derivative)[k - 1]
            directions = [_array(arb_series([arb(entry)]) for entry in along.tolist()) for along in (first, v)[:k]]
            result = formula(m, _array(map(m.point, x)), *directions, **fixed)
            by_order[k] = [entry[0] for entry in np.broadcast_to(result, len(x))]
        else:
            by_order[k] = [_by_entry(series, first, v, j, k) for j in range(len(x))]
    return by_order


def _by_entry(series: Callable[[Iterable[Any]], Any], v: Float64Array, w: Float64Array, j: int, order: int) -> Any:
    """The derivative of <v, f> by entry j, or the derivative of that along w, from power series of f alone.

    With q(d) the second derivative along d twice, the one by entry j and along w is (q(e_j + w) - q(e_j - w)) / 4.
    """
    unit = np.eye(w.size)[j]
    if order == 1:
        return _dot(v, series(unit.tolist()), 1)
    both = (series([arb(a) + sign * arb(b) for a, b in zip(unit, w, strict=True)]) for sign in (1, -1))
    plus, minus = (_dot(v, result, 2) for result in both)
    return (plus - minus) / 2


def _dot(v: Float64Array, result: Any, k: int) -> Any:
    total = arb(0)
    for weight, entry in zip(v.tolist(), result, strict=True):
        total += arb(weight) * entry[k]
    return total


def _array(entries: Iterable[Any]) -> Any:
    elements = list(entries)
    row = np.empty(len(elements), dtype=object)
    row[:] = elements
    return row


def _nothing(length: int, fmt: Format) -> Column:
    return np.full(length, np.nan), np.zeros(length), np.full(length, fmt.e_min), np.zeros(length, bool)


def _truth(rows: list[Column | None], length: int, fmt: Format, order: int) -> Truth:
    """The truth of the rows, one after the other; None is a row without a limit."""
    parts = zip(*(_nothing(length, fmt) if row is None else row for row in rows), strict=True)
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


def _settled(paths: Sequence[dict[int, Column]], orders: Sequence[int]) -> dict[int, Column | None]:
    """One row, from its decisions, or from those along two paths towards it; None for an order without a limit."""
    if len(paths) < 2:
        return dict(paths[0]) if paths else dict.fromkeys(orders)
    first, second = paths
    by_order: dict[int, Column | None] = {}
    for k in first:
        rounded, residual, exponent, decided = first[k]
        differ = decided & second[k][3] & (rounded != second[k][0])
        without = differ.any() or None in by_order.values()  # without a lower derivative, there is no limit
        by_order[k] = None if without else (rounded, np.where(np.isinf(rounded), 0, residual), exponent, decided)
    return by_order


def _paths(x: Float64Array) -> Iterator[list[Any]]:
    """The row with its infinite entries far out, each at another distance, growing with the index, then falling with it.

    Each is twice as far as the one before; if they were nearly equal, a narrow format would round both paths to the same.
    """
    for reverse in (False, True):
        stand_ins = [arb((1, FAR_OUT + j)) for j in range(x.size)]
        stand_ins = stand_ins[::-1] if reverse else stand_ins
        yield [
            arb(entry) if np.isfinite(entry) else far if entry > 0 else -far
            for entry, far in zip(x.tolist(), stand_ins, strict=True)
        ]


def _paths_of_pair(x: Float64Array) -> Iterator[list[Any]]:
    """A number and its gate, infinities far out; then again, with the exponential of the gate far below the number."""
    for stand_ins in ((1, FAR_OUT), (1, FAR_OUT)), ((1, FARTHER_OUT), (1, NOT_SO_FAR)):
        yield [
            arb(entry) if np.isfinite(entry) else arb(far) if entry > 0 else -arb(far)
            for entry, far in zip(x.tolist(), stand_ins, strict=True)
        ]


def _decided(
    enclosures: Sequence[Callable[[], dict[int, list[Any]]]], fmt: Format, lengths: Mapping[int, int]
) -> list[dict[int, Column]]:
    """Decide rows of finite entries, each with the precision that all its results of every order need.

    Open rows are decided together, since numpy takes about as long for one short row as for all.
    """
    decisions = [{k: _nothing(length, fmt) for k, length in lengths.items()} for _ in enclosures]
    bits, pending = START_BITS, list(range(len(enclosures)))
    while bits <= MOST_BITS and pending:
        balls = {}
        with precision(bits):
            for number in pending:
                with suppress(UndecidedError, ValueError, ZeroDivisionError):
                    balls[number] = enclosures[number]()
            for k, length in lengths.items():
                columns = decide_many([ball for of_row in balls.values() for ball in of_row[k]], fmt)
                for number, *column in zip(balls, *(part.reshape(-1, length) for part in columns), strict=True):
                    decisions[number][k] = tuple(column)
        pending = [number for number in pending if not all(decided.all() for *_, decided in decisions[number].values())]
        bits *= 2
    return decisions
