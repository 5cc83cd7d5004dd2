"""The rule that gives each element of a result a cause and a side, from the measurements.

It has no tolerance. Runs in float64 under noise measure what rounding explains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from crosscheck._arithmetic.formats import BoolArray, Float64Array, Format, IntArray, is_float, widen
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._compare.judge import notes
from crosscheck._compare.judge.evidence import DISTANCE, DRAWS, Hull, Measured, joined, same_bits, zeros_of_other_sign
from crosscheck._compare.judge.known_truth import GivenTruth, settle
from crosscheck._compare.judge.terms import common_size
from crosscheck._frameworks.programs import Array
from crosscheck._records.worded import Worded
from crosscheck._verdict.causes import CODE, NOT_JUDGED, Codes

NEITHER, TORCH, JAX, BOTH = range(4)
SIDES = (None, "torch", "jax", "both")

CHANCE = 1e-4
"""The chance that rounding alone exceeds its bound somewhere in a result, if it were normally distributed."""
VISIBLE_ULPS = 2
"""Functions that differ in float64, but whose results are this near in the dtype, show no difference there."""
SHOWS = 4
"""The dtype hides a gap between two functions of up to this many times what the roundoff of the inputs moves them by."""
SHOWS_INSIDE = 2
"""It also hides one of up to this many times what the rounding of operations moves the better of the two by."""
OTHERS = 4
"""A side may have this many times the error that the other side has at the element, or typically."""
COMMON_BITS = 6
"""The bits that a small element may lose to large ones with which it shares terms, but at most half of its digits."""
VANISHES = 2.0**-10
"""A gap that is this many times smaller at all neighbours exists only at the input itself."""

Sides = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Question:
    """What the rule asks for when the measurements do not decide; each answer costs further runs.

    Attributes:
        neighbours: Both sides' lifted results at neighbouring inputs, one row for each neighbour.
        tied: Per side, the hull of the lifted results when, of many equal entries of the inputs, each of those at the given
            flat indices is once the largest and once the smallest.
        largest: The largest change of each side's lifted result under many more draws of noise.
        without_nan: Both sides' lifted results with a number in place of each NaN of the inputs; None if no input is NaN,
            and where the value at NaN is NaN by definition.
        contradicted: Per side, which of the given elements contradict the central difference of its own lower order.
        jumps: Whether the values of the functions differ only at these inputs; then no derivative there says who is wrong.
    """

    neighbours: Callable[[], tuple[Float64Array, Float64Array]]
    tied: Callable[[IntArray], tuple[Hull, Hull]]
    largest: Callable[[], tuple[Float64Array, Float64Array]]
    without_nan: Callable[[], tuple[Float64Array, Float64Array]] | None
    contradicted: Callable[[BoolArray], tuple[BoolArray, BoolArray]] | None
    jumps: bool = False


@dataclass
class ElementVerdict:
    """The code and the side of each element; the truth, NaN where unknown; errors against it; further remarks."""

    codes: Codes
    sides: Sides
    truth: Float64Array
    torch_error: Float64Array
    jax_error: Float64Array
    terms: Float64Array
    """The size of the terms of each element, where elements have terms in common, otherwise 0."""
    opposite: BoolArray
    """Where the two functions choose zeros of different sign: a convention that always passes."""
    notes: list[Worded] = field(default_factory=list)
    jumps: bool = False
    """Whether the values differ only at these inputs."""


def quantile(count: int) -> float:
    """The number of measured spreads that rounding may reach: Student's t for these numbers of draws and elements."""
    return float(stdtrit(DRAWS - 1, 1 - CHANCE / (2 * max(count, 1))))


