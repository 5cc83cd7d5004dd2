"""Large weights, as they lie in memory: a product takes them in float64 a block at a time, a gather only some rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.tree_util import register_dataclass

from crosscheck._shadow.base import parts
from crosscheck._shadow.jax.noise import disturb

LARGE = 2**16
"""More numbers than these are not held in float64 together where few of them are needed at once."""


@register_dataclass
@dataclass(frozen=True)
class LargeWeight:
    """A weight in float64, with noise or without, whose numbers are cast where they are used.

    Attributes:
        array: The numbers as they lie in memory, in the model's dtype.
        key: The seed of the noise; None without noise.
        unit: The size of the noise; None without noise.
        axes: Which axis of the weight each axis of ``array`` is.
    """

    array: Any
    key: Any = None
    unit: Any = None
    axes: tuple[int, ...] = field(default=(), metadata={"static": True})

    dtype = np.dtype(np.float64)

    @property
    def size(self) -> int:
        """How many numbers the weight has."""
        return prod(self.array.shape)

    def held(self) -> Any:
        """The weight without noise, in the dtype in which it is held."""
        return self.array if self.axes == tuple(range(len(self.axes))) else _transposed(self.array, self.axes)

    def whole(self) -> Any:
        """The weight, in float64."""
        return _whole(self)

    def part(self, axis: int = 0, start: Any = 0, length: int | None = None) -> Any:
        """Some numbers along an axis of ``array``, as they lie there, in float64 and with their noise."""
        whole = self.array.shape[axis]
        part = lax.dynamic_slice_in_dim(self.array, start, whole if length is None else length, axis).astype(jnp.float64)
        if self.key is None:
            return part
        return disturb(jnp, part, self.key, self.unit, first=start * np.int64(self.size // whole))


def large_weight(view: Any) -> LargeWeight | None:
    """A large array of floats as a weight, also a transposed one; None of any other value."""
    if not isinstance(view, np.ndarray) or view.size <= LARGE or not jnp.issubdtype(view.dtype, jnp.floating):
        return None
    axes = tuple(np.argsort([-stride for stride in view.strides], kind="stable").tolist())
    array = view.transpose(axes)
    return LargeWeight(array, axes=axes) if array.flags.c_contiguous else None


def product(params: Mapping[str, Any], factors: Sequence[Any], *, wide: bool = True) -> Any:
    """What ``dot_general`` makes with these parameters of two factors, of which one or both are `LargeWeight`.

    Where it is not ``wide``, the weights are in the dtype in which they are held, and the product in that of ``params``.
    """
    place = 0 if isinstance(factors[0], LargeWeight) else 1
    weight, other = factors[place], factors[1 - place]
    if isinstance(other, LargeWeight):
        other = other.whole() if wide else other.held()
    summed, batch = (tuple(map(tuple, axes)) for axes in params["dimension_numbers"])
    others = {name: value for name, value in params.items() if name != "dimension_numbers"}
    return _product(weight, other, (*summed, *batch), place, None if wide else tuple(others.items()))


@partial(jax.jit, static_argnums=(2, 3, 4))
def _product(weight: LargeWeight, other: Any, numbers: Sequence[Sequence[int]], place: int, params: Any) -> Any:
    """The product; ``numbers`` are the axes of both factors that are summed, and those of both that are batches."""
    free = [axis for axis in weight.axes if axis not in (*numbers[place], *numbers[2 + place])]
    numbers = list(numbers)
    numbers[place], numbers[2 + place] = (tuple(map(weight.axes.index, numbers[k])) for k in (place, 2 + place))
    in_memory = (tuple(numbers[:2]), tuple(numbers[2:]))
    before = len(numbers[2]) + (0 if place == 0 else other.ndim - len(numbers[0]) - len(numbers[2]))

    def of(part: Any) -> Any:
        factors = (part, other) if place == 0 else (other, part)
        if params is None:
            return lax.dot_general(*factors, in_memory)
        return lax.dot_general_p.bind(*factors, dimension_numbers=in_memory, **dict(params))

    if params is not None:
        result = of(weight.array)
    elif not free:
        result = of(weight.part())
    else:
        result = _joined(weight, weight.axes.index(free[0]), of, before)
    order = [*range(before), *(before + free.index(axis) for axis in sorted(free))]
    return lax.transpose(result, [*order, *range(len(order), result.ndim)])


def _joined(weight: LargeWeight, axis: int, of: Callable[[Any], Any], along: int) -> Any:
    """The results of a function of parts of a weight along an axis, joined ``along`` another."""
    length = weight.array.shape[axis]
    rows = parts(weight.size, length)[0].stop
    blocks = lax.map(lambda start: of(weight.part(axis, start, rows)), jnp.arange(0, length - rows + 1, rows))
    result = jnp.moveaxis(blocks, 0, along)
    result = result.reshape((*result.shape[:along], -1, *result.shape[along + 2 :]))
    rest = length % rows
    return jnp.concatenate([result, of(weight.part(axis, length - rest, rest))], along) if rest else result


@jax.jit
def _whole(weight: LargeWeight) -> Any:
    return lax.transpose(weight.part(), np.argsort(weight.axes))


@partial(jax.jit, static_argnums=1)
def _transposed(array: Any, axes: tuple[int, ...]) -> Any:
    return lax.transpose(array, np.argsort(axes))
