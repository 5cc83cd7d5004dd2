"""What ``jax.shard_map`` and its collectives compute on a mesh of one device, where nothing is exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxprs_in_params

COLLECTIVES = frozenset(
    [
        *("all_gather", "all_gather_invariant", "all_gather_reduced", "all_to_all", "axis_index", "pbroadcast", "pmax"),
        *("pmin", "ppermute", "preduced", "psum", "psum_invariant", "pvary", "reduce_scatter", "unreduced_psum"),
        *("unreduced_reduce_scatter", "vary_unreduced_cast_p"),
    ]
)
"""Operations that devices do together."""


REDUCTIONS = {"psum": lax.reduce_sum, "pmax": lax.reduce_max, "pmin": lax.reduce_min}
"""What ``vmap`` over the axis of a collective makes of it: a reduction of an array."""


def mesh_of(equation: Any) -> Mapping[str, int]:
    """The axes along which a ``shard_map`` shares the work, with their sizes; empty for any other equation."""
    if equation.primitive.name != "shard_map":
        return {}
    params = equation.params
    return {name: size for name, size in params["mesh"].shape.items() if name in params["newly_manual_axes"]}


def shared(equation: Any) -> bool:
    """Whether several devices share the work of an equation."""
    return any(size > 1 for size in mesh_of(equation).values())


def is_shared(jaxpr: Jaxpr) -> bool:
    """Whether several devices share the work of a program."""
    return any(shared(one) or any(map(is_shared, jaxprs_in_params(one.params))) for one in jaxpr.eqns)


def alone(equation: Any) -> ClosedJaxpr:
    """A collective of one device as a program: it gives its operands, in the shapes of its results, or reduces arrays."""

    def program(*operands: Any) -> list[Any]:
        shapes = [atom.aval.shape for atom in equation.outvars]
        axes = [axis for axis in equation.params.get("axes", ()) if isinstance(axis, int)]
        if axes:
            reduced = REDUCTIONS[equation.primitive.name.removesuffix("_invariant")]
            return [reduced(one, axes) for one in operands]
        if equation.primitive.name == "axis_index":
            return [jnp.zeros((), equation.outvars[0].aval.dtype)]
        if equation.primitive.name == "ppermute" and not equation.params["perm"]:  # what no device sends is 0
            return [jnp.zeros_like(one) for one in operands]
        return [one.reshape(shape) for one, shape in zip(operands, shapes, strict=True)]

    return jax.make_jaxpr(program)(*[jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in equation.invars])
