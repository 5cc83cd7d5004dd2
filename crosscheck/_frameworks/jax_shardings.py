"""Arrays of JAX whose type names the axes of a mesh: they are traced as the user holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding


def unlike(leaf: Any) -> tuple[int, float] | None:
    """The first device that holds other numbers than an earlier one in what both should hold alike, and how far apart."""
    if not isinstance(leaf, jax.Array) or not leaf.is_fully_addressable or len(leaf.sharding.device_set) == 1:
        return None
    first: dict[str, Any] = {}
    for shard in leaf.addressable_shards:
        held = np.asarray(shard.data)
        other = first.setdefault(str(shard.index), held)
        if other.tobytes() != held.tobytes():
            apart = np.abs(held.astype(np.float64) - other.astype(np.float64)).max()
            return int(shard.device.id), float(apart)
    return None


def as_held(arrays: Sequence[Any], shardings: Sequence[Any]) -> list[Any]:
    """The arrays with these shardings, as far as they are part of an array's type: along the explicit axes of a mesh."""
    return [_with(array, like) for array, like in zip(arrays, shardings or (None,) * len(arrays), strict=True)]


def like(array: Any, leaf: Any) -> Any:
    """An array of JAX with these numbers, in the dtype of a leaf, on the devices of a leaf that several devices hold."""
    made = jnp.asarray(array, leaf.dtype)
    sharding = getattr(leaf, "sharding", None)
    return jax.device_put(made, sharding) if isinstance(sharding, NamedSharding) else made


def _with(array: Any, like: Any) -> Any:
    typed = isinstance(like, NamedSharding) and AxisType.Explicit in like.mesh.axis_types
    return jax.sharding.reshard(array, like) if typed else array
