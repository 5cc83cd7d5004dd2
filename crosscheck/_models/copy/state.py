"""The state of a search for JAX's weights: what is known, and the decisions that are not proven yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crosscheck._frameworks.programs import Array
from crosscheck._models.copy.candidate import Candidate
from crosscheck._models.copy.value_matching import Product


class DeadEndError(Exception):
    """A candidate leads nowhere."""


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
        sources: For each array of JAX, the place in torch's of each number, and that of a second number to add.
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
    sources: dict[str, tuple[Array, Array]]
    made: dict[int, list[tuple[Product, Array, Array]]] = field(default_factory=dict)
    open: list[Decision] = field(default_factory=list)
    proven: dict[str, Array] = field(default_factory=dict)
    used: dict[str, Array] = field(default_factory=dict)
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
