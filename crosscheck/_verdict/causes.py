"""From the numbers of a point to its cause, in pure numpy: without frameworks, formatting or deviations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crosscheck._arithmetic.formats import BoolArray, Float64Array, FloatArray, IntArray, widen
from crosscheck._arithmetic.ulp import exponent, in_units
from crosscheck._records.names import CAUSES, PASSING
from crosscheck._truth.truth import Truth

Codes = npt.NDArray[np.uint8]
"""One index into ``CAUSES`` per point, or ``NOT_JUDGED``."""

CODE = {cause: np.uint8(i) for i, cause in enumerate(CAUSES)}
NOT_JUDGED = np.uint8(255)
FIRST_PASSING = min(CODE[cause] for cause in PASSING)

CANCELLED, CANCELLED_IN_ROWS = 8, 1
"""The truth counts as cancelled if it is below an eighth of the sum of its terms' magnitudes.

The derivative of a function of rows is a sum over the row; it counts as cancelled if it is smaller than that sum."""


@dataclass(frozen=True)
class JudgingSetting:
    """The values with which a result is judged, besides the truth.

    ``budget`` is in ULP. ``at_zero`` is the truth at the input 0, for inputs flushed to it. ``scale`` is the sum of the
    magnitudes of the analytic formula's terms at each input, None for a value. ``rows``: a function of rows.
    """

    budget: float
    flush_inputs: bool
    flush_outputs: bool
    at_zero: Truth
    scale: Float64Array | None = None
    rows: bool = False


@dataclass(frozen=True)
class Judgement:
    """One code per point; the error in ULP of the truth, and in the unit of the judgement."""

    codes: Codes
    ulp: Float64Array
    ulp_of_unit: Float64Array


def judge(x: FloatArray, got: FloatArray, truth: Truth, setting: JudgingSetting) -> Judgement:
    """The cause at each point of one implementation against the exact results.

    A finite point beyond the budget is ``inaccurate`` here; ``systematic`` finds those that are ``definition``.
    """
    error = truth.error(got)
    unit_error = error * _to_unit(truth, setting.scale, setting.rows)
    wide_x, wide = widen(x), widen(got)
    expected = widen(truth.rounded)
    with np.errstate(invalid="ignore"):
        within = unit_error <= setting.budget
        exact = (error <= 0.5) | (wide == expected)
    special = (np.isnan(wide) != np.isnan(expected)) | (~within & (np.isinf(wide) != np.isinf(expected)))
    special |= (np.isinf(wide_x) | np.isinf(wide)) & np.isinf(expected) & (wide != expected)
    convention = _close(got, truth.left, truth, setting) | _close(got, truth.right, truth, setting)

    codes = np.full(x.shape, CODE["inaccurate"])
    codes[convention] = CODE["convention"]
    codes[special] = CODE["special"]
    codes[_flushed(wide_x, got, wide, expected, truth, setting)] = CODE["flush"]
    codes[within & ~special] = CODE["rounding"]
    codes[(exact | np.isnan(expected)) & ~special] = CODE["exact"]
    codes[~truth.judged] = NOT_JUDGED
    return Judgement(codes, error, unit_error)


def cancelled(truth: Truth, scale: Float64Array | None, rows: bool) -> BoolArray:
    """Where the terms of the analytic formula cancel, so that errors are in ULP of their ``scale``."""
    if scale is None:
        return np.zeros(truth.residual.shape, bool)
    factor = CANCELLED_IN_ROWS if rows else CANCELLED
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(scale) & (np.abs(truth.approximate()) < scale / factor))


def _to_unit(truth: Truth, scale: Float64Array | None, rows: bool) -> Float64Array:
    """The factor from ULP of the truth to ULP of the unit: below 1 only where the terms cancel."""
    small = cancelled(truth, scale, rows)
    unit = truth.exponent if scale is None else exponent(scale, truth.fmt)
    return np.ldexp(1.0, np.where(small, truth.exponent - unit, 0).astype(np.int32))


def _close(got: FloatArray, other: FloatArray, truth: Truth, setting: JudgingSetting) -> BoolArray:
    """Where a result is within the budget of another valid choice; False where there is no other choice (NaN)."""
    if np.isnan(widen(other)).all():
        return np.zeros(got.shape, bool)
    e = exponent(np.nan_to_num(widen(other)), truth.fmt)
    with np.errstate(invalid="ignore"):
        return np.abs(in_units(got, e, truth.fmt) - in_units(other, e, truth.fmt)) <= setting.budget


def _flushed(
    x: Float64Array, got: FloatArray, wide: Float64Array, expected: Float64Array, truth: Truth, setting: JudgingSetting
) -> BoolArray:
    """Where only a subnormal was lost: the result is 0 for a subnormal truth, or is correct for the input 0.

    A truth above the smallest normal by less than the budget counts as subnormal: its rounding may have been one.
    """
    fmt = truth.fmt
    flushed = np.zeros(x.shape, bool)
    if setting.flush_outputs:
        almost = fmt.smallest_normal + setting.budget * fmt.smallest_subnormal
        flushed |= (wide == 0) & (np.abs(expected) < almost)
    if setting.flush_inputs:
        zero = setting.at_zero
        subnormal = (x != 0) & (np.abs(x) < fmt.smallest_normal)
        for value in (zero.rounded[0], zero.left[0], zero.right[0]):
            flushed |= subnormal & _close(got, np.full_like(got, value), truth, setting)
    return flushed


def beyond(judgement: Judgement) -> IntArray:
    """The indices of the finite points beyond the budget."""
    return np.flatnonzero(judgement.codes == CODE["inaccurate"])


# Which points beyond the budget show another function, and which show lost digits

PROBED = 64
"""The number of points beyond the budget that are examined; the others get the cause of the nearest of these."""
ROUNDING_IN_FLOAT64 = 2.0**-47
"""An error in float64 up to this, relative to the function's own magnitude, is rounding of float64."""
SHARED_IN_FLOAT64 = 2.0**-30
GROSS = 512.0
"""A result in float64 that is too large by this factor, and not a small rest, is another function's: scaled by the size."""
OFFSETS = np.array([s * o for o in (0.0073, 0.0117, 0.0191, 0.0249, 0.0313, 0.0411, 0.0523, 0.0587) for s in (1, -1)])
"""Relative distances of the neighbouring inputs: so large that their digits in a narrower format differ."""
MOST_PROBED = (PROBED + 8) * (1 + OFFSETS.size)
"""The most inputs at which ``systematic`` runs an implementation in float64."""