def judge(
    torch: Array,
    jax: Array,
    measured: Measured,
    fmt: Format,
    ask: Question,
    given: GivenTruth,
    *,
    count: int | None,
    elementwise: bool,
) -> ElementVerdict:
    """Judge one result, given in the dtype by both sides.

    ``count`` is the number of elements from which these were chosen. If elements of one result depend on the same inputs,
    the rounding of large ones reaches small ones; ``elementwise`` excludes this.
    """
    rule = _Rule(torch, jax, measured, fmt, ask, given, quantile(count or torch.size))
    x, y = rule.x, rule.y
    if not elementwise and rule.floats:
        rule.share_rounding()
    same = same_bits(x, y)
    codes = np.full(x.shape, CODE["rounding"])
    sides = np.zeros(x.shape, np.uint8)
    rule.special(codes, sides, same)
    if given.at_nan is not None and rule.floats:
        swallowed = given.at_nan & (codes == CODE["special"])
        sides[swallowed] = np.where(np.isnan(x), JAX, TORCH)[swallowed]
        rule.truth = np.where(swallowed, np.nan, rule.truth)
    rule.finite(codes, sides, same)
    signs = zeros_of_other_sign(x, y) if rule.floats else np.zeros(x.shape, bool)
    codes[same & ~signs & (codes == CODE["rounding"])] = CODE["exact"]
    # rounding may leave a zero of either sign; the sign of a derivative's zero is that of what it was multiplied with
    opposite = signs & zeros_of_other_sign(*rule.wide) & (ask.contradicted is None)
    codes[opposite & (codes == CODE["rounding"])] = CODE["convention"]
    if given.not_judged is not None:
        codes[given.not_judged], sides[given.not_judged] = NOT_JUDGED, NEITHER
    errors = rule.torch_error, rule.jax_error
    return ElementVerdict(codes, sides, rule.truth, *errors, rule.terms, opposite, rule.notes, rule.jumps)


