"""What the modules that look for the reason of a departure share: the parts of a training, a reason, ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crosscheck._explain.facts import Fact, clause
from crosscheck._frameworks.programs import Array
from crosscheck._training.steps.quantities import relative_difference, size_of

DATA, MODEL, CLIPPING, SCHEDULE, OPTIMISER, AVERAGE = "data", "model", "clipping", "schedule", "optimiser", "average"
SAME_RATIO = 1e-4
"""Ratios count as equal if their relative difference is below this; one so near to a whole number counts as that."""
MUCH = 0.1
"""An explanation must leave an error below ``NEARLY``, and at most this share of the difference."""
NEARLY = 1e-5


@dataclass(frozen=True)
class Reason:
    """The part of a training that is at fault, and what differs; no facts if that was not found."""

    stage: str
    facts: tuple[Fact, ...] = ()
    text: str = ""
    """The words, where they are those of a report on models."""

    @property
    def words(self) -> str:
        return self.text or clause(self.facts)


def explained(error: float) -> float:
    """The largest error that an explanation may leave."""
    return min(NEARLY, MUCH * error)


def ratio_of(pairs: Sequence[tuple[Array, Array]]) -> float | None:
    """The factor from the first to the second of each pair, if all have the same; otherwise None."""
    if not pairs:
        return None
    a, b = (np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in (0, 1))
    square = float(a @ a)
    if not square or not np.isfinite(square):
        return None
    ratio = float(a @ b) / square
    return ratio if ratio and relative_difference(ratio * a, b, size_of(b)) <= SAME_RATIO else None


def as_sum(ratio: float) -> str:
    """What a factor of gradients may come from; empty if it is no whole number."""
    whole = round(ratio if ratio > 1 else 1 / ratio) if ratio > 0 else 0
    if whole < 2 or abs((ratio if ratio > 1 else 1 / ratio) / whole - 1) > SAME_RATIO:
        return ""
    return f"as a sum of {whole} is of a mean" if ratio > 1 else f"as a mean of {whole} is of a sum"
