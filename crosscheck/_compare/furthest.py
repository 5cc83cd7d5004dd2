"""The elements of very long results that are furthest apart: those on which they are diagnosed."""

from __future__ import annotations

import numpy as np

from crosscheck._arithmetic.formats import Format, IntArray, widen
from crosscheck._compare.evidence import same_bits, unit_of
from crosscheck._frameworks.programs import Array, Result

CHUNK = 2**20
PROBE = 2**14


def furthest(torch: list[Result], jax: list[Result], fmt: Format, count: int) -> tuple[IntArray, list[int]]:
    """The items, along the first axis, in which two lists of results are furthest apart; how many elements are the same.

    Half of the ``count`` are furthest apart relatively, the others absolutely.
    """
    found: list[IntArray] = []
    equal = []
    each = max(1, count // (2 * len(jax)))
    for a, b in zip(torch, jax, strict=True):
        assert b is not None
        width = b.size // len(b)
        a, b = (np.zeros(b.size, b.dtype) if one is None else one.ravel() for one in (a, b))  # noqa: PLW2901
        same = 0
        candidates: list[tuple[IntArray, ...]] = []
        # beyond this lie about twice as many as are wanted
        share = 1 - min(1.0, 2 * each / b.size)
        probe = np.linspace(0, b.size - 1, PROBE).astype(np.int64)
        limits = [np.quantile(size, share, method="lower") for size in _apart(a[probe], b[probe], fmt)]
        for start in range(0, b.size, CHUNK):
            absolute, relative = _apart(a[start : start + CHUNK], b[start : start + CHUNK], fmt)
            same += int((absolute == 0).sum())
            top = np.flatnonzero((absolute > limits[0]) | (relative > limits[1]))
            candidates.append((start + top, absolute[top], relative[top]))
        places, absolute, relative = (np.concatenate(part) for part in zip(*candidates, strict=True))
        found += [places[np.argsort(size)[-each:]] // width for size in (absolute, relative)]
        equal.append(same)
    return np.unique(np.concatenate(found)), equal


def _apart(a: Array, b: Array, fmt: Format) -> tuple[Array, Array]:
    """How far results are apart, absolutely and relatively; in float32 where that holds them, as it is only for sorting."""
    kind = np.float64 if fmt.bits == 64 else np.float32
    x: Array = a.astype(kind)
    y: Array = b.astype(kind)
    with np.errstate(invalid="ignore", over="ignore"):
        absolute = np.abs(x - y)
        absolute[np.isnan(absolute) & ~same_bits(x, y)] = np.inf
        absolute[np.isnan(absolute)] = 0
        return absolute, absolute / np.maximum(np.abs(y), kind(fmt.smallest_normal))


def picked(results: list[Result], places: IntArray) -> list[Result]:
    return [None if one is None else one[places] for one in results]


def near(a: Result, b: Result, fmt: Format) -> bool:
    """Whether a part gives what the whole gave, as vectorised and scalar code do."""
    if a is None or b is None:
        return a is b
    x, y = widen(a), widen(b)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.nan_to_num(np.maximum(np.abs(x), np.abs(y)))
        size = size.max(axis=tuple(range(1, size.ndim)), keepdims=True)  # of a row the largest
        apart = np.abs(x - y) <= 64 * unit_of(fmt, size)
    return bool((apart | same_bits(x, y)).all())
