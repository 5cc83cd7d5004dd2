"""What the searches after a verdict may cost together.

Runs, operations and elements are counted, not seconds, so that every machine finds the same. A cost of 1 is about that of a
run of a small program that JAX has compiled.
"""

from __future__ import annotations

from collections.abc import Sequence

from crosscheck._compare.work import Work
from crosscheck._shadow.base import Array, Lifted, Met, Noise

MOST = 400_000
"""The cost of all searches of a comparison."""
FOR_IDENTITIES = 200_000
FOR_HOW = 20_000
RUN = (10, 1)
"""The cost of a run of either side's program, of PyTorch and of JAX, if it is small."""
OPERATIONS = 2**7
"""A program of more operations costs more in proportion."""
ELEMENTS = 2**12
"""Results with this many elements, in all operations, add the cost of 1."""
COMPILING = 40
"""The cost of compiling an operation of JAX."""


class SpentError(Exception):
    """A search would cost more than is left."""


class SearchBudget:
    """What is left for a search, and for those after it: a part takes from the whole, and never more than its own."""

    def __init__(self, most: float = MOST, whole: SearchBudget | None = None) -> None:
        self._left, self._whole = most, whole

    def part(self, most: float) -> SearchBudget:
        """A budget for one of several searches."""
        return SearchBudget(most, self)

    @property
    def left(self) -> float:
        return self._left if self._whole is None else min(self._left, self._whole.left)

    def spend(self, cost: float) -> None:
        """Count a cost, also one that exceeds what is left."""
        self._left -= cost
        if self._whole is not None:
            self._whole.spend(cost)

    def pay(self, cost: float) -> None:
        """Count a cost before it arises.

        Raises:
            SpentError: If less is left.
        """
        if cost > self.left:
            raise SpentError(f"{cost:,.0f} of {self.left:,.0f} left")
        self.spend(cost)


def cost_of(side: int, work: Work) -> float:
    """The cost of a run of PyTorch's program, 0, or of JAX's, 1."""
    return RUN[side] * max(1.0, work.operations / OPERATIONS) + work.elements / ELEMENTS


class Paid:
    """A lifted program whose runs are paid for before they start."""

    def __init__(self, lifted: Lifted, cost: float, budget: SearchBudget) -> None:
        self.lifted, self.cost, self.budget = lifted, cost, budget

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        self.budget.pay(self.cost)
        return self.lifted.run(arguments, noise)

    @property
    def met(self) -> Met:
        return self.lifted.met
