"""Which products are next to a use of a weight: those whose results lead to it, and those to which its result leads.

A convolution, a gather or any other use that mixes numbers counts as a product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crosscheck._models.values.uses import Operation, Use

MIXING = ("product", "convolution", "gather", "other")
"""The kinds of such uses."""


@dataclass(frozen=True)
class Neighbours:
    """The uses of products next to a use, with no other product between them."""

    before: frozenset[int]
    behind: frozenset[int]


def neighbours(uses: Iterable[Use], operations: Sequence[Operation]) -> dict[int, Neighbours]:
    """The neighbours of each use; the bias of a product follows this product."""
    all_uses = list(uses)
    products = {use.operation.index: frozenset([use.index]) for use in all_uses if use.kind in MIXING}
    before: dict[int, frozenset[int]] = {}
    behind: dict[int, frozenset[int]] = defaultdict(frozenset)
    for operation in operations:
        own = products.get(operation.index)
        before[operation.index] = own or frozenset().union(*(before.get(k, frozenset()) for k in operation.inputs))
    for operation in reversed(operations):
        leads = products.get(operation.index) or behind[operation.index]
        for k in operation.inputs:
            behind[k] |= leads
    return {
        use.index: Neighbours(before.get(use.operation.index, frozenset()), behind[use.operation.index]) for use in all_uses
    }