class _Rule:
    def __init__(
        self,
        torch: Array,
        jax: Array,
        measured: Measured,
        fmt: Format,
        ask: Question,
        given: GivenTruth,
        k: float,
    ) -> None:
        self.x, self.y, self.floats = widen(torch), widen(jax), is_float(torch)
        self.measured, self.fmt, self.ask, self.k = measured, fmt, ask, k
        self.wide, self.spreads = measured.wide, measured.spreads
        self.common: Float64Array = np.zeros(self.x.shape)
        self.terms: Float64Array = np.zeros(self.x.shape)
        self.notes: list[Worded] = []
        self.jumps = False
        with np.errstate(invalid="ignore", over="ignore"):
            settled = settle(measured, fmt, given, k)
            self.truth, self.known, self.unsure = settled.values, settled.known, settled.unsure
            self.tolerance, self.wrong = settled.tolerance, settled.wrong
            self.torch_error, self.jax_error = np.abs(self.x - self.truth), np.abs(self.y - self.truth)
            self.unit = unit_of(fmt, np.abs(np.nan_to_num(self.truth))) if self.floats else np.zeros(self.x.shape)

    def share_rounding(self) -> None:
        """Allow each element some roundoffs of those that may have terms in common with it: see ``common_size``."""
        m = self.measured
        moves = (m.conditioning + m.torch_spread + m.jax_spread) > 0
        size = np.abs(np.where(np.isfinite(self.truth), self.truth, 0.0))
        self.terms = common_size(size, moves, m.sources)
        roundoff = 2.0**-self.fmt.precision
        self.common = min(2.0**COMMON_BITS * roundoff, float(np.sqrt(roundoff))) * np.maximum(self.terms, size)

    def special(self, codes: Codes, sides: Sides, same: BoolArray) -> None:
        """Judge NaN and infinities."""
        finite = np.isfinite(self.x), np.isfinite(self.y)
        differ = ~same & ~(finite[0] & finite[1])
        if not differ.any():
            return
        with np.errstate(over="ignore"):
            moves = self.k * (self.measured.conditioning + np.minimum(*self.spreads))
            reach = np.abs(np.nan_to_num(self.truth)) + moves + self.unit
        signs = np.sign(np.nan_to_num(self.x)) == np.sign(np.nan_to_num(self.y))
        overflow = self.known & (reach >= self.fmt.largest) & signs & ~np.isnan(self.x) & ~np.isnan(self.y)
        fragile = self.measured.torch_fragile & self.measured.jax_fragile
        wrong = differ & ~overflow & ~fragile
        codes[wrong] = CODE["special"]
        if (differ & fragile & ~overflow).any():
            self.notes.append(notes.FINITE_BY_ROUNDING)
        true = np.isfinite(self.truth) & self.known
        lone = np.isfinite(self.wide[0]) != np.isfinite(self.wide[1])
        at_fault = np.where(finite[0], JAX, np.where(finite[1], TORCH, BOTH))
        matches = [same_bits(got, wide) for got, wide in zip((self.x, self.y), self.wide, strict=True)]
        by_wide = np.where(matches[0] & ~matches[1], JAX, np.where(matches[1] & ~matches[0], TORCH, NEITHER))
        by_lone = np.where(np.isfinite(self.wide[0]), JAX, TORCH)
        chosen = np.where(
            true & ~lone, at_fault, np.where(lone, by_lone, np.where(finite[0] != finite[1], at_fault, by_wide))
        )
        both_differ = np.isfinite(self.wide[0]) & np.isfinite(self.wide[1])
        chosen = np.where(~true & ~lone & ~both_differ, by_wide, chosen)
        sides[wrong] = chosen[wrong]
        meant = wrong & self._faithful(0) & self._faithful(1)
        meant &= self._come_from_nan(meant)
        codes[meant], sides[meant] = CODE["definition"], NEITHER
        self.truth = np.where(meant, np.nan, self.truth)

    def _faithful(self, side: int) -> BoolArray:
        """Where a side is NaN, infinite or finite just as it is in float64."""
        got, wide = (self.x, self.y)[side], self.wide[side]
        return same_bits(got, wide) | np.isfinite(got) & np.isfinite(wide)

    def _come_from_nan(self, where: BoolArray) -> BoolArray:
        """Where a side is NaN because an input is: with numbers in place of the NaN inputs, it would not be.

        What a function makes of a missing number is part of what it means: ``fmax`` takes the other one, ``maximum``
        passes the NaN on. If each side gives in the dtype what it gives in float64, none errs, and they are different
        functions. A NaN or an infinity that arises from numbers is an accident of a formula, in float64 too if they are
        large enough, and the side that has none shows the true result.
        """
        if self.ask.without_nan is None or not where.any():
            return np.zeros(where.shape, bool)
        ended = [np.isnan(wide) & ~np.isnan(other) for wide, other in zip(self.wide, self.ask.without_nan(), strict=True)]
        return ended[0] | ended[1]

    def finite(self, codes: Codes, sides: Sides, same: BoolArray) -> None:
        """Judge finite results that differ, and with a proven truth also those that are equal."""
        both = np.isfinite(self.x) & np.isfinite(self.y)
        refuted = self._refuted(both)
        codes[refuted[0] | refuted[1]] = CODE["definition"]
        sides[both] = (refuted[0] * TORCH + refuted[1] * JAX)[both]
        left = both & ~same & ~refuted[0] & ~refuted[1]
        # below the smallest normal number, where JAX gives zero
        tiny = np.ones(both.shape, bool)
        for values in (*self.wide, self.x):
            with np.errstate(invalid="ignore"):
                tiny &= np.abs(values) < self.fmt.smallest_normal
        vanished = left & tiny & (self.y == 0) & self.floats
        codes[vanished] = CODE["flush"]
        left &= ~vanished
        known = left & self.known & np.isfinite(self.truth)
        self._accuracy(known, codes, sides)
        self._say_that_both_lose(both & self.known & (codes == CODE["rounding"]))
        size = np.maximum(np.abs(self.x), np.abs(self.y))
        with np.errstate(invalid="ignore"):
            apart = np.abs(self.x - self.y)
        near = apart <= (VISIBLE_ULPS * unit_of(self.fmt, size) if self.floats else 0)
        self._difference(left & ~known & ~near, codes, sides)

    def _refuted(self, both: BoolArray) -> tuple[BoolArray, BoolArray]:
        """Per side, where it computes another function than the proven truth, and the dtype shows it."""
        shows = SHOWS * self.measured.conditioning + self.unit
        refuted = []
        for wrong, wide, got in zip(self.wrong, self.wide, (self.x, self.y), strict=True):
            with np.errstate(invalid="ignore"):
                visible = (np.abs(wide - self.truth) > shows) & (np.abs(got - self.truth) > VISIBLE_ULPS * self.unit)
            refuted.append(both & wrong & visible)
        return refuted[0], refuted[1]

    def _accuracy(self, known: BoolArray, codes: Codes, sides: Sides) -> None:
        """Where the truth is known: each side may err as rounding and the other side do."""
        if not known.any():
            return
        m = self.measured
        rounding = self._rounding()
        errors = (self.torch_error, self.jax_error)
        typical = [self._typical(error, known) for error in errors]
        size = np.abs(np.where(known, self.truth, 0.0))
        bounds = [
            self.common
            + self.k * (rounding + self.spreads[other] + self.unsure)
            + OTHERS * (errors[other] + typical[other] * size)
            for other in (1, 0)
        ]
        with np.errstate(invalid="ignore"):
            beyond = [known & (error > bound) for error, bound in zip(errors, bounds, strict=True)]
            flushing_matters = ~(np.abs(m.flushed - m.jax_wide) <= self.tolerance)
            as_flushed = flushing_matters & (np.abs(self.y - m.flushed) <= bounds[1])
            flushed = beyond[1] & (as_flushed | self._underflow(self.y))
        beyond[1] &= ~flushed
        if beyond[0].any() or beyond[1].any():
            far = self.ask.largest()
            beyond = [b & (error > 2 * far[other]) for b, error, other in zip(beyond, errors, (1, 0), strict=True)]
        small = known & (self.y != self.x) & self._underflow(self.y)
        codes[flushed | (small & ~beyond[0] & ~beyond[1])] = CODE["flush"]
        codes[beyond[0] | beyond[1]] = CODE["inaccurate"]
        sides[beyond[0]] |= TORCH
        sides[beyond[1]] |= JAX

    def _rounding(self) -> Float64Array:
        """The differences that the roundoff of the inputs and of the result explains."""
        return self.measured.conditioning + self.unit / 2 + self.fmt.smallest_subnormal

    def _underflow(self, result: Float64Array) -> BoolArray:
        with np.errstate(invalid="ignore"):
            return (result == 0) & (np.abs(self.truth) < self.fmt.smallest_normal) & self.floats

    def _typical(self, error: Float64Array, known: BoolArray) -> float:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            relative = error[known] / np.abs(self.truth[known])
        relative = relative[np.isfinite(relative)]
        return float(np.median(relative)) if relative.size else 0.0

    def _say_that_both_lose(self, agree: BoolArray) -> None:
        smaller = np.minimum(self.torch_error, self.jax_error)
        with np.errstate(invalid="ignore"):
            alike = agree & (smaller > self.common + self.k * self._rounding())
            alike &= np.abs(self.truth) >= self.fmt.smallest_normal
        if not alike.any():
            return
        worst = float((smaller[alike] / self.unit[alike]).max())
        self.notes.append(notes.both_lose(int(alike.sum()), alike.size, worst))

    def _difference(self, differ: BoolArray, codes: Codes, sides: Sides) -> None:
        """Where the functions differ in float64 too, and the dtype shows it: another valid choice, or another function."""
        if not differ.any():
            return
        around = self.ask.neighbours()
        a, b = self.wide
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.abs(a - b)
            apart = np.abs(around[0] - around[1])
        limit = np.maximum(self.tolerance, VANISHES * gap)
        vanishes = differ & (apart <= limit).all(axis=0)
        size = unit_of(self.fmt, np.maximum(np.abs(self.x), np.abs(self.y))) if self.floats else np.zeros(self.x.shape)
        hulls = [(near.min(axis=0), near.max(axis=0)) for near in around]
        inside = [_within(got, hull, size) for got, hull in zip((self.x, self.y), hulls, strict=True)]
        self._try_ties(vanishes & ~(inside[0] & inside[1]), hulls, size, inside)
        choice = vanishes & inside[0] & inside[1]
        # an index, a label or a truth value is never rounded: another one is another result
        codes[choice] = CODE["convention" if self.floats else "definition"]
        outside = vanishes & ~choice
        codes[outside] = CODE["definition"]
        if outside.any() and self.ask.contradicted is None:
            self.jumps = True
            self.notes.append(notes.AT_THESE_INPUTS)
        elif not self.ask.jumps:
            sides[outside & ~inside[0]] |= TORCH
            sides[outside & ~inside[1]] |= JAX
        rest = differ & ~vanishes
        # constants are rounded too: they move results that inputs such as ids do not
        shows = np.maximum(SHOWS * self.measured.conditioning, SHOWS_INSIDE * np.minimum(*self.spreads))
        hidden = rest & (gap <= np.where(self._jumps_under_noise(around), 0.0, shows) + size)
        if hidden.any():
            self.notes.append(notes.hidden(float(gap[hidden].max()), self.fmt.name))
        rest &= ~hidden
        codes[rest] = CODE["definition"]
        if rest.any() and self.ask.contradicted is not None:
            wrong = self.ask.contradicted(rest)
            sides[rest & wrong[0] & ~wrong[1]] = TORCH
            sides[rest & wrong[1] & ~wrong[0]] = JAX

    def _jumps_under_noise(self, around: tuple[Float64Array, Float64Array]) -> BoolArray:
        """Where noise moves a result because it jumps, as at a tie, not because it is steep. Such noise hides no gap.

        A steep result moves in proportion to the distance of a neighbour; a jump is as large at any distance.
        """
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            apart = [np.sqrt(np.mean((near - wide) ** 2, axis=0)) for near, wide in zip(around, self.wide, strict=True)]
            times = np.log(np.fmin(*apart) / self.measured.conditioning)
            in_proportion = np.log(DISTANCE * 2.0**self.fmt.precision)
            return np.asarray(np.abs(times) < np.abs(times - in_proportion))

    def _try_ties(self, outside: BoolArray, hulls: list[Hull], size: Float64Array, inside: list[BoolArray]) -> None:
        """At ties, allow a side all results between those where each entry is the largest, or the smallest.

        Random neighbours seldom show one entry of many as that. Of very many entries, those furthest outside are tried.
        """
        if not outside.any():
            return
        furthest = np.max([_outside(got, hull) for got, hull in zip((self.x, self.y), hulls, strict=True)], axis=0)
        places = np.flatnonzero(outside)
        places = places[np.argsort(-furthest.ravel()[places], kind="stable")]
        tied = self.ask.tied(places[:MOST_TIED])
        for side, got in enumerate((self.x, self.y)):
            within = _within(got, joined(hulls[side], tied[side]), size)
            tried = within.ravel()[places[:MOST_TIED]]
            within.flat[places[MOST_TIED:]] = tried.all()
            inside[side] |= outside & within


MOST_TIED = 256
"""The most entries that are tried at a tie, one by one: those whose results are furthest outside."""
DISTANCE_SLACK = 1e-3


def _within(got: Float64Array, hull: Hull, size: Float64Array) -> BoolArray:
    """Where results lie between those at neighbouring inputs, up to rounding; ``size`` is an ULP of them."""
    low, high = hull
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(_outside(got, hull) <= 4 * size + DISTANCE_SLACK * (high - low))


def _outside(got: Float64Array, hull: Hull) -> Float64Array:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.fmax(np.fmax(hull[0] - got, got - hull[1]), 0.0))
