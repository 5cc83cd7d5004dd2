"""The place of each number of a weight: in torch's arrays, in JAX's, and in the operands of operations."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.record.jax_uses import matrices
from crosscheck._models.record.jax_uses import uses as uses_of
from crosscheck._models.run.index_maps import PERMUTED, layout, ordinal, stacked
from crosscheck._models.run.interpreter import ModelRun
from crosscheck._models.run.step_arithmetic import as_it_is
from crosscheck._models.values.uses import CONSTANT, DATA, MOVES, WEIGHT, Use
from crosscheck._records.worded import Worded

Seen = tuple[Array | None, ...]
"""For each weight of a use, the places of its numbers."""
RECENT = 8
"""The places of the weights of so many uses are kept."""


class Places:
    """The numbers of several arrays, counted across all of them."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.names = list(shapes)
        self._starts = np.cumsum([0, *(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())])
        self._numbers = {name: k for k, name in enumerate(self.names)}
        self.total = int(self._starts[-1])
        self.dtype = np.dtype(np.int32 if self.total < 2**31 else np.int64)

    def start(self, name: str) -> int:
        """The place of an array's first number."""
        return int(self._starts[self._numbers[name]])

    def of(self, name: str) -> Array:
        """The place of each number of an array, in its shape."""
        size = int(np.prod(self.shapes[name], dtype=np.int64))
        return np.arange(self.start(name), self.start(name) + size, dtype=self.dtype).reshape(self.shapes[name])

    def owners(self, places: Array) -> Array:
        """The position of the array that has each place, among ``names``; -1 of no place."""
        return np.searchsorted(self._starts, places, side="right") - 1

    def split(self, places: Array) -> Iterator[tuple[str, Any, Array]]:
        """For each array, in the order of occurrence: its name, which of the places are in it, and the places within it."""
        if not places.size:
            return
        first, last = self.owners(np.asarray([places.min(), places.max()]))
        if last < 0:
            return
        if first == last >= 0:  # the usual case, which needs no search
            yield self.names[first], ..., places - self.dtype.type(self._starts[first])
            return
        owners = self.owners(places).astype(np.int16 if len(self.names) < 2**15 else np.int64)  # sorted much faster
        numbers, occurs = np.unique(owners, return_index=True)
        for owner in numbers[np.argsort(occurs)]:
            if owner >= 0:
                yield self.names[owner], owners == owner, places[owners == owner] - self.dtype.type(self._starts[owner])


class TorchPlaces(Places):
    """The numbers of torch's weights, and where they appear in the operands of operations."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        super().__init__({name: value.shape for name, value in weights.items()})
        self._weights = weights
        self._lookups: dict[str, tuple[Array, Array] | None] = {}

    def seen(self, name: str, matrix: Array) -> Array | None:
        """The places of the numbers of a matrix; None if they are not numbers of this weight, or are ambiguous."""
        places = self._rows(name, matrix)
        if places is not None:
            return places
        table = self.lookup(name)
        if table is None:
            return None
        order = np.searchsorted(table[0], matrix).clip(0, len(table[0]) - 1)
        return table[1][order] if np.array_equal(table[0][order], matrix) else None

    def _rows(self, name: str, matrix: Array) -> Array | None:
        """The places of a matrix that is a weight, or some rows of one that follow each other; None if several may be."""
        weight, places = np.atleast_1d(self._weights[name]), np.atleast_1d(self.of(name))
        count, rest = divmod(matrix.size * len(weight), weight.size) if weight.size else (0, 0)
        if rest or not count or count > len(weight):
            return None
        firsts = weight[: len(weight) - count + 1].reshape(len(weight) - count + 1, -1)[:, 0]
        fitting: list[Array] = []
        for start in np.flatnonzero(firsts == matrix.flat[0]):
            rows = slice(start, start + count)
            for seen, where in zip(_matrices(weight[rows]), _matrices(places[rows]), strict=True):
                if seen.shape == matrix.shape and (_is(seen, matrix) or np.array_equal(seen, matrix)):
                    fitting.append(where)
                    break
            if len(fitting) > 1:
                return None
        return fitting[0] if fitting else None

    def numbers(self, places: Array) -> Array:
        """The numbers at places, in float64; 0 without a place."""
        return self._held(places).astype(np.float64, copy=False)

    def _held(self, places: Array) -> Array:
        """The same, in the dtype of the arrays that have them."""
        parts = [(mask, self._weights[name].reshape(-1)[own]) for name, mask, own in self.split(places)]
        if len(parts) == 1 and parts[0][0] is ...:
            return parts[0][1]
        values = np.zeros(places.shape, np.result_type(*(numbers for _, numbers in parts)) if parts else np.float64)
        for mask, numbers in parts:
            values[mask] = numbers
        return values

    def sums(self, first: Array, second: Array) -> Array:
        """The numbers at places; in float64, if those at second places are added to any."""
        return self.numbers(first) + self.numbers(second) if (second >= 0).any() else self._held(first)

    def lookup(self, name: str) -> tuple[Array, Array] | None:
        """The numbers of a weight, sorted, and their places; None if two are equal."""
        if name not in self._lookups:
            values = self._weights[name].reshape(-1)
            order = np.argsort(values, kind="stable")
            ordered = values[order]
            distinct = len(ordered) < 2 or bool((ordered[1:] > ordered[:-1]).all())
            self._lookups[name] = (ordered, (order + self.start(name)).astype(self.dtype)) if distinct else None
        return self._lookups[name]


def float_arrays(model: JaxModel) -> dict[str, Array]:
    """JAX's arrays of floats; those of bfloat16 as float32, since numpy lacks operations for it."""
    named = zip(model.names, model.weights, strict=True)
    floats = {name: value for name, value in named if value.dtype.kind == "f" or value.dtype.name == "bfloat16"}
    return {name: value if value.dtype.kind == "f" else value.astype(np.float32) for name, value in floats.items()}


