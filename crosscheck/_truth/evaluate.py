"""The truth: a definition and its derivatives, enclosed by Arb at given inputs until every result is decided."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb, arb_series

from crosscheck._arithmetic.formats import BoolArray, Float64Array, FloatArray, Format, IntArray, format_of, widen
from crosscheck._records.errors import SpecError
from crosscheck._records.records import Activation, Kink
from crosscheck._truth.balls import Balls, UndecidedError, precision
from crosscheck._truth.decide import decide, decide_many
from crosscheck._truth.truth import Truth

START_BITS = 224
"""The first precision, finer than float32's smallest subnormal, so that a term that vanishes beside 1 still counts."""
MOST_BITS = 2**14
CHUNK = 256
FACTORIAL = (1, 1, 2)
FAR = (500, 1000)
"""The powers of two at which declared limits are checked."""

Definition = Callable[[Any, Any], Any]


@dataclass
class _Row:
    """The decisions for one order while inputs are evaluated; at the end they become a ``Truth``."""

    rounded: Float64Array
    residual: Float64Array
    exponent: IntArray
    decided: BoolArray
    sides: dict[int, tuple[float, float]] = field(default_factory=dict)


def truth(
    activation: Activation, x: FloatArray, orders: Sequence[int], parameters: Mapping[str, float] | None = None
) -> dict[int, Truth]:
    """The exact value (order 0) and derivatives (1, 2) of an activation's definition at each input.

    ``x`` is a 1-d array of float64, float32, bfloat16 or float16; the truth is for that format, at the inputs exactly as
    given. At the ends of the domain it is the declared limits, at a kink the declared choice. Both are checked against the
    enclosures, and ``SpecError`` is raised if the definition contradicts them. Outside the domain, the truth is as at NaN.
    """
    parameters = {**activation.parameters, **(parameters or {})}
    definition: Definition = partial(activation.definition, **parameters)
    check_limits(activation, parameters, orders)
    fmt = format_of(x)
    wide = widen(x)
    rows = _open_rows(wide, fmt, orders)
    low, high = activation.domain
    inside = np.flatnonzero((low < wide) & (wide < high))
    ties = _decide_finite(definition, wide, inside, fmt, rows)
    _settle_kinks(activation, definition, parameters, wide, fmt, rows, ties)
    _settle_limits(activation, parameters, wide, fmt, rows)
    nowhere = ~((low <= wide) & (wide <= high))  # outside the domain, or NaN
    return {k: _freeze(row, nowhere, fmt, k) for k, row in rows.items()}


def enclosed(definition: Definition, x: FloatArray, orders: Sequence[int]) -> dict[int, Truth]:
    """The exact value and derivatives of a definition without any other declaration.

    Like ``truth``, but nothing is judged at the infinities, at NaN, and at kinks for a derivative whose one-sided values
    differ.
    """
    fmt, wide = format_of(x), widen(x)
    rows = _open_rows(wide, fmt, orders)
    for i in sorted(set(_decide_finite(definition, wide, np.flatnonzero(np.isfinite(wide)), fmt, rows))):
        for k, row in rows.items():
            bits, row.decided[i] = START_BITS, False
            while bits <= MOST_BITS and not row.decided[i]:
                try:
                    with precision(bits):
                        _settle_tie("exact", None, definition, float(wide[i]), k, fmt, row, i)
                except SpecError:  # one-sided derivatives differ, and no choice is declared
                    break
                bits *= 2
    return {k: replace(_freeze(row, np.isnan(wide), fmt, k), judged=row.decided) for k, row in rows.items()}


def _open_rows(wide: Float64Array, fmt: Format, orders: Sequence[int]) -> dict[int, _Row]:
    s = wide.shape
    return {k: _Row(np.full(s, np.nan), np.zeros(s), np.full(s, fmt.e_min), np.zeros(s, bool)) for k in orders}


def _decide_finite(
    definition: Definition, wide: Float64Array, finite: IntArray, fmt: Format, rows: Mapping[int, _Row]
) -> list[int]:
    """Decide the finite inputs from magnitude 1 outwards: farther inputs need more bits.

    Returns the indices at which a comparison in the definition was a tie.
    """
    magnitude = np.abs(np.frexp(wide[finite])[1])
    order = finite[np.argsort(magnitude, kind="stable")]
    ties: list[int] = []
    bits = START_BITS
    for start in range(0, order.size, CHUNK):
        chunk = pending = order[start : start + CHUNK]
        attempt, enough = bits, False
        while pending.size and attempt <= MOST_BITS:
            pending = _attempt(definition, wide, pending, attempt, fmt, rows, ties)
            if not enough and pending.size <= chunk.size // 2:
                # not what some ties need that no number of bits decides
                bits, enough = attempt, True
            attempt *= 2
    return ties


