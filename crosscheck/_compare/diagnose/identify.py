"""Which function of the catalogue a function is: a few values suggest one, and the stratified inputs prove it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb

from crosscheck._arithmetic.formats import Float64Array, FloatArray, Format, widen
from crosscheck._arithmetic.sampling import stratified
from crosscheck._arithmetic.ulp import round_once, unit_of
from crosscheck._compare.diagnose.budget import SpentError
from crosscheck._compare.diagnose.others import OTHERS
from crosscheck._compare.judge.evidence import DRAWS, drawn_roundoff
from crosscheck._compare.judge.verdict import VISIBLE_ULPS, quantile
from crosscheck._records.records import Activation
from crosscheck._shadow.base import Lifted, Noise
from crosscheck._truth.balls import Balls, UndecidedError, precision
from crosscheck._truth.evaluate import enclosed
from crosscheck._truth.rows import row_truth
from crosscheck._verdict.records import Identity

PROBES = np.array(
    [-7.375, -4.125, -2.625, -1.75, -1.125, -0.6875, -0.375, -0.15625, 0.1875, 0.5, 0.9375, 1.3125, 2.75, 7.875]
)
"""Inputs at which the functions of the catalogue differ from each other; every dtype holds them."""
MOST_INPUTS = 2**14
MOST_JUMPS = 4
JUMP = 2.0**-40
"""A function jumps between neighbouring float64 numbers if it changes by more than this, relative to its values."""
HALVINGS = 64
FIT = 0.02
"""If the fitted function is the right one, a fit differs by less than this, relative to 1 and the value, also unfinished."""
NEGLIGIBLE = 1e-20
"""A fitted parameter that is nearer to 0 becomes 0."""
ROWS = (24, 8)
DIGITS = 17
SPECIAL_FUNCTIONS = 2.0**-40
"""The relative error in float64 of what the frameworks ship: XLA's erfc errs by up to 3,000 ULP in its tail."""
HUGE = 1e100
"""A larger difference shows another function; the squares of larger numbers would overflow."""
FLUSHED = 2.0**-1000
"""The largest change of a result when XLA flushes an intermediate subnormal of float64."""
BITS = 128

Lift = Callable[[FloatArray], Lifted]
"""A function, lifted for an input that is one array of floats, in the dtype."""


@dataclass(frozen=True)
class _LiftedValues:
    """The lifted function's values at some inputs, and how much rounding may move them."""

    x: FloatArray
    wide: Float64Array
    rounding: Float64Array
    fmt: Format
    run: Callable[[Float64Array], Float64Array]

    def probes(self, more: Float64Array) -> _LiftedValues:
        """The same at the probes and at more inputs in float64, which rounding does not move across a jump."""
        wide = self.run(np.resize(more, self.x.shape))[: more.size] if more.size else more
        rounding = SPECIAL_FUNCTIONS * np.nan_to_num(np.abs(wide)) + FLUSHED
        few = slice(0, PROBES.size)
        return replace(
            self,
            x=np.append(PROBES, more),
            wide=np.append(self.wide[few], wide),
            rounding=np.append(self.rounding[few], rounding),
        )

    def differs(self, truth: Float64Array) -> tuple[Any, Any]:
        """Where the function is another one: in float64, and by so much that the dtype shows it. NaN equals NaN."""
        with np.errstate(invalid="ignore"):  # both infinite
            apart = np.abs(self.wide - truth)
        apart[np.isnan(self.wide) & np.isnan(truth)] = 0
        another = ~(apart <= self.rounding)
        return another, another & ~(apart <= VISIBLE_ULPS * unit_of(self.fmt, np.nan_to_num(np.abs(truth))))


