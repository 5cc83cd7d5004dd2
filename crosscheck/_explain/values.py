"""Rules of values: an operation more, another order, another value, two values exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from crosscheck._explain.facts import Edit, Fact
from crosscheck._explain.functions import orders_of
from crosscheck._explain.names import computes, exchange, named, origin, said
from crosscheck._explain.segment import GraphSegment, sites
from crosscheck._explain.substitutes import same
from crosscheck._explain.tables import ALIKE, EXTRA, FAMILIES, LAYOUT, MOVING, PARTS, PRODUCTS, READ, UNARY, VERBS
from crosscheck._graph.graph import Call, Leaf, Ref, put, refs

NEGATIVE = "-x"
SCORES = "transposed: axes -2 and -1 exchanged"
UNARY_NAMES = frozenset(name for name, family in FAMILIES.items() if family is UNARY)
MOST_PAIRS = 60
"""So many values of one shape are exchanged in pairs at most."""


def extra(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """One more operation on a value, or its numbers in another order, before it is used."""
    there = segment.values.get(value)
    if isinstance(there, torch.Tensor) and there.ndim and there.is_floating_point():
        yield from _applied(segment, value, "extra", _more(segment))
    yield from orders(segment, value)


def orders(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """The numbers of a value in another order before it is used; indices that are others."""
    there = segment.values.get(value)
    if not isinstance(there, torch.Tensor) or not there.ndim:
        return
    if not there.is_floating_point() and there.dtype != torch.bool:
        yield from _shifted(segment, value)
    alike = ALIKE if value in segment.data else {}
    yield from _applied(segment, value, "order", {**LAYOUT, **orders_of(there.shape), **alike})


def _more(segment: GraphSegment) -> Mapping[str, Any]:
    """What a port may apply once more, with the numbers of JAX's program too."""
    table: dict[str, Any] = {**EXTRA}
    for number in segment.jax.numbers:
        if number not in (0.0, 1.0):
            table[f"a multiplication with {number:.6g}"] = partial(torch.mul, other=number)
            table[f"an addition of {number:.6g}"] = partial(torch.add, other=number)
    return table


def _applied(segment: GraphSegment, value: int, kind: str, functions: Mapping[str, Any]) -> Iterator[Edit]:
    """Each function applied to a value, as it is used everywhere or by one operation."""
    there, users = segment.values[value], segment.users.get(value, [])
    for number, (name, function) in enumerate(functions.items()):
        if not _fits(function, there):
            continue
        how = "transposed" if there.ndim == 2 and name == SCORES else "with another sign" if name == NEGATIVE else name
        of_fact = "order" if name == NEGATIVE else kind
        if value in segment.targets and (call := segment.call(value)) is not None:
            fact = Fact(of_fact, how, jax=how, where=said(segment, value), source=call.source)
            yield Edit({value: Call(name, function, (call,))}, fact, (kind, name), 1 + number * 1e-3)
        for some in sites(segment, value):
            used = _for(segment, some) if kind == "order" else ""
            part = f", for {named(segment, some[0])}" if kind == "extra" and len(some) < len(users) else ""
            fact = Fact(of_fact, how, jax=how + used, where=said(segment, value) + part, source=_source(segment, some[0]))
            if name in READ and _is_shared(segment, value):
                jax, torch_ = READ[name]
                fact = replace(fact, kind="form", what=f"the order of {fact.where}", torch=torch_, jax=jax)
            if name == SCORES and (factors := _factors(segment, value)):
                fact = replace(exchange(segment, factors[1], factors[0]), source=fact.source)
            size = 1 + number * 1e-3 + 0.5 * (len(some) < len(users)) + 0.2 * (value not in segment.data)
            yield Edit(for_users(segment, some, value, Call(name, function, (Ref(value),))), fact, (kind, name), size)


def _is_shared(segment: GraphSegment, value: int) -> bool:
    """Whether JAX has the same numbers, in the same order: they are known before the segment, or a view of such."""
    while value not in segment.given and (call := segment.call(value)) is not None and call.name in MOVING:
        value = next(refs(call))
    return value not in segment.jax.doubtful and (value in segment.given or value in segment.inputs)


def _for(segment: GraphSegment, users: Sequence[int]) -> str:
    """The operation that uses a value, as the end of a clause, if it is a single one that does more than arithmetic."""
    call = segment.call(users[0]) if len(users) == 1 else None
    plain = call is None or call.name in {*MOVING, *VERBS, *PRODUCTS, "convolution", *UNARY_NAMES}
    return "" if plain else f", before {named(segment, users[0])}"


def _factors(segment: GraphSegment, value: int) -> list[int]:
    """The two values of whose product this is, such as queries and keys: in the other order they give it transposed."""
    call = segment.call(origin(segment, value))
    if call is None or call.name not in ("bmm", "mm"):
        return []
    return list(dict.fromkeys(refs(call)))


