"""The measurements behind a verdict on a pair: results, float64 results, and how noise moves these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, BoolArray, Float64Array, Format, IntArray, floats_widened
from crosscheck._frameworks.programs import Array, Directions, Inputs
from crosscheck._shadow.base import Flushing, Lifted, Noise

DRAWS = 8
MORE_DRAWS = 24
NEIGHBOURS = 32
DISTANCE = 2.0**-20
"""The distance of the neighbours of an input, relative to the input."""
SOURCES = 32
"""With more inputs than these, some inputs share a bit."""
COARSER = 2.0**10


Hull = tuple[Float64Array, Float64Array]
"""The least and the largest of several results, element by element."""


def drawn_roundoff(fmt: Format) -> float:
    """The unit roundoff of the noise: the dtype's, but larger than float64's own, so that the noise stands out in float64.

    Its effect is scaled down afterwards.
    """
    return 2.0**-fmt.precision * (COARSER if fmt is FORMATS["float64"] else 1.0)


@dataclass(frozen=True)
class Measured:
    """One result (an output, or a derivative of one), as float64 arrays of one shape.

    Attributes:
        torch_wide: The lifted result of PyTorch.
        jax_wide: The lifted result of JAX.
        conditioning: How much the lifted result moves when the inputs move by the dtype's roundoff: the root mean square
            over draws.
        torch_spread: How much the lifted result of PyTorch moves under noise, when every operation rounds to the dtype.
        jax_spread: The same for JAX.
        torch_fragile: Where this noise made a finite lifted result of PyTorch NaN or infinite, or the other way round.
        jax_fragile: The same for JAX.
        flushed: The lifted result of JAX when subnormal intermediates are flushed.
        sources: The float inputs on which each element depends, one bit for each input.
    """

    torch_wide: Float64Array
    jax_wide: Float64Array
    conditioning: Float64Array
    torch_spread: Float64Array
    jax_spread: Float64Array
    torch_fragile: BoolArray
    jax_fragile: BoolArray
    flushed: Float64Array
    sources: IntArray

    @property
    def wide(self) -> tuple[Float64Array, Float64Array]:
        """The lifted results of both sides."""
        return self.torch_wide, self.jax_wide

    @property
    def spreads(self) -> tuple[Float64Array, Float64Array]:
        """How much each of them moves under noise."""
        return self.torch_spread, self.jax_spread


class ProgramRuns:
    """The lifted programs of both sides, and their runs so far."""

    def __init__(self, inputs: Inputs, along: Directions, lifted: tuple[Lifted, Flushing], seed: int) -> None:
        self.inputs, self.lifted, self.seed = inputs, lifted, seed
        self.unit = 2.0**-inputs.fmt.precision
        """The unit roundoff of the dtype."""
        self._drawn = drawn_roundoff(inputs.fmt)
        self._scale = self.unit / self._drawn
        self.arguments = [floats_widened(leaf) for leaf in (*inputs.leaves, *along.arrays)]
        self._clean = [_floats(side.run(self.arguments)) for side in lifted]

    def measure(self) -> list[Measured]:
        moved = [self._moved(draw) for draw in range(DRAWS)]
        conditioning = [self._spread(k, [self._tried(k, m) for m in moved]) for k in (0, 1)]
        rounded = [self._spread(k, self._noisy(k, range(DRAWS))) for k in (0, 1)]
        flushed = _floats(self._flushed())
        sources = self._sources()
        return [
            Measured(
                torch_wide=self._clean[0][i],
                jax_wide=self._clean[1][i],
                conditioning=np.fmin(conditioning[0][i][0], conditioning[1][i][0]),
                torch_spread=rounded[0][i][0],
                jax_spread=rounded[1][i][0],
                torch_fragile=rounded[0][i][1],
                jax_fragile=rounded[1][i][1],
                flushed=flushed[i],
                sources=sources[i],
            )
            for i in range(len(flushed))
        ]

    def largest(self, result: int) -> tuple[Float64Array, Float64Array]:
        """For each side, the largest change of the lifted result under many more draws of both kinds of noise."""
        far = []
        for clean, runs in zip(self._clean, self._many_noisy, strict=True):
            with np.errstate(invalid="ignore", over="ignore"):
                apart = [np.abs(_float(run[result]) - clean[result]) for run in runs]
            far.append(self._scale * np.nan_to_num(np.fmax.reduce(apart)))
        return far[0], far[1]

    @cached_property
    def _many_noisy(self) -> tuple[list[list[Array]], list[list[Array]]]:
        draws = range(DRAWS, DRAWS + MORE_DRAWS)
        moved = [self._moved(draw) for draw in draws]
        torch, jax = (self._noisy(k, draws) + [self._tried(k, m) for m in moved] for k in (0, 1))
        return torch, jax

    def neighbours(self, result: int) -> tuple[Float64Array, Float64Array]:
        """Both sides' lifted results at neighbouring inputs, one row for each neighbour."""
        torch, jax = (np.stack([_float(run[result]) for run in runs]) for runs in self._around)
        return torch, jax

    @cached_property
    def _around(self) -> tuple[list[list[Array]], list[list[Array]]]:
        near = [self._near(draw) for draw in range(NEIGHBOURS)]
        torch, jax = ([self._tried(k, arguments) for arguments in near] for k in (0, 1))
        return torch, jax

    def _near(self, draw: int) -> list[Array]:
        rng = np.random.default_rng((self.seed, 2, draw))
        near = list(self.arguments)
        for i in self.inputs.floats:
            x = near[i]
            scale = self._ordinary(x)
            with np.errstate(invalid="ignore", over="ignore"):
                near[i] = x + DISTANCE * scale * rng.choice([-1, 1], x.shape) * rng.uniform(0.5, 1, x.shape)
        return near

    @property
    def has_nan(self) -> bool:
        """Whether an input is NaN somewhere."""
        return any(np.isnan(self.arguments[i]).any() for i in self.inputs.floats)

    def without_nan(self, result: int) -> tuple[Float64Array, Float64Array]:
        """Both sides' lifted results with the median of an input in place of its NaN."""
        return _float(self._numbers[0][result]), _float(self._numbers[1][result])

    @cached_property
    def _numbers(self) -> tuple[list[Array], list[Array]]:
        numbers = list(self.arguments)
        for i in self.inputs.floats:
            numbers[i] = without_nan(numbers[i])
        return self._tried(0, numbers), self._tried(1, numbers)

    def tied(self, result: int, places: IntArray) -> tuple[Hull, Hull]:
        """For each side, the hull of the lifted results with each entry once as the largest and once as the smallest.

        The entries are ranked cyclically, from the one after a place to that place. So whichever entries were equal, the
        place is the largest of them, and the one after it the smallest.
        """
        shape = self._clean[0][result].shape
        hulls = [(np.full(shape, np.inf), np.full(shape, -np.inf)) for _ in (0, 1)]
        for place, sign in product(places.tolist(), (1, -1)):
            arguments = list(self.arguments)
            for i in self.inputs.floats:
                x = arguments[i]
                rank = (np.arange(x.size) - place - 1) % max(x.size, 1) / max(x.size - 1, 1)
                with np.errstate(invalid="ignore", over="ignore"):
                    arguments[i] = x + DISTANCE * self._ordinary(x) * sign * (2 * rank - 1).reshape(x.shape)
            for side in (0, 1):
                y = _float(self._tried(side, arguments)[result])
                hulls[side] = joined(hulls[side], (y, y))
        return hulls[0], hulls[1]

    @staticmethod
    def _ordinary(x: Array) -> Float64Array:
        """The magnitude of each number. 0 gets that of the others, so that its neighbours are as far away as theirs."""
        size = np.abs(x)
        ordinary = float(np.median(size[np.isfinite(size)])) if np.isfinite(size).any() else 1.0
        return np.asarray(np.where(size > 0, size, ordinary or 1.0))

    def _sources(self) -> list[IntArray]:
        sources = [np.zeros(clean.shape, np.int64) for clean in self._clean[1]]
        if len(self.inputs.floats) > 1:
            everything = self._moved(DRAWS)
            for number, i in enumerate(self.inputs.floats):
                arguments = [*self.arguments[:i], everything[i], *self.arguments[i + 1 :]]
                for bits, run, clean in zip(sources, self._tried(1, arguments), self._clean[1], strict=True):
                    bits[~same_bits(_float(run), clean)] |= 1 << number % SOURCES
        return sources

    def run(self, side: int, arguments: Sequence[Array]) -> list[Array]:
        """A clean lifted run at other arguments."""
        return self.lifted[side].run(arguments)

    def _moved(self, draw: int) -> list[Array]:
        rng = np.random.default_rng((self.seed, 1, draw))
        moved = list(self.arguments)
        for i in self.inputs.floats:
            with np.errstate(invalid="ignore", over="ignore"):  # a signalling NaN is invalid; the largest floats overflow
                moved[i] = moved[i] * (1 + self._drawn * rng.uniform(-1, 1, moved[i].shape))
        return moved

    def _noisy(self, side: int, draws: range) -> list[list[Array]]:
        seeds = (1 + self.seed * 1000 + draw for draw in draws)
        return [self._tried(side, self.arguments, Noise(seed, self._drawn)) for seed in seeds]

    def _tried(self, side: int, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        """A run at moved inputs or under noise. A function may refuse inputs outside of the given range, as a cross entropy
        refuses those outside of 0 to 1. Then inputs are moved only within the given range, and without noise."""
        try:
            return self.lifted[side].run(arguments, noise)
        except Exception:
            within = [
                np.clip(moved, np.nanmin(given), np.nanmax(given))
                if moved is not given and np.isfinite(given).any()
                else moved
                for moved, given in zip(arguments, self.arguments, strict=True)
            ]
            try:
                return self.lifted[side].run(within)
            except Exception:
                return self.lifted[side].run(self.arguments)

    def _flushed(self) -> list[Array]:
        smallest = self.inputs.fmt.smallest_normal
        flushed = [np.where(np.abs(a) < smallest, 0.0, a) if a.dtype == np.float64 else a for a in self.arguments]
        return self.lifted[1].run_flushed(flushed)

    def _spread(self, side: int, runs: list[list[Array]]) -> list[tuple[Float64Array, BoolArray]]:
        """For each result, the root mean square change of finite results, and where finite became not finite or back."""
        spreads = []
        for result, clean in enumerate(self._clean[side]):
            total, counted = np.zeros(clean.shape), np.zeros(clean.shape)
            fragile = np.zeros(clean.shape, bool)
            for run in runs:
                noisy = _float(run[result])
                both = np.isfinite(clean) & np.isfinite(noisy)
                fragile |= np.isfinite(clean) != np.isfinite(noisy)
                with np.errstate(invalid="ignore", over="ignore"):
                    total += np.where(both, noisy - clean, 0.0) ** 2
                counted += both
            spreads.append((self._scale * np.sqrt(total / np.maximum(counted, 1)), fragile))
        return spreads


def joined(hull: Hull, other: Hull) -> Hull:
    """The hull of two."""
    return np.fmin(hull[0], other[0]), np.fmax(hull[1], other[1])


def _float(array: Array) -> Float64Array:
    return np.asarray(array, np.float64)


def _floats(arrays: Sequence[Array]) -> list[Float64Array]:
    return [_float(array) for array in arrays]


def without_nan(array: Array) -> Array:
    """The array with its median in place of NaN; with 1 if no number is finite."""
    if array.dtype != np.float64 or not np.isnan(array).any():
        return array
    finite = array[np.isfinite(array)]
    return np.where(np.isnan(array), np.median(finite) if finite.size else 1.0, array)


def independent(
    function: Callable[[Array], list[Array]], x: Array, values: list[Array], *, rows: bool = False
) -> BoolArray | None:
    """Which outputs depend, element by element or row by row, only on the input at the same place.

    None if no output does. Rows are along the first axis.

    The numbers of any two places differ in some bit. For each bit, the elements whose number has it are replaced, then those
    whose number lacks it: an output must not change where the input did not.
    """
    shape = x.shape[:1] if rows else x.shape
    alone = np.array([(value.shape[:1] if rows else value.shape) == shape for value in values])
    if x.ndim == 0 or x.size == 1 or not alone.any():
        return alone if alone.any() else None
    place = np.arange(int(np.prod(shape))).reshape(shape)
    others = np.roll(x, 1, axis=0) if rows else np.roll(x.ravel(), 1).reshape(x.shape)
    for bit in range(int(place.size - 1).bit_length()):
        for polarity in (0, 1):
            kept = (place >> bit & 1) == polarity
            taken = kept.reshape(kept.shape + (1,) * (x.ndim - kept.ndim))
            results = function(np.where(taken, x, others).astype(x.dtype))
            for k, (value, other) in enumerate(zip(values, results, strict=True)):
                alone[k] &= value.shape == other.shape and same_bits(value, other)[kept].all()
            if not alone.any():
                return None
    return alone


def zeros_of_other_sign(a: Array, b: Array) -> BoolArray:
    """Where two arrays of floats differ in the sign of a zero."""
    return np.asarray((a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b)))


def same_bits(a: Array, b: Array) -> BoolArray:
    """Where two arrays of one dtype hold equal numbers; NaN equals NaN, and zeros of either sign are equal."""
    with np.errstate(invalid="ignore"):
        return np.asarray((a == b) | ~(a == a) & ~(b == b))  # noqa: PLR0124 - of whatever dtype, integers too
