"""The formulas in float64 numpy, and the constants by which ``torch.nn.BCELoss`` departs from its own formula."""

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


def slope(z: Float64Array) -> Float64Array:
    """The derivative of the sigmoid, accurate far out too."""
    return sigmoid(z) * sigmoid(-z)


def softplus(z: Float64Array) -> Float64Array:
    """log(1 + e^z) without overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def entropy(p: Float64Array, y: Float64Array) -> Float64Array:
    """Binary cross entropy of probabilities, each logarithm at least -100."""
    return -y * np.maximum(np.log(p), LOG_FLOOR) - (1 - y) * np.maximum(np.log1p(-p), LOG_FLOOR)


def entropy_slope(p: Float64Array, y: Float64Array) -> Float64Array:
    """The derivative of ``entropy`` by p, as torch defines it."""
    return (p - y) / np.maximum(p * (1 - p), DENOMINATOR_FLOOR)
