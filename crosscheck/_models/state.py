"""Where a search for JAX's weights stands: what is known, and what was decided and is not proven yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crosscheck._frameworks.programs import Array
from crosscheck._models.alignment import Product
from crosscheck._models.choice import Choice


@dataclass(frozen=True)
class Decision:
    """A choice that was made: at which step for which numbers, among which, and where the run stood before."""

    step: int
    key: tuple[int, int]
    choices: tuple[Choice, ...]
    taken: int
    before: State

    @property
    def choice(self) -> Choice:
        return self.choices[self.taken]


@dataclass
class State:
    """A run that stands before a step.

    Attributes:
        at: The step.
        values: Of data, by number.
        sources: By array of JAX, the place in torch's of each number; and of a second one that is added to it.
        made: By step, what a product is made of: weights of torch, and which of their outputs are which of JAX's.
        open: Decisions that nothing has proven yet, in order.
        proven: The numbers of JAX's arrays that are proven.
        used: The numbers of torch's that have a partner.
        forced: The numbers of values that torch's took the place of.
        doubtful: Arrays of JAX that others of torch fit as well.
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
