"""Where each number of a weight stands: in torch's arrays, in JAX's, and in what operations see of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.index_maps import layout, ordinal
from crosscheck._models.jax_models import JaxModel
from crosscheck._models.jax_recording import JaxProgramFlat, Step
from crosscheck._models.jax_recording import uses as uses_of
from crosscheck._models.running import Run
from crosscheck._models.uses import WEIGHT

MOVES = frozenset(
    [
        *("broadcast_in_dim", "concatenate", "convert_element_type", "copy", "copy_p", "expand_dims", "reshape", "rev"),
        *("slice", "squeeze", "stack", "transpose"),
    ]
)
"""Operations that put numbers elsewhere and leave them as they are."""


class Places:
    """The numbers of several arrays, counted through."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)
        self.names = list(shapes)
        self._starts = np.cumsum([0, *(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())])
        self._numbers = {name: k for k, name in enumerate(self.names)}
        self.total = int(self._starts[-1])

    def start(self, name: str) -> int:
        """The place of an array's first number."""
        return int(self._starts[self._numbers[name]])

    def of(self, name: str) -> Array:
        """The place of each number of an array, in its shape."""
        size = int(np.prod(self.shapes[name], dtype=np.int64))
        return np.arange(self.start(name), self.start(name) + size).reshape(self.shapes[name])

    def owners(self, places: Array) -> Array:
        """The number of the array of each place; -1 where there is no place."""
        found = np.searchsorted(self._starts, places, side="right") - 1
        return np.where(places < 0, -1, found)

    def split(self, places: Array) -> Iterator[tuple[str, Any, Array]]:
        """By array: its name, which of the places are in it, and where they stand in it."""
        if not places.size:
            return
        first, last = self.owners(np.array([places.min(), places.max()])).tolist()
        if first == last >= 0:  # the usual case, without a search for each
            yield self.names[first], ..., places - int(self._starts[first])
            return
        owners = self.owners(places)
        for owner in np.unique(owners[owners >= 0]):
            mask = owners == owner
            yield self.names[owner], mask, places[mask] - int(self._starts[owner])


class TorchPlaces(Places):
    """The numbers of torch's weights, found again in what operations see of them."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        super().__init__({name: value.shape for name, value in weights.items()})
        self.values = np.concatenate([np.empty(0), *(value.reshape(-1) for value in weights.values())])
        self._weights = weights
        self._lookups: dict[str, tuple[Array, Array] | None] = {}

    def seen(self, name: str, matrix: Array) -> Array | None:
        """Where the numbers of a matrix stand; None where they are not those of this weight, or could be several of it."""
        places = self.of(name)
        if places.size == matrix.size:
            for seen in _matrices(places):
                if seen.shape == matrix.shape and np.array_equal(self.values[seen], matrix):
                    return seen
        found = self.lookup(name)
        if found is None:
            return None
        order = np.searchsorted(found[0], matrix).clip(0, len(found[0]) - 1)
        return found[1][order] if np.array_equal(found[0][order], matrix) else None

    def lookup(self, name: str) -> tuple[Array, Array] | None:
        """The numbers of a weight, sorted, and their places, if no two are equal."""
        if name not in self._lookups:
            values = self._weights[name].reshape(-1)
            order = np.argsort(values, kind="stable")
            found = values[order]
            distinct = len(found) < 2 or bool((np.diff(found) > 0).all())
            self._lookups[name] = (found, order + self.start(name)) if distinct else None
        return self._lookups[name]


def float_arrays(model: JaxModel) -> dict[str, Array]:
    """JAX's arrays of floats, in float64."""
    return {
        name: np.asarray(value, np.float64)
        for name, value in zip(model.names, model.weights, strict=True)
        if value.dtype.kind == "f" or value.dtype.name == "bfloat16"
    }


def without_inputs(flat: JaxProgramFlat, weights: Sequence[Array]) -> dict[int, Array]:
    """What JAX computes from weights and constants alone, by number."""
    run = Run(flat, wide=True)
    run(weights, [np.zeros(flat.avals[one].shape, flat.avals[one].dtype) for one in flat.inputs], only=WEIGHT)
    return run.values


