"""What a node of PyTorch's program is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import torch

from crosscheck._explain.facts import Fact
from crosscheck._explain.tables import MOVING, PARTS, SAID
from crosscheck._graph.graph import Call, Leaf, Ref, refs

if TYPE_CHECKING:
    from crosscheck._explain.segment import GraphSegment


P = ParamSpec("P")
FEW_NUMBERS = 4
"""A constant of so many numbers is named by them."""
LONGEST = 60
"""A longer name is that of the operation alone."""


Naming = Callable[Concatenate["GraphSegment", P], str]


def _once(naming: Naming[P]) -> Naming[P]:
    """The same, for each segment once: every edit that is tried has words, which are made of those of a few values."""

    @wraps(naming)
    def once(segment: GraphSegment, /, *given: P.args, **named: P.kwargs) -> str:
        key = (naming.__name__, *given, *named.values())
        if key not in segment.words:
            segment.words[key] = naming(segment, *given, **named)
        return segment.words[key]

    return once


@_once
def said(segment: GraphSegment, number: int, depth: int = 2, *, many: bool = False) -> str:
    """A value in words: the weight, the input, the result of a layer, or the operation with its operands.

    ``many``: of several values that have the same words.
    """
    node = segment.graph.nodes[number]
    if isinstance(node, Leaf):
        return node.name or node.label or _constant(node.value)
    call = segment.graph.call(number, segment.edits)
    assert call is not None
    inside = list(dict.fromkeys(refs(call)))
    if call.name in PARTS and call.pick is not None:
        return f"part {call.pick} of {said(segment, inside[0], depth, many=many)}"
    scaled = call.name in ("mul", "div") and len(inside) == 1  # by a number
    if inside and (scaled or call.name in {*MOVING, "masked_fill"}):
        return said(segment, inside[0], depth, many=many)
    on_data = number in segment.data or number not in segment.values  # what is outside leads to data
    if on_data and (layer := layer_of(segment, number)):
        return f"the result{'s' * many} of {layer}"
    if not depth or not inside:
        return named(segment, number)
    operands = [said(segment, operand, depth - 1, many=many) for operand in inside[:2]]
    if call.name == "add" and len(inside) == 2 and operands[0] == operands[1]:
        return said(segment, inside[0], depth - 1, many=True)
    whole = f"{_short(call.name)}({', '.join(operands)})"
    return whole if len(whole) <= LONGEST else said(segment, number, depth - 1, many=many)


def exchange(segment: GraphSegment, torch: int, jax: int, where: str = "") -> Fact:
    """The fact that two values take each other's place."""
    calls = [segment.call(origin(segment, number)) for number in (torch, jax)]
    parts = [call.pick for call in calls if call is not None and call.name in PARTS and call.pick is not None]
    if len(parts) == 2 and calls[0] is not None and calls[1] is not None and calls[0].args is calls[1].args:
        of = next(refs(calls[0]))
        return Fact("order", where=f"parts {min(parts)} and {max(parts)} of {said(segment, of)}", jax=f"exchanged{where}")
    return Fact("exchange", torch=said(segment, torch), jax=said(segment, jax), where=where)


def origin(segment: GraphSegment, number: int) -> int:
    """The value whose numbers a value holds in another shape, or times a number."""
    call = segment.call(number)
    while call is not None and (inside := list(dict.fromkeys(refs(call)))):
        scaled = call.name in ("mul", "div") and len(inside) == 1
        if call.name not in MOVING - PARTS and not scaled:
            break
        number = inside[0]
        call = segment.call(number)
    return number


def _constant(value: Any) -> str:
    """A constant: its numbers if they are few."""
    if not isinstance(value, torch.Tensor) or value.numel() > FEW_NUMBERS:
        return "a constant"
    return f"the constant [{', '.join(f'{number:.6g}' for number in value.flatten().tolist())}]"


def named(segment: GraphSegment, number: int) -> str:
    """An operation in words."""
    call = segment.call(number)
    return "the input" if call is None else SAID.get(call.name, _short(call.name))


def computes(segment: GraphSegment, node: int) -> bool:
    """Whether an operation does more than to move numbers."""
    call = segment.call(node)
    return call is not None and call.name not in MOVING


def listed(names: Sequence[str]) -> str:
    """Names as a list in a sentence."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def first_of(names: Sequence[str]) -> str:
    """The first two of several names, and how many more there are."""
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _short(name: str) -> str:
    return name.removesuffix("_with_indices").removeprefix("native_").strip("_")


@_once
def layer_of(segment: GraphSegment, number: int) -> str:
    """The module that owns a weight of the operation; empty if it uses none."""
    for operand in segment.graph.operands(number):
        node = segment.graph.nodes[operand]
        while isinstance(node, Call) and node.name in MOVING and (inner := next(refs(node), None)) is not None:
            node = segment.graph.nodes[inner]
        if isinstance(node, Leaf) and node.name:
            layer = node.name.rpartition(".")[0]
            return "" if _has_layers(segment, layer) else layer
    return ""


def _has_layers(segment: GraphSegment, module: str) -> bool:
    """Whether a module has others with weights inside: then a single operation does not give its result."""
    leaves = (node.name for node in segment.graph.nodes if isinstance(node, Leaf))
    return bool(module) and any(name.startswith(f"{module}.") and "." in name[len(module) + 1 :] for name in leaves)


def behind(segment: GraphSegment, number: int) -> list[str]:
    """The layers whose results lead to a node, without another layer between."""
    layers: list[str] = []
    left, seen = list(segment.graph.operands(number)), set[int]()
    while left:
        operand = left.pop(0)
        if operand in seen:
            continue
        seen.add(operand)
        if layer := layer_of(segment, operand):
            layers += [layer] * (layer not in layers)
        else:
            left += segment.graph.operands(operand)
    return layers


def line_of(segment: GraphSegment, call: Call) -> tuple[Any, ...]:
    """What the calls of one line share at each step of a loop: the line, the operation, and those that make its operands."""
    makers = (segment.call(argument.node) if isinstance(argument, Ref) else None for argument in call.args)
    return call.name, call.path, call.source, tuple(maker.name if maker is not None else "" for maker in makers)
