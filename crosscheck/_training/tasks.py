"""The tasks: the sixteen gates of two inputs, and points with random labels."""

from typing import NamedTuple

import numpy as np

from crosscheck._arithmetic.formats import Float64Array

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])

NAMES = (
    *("false", "and", "a-and-not-b", "a", "b-and-not-a", "b", "xor", "or"),
    *("nor", "xnor", "not-b", "a-or-not-b", "not-a", "b-or-not-a", "nand", "true"),
)
"""The number of a gate, written in binary, is its truth table: or is 7, 0111."""

GATES = {name: tuple(number >> place & 1 for place in (3, 2, 1, 0)) for number, name in enumerate(NAMES)}
"""The outputs of each gate at (0, 0), (0, 1), (1, 0) and (1, 1)."""

POINTS = 10


class Task(NamedTuple):
    """Inputs (points, inputs), labels (points, outputs), and whether logits are learned."""

    name: str
    x: Float64Array
    y: Float64Array
    logits: bool


def gate(name: str) -> Task:
    """A gate, learned with BCEWithLogits."""
    return Task(name, CORNERS, np.array(GATES[name], float)[:, None], logits=True)


def random_points(seed: int) -> Task:
    """Ten points of the unit square with random labels, learned with BCE on probabilities."""
    generator = np.random.default_rng(seed)
    x = generator.random((POINTS, 2))
    return Task("points", x, generator.integers(0, 2, (POINTS, 1)).astype(float), logits=False)