def _shifted(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """Indices that are some places further, or of the other sign."""
    others: list[tuple[str, Any]] = [(f"{offset:+d}", partial(torch.add, other=offset)) for offset in (-2, -1, 1, 2)]
    for some in sites(segment, value):
        for name, function in (("of the other sign", torch.neg), *others):
            what = f"an index ({said(segment, value)})"
            fact = Fact("form", what, torch="as it is", jax=name, source=_source(segment, some[0]))
            new = Call(name, function, (Ref(value),))
            yield Edit(for_users(segment, some, value, new), fact, ("shifted", name), 1.6)


def _fits(function: Callable[[Any], Any], value: Any) -> bool:
    try:
        return bool(function(value).shape == value.shape)
    except (IndexError, RuntimeError, ValueError):
        return False


def _source(segment: GraphSegment, node: int) -> str:
    call = segment.call(node)
    return call.source if call is not None else ""


def for_users(segment: GraphSegment, users: Sequence[int], value: int, new: Any) -> dict[int, Call]:
    """The edits that give some users of a value something else."""
    return {user: call.replaced(value, new) for user in users if (call := segment.call(user)) is not None}


def operand(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """JAX uses another value of the same shape."""
    there = segment.values.get(value)
    if not isinstance(there, torch.Tensor):
        return
    on_data, weight = value in segment.data, _is_weight(segment, value)
    behind = segment.behind.get(value, frozenset())
    others = [
        number
        for number, other in sorted({**segment.given, **segment.values}.items(), reverse=True)
        if number != value
        and number not in behind
        and _computes_or_given(segment, number)
        and isinstance(other, torch.Tensor)
        and other.shape == there.shape
        and other.dtype == there.dtype
        and (number in segment.data or number in segment.given) == on_data
        and _is_weight(segment, number) == weight
    ]
    call = segment.call(value)
    if call is not None and call.name in PARTS:  # another part of the same
        nodes = enumerate(segment.graph.nodes)
        others = [
            number for number, node in nodes if number != value and isinstance(node, Call) and node.args is call.args
        ] + others
    others = [*_beside(segment, value, there), *others] if weight else others
    for other in others[:MOST_PAIRS]:
        for some in sites(segment, value) or [()]:
            everywhere = len(some) == len(segment.users.get(value, ()))
            reached = sorted(segment.behind.get(some[0], ())) if some else []
            user = next((node for node in reached if computes(segment, node)), None)
            fact = Fact("instead", torch=said(segment, value), jax=said(segment, other))
            fact = fact if user is None else replace(fact, kind="operand", what=named(segment, user))
            leaf = segment.graph.nodes[origin(segment, value)]
            if isinstance(leaf, Leaf) and leaf.label and some and everywhere:
                fact = replace(fact, kind="ignored", what=named(segment, some[0] if user is None else user))
            edits = for_users(segment, some, value, Ref(other)) if some else {value: Call("same", same, (Ref(other),))}
            yield Edit(edits, fact, ("operand", str(other)), 2 + 0.5 * (not everywhere))


def _beside(segment: GraphSegment, value: int, there: Any) -> Iterator[int]:
    """The weights of the modules beside that of a weight, if they have its shape."""
    around = _around(segment.graph.nodes[value])
    for number, node in enumerate(segment.graph.nodes):
        beside = number not in segment.values and _is_weight(segment, number) and _around(node) == around
        if beside and segment.leaf(number).shape == there.shape:
            yield number


def _around(leaf: Any) -> str:
    """The module that contains the module of a weight."""
    return str(leaf.name.rpartition(".")[0].rpartition(".")[0])


def _computes_or_given(segment: GraphSegment, node: int) -> bool:
    return segment.graph.call(node) is None or node in segment.given or computes(segment, node)


def exchanged_inputs(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """Two inputs of one shape, exchanged."""
    yield from _exchanged(segment, value, segment.inputs)


def exchanged_starts(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """Two values of one shape that enter the segment, exchanged."""
    yield from _exchanged(segment, value, segment.starts)


def exchanged_values(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """Two values of one shape, exchanged wherever they are used."""
    yield from _exchanged(segment, value, segment.users)


def _exchanged(segment: GraphSegment, value: int, among: Iterable[int]) -> Iterator[Edit]:
    there = segment.values.get(value)
    if not isinstance(there, torch.Tensor) or not there.ndim or value not in segment.users:
        return
    behind = segment.behind.get(value, frozenset())
    for other in [number for number in among if number > value][:MOST_PAIRS]:
        also = segment.values.get(other)
        if (
            not isinstance(also, torch.Tensor)
            or also.shape != there.shape
            or also.dtype != there.dtype
            or (other in segment.data) != (value in segment.data)
            or other in behind
            or value in segment.behind.get(other, frozenset())
        ):
            continue
        edits = {}
        for user in {*segment.users[value], *segment.users[other]}:
            call = segment.call(user)
            if call is not None:
                edits[user] = replace(call, args=put(put(put(call.args, value, Ref(-1)), other, Ref(value)), -1, Ref(other)))
        fact = exchange(segment, value, other)
        yield Edit(edits, fact, ("exchange", str(other - value)), 2.0)


def _is_weight(segment: GraphSegment, number: int) -> bool:
    node = segment.graph.nodes[number]
    return isinstance(node, Leaf) and bool(node.name)
