"""A module of torch that JAX applies to another value of torch's program, such as a norm before a sum and not after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from crosscheck._explain.facts import Fact
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


def moved_module(results: ModelResults, at: int) -> tuple[Fact, ...]:
    """The module near a landmark that JAX applies to another value, as a clause; empty if there is none."""
    for path, jax_values in _wrong_modules(results, at):
        calls = [first for name, first in results.torch.calls if name == path]
        if len(calls) != 1:  # the values of other calls would be taken for its own
            continue
        given = _given(results, path, calls[0])
        if given is None:
            continue
        shape = results.torch.values[given].wide.shape
        module = deepcopy(results.torch.modules[path]).double()
        for value in _values(results, calls[0], given):
            if value != given and _gives(module, results.torch.values[value].wide.reshape(shape), jax_values):
                return (_said(results, path, value, given),)
    return ()


def _wrong_modules(results: ModelResults, at: int) -> Iterator[tuple[str, Array]]:
    """The modules, without others inside, of which JAX has other results near a landmark: the nearest first, with these."""
    numbers = range(max(0, at - BESIDE), min(len(results.landmarks), at + BESIDE + 1))
    for number in sorted(numbers, key=lambda number: abs(number - at)):
        mark = results.landmarks[number]
        own = results.torch.modules.get(mark.path) if mark.path else None
        if mark.place >= 0 or mark.known is not None or own is None or list(own.children()):
            continue
        jax_values = results.located.values.get(number)
        wrong = not results.located.errors[number] <= results.tolerances[number]
        if wrong and jax_values is not None and np.isfinite(jax_values).all():
            yield mark.path, np.asarray(jax_values, np.float64)


def _given(results: ModelResults, path: str, first: int) -> int | None:
    """The operation that gives a module its data."""
    inside = (operation for operation in results.torch.operations[first:] if operation.path == path)
    return next((k for operation in inside for k in operation.inputs if k < first and k in results.torch.values), None)


def _values(results: ModelResults, first: int, given: int) -> list[int]:
    """The operations near a module with as many numbers, and as many in a row, as what it is given; nearest first."""
    values = results.torch.values
    size, width = values[given].wide.size, values[given].wide.shape[-1:]
    near = (index for index in range(max(0, first - NEAR), first + NEAR) if index in values)
    alike = (index for index in near if values[index].wide.size == size and values[index].wide.shape[-1:] == width)
    return sorted(alike, key=lambda index: abs(index - first))


def _gives(module: Callable[..., Any], value: Array, jax_values: Array) -> bool:
    """Whether a module gives JAX's result for a value."""
    try:
        with torch.no_grad():
            result = module(torch.from_numpy(np.array(value, np.float64)))
    except Exception:  # the module may need more, or refuse this value, in any way
        return False
    if not isinstance(result, torch.Tensor) or result.numel() != jax_values.size:
        return False
    torch_moments, jax_moments = moments(result.numpy()), moments(jax_values)
    return bool(jax_moments[0] > 0 and (np.abs(torch_moments - jax_moments) <= SAME * jax_moments[0]).all())


def _said(results: ModelResults, path: str, jax_input: int, torch_input: int) -> Fact:
    """Where JAX and PyTorch apply a module: before and after what is between, if one value leads to the other."""
    for first, last, way in ((jax_input, torch_input, ("before", "after")), (torch_input, jax_input, ("after", "before"))):
        if names := _between(results, first, last):
            torch_way = f"{way[1]} {'them' if len(names) > 1 else 'it'}"
            return Fact("moved", path, torch=torch_way, jax=f"{way[0]} {listed(names)}")
    made = results.torch.operations[jax_input]
    jax_way = f"to what {made.path or 'the model'} computes ({made.name})"
    return Fact("moved", path, torch="to another value", jax=jax_way)


def _between(results: ModelResults, first: int, last: int) -> list[str]:
    """The operations that lead from a value to another one, in words; none if it does not lead there."""
    operations, behind = results.torch.operations, {first}
    for operation in operations[first + 1 : last + 1]:
        if not behind.isdisjoint(operation.inputs):
            behind.add(operation.index)
    needed, left = set[int](), [last] if last in behind else []
    while left:
        index = left.pop()
        if index in behind and index not in needed and index != first:
            needed.add(index)
            left += operations[index].inputs
    names = [SAID.get(operations[index].name, operations[index].name) for index in sorted(needed)]
    return list(dict.fromkeys(name for name in names if name not in MOVING))[-MOST_BETWEEN:]
