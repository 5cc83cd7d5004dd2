"""Find the places of an attention that only one side masks, from the probabilities that come out."""

from __future__ import annotations

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._models.cut.landmarks import Landmark, orders_of, reordered
from crosscheck._models.engine import ModelResults
from crosscheck._models.values.uses import DATA

SUM = 1e-6
"""The sum of probabilities differs from 1 by less than this."""


def other_mask(results: ModelResults, landmark: Landmark, operation: int) -> tuple[Fact, ...]:
    """How the masks differ on the way from an operation to a landmark; empty if they agree or there are none."""
    torch_probabilities = _of_torch(results, landmark, operation)
    orders = [] if torch_probabilities is None else _of_jax(results, landmark, torch_probabilities)
    if torch_probabilities is None or not orders:
        return ()
    jax_probabilities = min(
        orders, key=lambda probabilities: int(((probabilities == 0) != (torch_probabilities == 0)).sum())
    )
    masked, emptied = dict[str, str](), list[Fact]()
    sides = ("PyTorch", torch_probabilities), ("JAX", jax_probabilities)
    for (side, here), (other, there) in (sides, sides[::-1]):
        where = (here == 0) & (there > 0)
        if where.any():
            places = f"{where.sum()} of {where.size} places that {other} does not, such as {np.argwhere(where)[0].tolist()}"
            whole = (here == 0).all(-1)[where.any(-1)].all()  # as at positions of padding before the first token
            masked[side] = places
            emptied += [Fact("empty rows", role=side)] * bool(whole)
    if len(masked) > 1:
        own, others = (
            "; ".join([masked[side], *(fact.words() for fact in emptied if fact.role == side)]) for side in masked
        )
        return (Fact("masks of both", torch=own, jax=others),)
    return (*(Fact("masks", role=side, where=places) for side, places in masked.items()), *emptied)


def _of_torch(results: ModelResults, landmark: Landmark, operation: int) -> Array | None:
    last = landmark.operation if landmark.operation is not None else operation
    for candidate in results.torch.operations[operation : last + 1]:
        if candidate.name in ("_softmax", "_safe_softmax") and candidate.index in results.torch.values:
            return results.torch.values[candidate.index].wide
    return None


def _of_jax(results: ModelResults, landmark: Landmark, torch_probabilities: Array) -> list[Array]:
    """The last probabilities of the same size that JAX computes on the way to a landmark, with their axes in all orders.

    There are none if only the order of the rows differs, where JAX joins or splits axes.
    """
    shape = torch_probabilities.shape
    flat, run = results.flat, results.located.run
    step = flat.steps[landmark.step]
    way = flat.ancestors(step.outputs[:1] if landmark.place < 0 else [step.inputs[landmark.place]])
    for number in sorted(way, reverse=True):
        value = run.values.get(number) if run is not None and flat.kinds[number] == DATA else None
        if value is None or value.dtype != np.float64 or value.size != np.prod(shape) or value.shape[-1:] != shape[-1:]:
            continue
        array = np.asarray(value)
        total = array.sum(-1)
        if (array >= 0).all() and total.any() and ((np.abs(total - 1) <= SUM) | (total == 0)).all():
            # where heads are in groups, the order of the rows is not known
            moved = array.ndim != len(shape) and _masked_rows(array) == _masked_rows(torch_probabilities)
            return [] if moved else [reordered(array, shape, order) for order in orders_of(shape, array.shape)]
    return []


def _masked_rows(probabilities: Array) -> list[bytes]:
    """Which places each row masks, in an order that does not depend on that of the rows."""
    return sorted(map(bytes, np.packbits(probabilities.reshape(-1, probabilities.shape[-1]) == 0, axis=-1)))
