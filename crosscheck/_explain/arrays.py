"""Rules of arrays that do not depend on the data: JAX has another table, such as rotary frequencies, or a weight more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, permutations

import numpy as np
import torch

from crosscheck._explain.facts import Edit, Fact
from crosscheck._explain.names import said
from crosscheck._explain.segment import GraphSegment
from crosscheck._explain.tables import MOVING
from crosscheck._explain.values import for_users
from crosscheck._frameworks.programs import Array
from crosscheck._graph.graph import Call, Leaf, Ref

ROUNDED = 2.0**-20
"""PyTorch may have computed its table in the dtype. Tables that differ by less, relatively, are one table."""
OF_A_MASK = 2
"""A table of so many different numbers is a mask."""
MOST_PAIRS = 12
"""So many pairs of tables of JAX are tried in place of one of PyTorch."""
ANGLES = frozenset(["cos", "sin"])


def constants(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """Another array of constants: one of JAX's program that holds as many numbers, or twice or half as many."""
    there = _table(segment, value)
    if there is None:
        return
    leaf, users = segment.graph.nodes[value], tuple(segment.users[value])
    angles = _are_angles(segment, value)
    for new in _others(segment, there):
        fact = _of_angles(*map(angles, (new, there))) if angles is not None else None
        if fact is None and isinstance(leaf, Leaf) and not leaf.name:
            fact = _of_numbers(new, there)
        if isinstance(leaf, Leaf) and leaf.name and not np.ptp(new):
            fact = Fact("fixed", torch=leaf.name, jax=f"{new.flat[0]:.6g}")
        fact = fact or _of_tables(f"table of {there.size} constants", "is", new, there)
        yield Edit(_given(segment, users, value, new), fact, ("constants",), 2.2)


