"""Whether JAX's loss is made of PyTorch's losses of parts of the batch, as where gradients are accumulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._training.steps.departures import Departure, StepResults
from crosscheck._training.steps.steps import loss_of, same_loss

MOST_PARTS = 16
"""Into more parts, no batch is cut."""
MADE: Mapping[str, Callable[[Array], Any]] = {"mean": np.mean, "sum": np.sum}
"""What is made of the losses."""


def of_parts(results: StepResults, departure: Departure) -> tuple[Fact, ...]:
    """Of how many parts of the batch JAX's loss is the mean, or the sum; nothing if of none."""
    context = departure.context
    for words, parts in _cuts(context.batch):
        try:
            losses = [loss_of(results, context, _part(context.batch, rows)) for rows in parts]
        except Exception:  # the step may refuse a part in any way
            continue
        for name, make in MADE.items():
            if same_loss(make(np.array(losses)), context.jax.loss):
                return (Fact("microbatches", name, jax=str(len(parts)), where=words),)
    return ()


def _cuts(batch: Inputs) -> Iterator[tuple[str, list[slice]]]:
    """Ways to cut a batch into equal parts: what is in one, and the rows of each."""
    size = _size(batch)
    for count in range(2, min(size, MOST_PARTS) + 1):
        if size % count == 0:
            rows = size // count
            yield f"{rows} rows each", [slice(k * rows, (k + 1) * rows) for k in range(count)]
            if rows > 1:
                every = "second" if count == 2 else f"{count}th"
                yield f"every {every} row in one", [slice(k, None, count) for k in range(count)]


def _size(batch: Inputs) -> int:
    return max((len(leaf) for leaf in batch.leaves if leaf.ndim), default=0)


def _part(batch: Inputs, rows: slice) -> Inputs:
    """These rows of the arrays that have as many as the batch."""
    size = _size(batch)
    for k, leaf in enumerate(batch.leaves):
        if leaf.ndim and len(leaf) == size:
            batch = batch.with_leaf(k, leaf[rows].copy())
    return batch
