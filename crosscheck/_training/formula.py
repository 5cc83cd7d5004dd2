"""The sigmoid in float64 numpy, and the constants by which ``torch.nn.BCELoss`` departs from its own formula."""

import numpy as np

from crosscheck._arithmetic.formats import Float64Array

LOG_FLOOR = -100.0
"""torch.nn.BCELoss's documentation: "Our solution is that BCELoss clamps its log function outputs to be >= -100"."""

DENOMINATOR_FLOOR = float(np.float32(1e-12))
"""For the gradient: ``constexpr float EPSILON = 1e-12`` in aten/src/ATen/native/Loss.cpp, in float64 too."""


def sigmoid(z: Float64Array) -> Float64Array:
    """1 / (1 + e^-z) without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z > 0, 1.0, e) / (1 + e)
