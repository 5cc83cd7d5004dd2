"""The inputs that are tried: all of a 16-bit format, a seeded stratified sample of a wider one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf, nan
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, FloatArray, Format, every_value, from_ordinal, to_ordinal

PER_BINADE = 8
UNIFORM = 4096
NEIGHBOURS = 4


def stratified(
    fmt: Format,
    *,
    seed: int = 0,
    near: Iterable[float] = (),
    exactly: Iterable[float] = (),
    per_binade: int = PER_BINADE,
    uniform: int = UNIFORM,
) -> FloatArray:
    """The inputs at which functions of one number are compared, as a 1-d array in the format.

    A 16-bit format: every value. Otherwise ``per_binade`` inputs in each binade of both signs (the subnormals count as
    one), ``uniform`` inputs uniform in [-20, 20], both zeros, the smallest and largest subnormals and normals, the
    infinities, NaN, each point of ``near`` with its 4 neighbours on each side, each point of ``exactly``, and the round
    numbers: powers of two of both signs, and the multiples of 1/2 up to 20.
    The same seed gives the same inputs.
    """
    if fmt.bits == 16:
        return every_value(fmt)
    rng = np.random.default_rng(seed)
    mantissa_bits = fmt.precision - 1
    binades = np.arange(fmt.e_max - fmt.e_min + 2, dtype=np.int64)
    low = np.repeat(binades << mantissa_bits, per_binade)
    magnitudes = low + rng.integers(1 << mantissa_bits, size=low.size)
    inside = from_ordinal(np.concatenate([magnitudes, -magnitudes]), fmt)
    edges = np.array([fmt.smallest_subnormal, fmt.smallest_normal - fmt.smallest_subnormal, fmt.smallest_normal])
    special = np.concatenate([[0.0, -0.0, np.inf, -np.inf, np.nan], edges, -edges, [fmt.largest, -fmt.largest]])
    centres = to_ordinal(np.array([point for point in near if abs(point) <= fmt.largest], dtype=fmt.dtype))
    around = centres[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    return np.concatenate(
        [
            # the sample comes first, so that a vectorised kernel does not treat it as the remainder at the end of the array
            np.array([*exactly], dtype=fmt.dtype),
            special.astype(fmt.dtype),
            from_ordinal(around.ravel(), fmt),
            inside,
            rng.uniform(-20, 20, uniform).astype(fmt.dtype),
            _round_numbers(fmt),
        ]
    )


def _round_numbers(fmt: Format) -> FloatArray:
    """Numbers at which code often branches, and which random inputs do not contain."""
    powers = np.ldexp(1.0, np.arange(fmt.e_min, fmt.e_max + 1))
    halves = np.setdiff1d(np.arange(0.5, 20.5, 0.5), powers)
    return np.concatenate([powers, -powers, halves, -halves]).astype(fmt.dtype)


ROWS = {1: 16, 2: 64, 8: 48, 100: 8, 1000: 2}
"""Lengths of rows, and the number of random rows of each, which are drawn twice: once fixed, once from the seed."""

COLUMNS = {32: 16}
"""The same for rows along an axis other than the default, where another kernel may run."""


PAIRS = ((0, 0), (1e3, 1e-3), (1, inf), (1, -inf), (inf, 0.5), (inf, inf), (-inf, -inf), (1, nan), (nan, 1))
"""Numbers with their gates, for the last rows of ``sampled_pairs``."""
PAIRS_UP_TO = 100
"""Longer rows have no such last rows: an infinite pair is evaluated in balls, and each row has many pairs."""
SIZES, GATES = (1e-3, 1.0, 1e3), (1.0, 10.0, 25.0, 110.0, 750.0)
"""The sizes of random numbers and of their gates. e^-750 underflows in float64, e^-110 in float32, e^-25 in float16."""

PLAIN: tuple[tuple[str, ...], ...] = (
    (),
    ("row += numpy.linspace(-1, 1, row.size)", "row[0] += 90"),
    ("row[::2] = -numpy.inf",),
    ("row[:] = -numpy.inf",),
    ("row[-1] = numpy.inf",),
    ("row[:2] = numpy.inf",),
    ("row[0] = numpy.nan",),
)
"""The sampled rows that are not random, made from a row of zeros by lines of numpy, which a snippet shows too."""


def run_lines(lines: Iterable[str], **names: Any) -> dict[str, Any]:
    """The variables after lines of numpy."""
    variables = {"numpy": np, **names}
    exec("\n".join(lines), variables)
    return variables


def sampled_rows(
    fmt: Format, lengths: Mapping[int, int] = ROWS, *, seed: int = 0
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Rows and directions for functions of rows: for each of the lengths, two 2-d arrays in the format.

    Random rows have a spread of up to 100 around levels of up to 1000 in magnitude. Further rows have ties, one dominant
    entry, entries of minus infinity, only these, plus infinity once and several times, and NaN. Half of the random rows
    and all the others are the same for every seed. The directions are normally distributed.
    """
    for length, count in lengths.items():
        plain = np.zeros((len(PLAIN), length))
        for row, lines in zip(plain, PLAIN, strict=True):
            run_lines(lines, row=row)
        yield _with_directions(fmt, _random_rows, plain, count, seed)


def sampled_pairs(
    fmt: Format, lengths: Mapping[int, int] = ROWS, *, seed: int = 0
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Rows of numbers, then of equally many gates, with directions, for functions that take these in pairs.

    The first rows are random; half of them are the same for every seed. Up to a length of ``PAIRS_UP_TO``, rows that repeat
    one pair follow: those of ``PAIRS``, and the largest number with a gate that leaves little of it. Odd lengths have no
    rows.
    """
    for length, count in lengths.items():
        if not length % 2:
            pairs = np.array([*PAIRS, (fmt.largest, -25)])[: None if length <= PAIRS_UP_TO else 0]
            yield _with_directions(fmt, _random_pairs, np.repeat(pairs, length // 2, axis=1), count, seed)


def _with_directions(
    fmt: Format, draw: Callable[..., Float64Array], plain: Float64Array, count: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Twice ``count`` random rows, then the plain rows."""
    length = plain.shape[1]
    drawn = [draw(np.random.default_rng(source), count, length) for source in (2**32 + length, seed)]
    x = np.concatenate([*drawn, plain])
    v = np.random.default_rng(length).standard_normal(x.shape)
    with np.errstate(over="ignore"):
        return x.astype(fmt.dtype), v.astype(fmt.dtype)


def _random_rows(rng: np.random.Generator, count: int, length: int) -> Float64Array:
    spread = rng.choice([1.0, 10.0, 50.0], (count, 1))
    level = rng.choice([0.0, 0.0, 100.0, -950.0, 950.0], (count, 1))
    return level + rng.uniform(-1, 1, (count, length)) * spread


def _random_pairs(rng: np.random.Generator, count: int, length: int) -> Float64Array:
    shape = (count, length // 2)
    numbers = rng.choice(SIZES, shape) * rng.standard_normal(shape)
    return np.concatenate([numbers, rng.choice(GATES, shape) * rng.uniform(-1, 1, shape)], axis=1)
