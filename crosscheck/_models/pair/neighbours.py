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
    found = list(uses)
    products = {one.operation.index: frozenset([one.index]) for one in found if one.kind in MIXING}
    before: dict[int, frozenset[int]] = {}
    behind: dict[int, frozenset[int]] = defaultdict(frozenset)
    for one in operations:
        own = products.get(one.index)
        before[one.index] = own or frozenset().union(*(before.get(k, frozenset()) for k in one.inputs))
    for one in reversed(operations):
        leads = products.get(one.index) or behind[one.index]
        for k in one.inputs:
            behind[k] |= leads
    return {
        one.index: Neighbours(before.get(one.operation.index, frozenset()), behind[one.operation.index]) for one in found
    }
