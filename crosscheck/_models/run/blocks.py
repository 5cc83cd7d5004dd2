"""Steps of JAX that need few numbers of a large weight at once: the weight is not held in float64 as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_recording import Step
from crosscheck._shadow.base import BLOCK, parts
from crosscheck._shadow.jax_equations import wide_of

Compute = Callable[[Step, list[Any]], Sequence[Any]]
"""A function of a step and its operands, which gives its results."""


def large_operands(step: Step) -> list[int]:
    """The positions of operands that a step may take in parts: a table of which it picks rows, or a factor of a product."""
    name = step.operation.name
    if step.equation is None or name not in ("gather", "dot_general"):
        return []
    places = [0] if name == "gather" else [k for k in (0, 1) if _free(step, k) is not None]
    return [k for k in places if isinstance(step.inputs[k], int) and (name == "gather" or _size(step, k) > BLOCK)]


def in_blocks(step: Step, place: int, held: Array, others: Sequence[Any], compute: Compute) -> list[Any]:
    """The result of a product, for one part of the factor at ``place`` after the other; ``others`` has the other factor."""
    free = _free(step, place)
    assert free is not None
    axis, to = free
    blocks: list[Any] = []
    for part in parts(held.size, held.shape[axis]):
        block = held[(*[slice(None)] * axis, part)]
        given = [widened(block, wide_of(held.dtype)) if k == place else other for k, other in enumerate(others)]
        blocks += compute(step, given)
    return [jnp.concatenate(blocks, to)]


def _size(step: Step, place: int) -> int:
    return prod(step.equation.invars[place].aval.shape)


def _free(step: Step, place: int) -> tuple[int, int] | None:
    """The first axis of a factor that is not summed over, and the axis of the result that it becomes, if it has one."""
    summed, batch = step.equation.params["dimension_numbers"]
    free = [
        [k for k in range(len(atom.aval.shape)) if k not in (*s, *b)]
        for atom, s, b in zip(step.equation.invars, summed, batch, strict=True)
    ]
    return (free[place][0], len(batch[0]) + len(free[0]) * place) if free[place] else None


def widened(view: Array, dtype: Any) -> Any:
    """A large view of a weight in a dtype, as an operand of JAX; JAX would copy a transposed view before it widens it."""
    axes = tuple(np.argsort([-stride for stride in view.strides], kind="stable").tolist())
    stored = view.transpose(axes)  # as it lies in memory
    if not stored.flags.c_contiguous:
        return lax.convert_element_type(view, dtype)
    if view.flags.c_contiguous and view.dtype == dtype:
        return view
    return _transposed(stored, tuple(np.argsort(axes).tolist()), np.dtype(dtype))


@partial(jax.jit, static_argnums=(1, 2))
def _transposed(array: Any, axes: tuple[int, ...], dtype: Any) -> Any:
    return lax.convert_element_type(lax.transpose(array, axes), dtype)