def _attempt(
    definition: Definition,
    wide: Float64Array,
    indices: IntArray,
    bits: int,
    fmt: Format,
    rows: Mapping[int, _Row],
    ties: list[int],
) -> IntArray:
    """Evaluate at some inputs with ``bits`` bits, store what that decides and return the other inputs."""
    m = Balls()
    done: list[int] = []
    series: list[Any] = []
    with precision(bits):
        for i, x0 in zip(indices.tolist(), wide[indices].tolist(), strict=True):
            m.tied = False
            try:
                result = definition(m, m.variable(x0))
            except (UndecidedError, ValueError, ZeroDivisionError):
                continue
            if m.tied:
                ties.append(i)
            done.append(i)
            series.append(result)
        if not done:
            return indices
        at = np.array(done)
        missing = np.setdiff1d(indices, at)
        decided_all = np.ones(at.shape, bool)
        for k, row in rows.items():
            coefficients = [_coefficient(s, k) for s in series]
            row.rounded[at], row.residual[at], row.exponent[at], decided = decide_many(coefficients, fmt)
            row.decided[at] = decided
            decided_all &= decided
    return np.concatenate([missing, at[~decided_all]])


def _coefficient(series: Any, k: int) -> Any:
    """The k-th derivative from a series; a definition may also return a plain number."""
    if not isinstance(series, arb_series):
        if not isinstance(series, arb | int | float):
            raise TypeError(f"a definition returns a number, this one returned {type(series).__name__}")
        return arb(series if k == 0 else 0)
    return series[k] * FACTORIAL[k] if k > 1 else series[k]


def _one_sided(definition: Definition, x0: float, k: int) -> tuple[Any, Any, Any]:
    """The k-th derivative from the left and from the right, and the value at the point itself."""
    m = Balls()
    left = _coefficient(definition(m, m.variable(x0, -1)), k) * (-1) ** k
    right = _coefficient(definition(m, m.variable(x0, 1)), k)
    return left, right, _coefficient(definition(m, m.point(x0)), 0)


def _settle_kinks(
    activation: Activation,
    definition: Definition,
    parameters: Mapping[str, float],
    wide: Float64Array,
    fmt: Format,
    rows: Mapping[int, _Row],
    ties: Sequence[int],
) -> None:
    """At ties of the definition, use the declared choice where the one-sided derivatives differ."""
    kinks = {kink.at: kink for kink in activation.kinks_at(parameters)}
    tied = {float(wide[i]) for i in ties}
    for at in set(kinks) - tied:
        if (wide == at).any():
            raise SpecError(f"{activation.name}: kinks: the definition has no kink at {at}; remove the Kink")
    for i in sorted(set(ties)):
        x0 = float(wide[i])
        for k, row in rows.items():
            bits, row.decided[i] = START_BITS, False
            while bits <= MOST_BITS and not row.decided[i]:
                with precision(bits):
                    _settle_tie(activation.name, kinks.get(x0), definition, x0, k, fmt, row, i)
                bits *= 2


def _settle_tie(
    name: str, kink: Kink | None, definition: Definition, x0: float, k: int, fmt: Format, row: _Row, i: int
) -> None:
    """Settle one order at one tie, at the current precision; if that is too low, the row stays undecided."""
    try:
        left, right, value = _one_sided(definition, x0, k)
    except (UndecidedError, ValueError, ZeroDivisionError):
        return
    declared = None if kink is None else kink.chosen.get(k)
    chosen = value if k == 0 else left
    if k > 0 and not left.overlaps(right):
        if declared is None:
            raise SpecError(
                f"{name}: derivative {k} is {float(left)} to the left of {x0} and {float(right)} to the right, "
                f"but no Kink declares a choice: add Kink(at={x0}, chosen={{{k}: ...}}, source=...)"
            )
        choice = {"left": left, "right": right}[declared] if isinstance(declared, str) else declared
        if not min(float(left), float(right)) <= float(choice) <= max(float(left), float(right)):
            raise SpecError(
                f"{name}: the Kink at {x0} chooses {declared} for derivative {k}, which is {float(left)} to the left and "
                f"{float(right)} to the right; choose a value between them"
            )
        chosen = arb(choice)
        row.sides[i] = (decide(left, fmt) or (np.nan,))[0], (decide(right, fmt) or (np.nan,))[0]
    elif declared is not None and (isinstance(declared, str) or not left.overlaps(arb(declared))):
        raise SpecError(
            f"{name}: the Kink at {x0} chooses {declared} for derivative {k}, which is {float(left)} on both sides; "
            f"remove it from `chosen`"
        )
    decision = decide(chosen, fmt)
    if decision is not None:
        row.rounded[i], row.residual[i], row.exponent[i] = decision
        row.decided[i] = True