def systematic(
    x: Float64Array,
    relative_error: Float64Array,
    errors: Callable[[Float64Array], tuple[Float64Array, Float64Array]],
    magnitude: float,
    *,
    in_float64: bool,
    of_values: bool = False,
) -> BoolArray:
    """The points beyond the budget that are ``definition``: there, the implementation computes another function.

    ``errors(inputs)`` runs the implementation in float64 and returns its signed errors and the truth. If it computes another
    function, the error stays when the precision grows, and has the same sign at neighbouring inputs. If it loses digits, the
    error disappears in float64, or is no larger than float64's rounding, or changes its sign from neighbour to neighbour
    (digits lost inside, in any precision). That rounding is relative to ``magnitude``, the largest result at ordinary
    inputs, and ``of_values`` to the input, since terms as large as the input may have cancelled: they leave 0 or no less
    than the input's own rounding. An error that only grows, or only shrinks, over the neighbours crosses zero there, as that
    of an approximation does.
    """
    evenly = np.argsort(x)[np.linspace(0, x.size - 1, PROBED).astype(int)]  # no gap by chance
    probed = np.unique(np.concatenate([np.argsort(relative_error)[-8:], evenly]))
    centre = x[probed]
    neighbours = np.where(centre[:, None] == 0, OFFSETS, centre[:, None] * (1 + OFFSETS))
    signed, true = errors(np.concatenate([centre, neighbours.ravel()]))
    at, around = signed[: centre.size], signed[centre.size :].reshape(neighbours.shape)
    steps = np.diff(np.column_stack([around, at])[:, np.argsort([*OFFSETS, 0.0])], axis=1)
    crosses = np.asarray((steps > 0).all(axis=1) | (steps < 0).all(axis=1))  # which lost digits do not by chance
    size: float | Float64Array = magnitude
    if of_values:
        result = np.abs(true[: centre.size] + at)
        cancelled = (result == 0) | (result >= np.spacing(np.abs(centre)) / 2)
        size = np.where(cancelled, np.maximum(magnitude, np.abs(centre)), magnitude)
    stays = _stays(at, around.T, true[: centre.size], relative_error[probed], size, crosses, in_float64=in_float64)
    order = np.argsort(centre)
    place = np.searchsorted(centre[order], x)  # in range: the smallest and the largest point are probed
    low, high = order[place - 1], order[place]
    with np.errstate(invalid="ignore"):  # an infinite input is its own neighbour
        nearest = np.where(np.abs(x - centre[low]) <= np.abs(centre[high] - x), low, high)
    return np.asarray(stays[nearest])


