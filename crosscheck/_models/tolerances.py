"""How far right models may differ in float64: by what rounding constants to the dtype makes of a result, and by float64."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from crosscheck._frameworks.programs import Array

CONSTANTS = 16.0
"""A difference is one of functions if it is so many times what rounding the constants to the dtype makes of a result."""
OPERATIONS = 64.0
"""And so many times what rounding in float64 makes of it."""

Moved = TypeVar("Moved", float, Array)


def allowed(constants: Moved, operations: Moved, unit: float) -> Moved:
    """The limit, of how far a result moved under noise of the dtype's unit roundoff: on constants alone, on operations."""
    return np.maximum(CONSTANTS * constants, OPERATIONS * operations * (2.0**-53 / unit))
