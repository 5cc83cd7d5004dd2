"""Describe where two results differ: as a range of inputs, or as slices of the result."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, FloatArray, Format, IntArray, shortest, widen
from crosscheck._explain.facts import Fact

MOST_LISTED = 3
"""The most single indices of an axis that are listed; more that follow no rule are not."""
MOSTLY = 0.5
"""A region is named if at least this share of it differs, and nothing outside of it does."""


def where(failing: BoolArray, name: str, x: FloatArray | None = None, fmt: Format | None = None) -> tuple[Fact, ...]:
    """Where elements fail, as facts: "everywhere", "in all of y[:, 2]", "where x is 3.5 or more".

    ``x`` is the input of each element of an elementwise function, of the format ``fmt``. Every failing element lies in the
    described region; unless a number of elements is given, the whole region fails.
    """
    count = int(failing.sum())
    if count == failing.size:
        return (Fact("everywhere"),) if failing.size > 1 else ()
    spans: tuple[Fact, ...] = ()
    if x is not None and fmt is not None:
        values = widen(x).ravel()
        if inputs := _of_inputs(failing.ravel(), values, fmt):
            return (inputs,)
        low, high = values[failing.ravel()].min(), values[failing.ravel()].max()
        spans = () if np.isnan(low) else (_span("x", low, high, fmt),)
    if said := region(failing, name):
        return (Fact("one place" if count == 1 else "all of", where=said),)
    for marked, said in _sorted_regions(failing, name):
        size = int(marked.sum())
        if MOSTLY * size <= count and size < failing.size:
            return Fact("inside", where=said), Fact("some", what=f"{count:,} of {size:,}")
    return Fact("some", what=f"{count:,} of {failing.size:,}"), *spans


def region(marked: BoolArray, name: str) -> str | None:
    """The marked elements, as slices of the array with this name; None if no slices fit."""
    if marked.all():
        return f"`{name}`"
    return next((said for covered, said in _sorted_regions(marked, name) if covered.sum() == marked.sum()), None)


def _sorted_regions(marked: BoolArray, name: str) -> list[tuple[BoolArray, str]]:
    return sorted(_regions(marked, name), key=lambda candidate: int(candidate[0].sum()))


def _short(x: float, fmt: Format) -> str:
    return f"{shortest(float(x), fmt):g}"


def _span(label: str, low: float, high: float, fmt: Format) -> Fact:
    return Fact("between", what=label, where=f"{_short(low, fmt)} to {_short(high, fmt)}")


def _of_inputs(failing: BoolArray, x: Float64Array, fmt: Format) -> Fact | None:
    """A range of the inputs, or of their magnitudes, in which all of them fail, and outside of which none does."""
    number = np.isfinite(x)
    if (failing & ~number).any() or not failing.any():
        return None
    passing = x[number & ~failing]
    for label, values, others in (("x", x[failing], passing), ("|x|", np.abs(x[failing]), np.abs(passing))):
        low, high = float(values.min()), float(values.max())
        if ((low <= others) & (others <= high)).any():
            continue
        if low == high:
            return Fact("one input", what=label, where=_short(low, fmt))
        if not (others > high).any():
            return Fact("or more", what=label, where=_short(low, fmt))
        if not (others < low).any():
            return Fact("or less", what=label, where=_short(high, fmt))
        return _span(label, low, high, fmt)
    return None


def _regions(failing: BoolArray, name: str) -> Iterator[tuple[BoolArray, str]]:
    """Regions with a name that hold all failing elements: all indices of some axes, all but some, and diagonals."""
    if (box := _box(failing, name)) is not None:
        yield box
    if failing.ndim > 1 and min(failing.shape) > 2:
        inner = np.zeros(failing.shape, bool)
        inner[(slice(1, -1),) * failing.ndim] = True
        if not failing[inner].any():
            yield ~inner, f"the border of `{name}`"
    if (rest := _box(~failing, name)) is not None and not failing[rest[0]].any():
        yield ~rest[0], f"`{name}` but {rest[1]}"
    for a, b in combinations(range(failing.ndim), 2):
        if min(failing.shape[a], failing.shape[b]) < 2:
            continue
        row, column = (np.expand_dims(np.arange(failing.shape[k]), _others(failing.ndim, k)) for k in (a, b))
        of = f"`{name}`" if failing.ndim == 2 else f"`{name}` in its axes {a} and {b}"
        for said, region in (
            ("the diagonal of", row == column),
            ("what is off the diagonal of", row != column),
            ("what is above the diagonal of", row < column),
            ("what is below the diagonal of", row > column),
            ("what is on and above the diagonal of", row <= column),
            ("what is on and below the diagonal of", row >= column),
        ):
            if not failing[~(marked := np.broadcast_to(region, failing.shape))].any():
                yield marked, f"{said} {of}"


def _others(ndim: int, axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(ndim) if other != axis)


def _box(marked: BoolArray, name: str) -> tuple[BoolArray, str] | None:
    """The smallest box of indices that holds the marked elements, if the indices of each axis have a short name."""
    if not marked.any() or marked.ndim == 0:
        return None
    indices = [np.flatnonzero(marked.any(axis=_others(marked.ndim, axis))) for axis in range(marked.ndim)]
    said = [_slice(at, size) for at, size in zip(indices, marked.shape, strict=True)]
    parts = [at.size < size for at, size in zip(indices, marked.shape, strict=True)]
    if None in said or not any(parts):
        return None
    region = np.zeros(marked.shape, bool)
    region[np.ix_(*indices)] = True
    last = max(axis for axis, part in enumerate(parts) if part)
    slices = f"`{name}[{', '.join(map(str, said[: last + 1]))}]`"
    words = [_words(at, size, axis, marked.ndim) for axis, (at, size) in enumerate(zip(indices, marked.shape, strict=True))]
    named = [phrase for phrase in words if phrase]
    return region, f"{slices}, {named[0]}" if len(named) == 1 and sum(parts) == 1 else slices


def _slice(at: IntArray, size: int) -> str | None:
    """The indices of an axis, as written in brackets."""
    if at.size == size:
        return ":"
    if at.size == 1:
        return str(at[0])
    steps = np.unique(np.diff(at))
    if steps.size == 1 and (at.size > 2 or steps[0] == 1):
        first, step = int(at[0]), int(steps[0])
        end = "" if at[-1] + step >= size else str(at[-1] + 1)
        return f"{first or ''}:{end}" + (f":{step}" if step > 1 else "")
    if at.tolist() == [0, size - 1]:
        return "[0, -1]"
    return f"[{', '.join(map(str, at))}]" if at.size <= MOST_LISTED else None


def _words(at: IntArray, size: int, axis: int, ndim: int) -> str:
    """The same in words, if these say more."""
    of = f" of axis {axis}" if ndim > 1 else ""
    if at.size == size:
        return ""
    if at.size == 1 and ndim == 2:
        return f"{('row', 'column')[axis]} {at[0]}"
    if at.tolist() == [0, size - 1]:
        return f"the first and the last{of}"
    if at.size > 1 and np.all(np.diff(at) == 1):
        if at[-1] == size - 1:
            return f"from position {at[0]}{of} on"
        if at[0] == 0:
            return f"up to position {at[-1]}{of}"
    return ""