def without_inputs(
    flat: JaxProgramFlat, weights: Sequence[Array], *, wide: bool, keep: Container[int], known: Mapping[int, Any]
) -> dict[int, Array]:
    """The values of ``keep`` that JAX computes from weights and constants alone, by number, without those that are known."""
    run = ModelRun(flat, wide=wide, keep=keep, known=known)
    run(weights, [np.zeros(flat.avals[number].shape, flat.avals[number].dtype) for number in flat.inputs], only=WEIGHT)
    return {number: value for number, value in run.values.each() if flat.kinds[number] != DATA}


def of_constants(
    flat: JaxProgramFlat, weights: Sequence[Array], replaced: Mapping[int, Array] = MappingProxyType({})
) -> dict[int, Array]:
    """The values that JAX computes from constants alone, by number; weights of floats are not even widened.

    The values of ``replaced`` are not computed, and are left out.
    """
    floats = dict.fromkeys(number for number, kind in flat.kinds.items() if kind == WEIGHT)
    run = ModelRun(flat, wide=True, known={**floats, **replaced})
    run(weights, [np.zeros(flat.avals[number].shape, flat.avals[number].dtype) for number in flat.inputs], only=CONSTANT)
    return {number: value for number, value in run.values.each() if flat.kinds[number] == CONSTANT}


class JaxPlaces:
    """The places in JAX's arrays of the numbers of the weights of each use, made when they are asked for."""

    def __init__(self, model: JaxModel, flat: JaxProgramFlat, places: Places) -> None:
        self._flat, self._places = flat, places
        names = zip(flat.weights, model.names, strict=True)
        self._leaves = {number: name for number, name in names if name in places.shapes}
        self._made: dict[int, Array] = {}
        # a step asks several times, and must get the same arrays, which are as large as its weights
        self.seen = lru_cache(RECENT)(self._seen)

    def uses(self) -> list[tuple[Step, Use, int]]:
        """The uses, with the shapes of their matrices alone."""
        return uses_of(self._flat, self._without_places)

    def _seen(self, index: int) -> Seen:
        """The places of the weights of the use at a step; None for computed numbers."""
        with jax.enable_x64(self._places.dtype.itemsize > 4):
            made = matrices(self._flat, self._flat.steps[index], self.of)
        return tuple(matrix if matrix.size and matrix.flat[0] >= 0 else None for matrix in made)

    def release(self, number: int) -> None:
        """Forget the places of a value; if it is asked for again, they are made again."""
        self._made.pop(number, None)

    def _without_places(self, number: int) -> Array:
        return np.broadcast_to(self._places.dtype.type(-1), self._flat.avals[number].shape)

    def of(self, number: int) -> Array:
        """The places of the numbers of a value; -1 where it does not hold numbers of weights."""
        if number not in self._made:
            self._made[number] = self._computed(number)
        return self._made[number]

    def _computed(self, number: int) -> Array:
        flat = self._flat
        if number in self._leaves:
            return self._places.of(self._leaves[number])
        if flat.origins.get(number, frozenset()).isdisjoint(self._places.shapes) or not is_moved(flat, number):
            return self._without_places(number)
        step = flat.steps[flat.maker[number]]
        given = [self.of(operand) for operand in step.inputs]
        if step.operation.name == "convert_element_type":
            return given[0]
        if step.operation.name == "transpose":  # a view, where JAX would make a copy
            return given[0].transpose(step.equation.params["permutation"])
        return np.asarray(as_it_is(step, given)[step.outputs.index(number)])


def is_moved(flat: JaxProgramFlat, number: int, moves: Container[str] = MOVES) -> bool:
    """Whether a value consists only of numbers of weights, which these operations moved."""
    left, seen = [number], {number}
    while left:
        value = left.pop()
        if value not in flat.maker:
            if flat.kinds[value] != WEIGHT:
                return False
            continue
        step = flat.steps[flat.maker[value]]
        if step.operation.name not in moves or not all(isinstance(x, int) for x in step.inputs):
            return False
        left += {*step.inputs} - seen  # blocks that go around a ring are all made of one another
        seen.update(step.inputs)
    return True


