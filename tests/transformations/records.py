"""What is tried, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from contract import budget
from floats import FORMATS, Float64Array, unit_of, widen

from crosscheck import Activation

Function = Callable[[Any], Any]
Results = Mapping[str, Any]
"""Arrays by what they are: ``value``, and ``gradient`` by the weights that were given."""
ROWS, ENTRIES = 4, 6
"""The shape of the inputs: rows that four devices share, of an even number of entries."""


@dataclass(frozen=True)
class Way:
    """A transformation: it is given a function, inputs and weights and gives the results that it makes of them."""

    framework: str
    name: str
    results: Callable[[Function, Any, Any], Results]


@dataclass(frozen=True)
class Outcome:
    """One function under one way: the largest difference from the plain call, in ULP of its results.

    ``message`` is what was raised. It passes if what it gives is what is asked for, within twice the budget: the plain
    result and this one may each differ from the exact one by the budget.
    """

    function: str
    framework: str
    way: str
    ulp: float = 0.0
    passed: bool = False
    message: str | None = None


def inputs(activation: Activation) -> Float64Array:
    """Numbers off the kinks and inside the domain, in rows."""
    x = np.random.default_rng(0).permutation(np.linspace(-3.3, 3.1, ROWS * ENTRIES))
    low, _ = activation.domain
    if np.isfinite(low):
        x = x - x.min() + low + 0.25
    for kink in activation.kinks_at(activation.parameters):
        x = np.where(np.abs(x - kink.at) < 0.05, kink.at + 0.1, x)
    return x.reshape(ROWS, ENTRIES).astype(np.float32)


def weights(shape: Sequence[int]) -> Float64Array:
    """By which the results are multiplied before they are added up and differentiated."""
    return np.random.default_rng(1).uniform(0.5, 2, shape).astype(np.float32)


def gradient_of_slopes(slopes: Any, weights: Any, x: Any) -> Any:
    """The gradient by the weights, of the slopes along each entry of x: a sum in float64, so that nothing is lost there."""
    terms = np.asarray(slopes, np.float64).reshape(x.size if isinstance(x.size, int) else x.numel(), -1)
    return (terms @ np.asarray(weights, np.float64).ravel()).astype(np.float32).reshape(tuple(x.shape))


def judge(activation: Activation, way: Way, plain: Results, transformed: Results) -> Outcome:
    """The largest difference; a result of another shape, dtype or that is not there is infinitely off."""
    worst, passed = 0.0, bool(transformed)
    for order, what in enumerate(("value", "gradient")):
        if what in transformed:
            ulp = _difference(plain[what], transformed[what], activation.rows)
            worst, passed = max(worst, ulp), passed and ulp <= 2 * budget("float32", order)
    return Outcome(activation.name, way.framework, way.name, worst, passed)


def _difference(expected: Any, got: Any, rows: bool) -> float:
    """In ULP of the result, or of an eighth of the largest one, where that is more: there terms may cancel.

    Along an axis a derivative is a sum of terms as large as the largest result: there it is in ULP of that.
    """
    if str(got.dtype).removeprefix("torch.") != str(expected.dtype).removeprefix("torch.") or got.shape != expected.shape:
        return float("inf")
    expected, got = np.asarray(expected), np.asarray(got)
    wide = widen(expected)
    size = np.maximum(np.abs(wide), np.abs(wide).max() / (1 if rows else 8))
    unit = unit_of(size, FORMATS[str(expected.dtype)])
    difference = np.abs(widen(got) - wide) / unit
    return float(np.nan_to_num(difference, nan=np.inf).max())
