"""The parts of the inputs on which each side's result depends: this shows what one side masks or mixes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from crosscheck._arithmetic.formats import BoolArray
from crosscheck._compare.diagnose.where import region
from crosscheck._compare.how.trials import ALIKE, JAX, NAMES, TORCH, Trials, sizes_of
from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array

MOST_SLICES = 32
MOST_ELEMENTS = 2**14
FACTOR = 1.25


def of_dependence(trials: Trials) -> Fact | None:
    """The first part of an input that moves one side's result and not the other's at any input tried."""
    if sum(array.size for array in trials.given) > MOST_ELEMENTS:
        return None
    for at in trials.inputs.floats:
        leaf = trials.inputs.leaves[at]
        for axis in range(leaf.ndim):
            if not 1 < leaf.shape[axis] <= MOST_SLICES:
                continue
            torch, jax = (_moved(trials, side, at, axis) for side in (TORCH, JAX))
            if torch is None or jax is None:
                continue
            for side, own, other in ((TORCH, torch, jax), (JAX, jax, torch)):
                for fact in _differences(trials, (at, axis), own, other):
                    return replace(fact, role=NAMES[side])
    return None


def _moved(trials: Trials, side: int, at: int, axis: int) -> BoolArray | None:
    """For each slice of an input, which elements of the result it moves; None if that cannot be measured."""
    moved: BoolArray | None = None
    for trial, arguments in enumerate(trials.arguments):
        clean = trials.result(side, trial)
        if clean is None or np.isnan(clean).any():  # NaN hides on what it depends
            continue
        rows = []
        for i in range(arguments[at].shape[axis]):
            moves = np.zeros(clean.shape, bool)
            for other in _others(arguments[at], (*(slice(None),) * axis, i)):
                try:
                    result = trials.run(side, [*arguments[:at], other, *arguments[at + 1 :]])
                except Exception:  # the function may refuse these inputs
                    return None
                if result.shape != clean.shape:
                    return None
                with np.errstate(invalid="ignore"):
                    same = np.abs(result - clean) <= ALIKE * sizes_of(clean)
                moves |= ~same & ~(np.isnan(result) & np.isnan(clean))
            rows.append(moves)
        moved = np.stack(rows) if moved is None else moved | np.stack(rows)
    return moved


def _others(leaf: Array, place: tuple[int | slice, ...]) -> Iterator[Array]:
    """The array with other numbers at a place: larger ones, and some beyond all others, to move a maximum or a median."""
    low, high = float(np.nanmin(leaf)), float(np.nanmax(leaf))
    for value in (leaf[place] * FACTOR, high + (high - low), low - (high - low)):
        other = leaf.copy()
        other[place] = value
        yield other


def _differences(trials: Trials, place: tuple[int, int], own: BoolArray, other: BoolArray) -> Iterator[Fact]:
    """What is so of a side whose result depends on less than that of the other."""
    at, axis = place
    name, leaf = trials.inputs.names[at], trials.inputs.leaves[at]
    ignored = ~own.any(axis=tuple(range(1, own.ndim))) & other.any(axis=tuple(range(1, own.ndim)))
    marked = np.zeros(leaf.shape, bool)
    marked[(slice(None),) * axis + (ignored,)] = True
    if ignored.any() and (said := region(marked, name)):
        yield Fact("unused", said)
    for along in range(1, own.ndim):
        if own.shape[along] != len(own):
            continue
        rest = tuple(k for k in range(1, own.ndim) if k != along)
        uses, others = (np.asarray(moved.any(axis=rest)) for moved in (own, other))
        later = np.tri(len(own), k=-1) > 0
        earlier = later.T
        of = f"along axis {axis} of `{name}`" if leaf.ndim > 1 else f"of `{name}`"
        if not uses[later | earlier].any() and others[later | earlier].any():
            yield Fact("alone", where=of)
        elif not uses[later].any() and others[later].any():
            yield Fact("seen", "later", where=of)
        elif not uses[earlier].any() and others[earlier].any():
            yield Fact("seen", "earlier", where=of)
