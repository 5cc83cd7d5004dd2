"""An operation on single numbers for which JAX has another function of the catalogue: its values show which."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from crosscheck._catalogue import activations
from crosscheck._compare.identify import evaluated
from crosscheck._frameworks.programs import Array
from crosscheck._models.distances import distance
from crosscheck._models.engine import Found
from crosscheck._models.forcing import Fault
from crosscheck._models.uses import DATA

FEWEST = 16
"""Fewer numbers may be those of several functions."""
SAME = 1e-6
"""The largest relative difference of two runs of one function in float64: one may round its constants to the dtype."""
POINTS = 48
"""So many of the numbers, from the smallest result to the largest, are compared with the functions of the catalogue."""
CLEARLY = 16.0
"""PyTorch's function must differ by so many times more."""


def other_function(found: Found, fault: Fault) -> str:
    """Which functions the two sides have, as a clause; empty if the operation is none of one array, or JAX's is unknown."""
    operation = found.torch.operations[fault.operation]
    data = [one for one in operation.inputs if found.torch.operations[one].kind == DATA]
    if len(data) != 1 or not {*data, fault.operation} <= found.torch.values.keys():
        return ""
    x, y = (found.torch.values[one].wide for one in (*data, fault.operation))
    expected = found.landmarks[fault.landmark].expected.wide
    if x.size < FEWEST or y.dtype != np.float64 or not x.size == y.size == expected.size:
        return ""
    order = there = np.argsort(y, axis=None)
    if not np.array_equal(y.ravel(), expected.ravel()):  # the landmark has its numbers in another order
        there = np.argsort(expected, axis=None)
    if not np.array_equal(y.ravel()[order], expected.ravel()[there]):
        return ""  # the landmark has more than the result of the operation
    x, y, theirs = x.ravel()[order], y.ravel()[order], found.located.values[fault.landmark].ravel()[there]
    limit = min(SAME, distance(theirs[:, None], y[:, None], in_parts=False) / CLEARLY)
    few = np.unique(np.linspace(0, x.size - 1, POINTS).astype(int))
    values = dict(_values(x[few]))
    names, own = (
        [name for name, one in values.items() if distance(one[:, None], side[few, None], in_parts=False) <= limit]
        for side in (theirs, y)
    )
    if not names:
        return ""
    return f"the PyTorch function is {min([*own, operation.name], key=len)}, the JAX function is {min(names, key=len)}"


def _values(x: Array) -> Iterator[tuple[str, Array]]:
    """What each elementwise function of the catalogue gives, with its usual parameters; those that give finite numbers."""
    for name, record in activations.items():
        if not record.rows:
            values = evaluated(partial(record.definition, **record.parameters), x)
            if np.isfinite(values).all():
                yield name, values
