"""Seeded inputs for the pairs, in float32, drawn afresh at each call."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def normals(*shapes: tuple[int, ...], scale: float = 1, shift: float = 0, seed: int = 0) -> Callable[[], list[Array]]:
    """What a pair's ``make`` is: a function that draws a normal array of each shape."""

    def make() -> list[Array]:
        rng = np.random.default_rng(seed)
        return [(scale * rng.standard_normal(shape) + shift).astype(np.float32) for shape in shapes]

    return make


def uniforms(low: float, high: float, *shapes: tuple[int, ...], seed: int = 0) -> Callable[[], list[Array]]:
    """The same with arrays uniform in ``[low, high)``."""

    def make() -> list[Array]:
        rng = np.random.default_rng(seed)
        return [rng.uniform(low, high, shape).astype(np.float32) for shape in shapes]

    return make


def integers(high: int, *shape: int, seed: int = 0) -> npt.NDArray[np.int32]:
    """Integers from 0 up to but not including ``high``."""
    return np.random.default_rng(seed).integers(0, high, shape, dtype=np.int32)


def shuffled(*shape: int, seed: int = 0) -> Array:
    """Distinct numbers with gaps far above rounding, in random order, about as large as normal ones."""
    size = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(np.linspace(-2, 2, size, dtype=np.float32)).reshape(shape)
