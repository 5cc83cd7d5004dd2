"""Arrays of JAX that hold the sum of two weights of torch, as one bias of a recurrent layer does."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.pair.pairing import SAME
from crosscheck._models.run.places import TorchPlaces
from crosscheck._records.worded import Worded


@dataclass(frozen=True)
class Sum:
    """Two weights of torch whose sum an array of JAX holds.

    Attributes:
        names: The two weights.
        first: The place of each number of the array in the first weight.
        second: The place in the second weight; -1 for a number that is the first weight's alone.
        apart: The largest difference between the array and the sum.
    """

    names: tuple[str, str]
    first: Array
    second: Array
    apart: float

    @property
    def said(self) -> Worded:
        added = self.second >= 0
        words = f"summed: {' + '.join(self.names)}" + ("" if added.all() else f", in {added.sum()} of {added.size} numbers")
        return Worded(words, "summed", *self.names)


@dataclass(frozen=True)
class _Summand:
    """A weight of torch, or a part of it: of which module, of how many, and which one; two are summed if these are equal."""

    name: str
    places: Array
    part: tuple[str, int, int] | None = None


def summed(
    array: Array, weights: Mapping[str, Array], places: TorchPlaces, taken: Array, whole: Container[str]
) -> Sum | None:
    """The two weights whose sum an array holds, in all numbers or in some; of the biases of one layer also equal parts.

    The places ``taken``, and the weights ``whole``, have a partner, and are not the first summand's.
    """
    limit = SAME * float(np.abs(array).max(initial=0.0))
    if limit == 0:
        return None
    summands = _summands(array, weights, places)
    numbers = [places.numbers(summand.places) for summand in summands]
    # of most pairs, the largest number shows already that they are not summed
    at = np.abs(array).argmax()
    own = np.array([weight.flat[at] for weight in numbers])
    rest = array.flat[at] - own
    likely = (np.abs(rest[:, None] - own) <= limit) | (np.abs(rest) <= limit)[:, None]
    for k, j in np.argwhere(likely):
        first, second, left = summands[k], summands[j], array - numbers[k]
        if first.name == second.name or first.part != second.part or first.name in whole:
            continue
        added = (np.abs(left) > limit) & (np.abs(left - numbers[j]) <= limit)
        if (added | (np.abs(left) <= limit)).all() and added.any() and not np.isin(first.places, taken).any():
            apart = float(np.abs(left - np.where(added, numbers[j], 0.0)).max())
            return Sum((first.name, second.name), first.places, np.where(added, second.places, -1), apart)
    return None


def _summands(array: Array, weights: Mapping[str, Array], places: TorchPlaces) -> list[_Summand]:
    summands = [_Summand(name, places.of(name)) for name, weight in weights.items() if weight.shape == array.shape]
    for name, weight in weights.items() if array.ndim == 1 else ():
        if weight.ndim == 1 and weight.size > array.size and weight.size % array.size == 0:
            parts = places.of(name).reshape(-1, array.size)
            module = name.rpartition(".")[0]
            summands += [_Summand(name, own, (module, len(parts), k)) for k, own in enumerate(parts)]
    return summands
