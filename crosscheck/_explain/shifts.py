"""The rule of shifts: JAX moves an array along an axis by another number of places, or fills the free places otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from crosscheck._explain.facts import Edit, Fact
from crosscheck._explain.functions import Function, shift
from crosscheck._explain.names import said
from crosscheck._explain.segment import GraphSegment
from crosscheck._explain.tables import PADS
from crosscheck._graph.graph import Call, Ref

SHIFTING = frozenset(["slice", "cat", "roll", "index", "index_select", "narrow", *PADS])
"""Operations that may be the last one of a shift."""
MOST_STEPS = 3
"""Operations of a shift: to pad, to cut off, to make a view."""
MOST_PLACES = 3
FILLS: Mapping[str, Function] = {
    "filled with zeros": shift("zeros"),
    "filled from the other end (roll)": shift("around"),
    "filled with the outermost": shift("edge"),
}
"""What stands at the places that become free."""


def shifts(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Another shift, or none, where PyTorch shifts a value along an axis."""
    for last in (node, *segment.users.get(node, ())):  # what is padded may then be cut off
        yield from _at(segment, last)


def _at(segment: GraphSegment, node: int) -> Iterator[Edit]:
    call, there = segment.call(node), segment.values.get(node)
    if call is None or call.name not in SHIFTING or not isinstance(there, torch.Tensor):
        return
    for other in _sources(segment, node):
        value = segment.values[other]
        own = _own(value, there)
        if own is None:
            continue
        by, axis, fill = own
        what = f"the shift of {said(segment, other)} along axis {axis}"
        for new in range(-MOST_PLACES, MOST_PLACES + 1):
            for number, (name, function) in enumerate(FILLS.items()):
                if (new, name) == (by, fill) or (not new and number):
                    continue
                sides = (fill, name) if new == by else (f"by {by}", f"by {new}")
                if new != by and name != fill:
                    sides = f"{sides[0]}, {fill}", f"{sides[1]}, {name}"
                fact = Fact("form", what, torch=sides[0], jax=sides[1], source=call.source)
                if not new:
                    fact = Fact("missing", f"to shift {said(segment, other)} by {by} along axis {axis}", source=call.source)
                edited = Call(name, function, (Ref(other), new, axis))
                yield Edit({node: edited}, fact, ("shift", str(new), name), 0.8 + 0.01 * number)


def _sources(segment: GraphSegment, node: int) -> Iterator[int]:
    """The values of the same shape from which a few operations make a value."""
    shape, left = segment.values[node].shape, [node]
    for _ in range(MOST_STEPS):
        left = [operand for other in left for operand in segment.operands(other)]
        yield from (operand for operand in left if getattr(segment.values.get(operand), "shape", None) == shape)


def _own(value: Any, there: Any) -> tuple[int, int, str] | None:
    """By how many places, along which axis and how filled the first value is moved to give the second."""
    if value.dtype != there.dtype or torch.equal(value, there):
        return None
    for axis in range(-value.ndim, 0):
        for by in range(1, min(MOST_PLACES + 1, value.shape[axis])):
            for way in (by, -by):
                for name, function in FILLS.items():
                    if torch.equal(function(value, way, axis), there):
                        return way, axis, name
    return None
