"""Tables of constants that are others in JAX, such as rotary frequencies: with PyTorch's numbers, JAX is right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, permutations
from typing import Any, NamedTuple

import jax
import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import Found
from crosscheck._models.forcing import Fault
from crosscheck._models.reruns import RESULT, Place, Stretch
from crosscheck._models.torch_recording import LARGEST_TABLE
from crosscheck._models.uses import CONSTANT, DATA, MOVES

ANGLES = frozenset(["cos", "sin"])
ROUNDED = 2.0**-20
"""PyTorch may have computed its table in the dtype. Tables that differ by less, relatively, are one table."""
FEWEST = 3
"""A table of fewer different numbers is a mask, or one number."""
CLEARLY = 16.0
"""PyTorch's tables must make JAX's error so many times smaller."""
MOST_TRIED = 40
"""Tables that are replaced, one by one, and so many pairs of tables."""


class Table(NamedTuple):
    """A table of JAX, the places where it, or another one of the same numbers, is made or enters, and its value numbers."""

    numbers: Array
    places: list[Place]
    values: set[int]


def other_table(found: Found, fault: Fault) -> str:
    """Which tables of constants are others in JAX, as a clause; empty if none explains the fault.

    A table from which others are computed is tried before these: it is smaller. Then come the cosines and sines that JAX
    may have computed before.
    """
    stretch = Stretch(found, fault.landmark)
    theirs = sorted(_tables(found, stretch), key=lambda one: one.numbers.size) if stretch.is_small else []
    by_size = _of_torch(found) if theirs else {}
    limit = max(stretch.limit, min(ROUNDED, found.located.errors[fault.landmark] / CLEARLY))

    def right(tables: Sequence[Table], mine: Sequence[Array]) -> bool:
        pairs = zip(tables, mine, strict=True)
        changes = {place: partial(_instead, other) for table, other in pairs for place in table.places}
        return stretch.error(changes) <= limit

    alone = ((one, mine) for one in theirs for mine in by_size[one.numbers.size] if not _same(one.numbers, mine))
    for one, mine in islice(alone, MOST_TRIED):
        if right([one], [mine]):
            return _said(one.numbers.ravel(), mine.ravel(), are_angles=_are_angles(stretch, one.places))
    entering = [one for one in theirs if one.values & _enter(found, stretch)]
    if len(entering) == 2 and entering[0].numbers.size == entering[1].numbers.size:
        for both in islice(permutations(by_size[entering[0].numbers.size], 2), MOST_TRIED):
            if right(entering, both):
                return _of_rotations([one.numbers for one in entering], both)
    return ""


def _instead(mine: Array, theirs: Any) -> Array:
    return mine.reshape(np.shape(theirs)).astype(np.asarray(theirs).dtype)


def _same(one: Array, other: Array) -> bool:
    return np.allclose(one.ravel(), other.ravel(), rtol=ROUNDED, atol=0.0)


def _of_torch(found: Found) -> Mapping[int, list[Array]]:
    """PyTorch's tables by size: what it computes from constants, its buffers, and halves of those that repeat one."""
    buffers = dict(found.torch.modules[""].named_buffers())
    held = (one for name, one in found.torch.weights.items() if name in buffers and 1 < one.size <= LARGEST_TABLE)
    whole = [*found.torch.tables, *held]
    by_size: dict[int, list[Array]] = defaultdict(list)
    for one in (form for table in whole for form in _forms(table)):
        if not any(np.array_equal(one.ravel(), other.ravel()) for other in by_size[one.size]):
            by_size[one.size].append(one)
    return by_size