def frequencies(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """The same for the frequencies of angles alone."""
    if _are_angles(segment, value) is not None:
        yield from constants(segment, value)


def rotations(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """Two other arrays of constants at once: the cosines and sines of other angles."""
    there = _table(segment, value)
    if there is None:
        return
    for other in (node for node in segment.users if node > value):
        also = _table(segment, other)
        if also is None or also.shape != there.shape or _rotation(there, also) is None:
            continue
        pairs = [pair for pair in combinations(_others(segment, there, alike=True), 2) if _rotation(*pair) is not None]
        for new, second in (permutation for pair in pairs[:MOST_PAIRS] for permutation in permutations(pair)):
            fact = _of_rotations((new, second), (there, also))
            edits = _given(segment, segment.users[value], value, new)
            for user in segment.users[other]:
                call = edits.get(user) or segment.call(user)
                if call is not None:
                    edits[user] = call.replaced(other, _constant(second))
            yield Edit(edits, fact, ("rotations",), 2.1)


def weights_more(segment: GraphSegment, value: int) -> Iterator[Edit]:
    """A weight for which PyTorch has none, added to a value or multiplied with it."""
    there = segment.values.get(value)
    if value not in segment.data or not isinstance(there, torch.Tensor) or not there.is_floating_point():
        return
    for name, array in segment.jax.alone.items():
        for axis in range(there.ndim) if array.ndim == 1 else ():
            if there.shape[axis] != array.size:
                continue
            weight = torch.from_numpy(array.astype(np.float64)).reshape([-1, *[1] * (there.ndim - axis - 1)])
            for verb, function in (("adds", torch.add), ("multiplies by", torch.mul)):
                call, users = segment.call(value), segment.users.get(value, [])
                fact = Fact("weight", jax=f"{verb} {name}", where=said(segment, value), source=call.source if call else "")
                if users:
                    more = Call(verb, function, (Ref(value), weight))
                    yield Edit(for_users(segment, users, value, more), fact, ("weight", verb), 1.4)
                if value in segment.targets and call is not None:
                    yield Edit({value: Call(verb, function, (call, weight))}, fact, ("weight", verb), 1.4)


def _table(segment: GraphSegment, value: int) -> Array | None:
    """The numbers of a value that depends on no data, and is not moved from another one."""
    there, call = segment.values.get(value), segment.call(value)
    if value in segment.data or value not in segment.users or not isinstance(there, torch.Tensor) or there.numel() < 2:
        return None
    moved = call is not None and call.name in MOVING
    return None if moved or not there.is_floating_point() else np.asarray(there.numpy())


def _others(segment: GraphSegment, there: Array, *, alike: bool = False) -> Iterator[Array]:
    """JAX's arrays in the shape of one of PyTorch, unless they are equal: ``alike`` gives those too."""
    for array in segment.jax.arrays:
        for form in _forms(np.asarray(array, np.float64), there):
            new = form.reshape(there.shape)
            if len(np.unique(new)) != OF_A_MASK and (alike or not _same(new, there)):
                yield new


def _forms(array: Array, there: Array) -> Iterator[Array]:
    """An array; or for the halves of each row together what JAX has for one of them, and the other way round."""
    if array.size == there.size:
        yield array
    size = there.shape[-1]
    if 2 * array.size == there.size and size % 2 == 0:
        rows = array.reshape(-1, size // 2)
        yield np.concatenate([rows, rows], -1)
        yield rows.repeat(2, -1)
    if array.size == 2 * there.size:
        rows = array.reshape(-1, 2 * size)
        for half, other in ((rows[:, :size], rows[:, size:]), (rows[:, ::2], rows[:, 1::2])):
            if np.array_equal(half, other):
                yield half


def _constant(new: Array) -> Call:
    return Call("constant", lambda: torch.from_numpy(new), ())


def _given(segment: GraphSegment, users: Sequence[int], value: int, new: Array) -> dict[int, Call]:
    return for_users(segment, users, value, _constant(np.ascontiguousarray(new)))


def _same(array: Array, other: Array) -> bool:
    return np.allclose(array.ravel(), other.ravel(), rtol=ROUNDED, atol=0.0)


def _are_angles(segment: GraphSegment, value: int) -> Callable[[Array], Array] | None:
    """How a table gives the frequencies of the angles of which a sine or a cosine is taken; None if it gives none.

    The way there is from the table alone, and then products with the data. The table may hold the exponents of frequencies,
    so these are computed from it, up to the last table on the way that has as many numbers.
    """
    left: list[tuple[int, tuple[int, ...]]] = [(value, (value,))]
    seen = set[int]()
    size = segment.values[value].numel()
    while left:
        at, way = left.pop()
        for user in segment.users.get(at, ()):
            call = segment.call(user)
            if call is None or user in seen:
                continue
            seen.add(user)
            if call.name in ANGLES:
                return partial(_along, segment, way)
            if user not in segment.data:
                alike = way[-1] == at and getattr(segment.values[user], "numel", int)() == size
                left.append((user, (*way, user) if alike else way))
            elif call.name in {*MOVING, "mul"}:
                left.append((user, way))
    return None


def _along(segment: GraphSegment, way: Sequence[int], table: Array) -> Array:
    """What the last value on a way is if the first is this table."""
    values = {**segment.values, way[0]: torch.from_numpy(np.ascontiguousarray(table))}
    for node in way[1:]:
        call = segment.call(node)
        assert call is not None
        values[node] = call.compute(values.__getitem__)
    return np.asarray(values[way[-1]])


# words


def _of_numbers(new: Array, there: Array) -> Fact | None:
    """The first number that differs, of a few."""
    wrong = np.flatnonzero(np.abs(new - there) > 1e-6 * np.abs(there).max())
    if not wrong.size:
        return None
    both = (f"{float(array.flat[wrong[0]]):.6g}" for array in (there, new))
    role = f"number {wrong[0]}" if wrong.size == 1 else f"number {wrong[0]} (of {wrong.size} that differ)"
    return Fact("setting", "a constant array", role, *both)


def _of_angles(jax_table: Array, torch_table: Array) -> Fact:
    bases = _base(jax_table), _base(torch_table)
    if bases[0] is not None and bases[1] is not None:
        steps = np.log(bases[1]) / np.log(bases[0]) * torch_table.size
        # of n numbers, n - 1 are steps
        if torch_table.ndim == 1 and abs(abs(steps - torch_table.size) - 1) < ROUNDED * torch_table.size:
            return Fact("table", "frequencies", jax=f"divide their exponents by {steps:.6g}", torch=f"by {torch_table.size}")
        return Fact("table", "frequencies", jax=f"have the base {bases[0]:.6g}", torch=f"{bases[1]:.6g}")
    return _of_tables("frequencies", "are", jax_table, torch_table)


def _of_tables(what: str, verb: str, jax_table: Array, torch_table: Array) -> Fact:
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = jax_table / torch_table
    factors = factors[np.isfinite(factors)]
    if factors.size and np.ptp(factors) <= ROUNDED * abs(factors[0]):
        return Fact("factors", what, jax=verb, torch=f"times {factors[0]:.6g}")
    if factors.size and (factors > 0).all():
        return Fact("factors", what, jax=verb, torch=f"times factors from {factors.min():.4g} to {factors.max():.4g}")
    return Fact("numbers", "angles" if verb == "are" else what, jax="have" if verb == "are" else "has")


def _of_rotations(jax_tables: tuple[Array, Array], torch_tables: tuple[Array, Array]) -> Fact:
    """What differs in cosines and sines: their angles, or what both are multiplied by."""
    here, there = _rotation(*jax_tables), _rotation(*torch_tables)
    assert here is not None
    assert there is not None
    (angles, size), (expected, size_there) = here, there
    sizes = f"are scaled by {size:.6g}", f"by {size_there:.6g}"
    if _same(angles, expected):
        return Fact("table", "cosines and sines", jax=sizes[0], torch=sizes[1])
    fact = _of_angles(angles, expected)
    scaled = abs(size / size_there - 1) > ROUNDED
    return (
        replace(fact, torch=f"{fact.torch}, and its cosines and sines {sizes[0]}, PyTorch's {sizes[1]}") if scaled else fact
    )


def _rotation(first: Array, second: Array) -> tuple[Array, float] | None:
    """The angles of the second position, and the size of all numbers; None if these are no cosines and sines.

    All angles of the first position are 0.
    """
    rows = [table.reshape(-1, table.shape[-1]) for table in (first, second)]
    sines, cosines = sorted(rows, key=lambda table: float(np.abs(table[0]).max()))
    sizes = np.hypot(cosines, sines)
    if len(cosines) < 2 or sines[0].any() or np.ptp(sizes) > ROUNDED * sizes.max():
        return None
    return np.arctan2(sines[1], cosines[1]), float(sizes.mean())


def _base(table: Array) -> float | None:
    """The base whose powers 0, -1/n, -2/n ... are a table of n frequencies; None if they are not.

    A table may have each twice: one half after the other, or two next to each other.
    """
    table = table.ravel()
    for half, other in ((table[: table.size // 2], table[table.size // 2 :]), (table[::2], table[1::2])):
        if half.size == other.size > 1 and np.allclose(half, other, rtol=ROUNDED):
            table = half
    if abs(table[0] - 1) > ROUNDED or not (table > 0).all():
        return None
    base = float(table[1] ** -table.size)
    return base if np.allclose(table, base ** (-np.arange(table.size) / table.size), rtol=64 * ROUNDED) else None