def identify(lift: Lift, catalogue: Mapping[str, Activation], fmt: Format, seed: int) -> Identity | None:
    """Which function of the catalogue it is, or quick-gelu, as far as the dtype shows; None for none of them.

    A function with parameters is recognised at any value of them. If several functions fit, the order is: the one from which
    float64 can tell it apart nowhere, the one with the fewest parameters, one that both frameworks ship, the one with the
    shortest name. For example, ELU and CELU are the same where alpha is 1.
    """
    catalogue = {**catalogue, **OTHERS}
    x = stratified(fmt, seed=seed, near=(0.0, -1.0, 1.0))
    x = np.unique(x[np.isfinite(widen(x))])
    x = np.concatenate([round_once(PROBES, fmt), x[:: -(-x.size // MOST_INPUTS)]])
    seen = _look(lift, x, fmt)
    candidates = [] if seen is None else list(_elementwise(seen, catalogue, np.empty(0)))
    if not candidates and seen is not None:
        with suppress(SpentError):
            jumps = _jumps(seen)
            candidates = list(_elementwise(seen, catalogue, jumps)) if jumps.size else []
    if not candidates:
        rows = round_once(np.random.default_rng(seed).normal(0, 2, ROWS), fmt)
        seen = _look(lift, rows, fmt)
        candidates = [] if seen is None else list(_of_rows(seen, catalogue))

    def rank(candidate: tuple[int, Identity]) -> tuple[int, int, int, int]:
        exceptions, identity = candidate
        shipped = len(catalogue[identity.name].natives)
        return exceptions, len(identity.parameters), -shipped, len(identity.name)

    if not candidates:
        return None
    (exceptions, best), *others = sorted(candidates, key=rank)
    same = ((e, len(i.parameters), list(i.parameters.values())) for e, i in others)
    alike = (exceptions, len(best.parameters), list(best.parameters.values()))
    return replace(best, also=tuple(i.name for (_, i), key in zip(others, same, strict=True) if key == alike))


def _look(lift: Lift, x: FloatArray, fmt: Format) -> _LiftedValues | None:
    """None if it fails on this array, or its result has neither this shape, nor half of it, nor one number for each row."""
    wide = widen(x)
    unit = drawn_roundoff(fmt)
    try:
        lifted = lift(x)
        clean, *noisy = (lifted.run([wide], noise) for noise in (None, *(Noise(1 + draw, unit) for draw in range(DRAWS))))
    except Exception:  # the user's function may raise anything at this array, or cost too much there
        return None
    shapes = [x.shape, *((size,) for size in x.shape)]  # a row may be reduced to a number
    if x.ndim == 2:  # or to half of it
        shapes += [(len(x), x.shape[1] // 2), (len(x) // 2, x.shape[1])]
    if len(clean) != 1 or clean[0].shape not in shapes or clean[0].dtype != np.float64:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        moved = np.array([np.nan_to_num(run[0] - clean[0]) for run in noisy])
        largest = np.abs(moved).max(axis=0)  # divided out: the squares of large results would overflow
        spread = largest * np.sqrt(np.mean((moved / np.where(largest > 0, largest, 1.0)) ** 2, axis=0))
        own = SPECIAL_FUNCTIONS * np.nan_to_num(np.abs(clean[0]))
        rounding = quantile(x.size) * 2.0**-53 / unit * spread + own + FLUSHED
    return _LiftedValues(x, clean[0], rounding, fmt, lambda wide: np.asarray(lifted.run([wide])[0], np.float64))


def _jumps(seen: _LiftedValues) -> Float64Array:
    """The float64 numbers on either side of each jump, by bisection; none if there are many jumps.

    Bisection continues in the half where the function's middle is farther from the straight line between the ends.
    """
    x = np.sort(widen(seen.x))
    value = seen.run(x)
    low, high, at_low, at_high = x[:-1], x[1:], value[:-1], value[1:]
    middle, at_middle = _middle(seen, low, high)
    for _ in range(HALVINGS):
        (first, at_first), (second, at_second) = _middle(seen, low, middle), _middle(seen, middle, high)
        with np.errstate(invalid="ignore", over="ignore"):
            left = np.abs(at_first - (at_low + at_middle) / 2) > np.abs(at_second - (at_middle + at_high) / 2)
        low, at_low, high, at_high = (
            np.where(left, a, b) for a, b in ((low, middle), (at_low, at_middle), (middle, high), (at_middle, at_high))
        )
        middle, at_middle = np.where(left, first, second), np.where(left, at_first, at_second)
    with np.errstate(invalid="ignore", over="ignore"):
        far = np.abs(at_high - at_low) > JUMP * np.fmax(np.abs(at_low), np.abs(at_high)) + FLUSHED
    sides: Float64Array = np.unique(np.stack([low, high])[:, far & np.isfinite(at_low) & np.isfinite(at_high)])
    return sides if sides.size <= 2 * MOST_JUMPS else np.empty(0)


def _middle(seen: _LiftedValues, low: Float64Array, high: Float64Array) -> tuple[Float64Array, Float64Array]:
    middle = low / 2 + high / 2
    return middle, seen.run(np.append(middle, 0.0))[:-1]


def _elementwise(
    seen: _LiftedValues, catalogue: Mapping[str, Activation], jumps: Float64Array
) -> Iterator[tuple[int, Identity]]:
    """Each function that it is, and the number of inputs at which float64 still tells them apart."""
    probes = seen.probes(jumps)
    # Rounding hides all of x + x.mean(), since the mean is of inputs up to 1e38: no candidate could be told from it.
    if (probes.rounding > FIT * (1 + np.abs(probes.wide))).all():
        return
    for activation in catalogue.values():
        if activation.rows:
            continue
        parameters = _fitted(activation, probes, jumps)
        if parameters is None:
            continue
        truth = enclosed(partial(activation.definition, **parameters), seen.x, (0,))[0]
        compared = truth.judged & np.isfinite(widen(truth.rounded)) & np.isfinite(seen.wide)
        another, shown = seen.differs(truth.approximate())
        low, high = activation.domain
        inside = (low < widen(seen.x)) & (widen(seen.x) < high)
        beyond = ((widen(seen.x) < low) | (widen(seen.x) > high)) & np.isfinite(seen.wide)
        if (compared & inside).sum() > inside.sum() // 2 and not ((compared | beyond) & shown).any():
            exceptions = int((truth.judged & np.isfinite(widen(truth.rounded)) & ~np.isfinite(seen.wide)).sum())
            count = int((compared & inside).sum())
            yield int((compared & inside & another).sum()), Identity(activation.name, parameters, count, exceptions)


def _fitted(activation: Activation, probes: _LiftedValues, jumps: Float64Array) -> dict[str, float] | None:
    """The parameters, of few digits, with which it is this function at the probes; None if there are none."""
    names = list(activation.parameters)

    def at_probes(values: Iterable[float]) -> Float64Array:
        return evaluated(partial(activation.definition, **dict(zip(names, map(float, values), strict=True))), probes.x)

    def differs(values: list[float]) -> tuple[Any, Any]:
        return probes.differs(at_probes(values))

    fitted = _searched(activation, list(activation.parameters.values()), jumps, at_probes, probes.wide, differs)
    return None if fitted is None else dict(zip(names, fitted, strict=True))


def _searched(
    activation: Activation,
    default: list[float],
    jumps: Float64Array,
    function: Callable[[list[float]], Float64Array],
    values: Float64Array,
    differs: Callable[[list[float]], tuple[Any, Any]],
) -> list[float] | None:
    """The parameters with which nothing ``differs``: the default values, or fitted values of few digits."""
    if not differs(default)[1].any():
        return default
    for start, free, jump in _starts(default, jumps):
        best = _least_squares(function, values, start, free)
        if jump is not None:
            best = _least_squares(function, values, _moved(activation, best, free, jump), free)
        if not _near(function(best), values, jumps):
            continue
        for digits in range(1, DIGITS + 1):
            rounded = [float(f"{value:.{digits}g}") if abs(value) > NEGLIGIBLE else 0.0 for value in best]
            if not differs(rounded)[0].any():
                return rounded
        if not differs(best)[1].any():
            return best
    return None


def _near(fitted: Float64Array, values: Float64Array, jumps: Float64Array) -> bool:
    """Whether the fit is worth the proof. As many values may be far off as there are numbers beside jumps."""
    with np.errstate(invalid="ignore"):
        far = np.abs(fitted - values) > FIT * (1 + np.abs(values))
    return int(far.sum()) <= jumps.size


def _starts(default: list[float], jumps: Float64Array) -> Iterator[tuple[list[float], list[int], float | None]]:
    """The starts of a fit, the indices of the fitted parameters, and the jump from which the other parameter follows."""
    finite = [k for k, value in enumerate(default) if np.isfinite(value)]
    # a second start, nearer to 0: from the first one, the fit of CELU's alpha of 0.125 steps past 0
    for start in ([value + 0.1 for value in default], [value / 4 for value in default]) if default else ():
        if not jumps.size:
            yield start, finite, None
        for place in jumps.tolist():
            for index in range(len(default)):
                yield [*start[:index], place, *start[index + 1 :]], [k for k in finite if k != index], place


def _moved(activation: Activation, values: list[float], free: list[int], jump: float) -> list[float]:
    """The values, with the one that is not fitted such that its kink, which is proportional to it, is at the jump."""
    try:
        places = [kink.at for kink in activation.kinks_at(dict(zip(activation.parameters, values, strict=True)))]
    except ZeroDivisionError:
        return values
    at = next((at for at in places if at != 0 and np.isfinite(at)), 0.0)
    if not at or jump in places:
        return values
    return [value if k in free else value * jump / at for k, value in enumerate(values)]


def _least_squares(
    function: Callable[[list[float]], Float64Array], values: Float64Array, start: list[float], free: list[int]
) -> list[float]:
    """The parameters with which the function is nearest to these values; those that are not free keep theirs."""
    from scipy.optimize import least_squares  # takes as long to import as a small comparison

    def filled(given: Float64Array) -> list[float]:
        chosen = dict(zip(free, given.tolist(), strict=True))
        return [chosen.get(k, value) for k, value in enumerate(start)]

    def residuals(given: Float64Array) -> Float64Array:
        return np.clip(np.nan_to_num(function(filled(given)) - values), -HUGE, HUGE)

    if not free:
        return start
    return filled(least_squares(residuals, [start[k] for k in free], xtol=1e-15, ftol=1e-15, gtol=1e-15).x)


def evaluated(definition: Callable[[Any, Any], Any], at: FloatArray) -> Float64Array:
    """A definition at float64 inputs; NaN where it has no value."""
    m = Balls()
    values = []
    with precision(BITS):
        for x in at.tolist():
            try:
                value = definition(m, m.point(x))
                values.append(float(arb(value if isinstance(value, int | float) else value[0])))
            except (UndecidedError, ValueError, ZeroDivisionError):
                values.append(np.nan)
    return np.array(values)


def _of_rows(seen: _LiftedValues, catalogue: Mapping[str, Activation]) -> Iterator[tuple[int, Identity]]:
    for activation in catalogue.values():
        for axis in (-1, 0) if activation.rows else ():
            x = np.ascontiguousarray(np.moveaxis(seen.x, axis, -1))
            shape = (len(x),) if activation.result == "one" else (len(x), activation.outputs(x.shape[1]))
            if seen.wide.shape != (shape if axis else shape[::-1]):
                continue
            names = [name for name in activation.parameters if name != "axis"]
            differs = partial(_rows_differ, seen, activation, axis, x, names)
            wide = seen.wide if axis else seen.wide.T
            function = partial(_numpy_rows, activation, widen(x), names)
            default = [activation.parameters[name] for name in names]
            fitted = _searched(activation, default, np.empty(0), function, wide.ravel(), differs)
            if fitted is not None:
                parameters = {**activation.parameters, "axis": axis, **dict(zip(names, fitted, strict=True))}
                yield int(differs(fitted)[0].sum()), Identity(activation.name, parameters, x.size)


def _rows_differ(
    seen: _LiftedValues, activation: Activation, axis: int, x: FloatArray, names: list[str], values: list[float]
) -> tuple[Any, Any]:
    """Where it is not the function of rows with these parameters; ``x`` has the rows along its last axis."""
    truth = row_truth(activation, x, np.ones_like(x), (0,), dict(zip(names, values, strict=True)))[0].approximate()
    truth = truth if activation.result == "one" else truth.reshape(len(x), -1)
    return seen.differs(truth if axis else truth.T)


def _numpy_rows(activation: Activation, x: Float64Array, names: list[str], values: list[float]) -> Float64Array:
    """The function of rows with these parameters in float64, flat, for a fit; a large number where it has no value."""
    with np.errstate(all="ignore"):
        result = activation.definition(np, x, axis=-1, **dict(zip(names, values, strict=True)))
    return np.nan_to_num(np.asarray(result, np.float64), nan=HUGE).ravel()
