"""The largest difference of correct models in float64: from rounding the constants to the dtype, and from float64."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from crosscheck._frameworks.programs import Array

CONSTANTS = 16.0
"""The functions differ if a difference is this many times the effect of rounding the constants to the dtype."""
OPERATIONS = 64.0
"""It must also be this many times the effect of rounding in float64."""

Moved = TypeVar("Moved", float, Array)


def allowed(constants: Moved, operations: Moved, unit: float) -> Moved:
    """The limit, from the changes under noise of the dtype's unit roundoff: on constants alone, and on operations."""
    return np.maximum(CONSTANTS * constants, OPERATIONS * operations * (2.0**-53 / unit))
