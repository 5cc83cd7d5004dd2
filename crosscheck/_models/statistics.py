"""The running statistics that a model changes in training mode: the old values enter the new ones, which it returns."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.jax_recording import JaxProgramFlat
from crosscheck._models.torch_recording import TorchRecord
from crosscheck._models.uses import DATA

FOUND = 1e-5
"""An array is a mixture of two others up to this, relative to its largest number."""
FEWEST = 4
"""Two shares explain any smaller array, or nearly so."""


def updates(flat: JaxProgramFlat, outputs: int) -> frozenset[int]:
    """The steps of JAX on data that make a new state alone: its first ``outputs`` results do not depend on them."""
    needed = flat.ancestors(flat.results[:outputs])
    return frozenset(
        step.operation.index for step in flat.steps if step.operation.kind == DATA and needed.isdisjoint(step.outputs)
    )


def is_updated(value: Array, torch: TorchRecord, names: Collection[str]) -> bool:
    """Whether an array mixes the old and the new numbers of one of these statistics, as with another momentum."""
    for name in torch.buffers.keys() & torch.weights.keys() & set(names):
        old, new = (one[name].reshape(-1) for one in (torch.weights, torch.buffers))
        if not value.size == old.size == new.size >= FEWEST:
            continue
        sources, numbers = np.stack([old, new], axis=1), value.reshape(-1)
        shares, *_ = np.linalg.lstsq(sources, numbers, rcond=None)
        if shares[1] and np.abs(sources @ shares - numbers).max() <= FOUND * np.abs(numbers).max():
            return True
    return False
