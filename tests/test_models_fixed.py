"""Values that depend on weights alone: each run has the numbers that it would compute itself, and holds few of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from crosscheck._models.record.jax_recording import trace
from crosscheck._models.run.fixed import Fixed
from crosscheck._models.run.running import Run
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


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_run_of_jax_holds_no_weight_in_float64_that_it_only_moves(dtype: str) -> None:
    rng = np.random.default_rng(0)
    weight = jnp.asarray(rng.normal(size=(3, 4, 5)), jnp.float32)
    with jax.enable_x64(dtype == "float64"):
        given = (weight.astype(dtype), jnp.asarray(2.0, dtype))
        x = np.ones((2, 5), given[0].dtype)

        def scanned(weights: Any, inputs: Any) -> Any:
            stacked, factor = weights
            parts = jax.lax.scan(lambda total, w: (total + inputs[0] @ w.T, None), jnp.zeros((2, 4), x.dtype), stacked)
            return [parts[0] * (factor * factor)]

        flat = trace(scanned, given, ("stacked", "factor"), [x], dtype)
    fixed = Fixed(flat, given)
    known = fixed.values(wide=True)
    moved = [one for one in known if flat.avals[one].shape[-1:] == (5,) or flat.avals[one].shape == (5, 4)]
    assert len(moved) == 1 + 3 + 3  # the weight, its slices, and these transposed
    for number in moved:
        assert np.shares_memory(fixed.moved(number, wide=True), np.asarray(given[0]))
        assert known[number].dtype == np.float64
    run = Run(flat, wide=True, known=known, keep=False)
    (found,) = run(given, [x])
    expected = 4.0 * np.asarray(given[0], np.float64).sum((0, 2)) * np.ones((2, 1))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not {*moved, *flat.weights} & {*dict.keys(run.values)}