def jax_places(model: JaxModel, flat: JaxProgramFlat, places: Places) -> list[tuple[Array | None, ...]]:
    """Of each use, where the numbers of its weights' matrices stand in JAX's arrays; None for what was computed."""
    given = [
        places.of(name).astype(np.float64) if name in places.shapes else value
        for name, value in zip(model.names, model.weights, strict=True)
    ]
    found: list[tuple[Array | None, ...]] = []
    for step, use, _ in uses_of(flat, without_inputs(flat, given)):
        moved = [is_moved(flat, number) for number in weight_operands(flat, step)]
        found.append(tuple(np.rint(m).astype(np.int64) if ok else None for m, ok in zip(use.matrices, moved, strict=False)))
    return found


def weight_operands(flat: JaxProgramFlat, step: Step) -> list[int]:
    """The operands of a step that are weights."""
    return [
        one
        for one in step.inputs
        if isinstance(one, int) and flat.kinds[one] == WEIGHT and flat.avals[one].dtype.name.startswith(("float", "bfloat"))
    ]


def is_moved(flat: JaxProgramFlat, number: int) -> bool:
    """Whether a value holds nothing but numbers of weights."""
    left = [number]
    while left:
        one = left.pop()
        if one not in flat.maker:
            if flat.kinds[one] != WEIGHT:
                return False
            continue
        step = flat.steps[flat.maker[one]]
        if step.operation.name not in MOVES or not all(isinstance(x, int) for x in step.inputs):
            return False
        left += step.inputs
    return True


@dataclass(frozen=True)
class Region:
    """The part of one array of JAX that is from one array of torch, and how it is laid out."""

    torch: str
    jax: str
    layout: str
    mask: Array


def regions(sources: Mapping[str, Array], torch: Places) -> list[Region]:
    """What each array of JAX holds of torch's, by the place in torch of each of its numbers; -1 where that is unknown."""
    found = []
    for name, places in sources.items():
        owners = torch.owners(places)
        present = [int(one) for one in dict.fromkeys(owners.reshape(-1).tolist()) if one >= 0]
        for owner in present:
            mask = owners == owner
            whose = torch.names[owner]
            found.append(Region(whose, name, _region(places - torch.start(whose), mask, torch, owner, present), mask))
    return found


def _region(places: Array, mask: Array, torch: Places, owner: int, present: list[int]) -> str:
    where = [np.unique(axis) for axis in np.nonzero(mask)]
    if mask.ndim and not mask[np.ix_(*where)].all():
        return "permuted"
    inside = places[np.ix_(*where)] if mask.ndim else places
    cut = [axis for axis, own in enumerate(where) if len(own) < mask.shape[axis]]
    shape = torch.shapes[torch.names[owner]]
    if len(cut) == 1 and len(where[cut[0]]) == 1 and inside.ndim > len(shape):
        axis = cut[0]
        words = [layout(inside.reshape([n for k, n in enumerate(inside.shape) if k != axis]), shape)]
        stacked = f"stacked: slice {int(where[axis][0]) + 1} of {mask.shape[axis]}"
        return stacked if words == ["the same"] else f"{words[0]}, {stacked}"
    words = [layout(inside, shape)]
    if len(present) > 1:
        names = ", ".join(torch.names[one] for one in present)
        words.append(f"joined of {names}: this is the {ordinal(present.index(owner))}")
    return ", ".join(word for word in words if word != "the same") or "the same"


def _matrices(places: Array) -> Iterable[Array]:
    """The ways in which torch's operations see a weight."""
    yield places.reshape(1, -1)
    if places.ndim == 2:
        yield from (places.T, places)
    elif places.ndim > 2:
        for axis in (0, 1):
            yield np.moveaxis(places, axis, -1).reshape(-1, places.shape[axis])


def shaped(places: Array, shape: tuple[int, ...]) -> Iterable[Array]:
    """The usual ways in which JAX holds a weight: its axes in another order, or folded."""
    axes = tuple(range(places.ndim))
    orders = [axes, axes[::-1]]
    if places.ndim > 2:
        orders += [(*axes[2:], 1, 0), (*axes[2:], 0, 1)]
    moved = [places.transpose(order) for order in dict.fromkeys(orders)]
    yield from (one for one in moved if one.shape == shape)
    if places.size == np.prod(shape, dtype=np.int64):
        yield from (one.reshape(shape) for one in moved[:2] if one.shape != shape)
