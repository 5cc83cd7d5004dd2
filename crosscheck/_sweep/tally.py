"""The counts of judged results: integers that can be added in any order, and the inputs of the largest errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, FloatArray, Format, IntArray, to_ordinal, widen
from crosscheck._sweep.positions import binade_of
from crosscheck._sweep.records import EDGES
from crosscheck._sweep.truths import Block, per_unit

KINDS = ("flushed", "special", "at_overflow", "convention", "not_judged")
COUNTS = ("inputs", *KINDS, "subnormal")
WORST = ("worst", "worst_of_truth", "worst_subnormal")
INFINITY = 0x7F800000
"""The bits of infinity in float32."""
KEPT = 4
"""The number of inputs with the largest errors that are kept for a piece; the largest is decided at the end."""

Candidate = tuple[float, int, int]
"""The error in ULP, within a small part of one; the position of the input; the bits of the result."""


@dataclass(frozen=True)
class SubnormalTreatment:
    """A backend's treatment of subnormals, for one order.

    ``below`` is the magnitude below which a truth may have become 0; 0 if results are not flushed. ``at_zero`` are the
    results that are correct for the input 0, which replaces a subnormal one if inputs are flushed; none if they are not.
    """

    below: float
    at_zero: tuple[float, ...]
    budget: float


@dataclass
class Tally:
    """One implementation and order. ``histogram`` and the counts of ``KINDS`` add up to ``inputs``.

    ``kept`` has the largest errors of each binade: ``worst`` in the unit of the judgement, ``worst_of_truth`` in ULP of the
    truth, and ``worst_subnormal`` those beyond the budget with a subnormal truth, which the others omit.
    """

    fmt: Format
    histogram: list[int] = field(default_factory=lambda: [0] * len(EDGES))
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    kept: dict[str, dict[int, list[Candidate]]] = field(default_factory=lambda: {name: {} for name in WORST})

    def data(self) -> dict[str, Any]:
        flat = {name: [candidate for ones in kept.values() for candidate in ones] for name, kept in self.kept.items()}
        return {"histogram": self.histogram, **self.counts, **flat}

    def consistent(self) -> bool:
        return sum(self.histogram) + sum(self.counts[name] for name in KINDS) == self.counts["inputs"]

    def add(self, data: Mapping[str, Any]) -> None:
        """Add the counts of another tally; candidates are not joined, since they belong to their binades."""
        self.histogram = [a + b for a, b in zip(self.histogram, data["histogram"], strict=True)]
        for name in COUNTS:
            self.counts[name] += data[name]

    def judge(self, got: FloatArray, block: Block, offset: int, flushing: SubnormalTreatment) -> bool:
        """Count the results of one block; ``offset`` is the position of the piece's first input.

        Returns whether each has the bits of the correctly rounded one.
        """
        self.counts["inputs"] += got.size
        if block.exact is None:
            equal = int(np.count_nonzero(got == block.rounded))
            if equal == got.size:
                self.histogram[0] += equal
                self._correct(got, block, offset)
                return block.plain  # otherwise zeros of another sign may be among them
            if block.plain and block.tiny is False and self._dense(got, block, offset):
                return False
        self._each(got, block, offset, flushing)
        return False

    def skip(self, count: int) -> None:
        """Count derivatives at NaN: no truth judges them."""
        self.counts["inputs"] += count
        self.counts["not_judged"] += count

    def _correct(self, got: FloatArray, block: Block, offset: int) -> None:
        """All are correctly rounded: errors are at most half a unit, and matter only if there are no larger ones."""
        if not block.plain or any(ones[0][0] >= 0.5 for ones in self.kept["worst"].values()):
            return
        if np.ndim(block.value) and block.per_unit is not None:
            self._largest(got, block, offset)
        elif not self.kept["worst"]:
            for i, name in product((0, got.size - 1), ("worst", "worst_of_truth")):
                self._insert(name, 0.0, i, got, block, offset)

    def _dense(self, got: FloatArray, block: Block, offset: int) -> bool:
        """All are finite, normal and of the truth's sign: differences of bits are distances. False if they are not."""
        bits, true = got.view(np.int32), np.asarray(block.rounded).view(np.int32)
        low, high = (0, INFINITY) if true.flat[0] >= 0 else (-(2**31), INFINITY - 2**31)
        if bits.min() < low or bits.max() >= high:
            return False
        distance = np.abs(bits - true)
        left, most = got.size, int(distance.max())
        for i, edge in enumerate(EDGES):
            more = int(np.count_nonzero(distance > edge)) if edge < most else 0
            self.histogram[i] += left - more
            left = more
            if not left:
                break
        largest = next(iter(self.kept["worst"].values()))[0][0] if self.kept["worst"] else 0.0
        if most + 0.5 > largest or block.to_unit is not None or most > block.steady:
            self._largest(got, block, offset)
        return True

    def _largest(self, got: FloatArray, block: Block, offset: int) -> None:
        error = got.astype(np.float64)
        error -= block.value
        np.abs(error, out=error)
        error *= block.units(self.fmt)
        self._keep_largest(error, got, block, offset)

    def _keep_largest(
        self, error: Float64Array, got: FloatArray, block: Block, offset: int, *, subnormal: bool = False
    ) -> None:
        """Keep the largest errors of each binade; a block of float32 lies in one binade."""
        starts = [0]
        if self.fmt.bits == 16:
            binades = block.x.view(self.fmt.unsigned) >> (self.fmt.precision - 1)
            starts += (np.flatnonzero(np.diff(binades)) + 1).tolist()
        in_units = error if block.to_unit is None else error * block.to_unit
        for start, stop in pairwise([*starts, got.size]):
            for name in ("worst_subnormal",) if subnormal else ("worst", "worst_of_truth"):
                errors = error if name == "worst_of_truth" else in_units
                i = start + int(errors[start:stop].argmax())
                if errors[i] >= 0:
                    self._insert(name, float(errors[i]), i, got, block, offset)

    def _insert(self, name: str, error: float, i: int, got: FloatArray, block: Block, offset: int) -> None:
        position = offset + block.at.start + i
        ones = self.kept[name].setdefault(binade_of(position, self.fmt), [])
        ones.append((error, position, int(got[i : i + 1].view(self.fmt.unsigned)[0])))
        ones.sort(key=lambda candidate: (-candidate[0], candidate[1]))
        del ones[KEPT:]

    def _each(self, got: FloatArray, block: Block, offset: int, flushing: SubnormalTreatment) -> None:
        """Judge each result of a block by itself."""
        finite = np.isfinite(got)
        if block.exact is None and np.isnan(got).all() and not np.isnan(block.rounded).any():
            self.counts["special"] += got.size
            return
        rounded = np.broadcast_to(np.asarray(block.rounded), got.shape)
        judged, convention = np.ones(got.shape, bool), np.zeros(got.shape, bool)
        if block.exact is not None:
            judged, left, right = block.exact.judged, block.exact.left, block.exact.right
            convention = (got != rounded) & ((got == left) | (got == right))
        correct = judged & ((got == rounded) | (np.isnan(got) & np.isnan(rounded)))
        wrong = judged & ~correct & ~convention
        off = wrong & finite & np.isfinite(rounded)
        size = np.abs(widen(rounded))
        # an infinity counts as the power of two above the largest number
        wide = np.where(np.isinf(got), np.copysign(2.0 ** (self.fmt.e_max + 1), widen(got)), widen(got))
        with np.errstate(invalid="ignore"):
            error = np.abs(wide - block.value) * block.units(self.fmt)
        flushed = (got == 0) & (size < flushing.below)
        for value in flushing.at_zero:
            if np.isinf(value):  # such as log(x) at 0: at a subnormal it is finite, or NaN if the domain ends at 0
                flushed |= block.tiny & (got == value)
            else:
                close = np.abs(wide - value) <= flushing.budget / per_unit(value, self.fmt)
                flushed |= block.tiny & close & (error > flushing.budget)
        overflow = (np.isinf(got) != np.isinf(rounded)) & (error <= flushing.budget)
        kinds = {
            "not_judged": ~judged,
            "convention": judged & convention,
            "flushed": wrong & flushed,
            "at_overflow": wrong & ~flushed & overflow,
            "special": wrong & ~flushed & ~overflow & ~off,
        }
        off &= ~flushed
        for name, where in kinds.items():
            self.counts[name] += int(np.count_nonzero(where))
        self.histogram[0] += int(np.count_nonzero(correct))
        distance: IntArray = np.abs(to_ordinal(got[off]) - to_ordinal(rounded[off]))
        for i, count in enumerate(np.bincount(np.searchsorted(EDGES, distance), minlength=len(EDGES)).tolist()):
            self.histogram[i] += count
        subnormal = off & (size < self.fmt.smallest_normal) & (size > 0)
        in_units = error if block.to_unit is None else error * block.to_unit
        subnormal &= in_units > flushing.budget
        self.counts["subnormal"] += int(np.count_nonzero(subnormal))
        if subnormal.any():
            self._keep_largest(np.where(subnormal, error, -1.0), got, block, offset, subnormal=True)
        counted = (off | correct) & finite & np.isfinite(rounded) & ((size >= self.fmt.smallest_normal) | (size == 0))
        if counted.any():
            self._keep_largest(np.where(counted, error, -1.0), got, block, offset)


def differing(a: FloatArray, b: FloatArray) -> int:
    """How many results differ in their bits; two NaNs count as equal."""
    unsigned = f"u{a.itemsize}"
    different = a.view(unsigned) != b.view(unsigned)
    count = int(np.count_nonzero(different))
    return count and count - int(np.count_nonzero(different & np.isnan(a) & np.isnan(b)))
