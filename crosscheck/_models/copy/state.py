"""The state of a search for JAX's weights: what is known, and the decisions that are not proven yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.copy.candidate import Candidate
from crosscheck._models.copy.value_matching import Product
from crosscheck._models.run.index_maps import outer_sum, separated

EMPTY, NONE_FITS = -1, -2
"""The place in torch of a number that is not known yet, and of one for which torch has no weight of its shape."""


class DeadEndError(Exception):
    """A candidate leads nowhere."""


class TorchSources:
    """For each number of an array of JAX, its place in torch's arrays, and that of a second number to add.

    All places of a large weight are as large as itself. Where each axis adds to them independently, as in any usual layout,
    one vector for each axis is kept.

    Attributes:
        complete: Whether every number has a place.
        known: Whether any number has one.
        unknown: Whether any number has none yet.
        second: The second places, negative for none.
    """

    def __init__(self, first: Array, second: Array) -> None:
        self.complete, self.known = bool((first >= 0).all()), bool((first >= 0).any())
        self.unknown = not self.complete and bool((first == EMPTY).any())
        self.second = second
        vectors = separated(first) if self.complete and first.size else None
        self._kept = first if vectors is None else (first.flat[0], vectors)

    @property
    def first(self) -> Array:
        """The places."""
        return outer_sum(*self._kept) if isinstance(self._kept, tuple) else self._kept


class Marks:
    """Which numbers of an array are marked: one mark for each number, unless all are marked.

    Attributes:
        share: The share of the numbers that are marked.
    """

    def __init__(self, shape: tuple[int, ...], marks: Array | bool) -> None:
        self._shape = shape
        self.share = float(np.mean(marks))
        self._marks = None if self.share == 1 else np.broadcast_to(marks, shape)

    def at(self, places: Array) -> Array:
        """Whether the numbers at these places are marked."""
        return np.ones(places.shape, bool) if self._marks is None else self._marks.reshape(-1)[places]

    def with_marked(self, places: Array) -> Marks:
        """The same, with the numbers at these places marked too."""
        if self._marks is None:
            return self
        marks = self._marks.copy()
        marks.reshape(-1)[places] = True
        return Marks(self._shape, marks)


@dataclass(frozen=True)
class Decision:
    """A decision: the step, the numbers, the candidates, and the state before it."""

    step: int
    key: tuple[int, int]
    candidates: tuple[Candidate, ...]
    taken: int
    before: State

    @property
    def candidate(self) -> Candidate:
        return self.candidates[self.taken]


@dataclass
class State:
    """The state of a run before a step.

    Attributes:
        at: The step.
        values: The values of data, by number.
        sources: For each array of JAX, where its numbers come from.
        made: For each step, the parts of a product: weights of torch, and which of their outputs are which of JAX's.
        open: Decisions that nothing has proven yet, in order.
        proven: The numbers of JAX's arrays that are proven.
        used: The numbers of torch that have a partner.
        forced: The numbers of the values that torch's values replaced.
        doubtful: Arrays of JAX that other arrays of torch fit as well.
        alone: Arrays of JAX that are proven by their own operation, but not by what follows.
    """

    at: int
    values: dict[int, Any]
    sources: dict[str, TorchSources]
    made: dict[int, list[tuple[Product, Array, Array]]] = field(default_factory=dict)
    open: list[Decision] = field(default_factory=list)
    proven: dict[str, Marks] = field(default_factory=dict)
    used: dict[str, Marks] = field(default_factory=dict)
    forced: frozenset[int] = frozenset()
    doubtful: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()

    def copy(self) -> State:
        return State(
            self.at,
            dict(self.values),
            dict(self.sources),
            dict(self.made),
            list(self.open),
            dict(self.proven),
            dict(self.used),
            self.forced,
            self.doubtful,
            self.alone,
        )
