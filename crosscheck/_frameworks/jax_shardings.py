"""Arrays of JAX whose type names the axes of a mesh: they are traced as the user holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding


def as_held(arrays: Sequence[Any], shardings: Sequence[Any]) -> list[Any]:
    """The arrays with these shardings, as far as they are part of an array's type: along the explicit axes of a mesh."""
    return [_with(one, like) for one, like in zip(arrays, shardings or (None,) * len(arrays), strict=True)]


def like(array: Any, leaf: Any) -> Any:
    """An array of JAX with these numbers, in the dtype of a leaf, on the devices of a leaf that several devices hold."""
    made = jnp.asarray(array, leaf.dtype)
    sharding = getattr(leaf, "sharding", None)
    return jax.device_put(made, sharding) if isinstance(sharding, NamedSharding) else made


def _with(array: Any, like: Any) -> Any:
    typed = isinstance(like, NamedSharding) and AxisType.Explicit in like.mesh.axis_types
    return jax.sharding.reshard(array, like) if typed else array
