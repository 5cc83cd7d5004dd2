"""A part of very many elements or rows, lifted in its place among the others, for functions that depend on the position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, Format, IntArray, floats_widened
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._compare.judge.evidence import same_bits
from crosscheck._compare.judge.furthest import VECTORISED
from crosscheck._frameworks.programs import Array
from crosscheck._shadow.base import Flushing, Lifted, Met, Noise

SEEN = 8
"""A difference of this many times less than an ULP of the dtype shows in no verdict."""


class InPlace:
    """A lifted program of the whole, as a program of the chosen items along the first axis. The others keep their values."""

    def __init__(self, whole: Flushing | Lifted, arguments: Sequence[Array], chosen: IntArray) -> None:
        self.whole, self.chosen = whole, chosen
        self.arguments = [floats_widened(argument) for argument in arguments]

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        return [result[self.chosen] for result in self.whole.run(self._placed(arguments), noise)]

    def run_flushed(self, arguments: Sequence[Array]) -> list[Array]:
        assert hasattr(self.whole, "run_flushed")
        return [result[self.chosen] for result in self.whole.run_flushed(self._placed(arguments))]

    @property
    def met(self) -> Met:
        return self.whole.met

    def _placed(self, arguments: Sequence[Array]) -> list[Array]:
        placed = []
        for part, whole in zip(arguments, self.arguments, strict=True):
            full = part
            if whole.shape != part.shape:
                full = whole.copy()
                full[self.chosen] = part
            placed.append(full)
        return placed


def alike(first: Sequence[Array], second: Sequence[Array], fmt: Format) -> bool:
    """Whether two lifted runs agree so well that no verdict in the dtype can tell them apart."""
    return all(_alike(a, b, fmt) for a, b in zip(first, second, strict=True))


def _alike(a: Array, b: Array, fmt: Format) -> bool:
    if a.shape != b.shape:
        return False
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.nan_to_num(np.maximum(np.abs(x), np.abs(y)))
        allowed = np.maximum(unit_of(fmt, size) / SEEN, VECTORISED * unit_of(FORMATS["float64"], size))
        return bool((same_bits(x, y) | (np.abs(x - y) <= allowed)).all())
