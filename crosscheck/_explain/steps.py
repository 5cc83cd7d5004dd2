"""Rules of the steps of a recurrence: a part of a bias left out, an operation before a product, other steps taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from crosscheck._explain.facts import Edit, Fact
from crosscheck._explain.names import line_of, named, said
from crosscheck._explain.segment import GraphSegment
from crosscheck._explain.tables import FAMILIES, MOVING, PARTS, PRODUCTS, UNARY, VERBS
from crosscheck._graph.graph import Call, Leaf, Ref

FEWEST_STEPS = 3
"""Of fewer like values, nobody takes the mean over the steps."""


def without_part(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """The bias left out in one part of a product, such as one gate's."""
    call = segment.call(node)
    inner = segment.call(call.args[0].node) if call is not None and call.name in PARTS and call.args else None
    if call is None or inner is None or inner.name != "addmm":
        return
    bias = inner.args[0]
    if isinstance(bias, Ref) and isinstance(segment.graph.nodes[bias.node], Leaf):
        new = replace(call, args=(replace(inner, kwargs={**inner.kwargs, "beta": 0}), *call.args[1:]))
        fact = Fact("missing", f"part {call.pick} of the bias {said(segment, bias.node)}", source=call.source)
        yield Edit({node: new}, fact, ("without part", str(call.pick)), 1.0)


def before_product(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """An operation on a product, or on a part of one, done to the data of the product instead."""
    call = segment.call(node)
    if call is None or not (call.name in VERBS or FAMILIES.get(call.name) is UNARY):
        return
    for place, operand in enumerate(call.args[:2]):
        if not isinstance(operand, Ref):
            continue
        way = _way_to_product(segment, operand.node)
        if not way:
            continue
        product = way[-1]
        for at, data in enumerate(product.args):
            if not isinstance(data, Ref) or isinstance(segment.graph.nodes[data.node], Leaf):
                continue
            made: Call = replace(call, args=(*call.args[:place], data, *call.args[place + 1 :]))
            new = replace(product, args=(*product.args[:at], made, *product.args[at + 1 :]))
            for outer in reversed(way[:-1]):
                new = replace(outer, args=(new, *outer.args[1:]))
            what = VERBS.get(call.name, f"applies {named(segment, node)}")
            fact = Fact("regrouped", torch="after it", jax=f"{what} before the product", source=call.source)
            yield Edit({node: new}, fact, ("before product", call.name, str(place)), 1.6)


def bias_after(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """The bias of a product added behind what multiplies the product, as of a gate."""
    call = segment.call(node)
    for place, operand in enumerate(call.args[:2]) if call is not None and call.name == "mul" else ():
        way = _way_to_product(segment, operand.node) if isinstance(operand, Ref) else []
        if call is None or not way or way[-1].name != "addmm":
            continue
        with_bias, without = way[-1], replace(way[-1], kwargs={**way[-1].kwargs, "beta": 0})
        for outer in reversed(way[:-1]):
            with_bias, without = (replace(outer, args=(inner, *outer.args[1:])) for inner in (with_bias, without))
        made = replace(call, args=(*call.args[:place], without, *call.args[place + 1 :]))
        bias = Call("sub", torch.sub, (with_bias, without))
        fact = Fact("regrouped", torch="before it", jax="adds the bias after it multiplies", source=call.source)
        yield Edit({node: Call("add", torch.add, (made, bias))}, fact, ("bias after", str(place)), 1.6)


def _way_to_product(segment: GraphSegment, node: int) -> list[Call]:
    """The calls from a value back to the product of which it is a part, or a view; none if it is not one."""
    way = []
    call = segment.call(node)
    while call is not None:
        way.append(call)
        if call.name in PRODUCTS:
            return way
        first = call.args[0] if call.args else None
        if call.name not in MOVING | PARTS or not isinstance(first, Ref):
            return []
        call = segment.call(first.node)
    return []


def over_steps(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Another step of a recurrence than the last one, or the mean of all, their sum or their maximum."""
    call = segment.call(node)
    if call is None or node not in segment.targets or not isinstance(segment.values.get(node), torch.Tensor):
        return
    every = _like(segment, node, call)
    if len(every) < FEWEST_STEPS:
        return
    last = node == every[-1]
    for name, function in STEPS.items():
        of_steps = (*map(Ref, every[:-1]), call)
        new = Call(name, lambda *steps, function=function: function(torch.stack(steps)), of_steps)
        own = "the last" if last else f"step {every.index(node)}"
        fact = Fact("other", torch=f"{own} of {len(every)}", jax=f"{name} of the steps", where=said(segment, node))
        yield Edit({node: new}, fact, ("steps", name), 1.2)


STEPS: Mapping[str, Any] = {
    "the mean": lambda steps: steps.mean(0),
    "the sum": lambda steps: steps.sum(0),
    "the maximum": lambda steps: steps.amax(0),
    "the first": lambda steps: steps[0],
}


def _like(segment: GraphSegment, node: int, call: Call) -> list[int]:
    """The values that the same line of the program makes at each step, up to this one."""
    steps = []
    for number, candidate in enumerate(segment.graph.nodes[: node + 1]):
        known = segment.given.get(number, segment.values.get(number))
        same_line = isinstance(candidate, Call) and line_of(segment, candidate) == line_of(segment, call)
        if same_line and isinstance(known, torch.Tensor) and known.shape == segment.values[node].shape:
            steps.append(number)
    return steps
