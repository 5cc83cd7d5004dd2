"""Each epoch once more, in float64, from what a training recorded: which tensor does not follow from those before it?

A training is judged step by step against its own history, so rounding never adds up over epochs and the bounds stay
tight. The outputs follow from the weights, the loss from the outputs, the gradient from both, the next weights from weights
and gradient. The rounding bounds are the usual ones for sums of products (Higham, Accuracy and Stability of Numerical
Algorithms, chapter 3), with ``FUNCTION`` units for an elementary function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import Float64Array
from crosscheck._training.formula import entropy, entropy_slope, sigmoid, slope, softplus
from crosscheck._training.records import TENSORS, History, Setup, epoch_of

FUNCTION = 8.0
"""Units of roundoff that exp, log and what is made of a few of them may err by."""

Enclosed = tuple[Float64Array, Float64Array]
"""What is expected, and by how much rounding may move it."""


@dataclass(frozen=True)
class Departure:
    """The first number of a training that does not follow from those before it."""

    epoch: int
    tensor: str
    index: tuple[int, ...]
    got: float
    expected: float
    bound: float


def departure(setup: Setup, history: History) -> Departure | None:
    """Where a history first is not a training with this setup, rounding aside; None where it is one throughout.

    What follows from numbers that are not finite is not judged, nor an infinity or NaN where a sum may overflow on the way.
    """
    most = setup.format.largest / (4 * len(setup.x))
    enclosures = expected(setup, history).items()
    found = [
        first for name, (value, bound) in enclosures if (first := _first(name, history, value, bound, most, _unit(setup)))
    ]
    return min(found, key=lambda one: (one.epoch, TENSORS.index(one.tensor)), default=None)


def _first(
    tensor: str, history: History, expected: Float64Array, bound: Float64Array, most: float, unit: float
) -> Departure | None:
    got = history[tensor].astype(np.float64)
    with np.errstate(invalid="ignore"):
        small = (np.abs(expected) < most) & (bound < most * unit)  # the bound is in proportion to the terms
        off = np.where(np.isfinite(got), np.abs(got - expected) > bound, small)
    if not off.any():
        return None
    at = tuple(int(i) for i in np.argwhere(off)[0])
    return Departure(epoch_of(tensor, at[0]), tensor, at[1:], float(got[at]), float(expected[at]), float(bound[at]))


def expected(setup: Setup, history: History) -> dict[str, Enclosed]:
    """Every tensor as it follows from those that were recorded before it."""
    return dict(_expected(setup, history))


def _expected(setup: Setup, history: History) -> Iterator[tuple[str, Enclosed]]:
    h = {name: history[name].astype(np.float64) for name in TENSORS}
    x, y = setup.x.astype(np.float64), setup.y.astype(np.float64)
    u, tiny = _unit(setup), setup.format.smallest_normal
    points, inputs = x.shape
    share = 1.0 if setup.reduction == "sum" else 1.0 / y.size
    with np.errstate(all="ignore"):
        z, z_bound = _layer(x, h["weight"], h["bias"], u * (inputs + 2))
        if setup.logits:
            yield "outputs", (z, z_bound + tiny)
            z = h["outputs"][:-1]
            loss, loss_bound = softplus(z) - y * z, FUNCTION * u * (np.abs(z) + softplus(z))
            pull, pull_bound = sigmoid(z) - y, FUNCTION * u * (sigmoid(z) + y)
        else:
            p = sigmoid(z)
            yield "outputs", (p, slope(z) * z_bound + FUNCTION * u * p + tiny)
            p, z, z_bound = h["outputs"][:-1], z[:-1], z_bound[:-1]
            loss = entropy(p, y)
            loss_bound = FUNCTION * u * loss
            pull = entropy_slope(p, y) * slope(z)
            pull_bound = np.abs(pull) * (2 * FUNCTION * u + z_bound)
        total = share * loss.sum((1, 2))
        yield "loss", (total, share * (loss_bound + points * u * np.abs(loss)).sum((1, 2)) + tiny)
        factors = {"gradient.weight": x, "gradient.bias": np.ones((points, 1))}
        for name, factor in factors.items():
            gradient = share * np.einsum("epk,pd->ekd", pull, factor)
            bound = share * np.einsum("epk,pd->ekd", pull_bound + (points + 2) * u * np.abs(pull), np.abs(factor))
            yield name, _accumulated(setup, h[name], gradient, bound + tiny, u)
        for name in ("weight", "bias"):
            yield name, _updated(setup, h[name], h[f"gradient.{name}"], setup.weights[name].astype(np.float64), u, tiny)


def _unit(setup: Setup) -> float:
    """The roundoff of the dtype, twice in float64, where this computation rounds as much as the one it judges."""
    u = 2.0**-setup.format.precision
    return 2 * u if setup.dtype == "float64" else u


def _layer(x: Float64Array, weight: Float64Array, bias: Float64Array, unit: float) -> Enclosed:
    def product(x: Float64Array, weight: Float64Array, bias: Float64Array) -> Float64Array:
        return np.einsum("pd,ekd->epk", x, weight) + bias[:, None, :]

    return product(x, weight, bias), unit * product(np.abs(x), np.abs(weight), np.abs(bias))


def _accumulated(setup: Setup, recorded: Float64Array, fresh: Float64Array, bound: Float64Array, u: float) -> Enclosed:
    fresh, bound = fresh.reshape(recorded.shape), bound.reshape(recorded.shape)
    if setup.reset_gradient:
        return fresh, bound
    before = np.concatenate([np.zeros_like(recorded[:1]), recorded[:-1]])
    return before + fresh, bound + 2 * u * np.abs(before + fresh)


def _updated(
    setup: Setup, recorded: Float64Array, gradient: Float64Array, start: Float64Array, u: float, tiny: float
) -> Enclosed:
    step = setup.learning_rate * gradient
    after = recorded[:-1] - step
    bound = 2 * u * (np.abs(after) + np.abs(step)) + tiny
    return np.concatenate([start[None], after]), np.concatenate([np.zeros_like(start)[None], bound])
