"""Whether the data explain a loss that differs: with which other batch would JAX have torch's loss?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._training.steps.departures import Departure, StepResults
from crosscheck._training.steps.steps import loss_of, same_loss

MOST_TRIED = 6
"""So many other arrays are tried, to see whether torch's loss depends on one."""
Other = tuple[Fact, Sequence[Array]]
"""That JAX would have torch's loss with another batch, and its arrays."""


def other_data(departure: Departure, jax_batches: Sequence[Inputs]) -> tuple[Fact, ...]:
    """The batch with which JAX would have torch's loss at the first step that differs; nothing if none is found."""
    context = departure.context
    for fact, leaves in _others(context.number - 1, context.batch, context.jax_batch, jax_batches):
        other = context.program.wide(context.state, leaves)
        if same_loss(other.loss, context.torch.loss[1]):
            return (fact,)
    return ()


def ignored_data(results: StepResults, departure: Departure, jax_batches: Sequence[Inputs]) -> tuple[Fact, ...]:
    """The array of the batch on which torch's loss depends, and JAX's does not; nothing if there is none.

    JAX may have read it when it traced the step, as Python's conditions do, or may never read it.
    """
    context = departure.context
    flat, torch_batch = context.program.flat, context.batch
    reached = flat.ancestors([number for number in flat.results[:1] if isinstance(number, int)])
    if len(torch_batch.leaves) != len(flat.inputs):  # JAX's own pipeline may give another number of arrays
        return ()
    for k in (k for k, number in enumerate(flat.inputs) if number not in reached):
        alike = (batch.leaves[k] for batch in jax_batches if batch.leaves[k].shape == torch_batch.leaves[k].shape)
        others = (
            leaf.astype(torch_batch.leaves[k].dtype)
            for leaf in (*alike, *(array for _, array in _turned(torch_batch.leaves[k])))
        )
        for other in islice((leaf for leaf in others if not np.array_equal(leaf, torch_batch.leaves[k])), MOST_TRIED):
            if not same_loss(context.torch.loss[1], loss_of(results, context, torch_batch.with_leaf(k, other))):
                return (Fact("batch ignored", context.jax_batch.names[k]),)
    return ()


def _others(number: int, torch_batch: Inputs, batch: Inputs, batches: Sequence[Inputs]) -> Iterator[Other]:
    """Other batches: those of neighbouring steps, torch's, and the batch with one array changed."""
    near = [(batches[number + by], words) for by, words in ((-1, "before"), (1, "after")) if 0 <= number + by < len(batches)]
    shapes = [leaf.shape for leaf in batch.leaves]
    for other, words in near:
        if [leaf.shape for leaf in other.leaves] == shapes:
            yield Fact("batch", "the batch", where=f"of the step {words}"), other.leaves
    for k, leaf in enumerate(batch.leaves):
        changed = [(Fact("batch", batch.names[k], where=words), array) for words, array in _turned(leaf)]
        for own in torch_batch.leaves[k : k + 1]:  # JAX's own pipeline may give another number of arrays
            changed += [(fact, own) for fact in _as_in_torch(batch.names[k], own, leaf)]
        changed += [
            (Fact("batch", batch.names[k], where=f"of the step {words}"), other.leaves[k])
            for other, words in near
            if other.leaves[k].shape == leaf.shape
        ]
        for fact, array in changed:
            yield fact, [*batch.leaves[:k], array, *batch.leaves[k + 1 :]]


def _turned(leaf: Array) -> Iterator[tuple[str, Array]]:
    for axis in (axis for axis in range(leaf.ndim) if leaf.shape[axis] > 1):
        for by in (1, -1):
            yield f"shifted by {by} along axis {axis}", np.roll(leaf, by, axis)
        yield f"turned around along axis {axis}", np.flip(leaf, axis).copy()
    if leaf.ndim and leaf.size and set(np.unique(leaf)) <= {0, 1}:
        yield "with 1 for 0 and 0 for 1", (1 - leaf).astype(leaf.dtype)


def _as_in_torch(name: str, own: Array, leaf: Array) -> Iterator[Fact]:
    """How torch's array differs, if it has the shape of JAX's and other numbers."""
    if own.shape != leaf.shape:
        return
    places = np.argwhere(~np.isclose(leaf, own, rtol=0, atol=0, equal_nan=True))
    if not len(places):
        return
    first = tuple(int(k) for k in places[0])
    count = f"{len(places):,} of its {leaf.size:,} numbers {'differ' if len(places) > 1 else 'differs'}"
    where = f" at {list(first)}" if first else ""
    yield Fact("batch numbers", name, count, _shown(own[first]), _shown(leaf[first]), where)


def _shown(number: Any) -> str:
    """A number in a few digits; an integer, such as a token's, in all its digits."""
    return f"{number:g}" if number.dtype.kind == "f" else str(number)
