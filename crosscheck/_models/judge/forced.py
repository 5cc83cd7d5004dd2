"""What a run of JAX with values of torch gives: the errors at landmarks, and the faults."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._models.run.interpreter import ModelRun
from crosscheck._models.values.spilled import Spilled


@dataclass(frozen=True)
class Replacement:
    """A value of JAX, the operation of torch whose result replaces it, and the axis of torch for each of its axes."""

    value: int
    operation: int
    order: tuple[int, ...] | None


@dataclass
class LocatedFault:
    """A fault: the operation of torch, the landmark that shows it first, and all landmarks that show it.

    The operation is negative if only the landmark is known.
    """

    operation: int
    landmark: int
    how: str = ""
    """``misplaced`` if JAX has its numbers in another order, ``changed`` if JAX has its result and then changes it.

    ``moved`` if JAX has it before or after operations that torch has after or before it.
    """
    shown: list[int] = field(default_factory=list)
    relation: Fact | None = None
    """Where JAX has it, if that is elsewhere."""
    path: str = ""
    """The module, if it is not that of the operation."""
    later: bool = False
    """Whether JAX has it, behind operations that torch has behind it: ``relation`` says so."""


@dataclass
class Forced:
    """A forced run: the error at each landmark before torch's value replaced JAX's, and the faults."""

    errors: dict[int, float] = field(default_factory=dict)
    parts: dict[int, Array] = field(default_factory=dict)
    """The same errors in each row, and in each feature, one after the other."""
    faults: list[LocatedFault] = field(default_factory=list)
    values: MutableMapping[int, Array] = field(default_factory=Spilled)
    left: set[int] = field(default_factory=set)
    """Landmarks where JAX's value was kept."""
    run: ModelRun | None = None
    key: str = ""
    """Its name in the file that keeps runs."""


def packed(forced: Forced) -> dict[str, Array]:
    """The numbers of a run, for a file."""
    arrays = {"errors": np.array([*forced.errors.items()], np.float64), "left": np.array(sorted(forced.left), np.int64)}
    for what, kept in (("values", forced.values), ("parts", forced.parts)):
        arrays |= {f"{what} {number}": array for number, array in kept.items()}
    return arrays


def unpacked(arrays: Mapping[str, Array]) -> Forced:
    """The run of which a file has the numbers."""
    forced = Forced({int(number): float(error) for number, error in arrays["errors"]}, left=set(arrays["left"].tolist()))
    for name, array in arrays.items():
        what, _, number = name.partition(" ")
        if number:
            {"values": forced.values, "parts": forced.parts}[what][int(number)] = array
    return forced
