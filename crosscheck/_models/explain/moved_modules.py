"""A module of torch that JAX applies to another value of torch's program, such as a norm before a sum and not after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from crosscheck._explain.names import listed
from crosscheck._explain.segment import SAME, moments
from crosscheck._explain.tables import MOVING, SAID
from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import ModelResults

BESIDE = 8
"""So many landmarks before and after a fault are looked at for the module."""
NEAR = 64
"""So many operations before and after the module are looked at for the value."""
MOST_BETWEEN = 3


def moved_module(found: ModelResults, at: int) -> str:
    """The module near a landmark that JAX applies to another value, as a clause; empty if there is none."""
    for path, theirs in _wrong_modules(found, at):
        calls = [first for name, first in found.torch.calls if name == path]
        if len(calls) != 1:  # the values of other calls would be taken for its own
            continue
        given = _given(found, path, calls[0])
        if given is None:
            continue
        shape = found.torch.values[given].wide.shape
        module = deepcopy(found.torch.modules[path]).double()
        for value in _values(found, calls[0], given):
            if value != given and _gives(module, found.torch.values[value].wide.reshape(shape), theirs):
                return _said(found, path, value, given)
    return ""


def _wrong_modules(found: ModelResults, at: int) -> Iterator[tuple[str, Array]]:
    """The modules, without others inside, of which JAX has other results near a landmark: the nearest first, with these."""
    numbers = range(max(0, at - BESIDE), min(len(found.landmarks), at + BESIDE + 1))
    for number in sorted(numbers, key=lambda one: abs(one - at)):
        mark = found.landmarks[number]
        own = found.torch.modules.get(mark.path) if mark.path else None
        if mark.place >= 0 or mark.known is not None or own is None or list(own.children()):
            continue
        theirs = found.located.values.get(number)
        wrong = not found.located.errors[number] <= found.tolerances[number]
        if wrong and theirs is not None and np.isfinite(theirs).all():
            yield mark.path, np.asarray(theirs, np.float64)


def _given(found: ModelResults, path: str, first: int) -> int | None:
    """The operation that gives a module its data."""
    inside = (one for one in found.torch.operations[first:] if one.path == path)
    return next((k for one in inside for k in one.inputs if k < first and k in found.torch.values), None)


def _values(found: ModelResults, first: int, given: int) -> list[int]:
    """The operations near a module with as many numbers, and as many in a row, as what it is given; nearest first."""
    values = found.torch.values
    size, width = values[given].wide.size, values[given].wide.shape[-1:]
    near = (one for one in range(max(0, first - NEAR), first + NEAR) if one in values)
    alike = (one for one in near if values[one].wide.size == size and values[one].wide.shape[-1:] == width)
    return sorted(alike, key=lambda one: abs(one - first))


def _gives(module: Callable[..., Any], value: Array, theirs: Array) -> bool:
    """Whether a module gives JAX's result for a value."""
    try:
        with torch.no_grad():
            result = module(torch.from_numpy(np.array(value, np.float64)))
    except Exception:  # the module may need more, or refuse this value, in any way
        return False
    if not isinstance(result, torch.Tensor) or result.numel() != theirs.size:
        return False
    mine, other = moments(result.numpy()), moments(theirs)
    return bool(other[0] > 0 and (np.abs(mine - other) <= SAME * other[0]).all())


def _said(found: ModelResults, path: str, theirs: int, mine: int) -> str:
    """Where JAX and PyTorch apply a module: before and after what is between, if one value leads to the other."""
    for first, last, way in ((theirs, mine, ("before", "after")), (mine, theirs, ("after", "before"))):
        if names := _between(found, first, last):
            return f"JAX applies {path} {way[0]} {listed(names)}, PyTorch {way[1]} {'them' if len(names) > 1 else 'it'}"
    made = found.torch.operations[theirs]
    return f"JAX applies {path} to what {made.path or 'the model'} computes ({made.name}), PyTorch to another value"


def _between(found: ModelResults, first: int, last: int) -> list[str]:
    """The operations that lead from a value to another one, in words; none if it does not lead there."""
    operations, behind = found.torch.operations, {first}
    for one in operations[first + 1 : last + 1]:
        if not behind.isdisjoint(one.inputs):
            behind.add(one.index)
    needed, left = set[int](), [last] if last in behind else []
    while left:
        index = left.pop()
        if index in behind and index not in needed and index != first:
            needed.add(index)
            left += operations[index].inputs
    names = [SAID.get(operations[one].name, operations[one].name) for one in sorted(needed)]
    return list(dict.fromkeys(name for name in names if name not in MOVING))[-MOST_BETWEEN:]