NEARBY = OFFSETS[[0, 5, 8, 13]]
"""The neighbours of a row: the row times 1 plus one of these."""


def systematic_in_rows(
    bad: IntArray,
    relative_error: Float64Array,
    rows: IntArray,
    length: int,
    signed: Float64Array,
    exact: Float64Array,
    magnitude: float,
    *,
    in_float64: bool,
) -> BoolArray:
    """``systematic`` for a function of rows: decided at some ``rows``, in ascending order, each of the given length.

    ``signed`` has the errors in float64 at these rows, flat, then those at each of their ``NEARBY`` neighbours; ``exact``
    has the truth at these rows. The points of all other rows are ``definition`` if any point of these rows is.
    """
    row, column = bad // length, bad % length
    probed = np.isin(row, rows)
    place = np.searchsorted(rows, row[probed]) * length + column[probed]
    at, around = signed[0, place], signed[1:, place]
    crosses = np.zeros(at.shape, bool)  # there are too few neighbours to know
    stays = _stays(at, around, exact[place], relative_error[probed], magnitude, crosses, in_float64=in_float64)
    result = np.full(bad.shape, bool(stays.any()))
    result[probed] = stays
    return result


def _stays(
    at: Float64Array,
    around: Float64Array,
    true: Float64Array,
    relative_error: Float64Array,
    magnitude: float | Float64Array,
    crosses: BoolArray,
    *,
    in_float64: bool,
) -> BoolArray:
    """Whether errors ``at`` inputs, in float64, are those of another function; ``around`` has a row for each neighbour.

    ``crosses`` is where their sign changes once among the neighbours.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        relative = np.abs(at / true)
        opposite = (np.abs(around) >= np.abs(at) / 8) & (np.sign(around) != np.sign(at))
        alike = (np.abs(around) >= np.abs(at) / 2) & (np.sign(around) == np.sign(at))
    noisy = (opposite.sum(axis=0) >= max(1, len(around) // 8)) & ~crosses
    noise = np.abs(at[noisy]).max(initial=0.0)
    floor = np.maximum(ROUNDING_IN_FLOAT64 * magnitude, 4 * noise)
    gross = (relative >= GROSS) & (np.abs(true) > floor)
    stays = (gross | (relative >= relative_error / 2)) & (np.abs(at) > floor)
    if in_float64:
        stays &= (relative > SHARED_IN_FLOAT64) & (alike.sum(axis=0) >= len(around) // 2)
    return np.asarray(stays)


@dataclass(frozen=True)
class PairJudgement:
    """One code per point of two implementations that are compared, and which of them is beyond its budget there."""

    codes: Codes
    at_fault: tuple[BoolArray, BoolArray]


def judge_pair(
    got: tuple[FloatArray, FloatArray],
    codes: tuple[Codes, Codes],
    order: int,
    is_nan_input: BoolArray,
    small: BoolArray,
) -> PairJudgement:
    """Compare two implementations, by their causes against the exact results.

    Bit-equal results are ``exact``. Otherwise the worse cause counts. Zeros of different sign differ by ``convention``,
    except where they are ``small``: the rounding of terms that cancel. Derivatives at NaN differ by ``convention`` too,
    since no truth judges them.
    """
    a, b = (widen(side) for side in got)
    both_nan = np.isnan(a) & np.isnan(b)
    same = (a == b) & (np.signbit(a) == np.signbit(b)) | both_nan
    worse = np.minimum(*codes)
    result = np.where(worse == CODE["exact"], CODE["rounding"], worse)
    result = np.where((a == 0) & (b == 0) & ~small & (worse >= FIRST_PASSING), CODE["convention"], result)
    unjudged = (codes[0] == NOT_JUDGED) | (codes[1] == NOT_JUDGED)
    result = np.where(unjudged, CODE["convention"] if order else NOT_JUDGED, result)
    result = np.where(unjudged & ~is_nan_input, NOT_JUDGED, result)
    result = np.where(same & (result != NOT_JUDGED), CODE["exact"], result)
    at_fault = (codes[0] < FIRST_PASSING, codes[1] < FIRST_PASSING)
    return PairJudgement(result.astype(np.uint8), at_fault)
