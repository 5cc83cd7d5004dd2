"""Weights of which JAX holds all numbers, and no others, in one array: most weights of most ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.run.index_maps import layout
from crosscheck._models.run.places import TorchPlaces
from crosscheck._records.worded import Worded

FEW = 3
"""The layout of an array shows in one whose axes have at most so many numbers."""
FEW_PLACES = 64
"""Two arrays are compared in so many places before all their numbers are."""


@dataclass(frozen=True)
class Whole:
    """An array of torch that one of JAX holds with its axes in some order, perhaps folded.

    Attributes:
        torch: Its name.
        shape: Its shape.
        order: The order of its axes in JAX.
        there: The shape of JAX's array.
    """

    torch: str
    shape: tuple[int, ...]
    order: tuple[int, ...]
    there: tuple[int, ...]

    def seen(self, array: Array) -> Array:
        """An array of torch's shape as JAX holds it."""
        return array.transpose(self.order).reshape(self.there)

    def holds(self, array: Array, there: Array) -> bool:
        """Whether JAX's array holds the numbers of torch's in this layout: most other arrays show in a few places."""
        moved = array.transpose(self.order)
        few = np.arange(0, there.size, there.size // FEW_PLACES + 1)
        torch_numbers, jax_numbers = moved.flat[few], there.flat[few]
        return np.array_equal(torch_numbers, jax_numbers) and np.array_equal(moved.reshape(self.there), there)

    def back(self, array: Array) -> Array:
        """An array of JAX's shape as torch holds it."""
        moved = array.reshape(tuple(self.shape[axis] for axis in self.order))
        return moved.transpose(tuple(self.order.index(axis) for axis in range(len(self.order))))

    @property
    def steps(self) -> list[Worded]:
        """The layout in steps."""
        if tuple(self.shape[axis] for axis in self.order) != self.there:
            return layout(self.seen(np.arange(prod(self.shape)).reshape(self.shape)), self.shape)
        # where no axis is folded, a smaller array shows the same
        few = tuple(min(size, FEW) for size in self.shape)
        return layout(np.arange(prod(few)).reshape(few).transpose(self.order), few)


class Sources(Mapping[str, Array]):
    """For each array of JAX, the place in torch's of each number; for most arrays made when it is asked for."""

    def __init__(self, whole: Mapping[str, Whole], others: Mapping[str, Array], places: TorchPlaces) -> None:
        self._whole, self._others, self._places = whole, others, places

    def __getitem__(self, name: str) -> Array:
        if name not in self._whole:
            return self._others[name]
        return self._whole[name].seen(self._places.of(self._whole[name].torch))

    def __iter__(self) -> Iterator[str]:
        return iter([*self._whole, *self._others])

    def __len__(self) -> int:
        return len(self._whole) + len(self._others)
