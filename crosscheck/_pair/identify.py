"""Which function of the catalogue a function is: a candidate by a few values, then a proof on the stratified inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from flint import arb
from scipy.optimize import least_squares

from crosscheck._compare.records import Identity
from crosscheck._exact.balls import Balls, UndecidedError, precision
from crosscheck._exact.evaluate import enclosed
from crosscheck._exact.rows import row_truth
from crosscheck._lift.base import Lifted, Noise
from crosscheck._numerics.formats import Float64Array, FloatArray, Format, widen
from crosscheck._numerics.sampling import stratified
from crosscheck._numerics.ulp import round_once
from crosscheck._pair.evidence import DRAWS, drawn_roundoff, unit_of
from crosscheck._pair.verdict import VISIBLE_ULPS, quantile
from crosscheck._spec.records import Activation

PROBES = np.array(
    [-7.375, -4.125, -2.625, -1.75, -1.125, -0.6875, -0.375, -0.15625, 0.1875, 0.5, 0.9375, 1.3125, 2.75, 7.875]
)
"""Inputs that tell the functions of the catalogue from each other; every dtype holds them."""
MOST_INPUTS = 2**14
ROWS = (24, 8)
DIGITS = 17
SPECIAL_FUNCTIONS = 2.0**-40
"""How far the frameworks' own functions are off in float64, relatively: XLA's erfc by up to 3,000 ULP in its tail."""
HUGE = 1e100
"""What is farther off than so much is not this function; the squares of more would overflow."""
FLUSHED = 2.0**-1000
"""What a subnormal of float64, which XLA flushes on the way, comes to in a result."""
BITS = 128

Lift = Callable[[FloatArray], Lifted]
"""A function, lifted for one array of floats, in the dtype, as its input."""


@dataclass(frozen=True)
class _Seen:
    """What the lifted function gives at some inputs, and by how much rounding may move that."""

    x: FloatArray
    wide: Float64Array
    rounding: Float64Array
    fmt: Format

    def differs(self, truth: Float64Array, where: slice = slice(None)) -> tuple[Any, Any]:
        """Where the function is another one: in float64, and so much so that the dtype shows it. NaN is no value in both."""
        with np.errstate(invalid="ignore"):  # both infinite
            apart = np.abs(self.wide[where] - truth)
        apart[np.isnan(self.wide[where]) & np.isnan(truth)] = 0
        another = ~(apart <= self.rounding[where])
        return another, another & ~(apart <= VISIBLE_ULPS * unit_of(self.fmt, np.nan_to_num(np.abs(truth))))


def identify(lift: Lift, catalogue: Mapping[str, Activation], fmt: Format, seed: int) -> Identity | None:
    """Which function of the catalogue it is, as far as the dtype shows; None for none of them.

    A function with parameters is recognised at any value of them; at the default ones only, where they move a jump, which
    no fit finds. Of several that it could be, the one that float64 does not tell apart from it, then the one with the
    fewest parameters, then one that both frameworks ship, then the one with the shortest name: ELU and CELU are the same
    where alpha is 1.
    """
    x = stratified(fmt, seed=seed, near=(0.0, -1.0, 1.0))
    x = np.unique(x[np.isfinite(widen(x))])
    x = np.concatenate([round_once(PROBES, fmt), x[:: -(-x.size // MOST_INPUTS)]])
    seen = _look(lift, x, fmt)
    found = [] if seen is None else list(_elementwise(seen, catalogue))
    if not found:
        rows = round_once(np.random.default_rng(seed).normal(0, 2, ROWS), fmt)
        seen = _look(lift, rows, fmt)
        found = [] if seen is None else list(_of_rows(seen, catalogue))

    def rank(candidate: tuple[int, Identity]) -> tuple[int, int, int, int]:
        exceptions, identity = candidate
        shipped = len(catalogue[identity.name].natives)
        return exceptions, len(identity.parameters), -shipped, len(identity.name)

    return min(found, key=rank, default=(0, None))[1]


def _look(lift: Lift, x: FloatArray, fmt: Format) -> _Seen | None:
    """None for what fails on this array, or returns neither one of its shape nor a number for each row or column."""
    wide = widen(x)
    unit = drawn_roundoff(fmt)
    try:
        lifted = lift(x)
        clean, *noisy = (lifted.run([wide], noise) for noise in (None, *(Noise(1 + draw, unit) for draw in range(DRAWS))))
    except Exception:  # a function of the user's, called with an array it was not made for
        return None
    shapes = (x.shape, *((size,) for size in x.shape))  # a row may be reduced to a number
    if len(clean) != 1 or clean[0].shape not in shapes or clean[0].dtype != np.float64:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        moved = np.array([np.nan_to_num(run[0] - clean[0]) for run in noisy])
        largest = np.abs(moved).max(axis=0)  # divided out, or the squares of large results would overflow
        spread = largest * np.sqrt(np.mean((moved / np.where(largest > 0, largest, 1.0)) ** 2, axis=0))
        own = SPECIAL_FUNCTIONS * np.nan_to_num(np.abs(clean[0]))
        rounding = quantile(x.size) * 2.0**-53 / unit * spread + own + FLUSHED
    return _Seen(x, clean[0], rounding, fmt)


def _elementwise(seen: _Seen, catalogue: Mapping[str, Activation]) -> Iterator[tuple[int, Identity]]:
    """Each function that it is, and at how many inputs float64 still tells them apart."""
    for activation in catalogue.values():
        if activation.rows:
            continue
        parameters = _fitted(activation, seen)
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


def _fitted(activation: Activation, seen: _Seen) -> dict[str, float] | None:
    """The parameters, of few digits, with which it is this function at the probes; None where there are none."""
    probes = slice(0, PROBES.size)

    def at_probes(values: Any) -> Float64Array:
        return _evaluated(partial(activation.definition, **dict(zip(names, map(float, values), strict=True))))

    def fits(values: Any) -> bool:
        return not seen.differs(at_probes(values), probes)[1].any()

    names, default = list(activation.parameters), list(activation.parameters.values())
    if fits(default):
        return dict(activation.parameters)
    if not names:
        return None
    # a second start, nearer to 0: from the first one the way to CELU's alpha of 0.125 leads past 0
    for start in ([value + 0.1 for value in default], [value / 4 for value in default]):
        best = least_squares(
            lambda v: np.clip(np.nan_to_num(at_probes(v) - seen.wide[probes]), -HUGE, HUGE),
            start,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        ).x
        for digits in range(1, DIGITS + 1):
            rounded = [float(f"{value:.{digits}g}") for value in best]
            if not seen.differs(at_probes(rounded), probes)[0].any():
                return dict(zip(names, rounded, strict=True))
        if fits(best):
            return dict(zip(names, map(float, best), strict=True))
    return None


def _evaluated(definition: Callable[[Any, Any], Any]) -> Float64Array:
    """A definition at the probes; NaN where it has no value."""
    m = Balls()
    values = []
    with precision(BITS):
        for x in PROBES.tolist():
            try:
                value = definition(m, m.point(x))
                values.append(float(arb(value if isinstance(value, int | float) else value[0])))
            except (UndecidedError, ValueError, ZeroDivisionError):
                values.append(np.nan)
    return np.array(values)


def _of_rows(seen: _Seen, catalogue: Mapping[str, Activation]) -> Iterator[tuple[int, Identity]]:
    for activation in catalogue.values():
        for axis in (-1, 0) if activation.rows else ():
            x = np.ascontiguousarray(np.moveaxis(seen.x, axis, -1))
            one = activation.result == "one"
            if seen.wide.shape != (x.shape[:1] if one else seen.x.shape):
                continue
            truth = row_truth(activation, x, np.ones_like(x), (0,))[0].approximate()
            another, shown = seen.differs(truth if one else np.moveaxis(truth.reshape(x.shape), -1, axis))
            if not shown.any():
                yield int(another.sum()), Identity(activation.name, {"axis": axis}, x.size)