@dataclass(frozen=True)
class ArrayPart:
    """The part of one array of JAX that comes from one array of torch.

    Attributes:
        torch: The name of torch's array.
        jax: The name of JAX's.
        steps: The layout in steps.
        where: The index of the part in JAX's array.
    """

    torch: str
    jax: str
    steps: list[Worded]
    where: Any


def regions(sources: Mapping[str, Array], torch: Places) -> list[ArrayPart]:
    """For each array of JAX, its parts from torch, by the place in torch of each number; -1 for an unknown place."""
    parts = []
    for name, places in sources.items():
        if in_slices := _slices(places, torch):
            axis, owners = in_slices
            for number, (owner, own) in enumerate(zip(owners, np.moveaxis(places, axis, 0), strict=True)):
                steps = [*layout(own - torch.start(owner), torch.shapes[owner]), stacked(number, len(owners))]
                parts.append(ArrayPart(owner, name, steps, (*[slice(None)] * axis, number)))
            continue
        masks = {owner: mask for owner, mask, _ in torch.split(places)}
        for owner, mask in masks.items():
            steps = _region(places - torch.start(owner), mask, torch, owner, list(masks))
            parts.append(ArrayPart(owner, name, steps, mask))
    return parts


def _slices(places: Array, torch: Places) -> tuple[int, list[str]] | None:
    """The axis along which each slice of an array comes from an array of torch of its own, and the names of these.

    Layers that are scanned are as many such slices: no mask as large as the array is made for each.
    """
    if not places.size:
        return None
    for axis, count in enumerate(places.shape):
        others = tuple(other for other in range(places.ndim) if other != axis)
        first, last = torch.owners(places.min(others)), torch.owners(places.max(others))
        names = [torch.names[owner] for owner in first if owner >= 0]
        alone = 1 < count == len(set(names)) and np.array_equal(first, last)
        if alone and all(places.ndim > len(torch.shapes[name]) for name in names):
            return axis, names
    return None


def _region(places: Array, mask: Any, torch: Places, owner: str, present: list[str]) -> list[Worded]:
    if mask is ...:
        return layout(places, torch.shapes[owner])
    whole = bool(mask.all())
    where = [np.arange(size) for size in mask.shape] if whole else [np.unique(axis) for axis in np.nonzero(mask)]
    if not whole and not mask[np.ix_(*where)].all():
        return [PERMUTED]
    inside = places if whole else places[np.ix_(*where)]
    cut = [axis for axis, own in enumerate(where) if len(own) < mask.shape[axis]]
    shape = torch.shapes[owner]
    if len(cut) == 1 and len(where[cut[0]]) == 1 and inside.ndim > len(shape):
        axis = cut[0]
        steps = layout(inside.reshape([n for k, n in enumerate(inside.shape) if k != axis]), shape)
        number, count = int(where[axis][0]), mask.shape[axis]
        return [*steps, stacked(number, count)]
    steps = layout(inside, shape)
    if len(present) > 1:
        number = present.index(owner)
        steps.append(Worded(f"joined of {', '.join(present)}: this is the {ordinal(number)}", "joined", number, *present))
    return steps


def _is(left: Array, right: Array) -> bool:
    """Whether two arrays are the same numbers in memory."""
    return bool(left.__array_interface__ == right.__array_interface__)


def _matrices(places: Array) -> Iterable[Array]:
    """The forms in which torch's operations use a weight."""
    yield places.reshape(1, -1)
    if places.ndim == 2:
        yield from (places.T, places)
    elif places.ndim > 2:
        for axis in (0, 1):
            yield np.moveaxis(places, axis, -1).reshape(-1, places.shape[axis])


def orders(shape: tuple[int, ...], there: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The orders of a weight's axes in the usual forms in which JAX holds it, in an array of another shape.

    Axes that fit come first. Others are folded afterwards.
    """
    usual = usual_orders(len(shape))
    moved = {order: tuple(shape[axis] for axis in order) for order in usual}
    matches = [order for order, seen in moved.items() if seen == there]
    if prod(shape) == prod(there):
        matches += [order for order in dict.fromkeys(usual[:2]) if moved[order] != there]
    return matches


def usual_orders(count: int) -> list[tuple[int, ...]]:
    """The usual orders in JAX of a weight's axes, of which there are so many."""
    axes = tuple(range(count))
    usual = [axes, axes[::-1]]
    if count > 2:
        usual += [(*axes[2:], 1, 0), (*axes[2:], 0, 1)]
    return list(dict.fromkeys(usual))


def shaped(places: Array, shape: tuple[int, ...]) -> Iterable[Array]:
    """The usual forms in which JAX holds a weight: its axes in another order, or folded."""
    yield from (places.transpose(order).reshape(shape) for order in orders(places.shape, shape))
