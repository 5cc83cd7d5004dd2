"""What the rows have in common: a fault is judged and must be found, a right function is judged and must pass."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosscheck import Comparison

Row = dict[str, Any]

Said = str | None
"""What a check that people use said when it noticed something; None where it noticed nothing."""
At = float | tuple[float, float] | str | None
"""Where a fault lies: at one input, at inputs of an interval with its ends, at a place that has a name, or anywhere."""

KINDS = (
    "values",
    "gradients",
    "second derivatives",
    "layouts",
    "precision",
    "outputs",
    "modes",
    "calls",
    "trainings",
    "sweeps",
    "reports",
    "arrays",
)
"""The classes of faults, in the order of the tables."""


@dataclass(frozen=True)
class Verdict:
    """What crosscheck says of a fault.

    Attributes:
        at: The worst input, or the place, that it names.
        placed: Whether everything that it names lies where the fault is.
    """

    found: bool
    cause: str | None = None
    side: str | None = None
    at: float | str | None = None
    placed: bool = True


MISSED = Verdict(found=False)


@dataclass(frozen=True, kw_only=True)
class Fault(ABC):
    """One planted fault, of the class ``kind``; ``cause``, ``side`` and ``at`` are what must be said of it."""

    name: str
    kind: str
    cause: str
    side: str | None = None
    at: At = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: got the kind {self.kind!r}, expected one of {', '.join(KINDS)}")

    @abstractmethod
    def judge(self) -> Verdict:
        """Plant it, and ask crosscheck."""

    def usual(self) -> Mapping[str, Said]:
        """What the usual checks say of it; those that cannot be asked are left out."""
        return {}

    def expects(self, verdict: Verdict) -> bool:
        """Whether it was found, with its cause, side and place."""
        return verdict.found and verdict.placed and (verdict.cause, verdict.side) == (self.cause, self.side)


@dataclass(frozen=True, kw_only=True)
class Right(ABC):
    """Something right: every comparison of it must pass."""

    name: str
    kind: str
    seeds: Sequence[int] = (1,)

    @abstractmethod
    def comparisons(self) -> Sequence[Comparison]:
        """What crosscheck compares of it."""

    @abstractmethod
    def shapes(self) -> Sequence[str]:
        """The shapes of the inputs, for the table."""

    def usual(self) -> Mapping[str, Said]:
        """What the usual checks say of it; those that cannot be asked are left out."""
        return {}


def lies(value: float, at: At) -> bool:
    """Whether an input is the one, or one of those, at which a fault lies; -0 is not 0."""
    if at is None:
        return True
    if isinstance(at, tuple):
        return at[0] <= value <= at[1]
    if isinstance(at, str):
        return False
    if math.isnan(at):
        return math.isnan(value)
    return value == at and math.copysign(1, value) == math.copysign(1, at)


def by_class(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each class, the faults' in the order of ``KINDS``, and all of them."""
    names = {row["class"]: None for row in sorted(rows, key=lambda row: [*KINDS, row["class"]].index(row["class"]))}
    return {**{name: [row for row in rows if row["class"] == name] for name in names}, "all": list(rows)}
