"""On torch Keras computes a variance that loses digits, and can be negative. Here the side of torch is the wrong one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finding import Finding, Sides, main

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from public.of_keras import sides, two_pass

entered: list[Any] = []
"""Holds the mended function while the bug is mended: each model is made by a Keras that is imported afresh."""


def norm(keras: Any) -> Any:
    """A normalisation of groups of channels, which takes the moments, and a linear layer."""
    if entered and keras.backend.backend() == "torch":
        sys.modules["keras.src.backend.torch.nn"].moments = entered[0]
    given = keras.Input((6, 6, 8))
    return keras.Model(given, keras.layers.Dense(3)(keras.layers.GroupNormalization(2)(given)))


def both() -> Sides:
    """The same layers on both backends, for images whose mean is large beside their deviation."""
    made = sides(norm, 2, 6, 6, 8)
    return Sides(made.torch, made.jax, [made.inputs[0] + 30], made.params)


@contextmanager
def mended() -> Iterator[None]:
    """The mean is subtracted before the squares are taken, as Keras does it with JAX."""
    entered.append(two_pass)
    try:
        yield
    finally:
        entered.clear()


FINDING = Finding(
    name="keras_moments",
    project="keras",
    version="3.15.1",
    file="keras/src/backend/torch/nn.py",
    line=980,
    what="On torch the variance is the mean of squares minus the square of the mean, which cancels; on JAX it is not.",
    sides=both,
    mended=mended,
    distributions=("keras",),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