def _settle_limits(
    activation: Activation, parameters: Mapping[str, float], wide: Float64Array, fmt: Format, rows: Mapping[int, _Row]
) -> None:
    """Use the declared limits, rounded, at the ends of the domain; at NaN, only the value is decided, and is NaN."""
    limits = activation.limits_at(parameters)
    for end, values in zip(activation.domain, (limits.minus, limits.plus), strict=True):
        at = wide == end
        for k, row in rows.items():
            row.decided[at] = True
            if np.isfinite(values[k]):
                with precision(START_BITS):
                    row.rounded[at], row.residual[at], row.exponent[at] = decide(arb(values[k]), fmt) or (0.0, 0.0, 0)
            else:
                row.rounded[at], row.exponent[at] = values[k], fmt.e_max


def _freeze(row: _Row, nowhere: BoolArray, fmt: Format, order: int) -> Truth:
    sides = np.full((2, *nowhere.shape), np.nan)
    for i, pair in row.sides.items():
        sides[:, i] = pair
    left, right = sides.astype(fmt.dtype)
    return Truth(
        fmt=fmt,
        rounded=row.rounded.astype(fmt.dtype),
        residual=row.residual,
        exponent=row.exponent,
        judged=row.decided | (nowhere if order == 0 else np.zeros_like(nowhere)),
        undecided=~row.decided & ~nowhere,
        left=left,
        right=right,
    )


def check_limits(activation: Activation, parameters: Mapping[str, float], orders: Sequence[int] = (0, 1, 2)) -> None:
    """Compare the declared limits with enclosures at ``2**500`` and ``2**1000`` on both sides.

    At a finite end of the domain, these points are ``2**-500`` and ``2**-1000`` inside the end. A finite limit must be
    approached to within ``2**-200``, an infinite one must grow beyond ``2**200`` in magnitude; at a finite end, where it may
    grow as slowly as a logarithm, beyond ``2**8``. NaN means no limit and is not checked. Raises ``SpecError``.
    """
    limits = activation.limits_at(parameters)
    definition: Definition = partial(activation.definition, **parameters)
    for side, values, end in zip((-1, 1), (limits.minus, limits.plus), activation.domain, strict=True):
        if np.isnan(values).all():
            continue
        infinite = np.isinf(end)
        towards = f"{'+' if side > 0 else '-'}infinity" if infinite else f"{end:g}"
        tried = f"{side} * 2**{FAR[1]}" if infinite else f"{end:g} {'-' if side > 0 else '+'} 2**-{FAR[1]}"
        with precision(4096):
            m = Balls()
            try:
                points = [arb((side, power)) if infinite else end - arb((side, -power)) for power in FAR]
                near, far = (definition(m, m.variable(point)) for point in points)
            except UndecidedError as error:
                raise SpecError(
                    f"{activation.name}: limits: the definition is undecided at {tried}; declare NaN if there is no limit"
                ) from error
            for k in orders:
                declared, before, after = values[k], _coefficient(near, k), _coefficient(far, k)
                if np.isnan(declared):
                    continue
                if np.isfinite(declared):
                    holds = abs(after - declared) < arb((1, -200))
                else:
                    large = arb((1, 200 if infinite else 8))
                    holds = after * int(np.sign(declared)) > large and abs(after) > abs(before)
                if not holds:
                    raise SpecError(
                        f"{activation.name}: limits: derivative {k} at {towards} is declared {declared}, but the "
                        f"definition at {tried} is {float(after):.6g}"
                    )
