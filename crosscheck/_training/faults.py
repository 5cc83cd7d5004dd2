"""Mistakes that people make in a training: each can be planted, and each is recognised by what it leaves behind.

A fault is a change of the setup. A training that does not follow from its setup is one with that fault if it follows, at
every epoch, from the changed setup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._training.records import History, Setup
from crosscheck._training.reference import departure

Variant = tuple[str, Setup]
"""What was done instead, in words, and the setup that does it."""


@dataclass(frozen=True)
class Fault:
    """``plant`` puts it into a setup; ``variants`` are the forms of it that a history is tried against."""

    meaning: str
    plant: Callable[[Setup], Setup]
    variants: Callable[[Setup, History], Iterator[Variant]]


def _flip(setup: Setup, point: int, output: int) -> Setup:
    y = setup.y.copy()
    y[point, output] = 1 - y[point, output]
    return replace(setup, y=y)


def _flips(setup: Setup, history: History) -> Iterator[Variant]:
    for point, output in np.ndindex(*setup.y.shape):
        other = _flip(setup, point, output)
        yield f"point {point} has the label {other.y[point, output]:g}, not {setup.y[point, output]:g}", other


def _other_rates(setup: Setup, history: History) -> Iterator[Variant]:
    """The learning rate that fits the updates best, as it was probably written and as it is.

    By least squares, each update in units of what rounding may move it by.
    """
    moved = along = 0.0
    for name in ("weight", "bias"):
        w, g = (history[tensor].astype(np.float64) for tensor in (name, f"gradient.{name}"))
        with np.errstate(all="ignore"):
            steps = np.diff(w, axis=0)
            unit = (np.abs(w[1:]) + np.abs(steps)) ** 2
            products, squares = -steps * g / unit, g * g / unit
        used = np.isfinite(products) & np.isfinite(squares)
        moved, along = moved + products[used].sum(), along + squares[used].sum()
    if along > 0 and moved > 0:
        fitted = moved / along
        for rate in (float(f"{fitted:.3g}"), float(f"{fitted:.6g}"), fitted):
            yield f"the learning rate is {rate:.9g}, not {setup.learning_rate:.9g}", replace(setup, learning_rate=rate)


def _transpose(setup: Setup) -> Setup:
    return replace(setup, x=np.ascontiguousarray(setup.x.T).reshape(setup.x.shape))


def _transpositions(setup: Setup, history: History) -> Iterator[Variant]:
    yield "the inputs are read in the order of their transpose", _transpose(setup)
    weight = setup.weights["weight"]
    turned = {**setup.weights, "weight": np.ascontiguousarray(weight.T).reshape(weight.shape)}
    yield "the weights are read in the order of their transpose", replace(setup, weights=turned)


def _move(setup: Setup) -> Setup:
    return replace(setup, weights={name: array + array.dtype.type(0.01) for name, array in setup.weights.items()})


def _other_start(setup: Setup, history: History) -> Iterator[Variant]:
    weights = {name: history[name][0] for name in setup.weights}
    yield "the training starts from other weights", replace(setup, weights=weights)


def _just(instead: str, plant: Callable[[Setup], Setup]) -> Callable[[Setup, History], Iterator[Variant]]:
    return lambda setup, history: iter([(instead, plant(setup))])


def _sum(setup: Setup) -> Setup:
    return replace(setup, reduction="sum")


def _keep(setup: Setup) -> Setup:
    return replace(setup, reset_gradient=False)


FAULTS = {
    "sum": Fault("the sum of the losses, not their mean", _sum, _just("the losses are summed, not averaged", _sum)),
    "no-reset": Fault(
        "the gradient is not reset between epochs",
        _keep,
        _just("each epoch adds its gradient to that of the epochs before", _keep),
    ),
    "flipped-label": Fault("the label of the first point is flipped", lambda setup: _flip(setup, 0, 0), _flips),
    "transposed": Fault("the inputs are read in the order of their transpose", _transpose, _transpositions),
    "learning-rate": Fault(
        "twice the learning rate", lambda setup: replace(setup, learning_rate=2 * setup.learning_rate), _other_rates
    ),
    "start": Fault("every weight starts 0.01 higher", _move, _other_start),
}


def recognise(setup: Setup, history: History) -> tuple[str, str] | None:
    """The fault of which this history is a training from the first epoch to the last: its name, what was done instead."""
    for name, fault in FAULTS.items():
        for instead, other in fault.variants(setup, history):
            if departure(other, history) is None:
                return name, instead
    return None
