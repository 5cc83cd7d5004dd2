"""A candidate: what an unknown weight of JAX may consist of, and what its score needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.copy.value_matching import Product
from crosscheck._models.record.jax_recording import Step

if TYPE_CHECKING:
    from crosscheck._models.copy.number_tracing import NumberTracer
    from crosscheck._models.copy.state import State

Made = tuple[Product, Array, Array]
"""A weight of torch that is part of a product's weight, and which of its outputs are which of JAX's."""


@dataclass(frozen=True)
class Assignment:
    """Places in JAX's arrays, the places in torch's from which their numbers come, and those of a second array to add."""

    jax: Array
    torch: Array
    second: Array | None = None


@dataclass(frozen=True)
class Candidate:
    """One possibility for an unknown weight.

    Attributes:
        given: The assignments, or a function that makes them: there are many candidates, and few are applied.
        made: For a product: its parts.
        names: The weights of torch.
        score: How likely it is by names and place, larger is likelier.
        sure: Whether the data leaves no other possibility.
    """

    given: tuple[Assignment, ...] | Callable[[], tuple[Assignment, ...]]
    names: tuple[str, ...]
    made: tuple[Made, ...] | None = None
    score: float = 0.0
    sure: bool = False

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """The numbers that it gives to JAX's arrays."""
        return self.given() if callable(self.given) else self.given

    def key(self) -> tuple[bytes, ...]:
        """A key that differs from those of other candidates for the same places."""
        parts = [places for own in self.assignments for places in (own.torch, own.second)]
        return tuple(b"" if places is None else places.astype(np.int64).tobytes() for places in parts)


def cheapest(losses: Sequence[Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """Indices, one for each list, in the order of the sum of the losses there; the first loss of each list is its least."""
    start = (0,) * len(losses)
    left = [(sum(own[0] for own in losses), 0, start)]
    while left:
        total, last, numbers = heappop(left)
        yield numbers
        for k in range(last, len(losses)):
            if numbers[k] + 1 < len(losses[k]):
                more = losses[k][numbers[k] + 1] - losses[k][numbers[k]]
                heappush(left, (total + more, k, (*numbers[:k], numbers[k] + 1, *numbers[k + 1 :])))


def of_columns(places: Array, seen: Array, columns: Array) -> tuple[Assignment, ...]:
    """The assignment of some outputs of a matrix of torch to one of JAX."""
    return (Assignment(places.reshape(-1), seen[:, columns].reshape(-1)),)


class CandidateSearch:
    """What the searches for candidates share."""

    def __init__(self, tracer: NumberTracer) -> None:
        self.of_run = tracer

    def names(self, places: Array) -> str:
        """The arrays of JAX that contain these numbers."""
        return " ".join(name for name, *_ in self.of_run.jax_places.split(places))

    def used_of(self, state: State, name: str) -> float:
        """The share of the numbers of one of torch's weights that have a partner."""
        return state.used[name].share if name in state.used else 0.0

    def used(self, state: State, places: Array) -> float:
        """The share of torch's numbers that have a partner."""
        parts = self.of_run.torch_places.split(places)
        return sum(int(state.used[name].at(own).sum()) for name, _, own in parts if name in state.used) / places.size

    def result(self, state: State, step: Step, candidate: Candidate) -> Array:
        """The result of a step with a candidate."""
        trial = state.copy()
        self.of_run.apply(trial, candidate)
        given = [self.of_run.value(trial, operand) for operand in step.inputs]
        return np.asarray(self.of_run.run.results(step, given)[0])
