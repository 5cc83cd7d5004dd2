"""Shapes of rows, usual ones and difficult ones: a few numbers describe each, so that a search can change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from crosscheck._arithmetic.formats import Float64Array

Draw = Callable[[np.random.Generator, int, float, float], Float64Array]


def _dominant(rng: np.random.Generator, length: int, distance: float, share: float) -> Float64Array:
    row = np.full(length, -distance)
    row[rng.permutation(length)[: _some(length, share)]] = 0
    return row


def _masked(rng: np.random.Generator, length: int, distance: float, share: float) -> Float64Array:
    row = rng.standard_normal(length) * distance
    row[rng.permutation(length)[_some(length, share) :]] = -inf
    return row


def _outliers(rng: np.random.Generator, length: int, distance: float, share: float) -> Float64Array:
    row = rng.standard_normal(length)
    at = rng.permutation(length)[: _some(length, share)]
    row[at] = distance * rng.choice([-1, 1], at.size)
    return row


def _some(length: int, share: float) -> int:
    return int(np.clip(round(share * length), 1, length))


KINDS: dict[str, tuple[Draw, str]] = {
    "logits": (lambda rng, n, distance, _: rng.standard_normal(n) * distance, "normal logits times {distance:.4g}"),
    "dominant": (_dominant, "{some} at the top, the others {distance:.6g} below"),
    "clusters": (
        lambda rng, n, *shape: _dominant(rng, n, *shape) + rng.standard_normal(n) / 10,
        "two clusters {distance:.4g} apart, {some} in the upper one",
    ),
    "ramp": (lambda _, n, distance, share: np.linspace(-distance, 0, n), "a ramp of {distance:.4g}"),
    "ties": (
        lambda rng, n, distance, _: np.rint(rng.standard_normal(n) * distance),
        "whole numbers, normal times {distance:.4g}",
    ),
    "masked": (_masked, "normal logits times {distance:.4g}, all but {some} masked"),
    "equal": (lambda _, n, *shape: np.zeros(n), "all entries equal"),
    "tiny": (lambda rng, n, _, share: rng.standard_normal(n) * share, "a spread of {share:.2g}"),
    "outliers": (_outliers, "normal entries, {some} being {distance:.4g} or its negative"),
}
"""How a row of each kind is drawn, from a generator, a length, a distance and a share; and its description."""


ROW, ENTRY = MOVES = ("the row", "one entry")
"""What is moved to where a result is nearly 0: all entries of the row by the same number, or a single one."""


@dataclass(frozen=True)
class RowShape:
    """A row of any length: its kind, the numbers on which it depends, a level that is added, and a seed.

    ``moves``, one of ``MOVES``, is moved until the function's result is ``target``: near 0, its terms cancel.
    """

    kind: str
    distance: float = 0.0
    share: float = 0.0
    level: float = 0.0
    seed: int = 0
    moves: str = ""
    target: float = 0.0

    def __str__(self) -> str:
        some = f"a share of {self.share:.2g}" if self.share else "one entry"
        said = KINDS[self.kind][1].format(distance=self.distance, share=self.share, some=some)
        said += f", around {self.level:.4g}" if self.level else ""
        return said + (f", {self.moves} moved towards a result of {self.target:.4g}" if self.moves else "")

    def draw(self, length: int, mask: float) -> Float64Array:
        """The row; ``mask`` is the value of masked entries."""
        rng = np.random.default_rng([self.seed, length])
        row = self.level + KINDS[self.kind][0](rng, length, self.distance, self.share)
        return np.where(np.isinf(row), mask, row)

    def lines(self, length: int, mask: float) -> tuple[str, ...]:
        """The lines of numpy that draw the row, of the kinds in ``USED``."""
        some = f"rng.permutation({length})[:{_some(length, self.share)}]"
        others = f"rng.permutation({length})[{_some(length, self.share)}:]"
        normal = f"rng.standard_normal({length})"
        of_kind = {
            "logits": (f"row = {normal} * {self.distance}",),
            "dominant": (f"row = numpy.full({length}, {-self.distance})", f"row[{some}] = 0"),
            "clusters": (f"row = numpy.full({length}, {-self.distance})", f"row[{some}] = 0", f"row += {normal} / 10"),
            "masked": (f"row = {normal} * {self.distance}", f"row[{others}] = {'-numpy.inf' if mask == -inf else mask}"),
            "tiny": (f"row = {self.level} + {normal} * {self.share}",),
        }[self.kind]
        return (f"rng = numpy.random.default_rng([{self.seed}, {length}])", *of_kind)

    def mutated(self, rng: np.random.Generator) -> RowShape:
        """A similar row: with a distance, share or level that differs a little."""
        step = rng.choice([0.02, 0.2, 1.0])
        return replace(
            self,
            distance=self.distance * float(np.exp(step * rng.standard_normal())),
            share=min(1.0, self.share * float(np.exp(2 * step * rng.standard_normal()))),
            level=self.level * float(np.exp(step * rng.standard_normal())),
            target=self.target * float(np.exp(step * rng.standard_normal())),
            seed=int(rng.integers(2**31)),
        )


USED = (
    RowShape("logits", 2),
    RowShape("logits", 20),
    RowShape("dominant", 8.5),
    RowShape("clusters", 7.3, 0.3),
    RowShape("masked", 3, 0.1),
    RowShape("tiny", 0, 0.01, 1000),
)
"""The rows as long as a vocabulary."""

STARTS = (
    *USED,
    RowShape("dominant", 1),
    RowShape("dominant", 16),
    RowShape("ramp", 20),
    RowShape("ties", 3),
    RowShape("outliers", 50, 0.003),
    RowShape("logits", 0.5),
    RowShape("logits", 5),
    RowShape("dominant", 11),
    RowShape("dominant", 30),
    RowShape("dominant", 80),
    RowShape("dominant", 8.5, 0.01),
    RowShape("equal", level=3.7),
    RowShape("masked", 3, 0.9),
    RowShape("masked", 3, 0.001),
    RowShape("clusters", 15, 0.001),
    RowShape("tiny", 0, 1e-6, 1),
    RowShape("logits", 2, moves=ROW),
    RowShape("dominant", 7, moves=ROW, target=0.5),
    RowShape("clusters", 15, 0.1, moves=ROW, target=1e-4),
    RowShape("logits", 2, moves=ENTRY),
    RowShape("outliers", 50, 0.003, moves=ENTRY, target=1e-4),
    RowShape("tiny", 0, 0.01, 1000, moves=ENTRY),
)
"""The rows with which a search begins; a short search takes only the first of them."""
