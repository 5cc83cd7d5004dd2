"""Values that depend on weights alone are computed once: each run has the numbers that it would compute itself."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from crosscheck._models.fixed import Fixed
from crosscheck._models.jax_recording import trace
from crosscheck._models.running import Run
from crosscheck._shadow.base import Noise

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
NAMES = ("joined", "other", "scale")
WEIGHTS = [np.random.default_rng(k).normal(size=(2, 4)).astype(np.float32) for k in range(3)]


def model(weights: list[Any], inputs: list[Any]) -> list[Any]:
    joined, other, scale = weights
    matrix = jnp.concatenate([joined.T, other.T], 1)
    return [inputs[0] @ matrix + 0.1, (scale * scale / 3).sum() * inputs[0], scale]


@pytest.mark.parametrize("loose", [(), ("joined",), NAMES])
@pytest.mark.parametrize(("wide", "noise"), [(True, None), (True, Noise(1, 1e-6)), (False, None)])
def test_known_values_change_no_number(wide: bool, noise: Noise | None, loose: tuple[str, ...]) -> None:
    flat = trace(model, WEIGHTS, NAMES, [X], "float32")
    fixed = Fixed(flat, WEIGHTS)
    named = frozenset(loose)
    known = fixed.values(wide=wide, noisy=noise is not None, loose=named)
    runs = (Run(flat, wide=wide, noise=noise, loose=named, keep=False, known=one) for one in ({}, known))
    for one, other in zip(*(run(WEIGHTS, [X]) for run in runs), strict=True):
        np.testing.assert_array_equal(one, other)
