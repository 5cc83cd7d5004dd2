"""The elements at which very long results differ most: the disagreement is diagnosed on these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crosscheck._arithmetic.formats import Format, IntArray, widen
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._compare.judge.evidence import same_bits
from crosscheck._frameworks.programs import Array, Result

CHUNK = 2**20
PROBE = 2**14
VECTORISED = 64
"""Vectorised and scalar code may differ by this many ULP, where terms cancel."""


def furthest(torch: list[Result], jax: list[Result], fmt: Format, count: int) -> tuple[IntArray, list[int]]:
    """The items, along the first axis, at which two lists of results differ most; the number of equal elements per result.

    Items are elements, or rows. Each measure of ``_apart`` contributes a share of the ``count``: its largest items.
    """
    chosen: list[IntArray] = []
    equal = []
    for a, b in zip(torch, jax, strict=True):
        assert b is not None
        items = len(b)
        a, b = (  # noqa: PLW2901
            np.zeros((items, b.size // items), b.dtype) if result is None else result.reshape(items, -1) for result in (a, b)
        )
        step = max(CHUNK // b.shape[1], 1)
        probe = np.linspace(0, items - 1, min(PROBE, step)).astype(np.int64)
        measures = _apart(a[probe], b[probe], fmt)
        each = max(1, count // (len(measures) * len(jax)))
        # about twice as many as are wanted are larger than this
        share = 1 - min(1.0, 2 * each / items)
        limits = [np.quantile(measure, share, method="lower") for measure in measures]
        candidates: list[tuple[IntArray, ...]] = []
        for start in range(0, items, step):
            measures = _apart(a[start : start + step], b[start : start + step], fmt)
            top = np.flatnonzero(np.any([measure > limit for measure, limit in zip(measures, limits, strict=True)], axis=0))
            candidates.append((start + top, *(measure[top] for measure in measures)))
        places, *tops = (np.concatenate(part) for part in zip(*candidates, strict=True))
        chosen += [places[np.argsort(measure)[-each:]] for measure in tops]
        equal.append(sum(int(same_bits(a[k : k + step], b[k : k + step]).sum()) for k in range(0, items, step)))
    return np.unique(np.concatenate(chosen)), equal


def _apart(a: Array, b: Array, fmt: Format) -> list[Array]:
    """The largest differences of items: absolute, relative to the element, and for rows relative to the row's largest one.

    Where terms cancel, a small element of a correct row has a large relative difference, too. That would hide a wrong row of
    small numbers; the last measure shows it. Only for sorting, so float32 is used where it holds the results.
    """
    kind = np.float64 if fmt.bits == 64 else np.float32
    x: Array = a.astype(kind)
    y: Array = b.astype(kind)
    with np.errstate(invalid="ignore", over="ignore"):
        absolute = np.abs(x - y)
        absolute[np.isnan(absolute) & ~same_bits(x, y)] = np.inf
        absolute[np.isnan(absolute)] = 0
        size = np.fmax(np.abs(y), kind(fmt.smallest_normal))
        largest, relative = (np.fmax.reduce(difference, axis=1) for difference in (absolute, absolute / size))
        rows = [largest / np.fmax.reduce(size, axis=1)] if a.shape[1] > 1 else []
        return [largest, relative, *rows]


def picked(results: list[Result], places: IntArray) -> list[Result]:
    return [None if result is None else result[places] for result in results]


def near(some: Sequence[Result], others: Sequence[Result], fmt: Format, ulps: float = VECTORISED) -> bool:
    """Whether the results of a part are those of the whole, up to this many ULP."""
    return all(_near(a, b, fmt, ulps) for a, b in zip(some, others, strict=True))


def _near(a: Result, b: Result, fmt: Format, ulps: float) -> bool:
    if a is None or b is None:
        return a is b
    x, y = widen(a), widen(b)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.nan_to_num(np.maximum(np.abs(x), np.abs(y)))
        size = size.max(axis=tuple(range(1, size.ndim)), keepdims=True)  # the largest of each row
        apart = np.abs(x - y) <= ulps * unit_of(fmt, size)
    return bool((apart | same_bits(x, y)).all())
