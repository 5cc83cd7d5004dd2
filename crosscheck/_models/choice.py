"""What an unknown weight of JAX may be made of: one possibility."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.alignment import Product

Made = tuple[Product, Array, Array]
"""A weight of torch that a product is made of, and which of its outputs are which of JAX's."""


@dataclass(frozen=True)
class Assignment:
    """Places in JAX's arrays, the places in torch's whose numbers they get, and those of a second one that is added."""

    jax: Array
    torch: Array
    second: Array | None = None


@dataclass(frozen=True)
class Choice:
    """One possibility.

    Attributes:
        given: What it gives to JAX's arrays, or what says that: there are many choices, and few are made.
        made: Of a product: what it is made of.
        names: The weights of torch.
        score: How likely it is by names and place, larger is likelier.
        sure: Whether the data leaves no other.
    """

    given: tuple[Assignment, ...] | Callable[[], tuple[Assignment, ...]]
    names: tuple[str, ...]
    made: tuple[Made, ...] | None = None
    score: float = 0.0
    sure: bool = False

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """What it gives to JAX's arrays."""
        return self.given() if callable(self.given) else self.given

    def told(self) -> tuple[bytes, ...]:
        """What tells it from another one for the same places."""
        parts = [one for own in self.assignments for one in (own.torch, own.second)]
        return tuple(b"" if one is None else one.astype(np.int64).tobytes() for one in parts)


def cheapest(losses: Sequence[Sequence[float]]) -> Iterator[tuple[int, ...]]:
    """A number for each list, so that the sum of what they stand for there grows; the first of each is the least."""
    start = (0,) * len(losses)
    left = [(sum(own[0] for own in losses), 0, start)]
    while left:
        total, last, numbers = heappop(left)
        yield numbers
        for k in range(last, len(losses)):
            if numbers[k] + 1 < len(losses[k]):
                more = losses[k][numbers[k] + 1] - losses[k][numbers[k]]
                heappush(left, (total + more, k, (*numbers[:k], numbers[k] + 1, *numbers[k + 1 :])))
