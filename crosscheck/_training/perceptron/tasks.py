"""The sixteen gates of two inputs."""

import numpy as np

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""The inputs of a gate."""

NAMES = (
    *("false", "and", "a-and-not-b", "a", "b-and-not-a", "b", "xor", "or"),
    *("nor", "xnor", "not-b", "a-or-not-b", "not-a", "b-or-not-a", "nand", "true"),
)
"""The number of a gate, written in binary, is its truth table: or is 7, 0111."""

GATES = {name: tuple(number >> place & 1 for place in (3, 2, 1, 0)) for number, name in enumerate(NAMES)}
"""The outputs of each gate at (0, 0), (0, 1), (1, 0) and (1, 1)."""
