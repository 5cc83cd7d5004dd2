"""Weights of which JAX holds all numbers in one array, alone or as a slice of it: most weights of most ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.pair.prints import Prints, likely
from crosscheck._models.run.index_maps import layout, stacked
from crosscheck._models.run.places import TorchPlaces, orders, usual_orders
from crosscheck._records.worded import Worded

FEW = 3
"""The layout of an array shows in one whose axes have at most so many numbers."""
FEW_PLACES = 64
"""Two arrays are compared in so many places before all their numbers are."""


@dataclass(frozen=True)
class Slice:
    """One of the equal parts along an axis of an array, as of the weights of layers that JAX scans.

    Attributes:
        axis: The axis.
        number: Which part it is.
        count: How many there are.
    """

    axis: int
    number: int
    count: int

    def of(self, array: Array) -> Array:
        """This part, without the axis."""
        return np.moveaxis(array, self.axis, 0)[self.number]


@dataclass(frozen=True)
class Whole:
    """An array of torch that one of JAX holds with its axes in some order, perhaps folded; or a slice of one.

    Attributes:
        torch: Its name.
        shape: Its shape.
        order: The order of its axes in JAX.
        there: The shape of JAX's array, or of the slice.
        part: The slice; None if it is JAX's array.
    """

    torch: str
    shape: tuple[int, ...]
    order: tuple[int, ...]
    there: tuple[int, ...]
    part: Slice | None = None

    def seen(self, array: Array) -> Array:
        """An array of torch's shape as JAX holds it."""
        return array.transpose(self.order).reshape(self.there)

    def holds(self, array: Array, there: Array) -> bool:
        """Whether JAX's array or slice holds the numbers of torch's in this layout: others mostly show in a few places."""
        moved, few = array.transpose(self.order), _few(there)
        return np.array_equal(moved.flat[few], there.flat[few]) and np.array_equal(moved.reshape(self.there), there)

    def back(self, array: Array) -> Array:
        """An array of the shape of JAX's whole array as torch holds it."""
        own = array if self.part is None else self.part.of(array)
        moved = own.reshape(tuple(self.shape[axis] for axis in self.order))
        return moved.transpose(tuple(self.order.index(axis) for axis in range(len(self.order))))

    @property
    def steps(self) -> list[Worded]:
        """The layout in steps."""
        if tuple(self.shape[axis] for axis in self.order) != self.there:
            steps = layout(self.seen(np.arange(prod(self.shape)).reshape(self.shape)), self.shape)
        else:  # where no axis is folded, a smaller array shows the same
            few = tuple(min(size, FEW) for size in self.shape)
            steps = layout(np.arange(prod(few)).reshape(few).transpose(self.order), few)
        return steps if self.part is None else [*steps, stacked(self.part.number, self.part.count)]


Block = tuple[Any, ...]
"""The index of a block of an array."""
Wholes = tuple[Whole, ...]
"""What one array of JAX holds: one array of torch, or one in each slice."""


def whole_weights(
    torch: Mapping[str, Array], torch_prints: Prints, jax: Mapping[str, Array], jax_prints: Prints
) -> dict[str, Wholes]:
    """JAX's arrays that hold the numbers of arrays of torch in one of the usual forms, where no other of torch does.

    Most arrays are such ones. They are only compared, while all others are matched number by number. JAX may hold a tied
    table twice; but if all its numbers are equal, two arrays that hold them need not have the same partner.
    """
    owners: dict[tuple[int, float], list[str]] = defaultdict(list)
    for name in torch:
        if name not in torch_prints.copied:
            owners[torch_prints.likely[name]].append(name)

    def partner(array: Array) -> Whole | None:
        """The only array of torch with these numbers."""
        forms = (
            Whole(owner, torch[owner].shape, order, array.shape)
            for owner in owners.get(likely(array), ())
            for order in orders(torch[owner].shape, array.shape)
        )
        fits = [form for form in forms if form.holds(torch[form.torch], array)]
        return fits[0] if len(fits) == 1 else None

    def in_slices(array: Array, axis: int) -> Iterator[Whole]:
        """The partner of each slice, up to the first that has none."""
        for number, part in enumerate(np.moveaxis(array, axis, 0)):
            whole = None if is_plain(part) else partner(part)
            if whole is None:
                return
            yield replace(whole, part=Slice(axis, number, array.shape[axis]))

    sizes = {size for size, _ in owners}
    wholes: dict[str, Wholes] = {}
    for name, array in jax.items():
        unclear = name in jax_prints.copied and is_plain(array)
        alone = None if unclear else partner(array)
        if alone is not None:
            wholes[name] = (alone,)
            continue
        for axis, count in enumerate(array.shape):
            if count and array.size // count in sizes:
                slices = tuple(in_slices(array, axis))
                if len(slices) == count:
                    wholes[name] = slices
                    break
    return wholes


def beside_others(weight: Array, array: Array) -> tuple[tuple[int, ...], Block, Block] | None:
    """Where an array of JAX holds a weight of torch among other numbers, or only a block of it; None if it does not.

    Returns:
        The order of the weight's axes in JAX, the block of the array, and that of the weight in this order.
    """
    for order in usual_orders(weight.ndim) if weight.ndim == array.ndim else ():
        moved = weight.transpose(order)
        if (there := _block(moved, array)) is not None:
            return order, there, (...,)
        if (here := _block(array, moved)) is not None:
            return order, (...,), here
    return None


def _block(part: Array, whole: Array) -> Block | None:
    """The only block of an array that is another one, of numbers that show what they are."""
    room = tuple(there - here + 1 for here, there in zip(part.shape, whole.shape, strict=True))
    if not part.size or is_plain(part) or min(room, default=0) < 1 or max(room) == 1:
        return None
    fits = np.ones(room, bool)
    for place in zip(*np.unravel_index(_few(part), part.shape), strict=True):
        fits &= whole[tuple(slice(at, at + count) for at, count in zip(place, room, strict=True))] == part[place]
        if not fits.any():
            return None
    starts = np.argwhere(fits)
    block = tuple(slice(at, at + size) for at, size in zip(starts[0], part.shape, strict=True))
    return block if len(starts) == 1 and np.array_equal(part, whole[block]) else None


def _few(array: Array) -> Array:
    """A few places, spread evenly over an array."""
    return np.arange(0, array.size, array.size // FEW_PLACES + 1)


def is_plain(array: Array) -> bool:
    """Whether all numbers are equal, such as the zeros of a new bias: then they do not show what they are."""
    return array.size > 1 and bool((array == array.flat[0]).all())


class Sources(Mapping[str, Array]):
    """For each array of JAX, the place in torch's of each number; for most arrays made when it is asked for."""

    def __init__(self, whole: Mapping[str, Wholes], others: Mapping[str, Array], places: TorchPlaces) -> None:
        self._whole, self._others, self._places = whole, others, places

    def __getitem__(self, name: str) -> Array:
        if name not in self._whole:
            return self._others[name]
        seen = [whole.seen(self._places.of(whole.torch)) for whole in self._whole[name]]
        part = self._whole[name][0].part
        return seen[0] if part is None else np.stack(seen, part.axis)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._whole, *self._others])

    def __len__(self) -> int:
        return len(self._whole) + len(self._others)
