"""Programs: any function of a framework, with its arguments and results as trees of arrays."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from crosscheck._arithmetic.formats import Format
from crosscheck._frameworks.trees import TreeStructure, flatten
from crosscheck._records.errors import ExpectedError

Array = np.ndarray[Any, Any]
Result = Array | None
"""A result; a derivative is None if the framework finds no path to it."""


@dataclass(frozen=True)
class Outputs:
    """The results of a function: structure, names, and for each leaf its shape, dtype and whether it is an array."""

    tree: TreeStructure
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    arrays: tuple[bool, ...]

    @property
    def floats(self) -> tuple[int, ...]:
        return tuple(k for k, dtype in enumerate(self.dtypes) if dtype.startswith(("float", "bfloat")))


class NotAnArrayError(ExpectedError, TypeError):
    """A function returned something that cannot be compared."""


@dataclass
class Directions:
    """The vectors of the derivatives: a cotangent for each float output, a direction for each input of ``wrt``."""

    cotangents: list[Array] = field(default_factory=list)
    tangents: list[Array] = field(default_factory=list)

    @property
    def arrays(self) -> list[Array]:
        return [*self.cotangents, *self.tangents]


class Program(Protocol):
    """A framework's function at given inputs."""

    name: str
    inputs: Inputs
    device: str
    draws: bool
    """Whether the last run changed a random state, of torch, numpy or Python."""
    uneven: bool
    """Whether runs at the same input differed in their last digits."""
    changed: tuple[str, ...]
    """What a module changed in itself in the last run of ``outputs``, such as running statistics."""

    def outputs(self) -> tuple[Outputs, list[Array], list[str]]:
        """Run once, without derivatives: the structure and arrays of the result, and the names of the inputs it changed."""

    def results(self, order: int, along: Directions, mode: str) -> list[Result]:
        """The values, then for each float output and ``wrt`` input the gradients, then the second derivatives."""

    def flat(self, order: int) -> Callable[..., list[Any]]:
        """The same as a function of (inputs, cotangents, tangents), arrays of the framework."""


def layout(outputs: Outputs, inputs: Inputs, order: int) -> list[tuple[int, int, int | None]]:
    """(order, output leaf, input leaf) of each result of a program."""
    by = [(k, i) for k in outputs.floats for i in inputs.wrt]
    return [
        *((0, k, None) for k in range(len(outputs.names))),
        *((o, k, i) for o in range(1, order + 1) for k, i in by),
    ]


def describe(value: Any, what: str) -> tuple[Outputs, list[Any]]:
    tree, leaves, names = flatten(value, "y")
    for leaf, name in zip(leaves, names, strict=True):
        if not (hasattr(leaf, "dtype") and hasattr(leaf, "shape")) and not isinstance(leaf, bool | int | float):
            raise NotAnArrayError(f"the {what} function returned {type(leaf).__name__} as {name}, expected an array")
    if not leaves:
        raise NotAnArrayError(f"the {what} function returned nothing that could be compared")
    arrays = tuple(hasattr(leaf, "dtype") for leaf in leaves)
    dtypes = tuple(
        str(leaf.dtype).removeprefix("torch.") if array else type(leaf).__name__
        for leaf, array in zip(leaves, arrays, strict=True)
    )
    for name, dtype in zip(names, dtypes, strict=True):
        if dtype.startswith("complex"):
            raise NotAnArrayError(f"the {what} function returned {name} of {dtype}; return real and imaginary part")
    shapes = tuple(tuple(leaf.shape) if array else () for leaf, array in zip(leaves, arrays, strict=True))
    return Outputs(tree, tuple(names), shapes, dtypes, arrays), leaves


@dataclass(frozen=True)
class Inputs:
    """The positional arguments, flattened: float leaves in the dtype, others unchanged.

    ``wrt`` are the indices of the leaves to differentiate by. ``shardings`` are those of the leaves, if one was an array
    of JAX on a mesh.
    """

    tree: TreeStructure
    leaves: tuple[np.ndarray[Any, Any], ...]
    names: tuple[str, ...]
    wrt: tuple[int, ...]
    fmt: Format
    shardings: tuple[Any, ...] = ()

    def is_float(self, index: int) -> bool:
        return self.leaves[index].dtype == self.fmt.dtype

    @property
    def floats(self) -> tuple[int, ...]:
        return tuple(i for i in range(len(self.leaves)) if self.is_float(i))

    def with_leaf(self, index: int, leaf: np.ndarray[Any, Any]) -> Inputs:
        """The same inputs with another array at one place."""
        return replace(self, leaves=(*self.leaves[:index], leaf, *self.leaves[index + 1 :]))


@contextmanager
def watching(program: Program) -> Iterator[None]:
    """Notice whether what runs in the block changes a random state."""
    before = _random_states()
    yield
    program.draws = _random_states() != before


def _random_states() -> tuple[object, ...]:
    state: Any = np.random.get_state()
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state().numpy().tobytes() if torch else b""
    return torch_state, state[1].tobytes(), state[2], random.getstate()