def _forms(table: Array) -> Iterator[Array]:
    """A table of rotations, for the halves of each row together or each apart."""
    yield table
    size = table.shape[-1]
    for half, other in ((table[..., : size // 2], table[..., size // 2 :]), (table[..., ::2], table[..., 1::2])):
        if size % 2 == 0 and np.array_equal(half, other):
            yield half
    yield np.concatenate([table, table], -1)


def _tables(found: Found, stretch: Stretch) -> Iterator[Table]:
    held: dict[bytes, Table] = {}

    def note(number: int, place: Place) -> None:
        read = stretch.run.read(number)
        if not isinstance(read, np.ndarray) and jax.dtypes.issubdtype(read.dtype, jax.dtypes.prng_key):
            return
        value = np.asarray(read)
        if value.dtype == np.float64 and value.size <= LARGEST_TABLE and len(np.unique(value)) >= FEWEST:
            table = held.setdefault(value.tobytes(), Table(value, [], set()))
            table.places.append(place)
            table.values.add(number)

    kinds, maker = found.flat.kinds, found.flat.maker
    for step in stretch.steps:
        if kinds[step.outputs[0]] == CONSTANT and step.operation.name not in MOVES:
            note(step.outputs[0], (step.operation.index, RESULT))
        for place, one in enumerate(step.inputs):
            if isinstance(one, int) and kinds[one] == CONSTANT and one not in maker:
                note(one, (step.operation.index, place))
    yield from held.values()


def _enter(found: Found, stretch: Stretch) -> set[int]:
    """The constants that steps on data take, and those of which these are moved."""
    steps, maker = found.flat.steps, found.flat.maker
    left = [one for step in stretch.steps if step.operation.kind == DATA for one in step.inputs if isinstance(one, int)]
    entering = set()
    while left:
        one = left.pop()
        if found.flat.kinds[one] == CONSTANT and one not in entering:
            entering.add(one)
            if one in maker and steps[maker[one]].operation.name in MOVES:
                left += [other for other in steps[maker[one]].inputs if isinstance(other, int)]
    return entering


def _are_angles(stretch: Stretch, places: list[Place]) -> bool:
    """Whether a sine or a cosine is taken of what is computed from a table."""
    from_table = {index for index, _ in places}
    values: set[Any] = set()
    for step in stretch.steps:
        taken = any(isinstance(one, int) and one in values for one in step.inputs)
        if taken and step.operation.name in ANGLES:
            return True
        if taken or step.operation.index in from_table:
            values.update(step.outputs)
    return False


# words


def _said(theirs: Array, mine: Array, *, are_angles: bool) -> str:
    what = "frequencies" if are_angles else f"table of {theirs.size} constants"
    bases = _base(theirs), _base(mine)
    if are_angles and None not in bases:
        return f"JAX's frequencies have the base {bases[0]:.6g}, PyTorch's {bases[1]:.6g}"
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = theirs / mine
    factors = factors[np.isfinite(factors)]
    if factors.size and (factors > 0).all():
        times = f"times factors from {factors.min():.4g} to {factors.max():.4g}"
        return f"JAX's {what} are PyTorch's {times}" if are_angles else f"JAX's {what} is PyTorch's {times}"
    what = "angles have" if are_angles else f"{what} has"  # by other frequencies, or at other positions
    return f"JAX's {what} other numbers than PyTorch's"


def _of_rotations(theirs: Sequence[Array], mine: Sequence[Array]) -> str:
    """What differs in two tables, of cosines and of sines: their angles, or what both are multiplied by."""
    here, there = _rotation(*theirs), _rotation(*mine)
    if here is None or there is None or here[0].size != there[0].size:
        return "JAX's two tables of constants are others than PyTorch's"
    (angles, size), (expected, size_there) = here, there
    said = []
    if not _same(angles, expected):
        said.append(_said(angles, expected, are_angles=True))
    if abs(size / size_there - 1) > ROUNDED:
        said.append(f"JAX's cosines and sines are scaled by {size:.6g}, PyTorch's by {size_there:.6g}")
    return ", and ".join(said) or "JAX's cosines and sines are others than PyTorch's"


def _rotation(one: Array, other: Array) -> tuple[Array, float] | None:
    """The angles of the second position, and the size of all numbers; None if these are no cosines and sines.

    All angles of the first position are 0.
    """
    rows = [table.reshape(-1, table.shape[-1]) for table in (one, other)]
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
