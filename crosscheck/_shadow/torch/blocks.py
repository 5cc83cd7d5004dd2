"""Products with large weights, a block of columns after the other: no weight is held in float64 as a whole."""

from collections.abc import Callable, Iterator
from typing import Any

from crosscheck._shadow.base import parts
from crosscheck._shadow.torch.operations import OperationTraits
from crosscheck._shadow.torch.shadows import copied_to_float64

_PRODUCTS = frozenset(["mm", "addmm"])


def in_blocks(plan: OperationTraits, args: Any, kwargs: Any, is_weight: Callable[[Any], bool]) -> Iterator[list[Any]] | None:
    """The operands of an operation for each block of its columns, the weight in float64; None of another operation."""
    if plan.name not in _PRODUCTS or kwargs or not is_weight(args[-1]):
        return None
    *others, weight = args
    ranges = parts(weight.numel(), weight.shape[1])
    return _blocks(others, weight, ranges) if len(ranges) > 1 else None


def _blocks(others: list[Any], weight: Any, ranges: list[slice]) -> Iterator[list[Any]]:
    *added, left = others
    for part in ranges:
        beside = [term if term.shape[-1] == 1 else term[..., part] for term in added]
        yield [*beside, left, copied_to_float64(weight[:, part])]
