"""Find the places of an attention that only one side masks, from the probabilities that come out."""

from __future__ import annotations

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import Found
from crosscheck._models.landmarks import Landmark, orders_of, reordered
from crosscheck._models.uses import DATA

SUM = 1e-6
"""The sum of probabilities differs from 1 by less than this."""


def other_mask(found: Found, landmark: Landmark, operation: int) -> str:
    """How the masks differ on the way from an operation to a landmark; empty if they agree or there are none."""
    mine = _of_torch(found, landmark, operation)
    orders = [] if mine is None else _of_jax(found, landmark, mine.shape)
    if mine is None or not orders:
        return ""
    theirs = min(orders, key=lambda one: int(((one == 0) != (mine == 0)).sum()))
    sides = (("PyTorch", (mine == 0) & (theirs > 0)), ("JAX", (theirs == 0) & (mine > 0)))
    said = [
        f"{side} masks {where.sum()} of {where.size} places that {other} does not, such as {np.argwhere(where)[0].tolist()}"
        for (side, where), other in zip(sides, ("JAX", "PyTorch"), strict=True)
        if where.any()
    ]
    return ", and ".join(said)


def _of_torch(found: Found, landmark: Landmark, operation: int) -> Array | None:
    last = landmark.operation if landmark.operation is not None else operation
    for one in found.torch.operations[operation : last + 1]:
        if one.name in ("_softmax", "_safe_softmax") and one.index in found.torch.values:
            return found.torch.values[one.index].wide
    return None


def _of_jax(found: Found, landmark: Landmark, shape: tuple[int, ...]) -> list[Array]:
    """The last probabilities of the same size that JAX computes on the way to a landmark, with their axes in all orders."""
    flat, run = found.flat, found.located.run
    step = flat.steps[landmark.step]
    way = flat.ancestors(step.outputs[:1] if landmark.place < 0 else [step.inputs[landmark.place]])
    for number in sorted(way, reverse=True):
        value = run.values.get(number) if run is not None and flat.kinds[number] == DATA else None
        if value is None or value.dtype != np.float64 or value.size != np.prod(shape) or value.shape[-1:] != shape[-1:]:
            continue
        array = np.asarray(value)
        if (array >= 0).all() and (np.abs(array.sum(-1) - 1) <= SUM).all():
            return [reordered(array, shape, order) for order in orders_of(shape, array.shape)]
    return []
