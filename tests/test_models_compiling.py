"""The stretches that a model repeats are compiled: they give the same numbers, and noise of their own."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from crosscheck._models.compiling import REPEATED, repeated
from crosscheck._models.jax_recording import JaxProgramFlat, trace
from crosscheck._models.running import Run, Watch
from crosscheck._shadow.base import Noise

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
WEIGHTS = [np.random.default_rng(k).normal(size=(4, 4)).astype(np.float32) for k in range(REPEATED)]


def layers(weights: list[Any], inputs: list[Any]) -> list[Any]:
    x = inputs[0]
    for weight in weights:
        x = x + jnp.tanh(x @ weight) * 0.1
    return [x]


def traced(count: int) -> JaxProgramFlat:
    return trace(layers, WEIGHTS[:count], [f"w{k}" for k in range(count)], [X], "float32")


def seen(count: int, *, whole: bool, noise: Noise | None = None, replaced: float | None = None) -> list[np.ndarray]:
    """The sum at each layer, and the result; one sum in the middle may be replaced."""
    flat = traced(count)
    sums = [step.operation.index for step in flat.steps if step.operation.name == "add"]
    found: list[np.ndarray] = []

    def look(run: Run, value: Any) -> Any:
        found.append(np.asarray(value))
        return None if replaced is None or len(found) != count // 2 else np.full(value.shape, replaced)

    stretches = repeated(flat, (), set(sums)) if whole else ()
    assert len(stretches) == (count if whole and count >= REPEATED else 0)
    watched = {step: Watch({}, look) for step in sums}
    results = Run(flat, wide=True, watched=watched, noise=noise, keep=False, stretches=stretches)(WEIGHTS[:count], [X])
    return [*found, *results]


@pytest.mark.parametrize("replaced", [None, 0.5])
def test_compiled_stretches_give_what_single_steps_give(replaced: float | None) -> None:
    for one, other in zip(*(seen(REPEATED, whole=whole, replaced=replaced) for whole in (True, False)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_a_model_that_repeats_less_is_run_step_by_step() -> None:
    assert len(seen(REPEATED - 1, whole=True)) == REPEATED


def test_noise_follows_from_the_seed() -> None:
    one, again, other = (seen(REPEATED, whole=True, noise=Noise(seed, 1e-6))[-1] for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).all()


def test_each_stretch_has_noise_of_its_own() -> None:
    weights = [WEIGHTS[0]] * REPEATED
    flat = trace(
        lambda w, x: [jnp.tanh(x[0] @ one) for one in w], weights, [f"w{k}" for k in range(REPEATED)], [X], "float32"
    )
    products = {step.operation.index for step in flat.steps if step.operation.name == "dot_general"}
    stretches = repeated(flat, products, ())
    assert len(stretches) >= REPEATED - 1  # the last one ends with the outputs
    noise = Noise(3, 1e-6)
    found = Run(flat, wide=True, noise=noise, stretches=stretches)(weights, [X])
    clean = Run(flat, wide=True)(weights, [X])
    errors = np.array([one / exact - 1 for one, exact in zip(found, clean, strict=True)])
    assert len(np.unique(errors)) == errors.size
    assert 1e-8 < np.abs(errors).max() < 1e-5
