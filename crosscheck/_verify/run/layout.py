"""Does a result depend on the place of its input: alone, at a position in an array, in a view of another array?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, FloatArray, IntArray, format_of, is_number, widen
from crosscheck._records.worded import Worded
from crosscheck._verify.inputs.sample import Sample
from crosscheck._verify.run.implementations import VIEWS, Runner

LENGTHS = (1, 3, 8, 16, 17, 33)
"""Lengths near the widths of vector registers: whole registers, and some with a remainder."""
COUNT = 33
"""The number of inputs that are put at every position of every length."""
FIRST = 10
"""The number of these that are the first of the sample."""
ROW = 8
"""The length of the rows, for a function of rows."""
DTYPES = ("float32", "bfloat16")
MODES = {"torch": "eager", "jax": "jit"}
"""The mode of each framework in which its own kernels get a whole array."""


@dataclass
class LayoutResults:
    """The results of one implementation for the same inputs in several layouts.

    Attributes:
        got: The result at each point.
        expected: The correct result: that in a one-element array, or if there is none, that in the whole array.
        differs: Where the two are not the same.
        places: The lengths and positions with a result that differs from that in a one-element array.
        views: For each view, the number of points with another result.
    """

    got: FloatArray
    expected: FloatArray
    differs: BoolArray
    places: set[tuple[int, int]] = field(default_factory=set)
    views: dict[str, int] = field(default_factory=dict)

    @property
    def note(self) -> Worded:
        """Where they differ: the lengths and positions, and the views."""
        parts = [
            f"length {length} at {_positions(sorted(p for n, p in self.places if n == length))}"
            for length in sorted({length for length, _ in self.places})
        ]
        if parts:
            parts = ["not as in a one-element array in " + ", ".join(parts)]
        for view, count in self.views.items():
            parts.append(f"through a view {view}, {count:,} of {self.differs.size:,} results differ")
        return Worded("; ".join(parts), "layout", tuple(sorted(self.places)), tuple(self.views))


def _positions(positions: Sequence[int]) -> str:
    """Positions as ranges: 0 to 31, 33."""
    ends = [p for p in positions if p + 1 not in positions]
    starts = [p for p in positions if p - 1 not in positions]
    ranges = [f"{low}" if low == high else f"{low} to {high}" for low, high in zip(starts, ends, strict=True)]
    return f"position{'s' * (len(positions) > 1)} {', '.join(ranges)}"


def layouts(
    run: Runner, sample: Sample, order: int, mode: str, whole: FloatArray, anchors: Sequence[float] = ()
) -> LayoutResults | None:
    """Run an implementation on a sample in several layouts; ``whole`` is its result for the whole sample.

    First the sample in each of the views, then ``COUNT`` inputs, or rows, in the lengths of ``LENGTHS`` at each position:
    the ``anchors``, the first of the sample, some that a view changed, and others. None if it gave no derivative.
    """
    results = LayoutResults(whole.copy(), whole.copy(), np.zeros(whole.shape, bool))
    differs = results.differs
    for view in VIEWS:
        seen = run.run(sample, order, mode, view=view)
        if seen is None:
            return None
        others = _differ(seen, whole)
        if others.any():
            results.views[view] = int(others.sum())
            results.got[others & ~differs] = seen[others & ~differs]
            differs |= others
    width = sample.width(order) if sample.length is not None else 1
    changed = np.asarray(differs.reshape(-1, width).any(axis=1))
    known = sample.known(order)
    declared = [int(at) for anchor in anchors for at in np.flatnonzero(is_number(known, anchor))[:1] // width]
    chosen = _chosen(changed, declared)
    points = chosen[:, None] * width + np.arange(width)
    alone = np.stack([_results(run, sample.taken([i]), order, mode)[0] for i in chosen])
    whole_again = _differ(alone, whole[points])
    results.expected[points] = alone
    results.got[points] = np.where(whole_again, whole[points], np.where(differs[points], results.got[points], alone))
    differs[points] |= whole_again
    for length in LENGTHS:
        for start in range(len(chosen)):
            at = (start + np.arange(length)) % len(chosen)
            got = _results(run, sample.taken(chosen[at]), order, mode).reshape(length, width)
            changed = _differ(got, alone[at])
            for position in np.flatnonzero(changed.any(axis=1)):
                results.places.add((length, int(position)))
                here = points[at[position]][changed[position]]
                results.got[here] = got[position][changed[position]]
                differs[here] = True
    # a change in a view is about the whole array; for inputs that ran alone, it is about that result
    differs[points] &= _differ(results.got[points], results.expected[points])
    return results


def _results(run: Runner, sample: Sample, order: int, mode: str) -> FloatArray:
    result = run.run(sample, order, mode)
    assert result is not None, "it gave a derivative for all inputs at once"
    return result.reshape(len(sample.x), -1)


def _chosen(changed: BoolArray, declared: Sequence[int]) -> IntArray:
    count = min(COUNT, changed.size)
    first = [*declared, *range(min(FIRST, count))]
    others = (np.flatnonzero(changed)[: count // 3], np.linspace(0, changed.size - 1, count).astype(np.int64))
    return np.array(list(dict.fromkeys(np.concatenate([first, *others]).tolist()))[:count])


def _differ(a: FloatArray, b: FloatArray) -> BoolArray:
    """Where the bits differ, except between NaNs."""
    unsigned = format_of(a).unsigned
    return np.asarray((a.view(unsigned) != b.view(unsigned)) & ~(np.isnan(widen(a)) & np.isnan(widen(b))))
