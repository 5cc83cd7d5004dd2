"""Rules of several operations: operands exchanged, an operation at another place, two in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import torch

from crosscheck._explain.facts import Edit, Fact
from crosscheck._explain.names import computes, exchange, listed, named, said
from crosscheck._explain.segment import GraphSegment, sites
from crosscheck._explain.substitutes import same
from crosscheck._explain.tables import MOVING, VERBS
from crosscheck._explain.values import for_users
from crosscheck._graph.graph import Call, Ref

BY = {"mul": "by", "div": "by", "add": "of", "sub": "of"}
"""How a number is said behind an operation."""
MOST_BETWEEN = 4
"""Of more operations between two places, the last are named."""
JOINS = {"cat": "concatenation", "stack": "stack"}


def exchanged_operands(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Two operands of one operation, exchanged."""
    call = segment.call(node)
    if call is None:
        return
    lists = [
        (place, argument) for place, argument in enumerate(call.args) if isinstance(argument, list) and len(argument) > 1
    ]
    for at, parts in lists:
        if len(parts) > 2 and all(isinstance(ref, Ref) for ref in parts):
            turned = replace(call, args=(*call.args[:at], parts[::-1], *call.args[at + 1 :]))
            fact = Fact("order", where=f"the {len(parts)} parts of {said(segment, node)}", jax="in reverse order")
            yield Edit({node: turned}, fact, ("reversed", call.name), 0.9)
            yield from _other_place(segment, node, call, at)
    for place, operands in [*lists, (None, list(call.args))]:
        for a, b in combinations([k for k, ref in enumerate(operands) if isinstance(ref, Ref)], 2):
            if operands[a] == operands[b]:
                continue
            new = list(operands)
            new[a], new[b] = operands[b], operands[a]
            args = tuple(new) if place is None else (*call.args[:place], new, *call.args[place + 1 :])
            joined = f" in the {JOINS[call.name]}" if call.name in JOINS else ""
            fact = exchange(segment, operands[a].node, operands[b].node, joined)
            yield Edit({node: replace(call, args=args)}, fact, ("operands", call.name, str(a), str(b)), 1.0)


def _other_place(segment: GraphSegment, node: int, call: Call, at: int) -> Iterator[Edit]:
    """One part of several before all others, or behind them; neighbours are only exchanged."""
    parts = call.args[at]
    for k, part in enumerate(parts):
        others = [*parts[:k], *parts[k + 1 :]]
        for order, where, moved in (([part, *others], "first", k), ([*others, part], "last", len(parts) - 1 - k)):
            if moved > 1:
                turned = replace(call, args=(*call.args[:at], order, *call.args[at + 1 :]))
                fact = Fact("order", where=f"the {len(parts)} parts of {said(segment, node)}", jax=f"with part {k} {where}")
                yield Edit({node: turned}, fact, ("placed", call.name, where), 0.95)


def exchanged_edges(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """An operand of one operation exchanged with one of a like operation."""
    call = segment.call(node)
    if call is None or call.name not in {*VERBS, "mm", "bmm"}:
        return
    for other in segment.nodes:
        also = segment.call(other)
        if other <= node or also is None or also.name != call.name or len(call.args) < 2 or len(also.args) < 2:
            continue
        for a, b in product(range(2), repeat=2):
            operand, partner = call.args[a], also.args[b]
            if not isinstance(operand, Ref) or not isinstance(partner, Ref) or operand == partner or Ref(node) == partner:
                continue
            shapes = [getattr(segment.values.get(ref.node), "shape", None) for ref in (operand, partner)]
            if shapes[0] != shapes[1]:
                continue
            edits = {
                node: replace(call, args=(*call.args[:a], partner, *call.args[a + 1 :])),
                other: replace(also, args=(*also.args[:b], operand, *also.args[b + 1 :])),
            }
            fact = exchange(segment, partner.node, operand.node)
            yield Edit(edits, fact, ("edges", call.name, str(a), str(b)), 1.9)


def moved(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """An operation on one value, applied to another value instead."""
    call = segment.call(node)
    if call is None or call.name in MOVING or not isinstance(segment.values.get(node), torch.Tensor):
        return
    data = [operand for operand in segment.operands(node) if operand in segment.data]
    shape = segment.values[node].shape
    if len(data) != 1 or getattr(segment.values.get(data[0]), "shape", None) != shape:
        return
    skipped = for_users(segment, segment.users.get(node, []), node, Ref(data[0]))
    if node in segment.targets:
        skipped[node] = Call("same", same, (Ref(data[0]),))
    for value in segment.users:
        if (
            value in (node, data[0])
            or value not in segment.data
            or getattr(segment.values.get(value), "shape", None) != shape
        ):
            continue
        for some in sites(segment, value):
            users = [user for user in some if user != node]
            edits = dict(skipped)
            for user in users:
                now = edits.get(user) or segment.call(user)
                if now is not None:
                    edits[user] = now.replaced(value, call.replaced(data[0], Ref(value)))
            torch_place, jax_place = _order(segment, node, data[0], value)
            fact = Fact("moved", _what(segment, node), torch=torch_place, jax=jax_place, source=call.source)
            if users:
                whole = len(some) == len(segment.users[value])
                yield Edit(edits, fact, ("moved", call.name, str(value - node)), 3 - 0.5 * whole)


def _what(segment: GraphSegment, node: int) -> str:
    """An operation in words; of arithmetic with one number, with that number."""
    call = segment.call(node)
    numbers = (
        [argument for argument in call.args if type(argument) in (int, float)]
        if call is not None and call.name in BY
        else []
    )
    return f"{named(segment, node)} {BY[call.name]} {numbers[0]:.6g}" if call and numbers else named(segment, node)


def _order(segment: GraphSegment, node: int, torch_value: int, jax_value: int) -> tuple[str, str]:
    """Where PyTorch and JAX apply an operation, each to one value: before and after what is between, if one leads to it."""
    for first, last, way in ((torch_value, jax_value, ("before", "after")), (jax_value, torch_value, ("after", "before"))):
        reached = frozenset[int]().union(*(segment.behind[user] for user in segment.users.get(first, ())))
        inside = (reached & segment.before(last)) - {node}
        names = [
            named(segment, operation)
            for operation in sorted(inside)
            if operation in segment.data and computes(segment, operation)
        ]
        if names:
            said_ = list(dict.fromkeys(names))[-MOST_BETWEEN:]
            return f"{way[0]} {'them' if len(said_) > 1 else 'it'}", f"{way[1]} {listed(said_)}"
    return f"to {said(segment, torch_value)}", f"to {said(segment, jax_value)}"


def regrouped(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """JAX does two operations in the other order: PyTorch computes ``f(a, g(b, c))``, JAX ``g(f(a, b), c)``."""
    call = segment.call(node)
    if call is None or call.name not in VERBS or len(call.args) < 2:
        return
    for place, operand in enumerate(call.args[:2]):
        inner = segment.call(operand.node) if isinstance(operand, Ref) and operand.node in segment.users else None
        if inner is None or inner.name not in VERBS or len(inner.args) < 2 or operand.node not in segment.behind:
            continue
        for k in (0, 1):
            args = list(call.args)
            args[place] = inner.args[k]
            outer = list(inner.args)
            outer[k] = replace(call, args=tuple(args))
            fact = Fact(
                "regrouped",
                torch=f"before it {VERBS[call.name]}",
                jax=f"{VERBS[inner.name]} after it {VERBS[call.name]}",
                source=call.source,
            )
            yield Edit(
                {node: replace(inner, args=tuple(outer))},
                fact,
                ("regrouped", str(place), str(k)),
                2.0,
            )
