"""The numbers of imitated rounding: a hash of the bits of a value, its place and a seed, in numpy or in JAX."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck._shadow.base import Noise

QUIET = Noise(seed=0, unit=0.0)
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""The constants of splitmix64."""


def mixed(number: int) -> int:
    """The hash splitmix64 of a number."""
    z = (number + 1) * _GOLDEN % 2**64
    z = (z ^ (z >> 30)) * _FIRST % 2**64
    z = (z ^ (z >> 27)) * _SECOND % 2**64
    return z ^ (z >> 31)


def seed_of(noise: Noise, part: int | None = None) -> np.uint64:
    """The seed of an interpreter; those of the parts of a program are independent."""
    seed = mixed(noise.seed)
    return np.uint64(seed if part is None else mixed(seed ^ mixed(part)))


@lru_cache(maxsize=512)
def compiled(function: Callable[..., Any], shape: tuple[int, ...]) -> Callable[..., Any]:
    """The function, compiled for arrays of one shape, and shared by all programs; only those of the last shapes are kept."""
    return jax.jit(partial(function, jnp))


def disturb(xp: Any, x: Any, key: Any, unit: Any, first: Any = 0) -> Any:
    """x times ``1 + unit r``, where r in [-1, 1] is a hash of the bits, the index and the key; ``xp`` is numpy or JAX's.

    Indices are counted from ``first``.
    """
    z = x.view(np.uint64)
    if x.size > 1:
        z = z + (xp.arange(x.size, dtype=np.uint64) + xp.uint64(first)).reshape(x.shape) * np.uint64(_GOLDEN)
    z = z ^ key
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    z = z ^ (z >> np.uint64(31))
    return x * (1 + unit * (z.view(np.int64).astype(np.float64) * 2.0**-63))


def disturb_and_flush(xp: Any, x: Any, key: Any, unit: Any, limit: Any) -> Any:
    x = disturb(xp, x, key, unit)
    return xp.where(abs(x) < limit, x * 0, x)
