"""Shapes of rows, usual ones and difficult ones: a few numbers describe each, so that a search can change them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from crosscheck._arithmetic.formats import Float64Array
from crosscheck._arithmetic.sampling import run_lines

KINDS = {
    "logits": (("row = {normal} * {distance}",), "normal logits times {distance:.4g}"),
    "dominant": (
        ("row = numpy.full({length}, -{distance})", "row[{some}] = 0"),
        "{count} at the top, the others {distance:.6g} below",
    ),
    "clusters": (
        ("row = numpy.full({length}, -{distance})", "row[{some}] = 0", "row += {normal} / 10"),
        "two clusters {distance:.4g} apart, {count} in the upper one",
    ),
    "ramp": (("row = numpy.linspace(-{distance}, 0, {length})",), "a ramp of {distance:.4g}"),
    "ties": (("row = 0.0 + numpy.rint({normal} * {distance})",), "whole numbers, normal times {distance:.4g}"),
    "masked": (
        ("row = {normal} * {distance}", "row[{others}] = {mask}"),
        "normal logits times {distance:.4g}, all but {count} masked",
    ),
    "equal": (("row = numpy.full({length}, {level})",), "all entries equal"),
    "tiny": (("row = {level} + {normal} * {share}",), "a spread of {share:.2g}"),
    "outliers": (
        ("row = {normal}", "at = {some}", "row[at] = {distance} * rng.choice([-1, 1], at.size)"),
        "normal entries, {count} being {distance:.4g} or its negative",
    ),
}
"""For each kind of row, the lines of numpy that draw it, which a snippet shows too; and its description."""

ROW, ENTRY = MOVES = ("the row", "one entry")
"""What is moved to where a result is nearly 0: all entries of the row by the same number, or a single one."""


@dataclass(frozen=True)
class RowShape:
    """A row of any length: its kind, the numbers on which it depends, and a seed.

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
        count = f"a share of {self.share:.2g}" if self.share else "one entry"
        said = KINDS[self.kind][1].format(distance=self.distance, share=self.share, count=count)
        said += f", around {self.level:.4g}" if self.level else ""
        return said + (f", {self.moves} moved towards a result of {self.target:.4g}" if self.moves else "")

    def draw(self, length: int, mask: float) -> Float64Array:
        """The row; ``mask`` is the value of masked entries."""
        return np.asarray(run_lines(self.lines(length, mask))["row"], np.float64)

    def lines(self, length: int, mask: float) -> tuple[str, ...]:
        """The lines of numpy that draw the row."""
        some = int(np.clip(round(self.share * length), 1, length))
        words = {
            "length": length,
            "normal": f"rng.standard_normal({length})",
            "some": f"rng.permutation({length})[:{some}]",
            "others": f"rng.permutation({length})[{some}:]",
            "mask": "-numpy.inf" if mask == -inf else mask,
        }
        drawn = (line.format(**words, **vars(self)) for line in KINDS[self.kind][0])
        return (f"rng = numpy.random.default_rng([{self.seed}, {length}])", *drawn)

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
    RowShape("dominant", 1.0),
    RowShape("dominant", 16.0),
    RowShape("ramp", 20),
    RowShape("ties", 3),
    RowShape("outliers", 50, 0.003),
    RowShape("logits", 0.5),
    RowShape("logits", 5),
    RowShape("dominant", 11.0),
    RowShape("dominant", 30.0),
    RowShape("dominant", 80.0),
    RowShape("dominant", 8.5, 0.01),
    RowShape("equal", level=3.7),
    RowShape("masked", 3, 0.9),
    RowShape("masked", 3, 0.001),
    RowShape("clusters", 15.0, 0.001),
    RowShape("tiny", 0, 1e-6, 1),
    RowShape("logits", 2, moves=ROW),
    RowShape("dominant", 7.0, moves=ROW, target=0.5),
    RowShape("clusters", 15.0, 0.1, moves=ROW, target=1e-4),
    RowShape("logits", 2, moves=ENTRY),
    RowShape("outliers", 50, 0.003, moves=ENTRY, target=1e-4),
    RowShape("tiny", 0, 0.01, 1000, moves=ENTRY),
)
"""The rows with which a search begins; a short search takes only the first of them."""
