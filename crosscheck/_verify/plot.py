"""``plot``: an activation with the errors of its implementations."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from crosscheck import _arguments
from crosscheck._arithmetic.formats import FORMATS
from crosscheck._catalogue import formulas_of
from crosscheck._frameworks.lacking import lacking
from crosscheck._frameworks.settings import undisturbed
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import IMPLEMENTATIONS
from crosscheck._records.records import Activation
from crosscheck._verify.curves import curves
from crosscheck._verify.curves_plot import draw

PLOTTED = tuple(implementation for implementation in IMPLEMENTATIONS if implementation != "analytic")
POINTS = 3000
DRAWABLE = 1e300
"""Larger numbers overflow in matplotlib's own arithmetic."""


@undisturbed()
def plot(what: str | Activation, *, dtype: str | Any = "float32", range: tuple[float, float] = (-10.0, 10.0)) -> Figure:
    """Draw an activation and its gradient over an interval, and below them the errors of each implementation in ULP.

    Args:
        what: A name or alias of the catalogue, or a record; its parameters have their default values.
        dtype: The dtype in which the frameworks compute.
        range: The first and last input.

    Returns:
        A figure that belongs to no window and no ``pyplot``; save it with ``figure.savefig(path)``.

    Raises:
        UsageError: If an argument has an unknown value, or the interval is empty.
        UnknownActivationError: If the catalogue has no activation of this name.
        MissingFrameworkError: If neither framework can be imported. If one cannot, the other is drawn; the title says so.

    Examples:
        >>> import crosscheck
        >>> figure = crosscheck.plot("relu", range=(-2, 2))
        >>> len(figure.axes)
        4
    """
    activation = _arguments.activation_of(what)
    dtype = _arguments.dtype(dtype)
    ends = _arguments.several(range)
    if len(ends) != 2:
        raise UsageError(f"range: got {range!r}, expected two numbers, the lower one first")
    low, high = (_bound(end, dtype) for end in ends)
    if not low < high:
        raise UsageError(f"range: got {low!r} and {high!r}, expected the lower one first")
    if np.unique(np.array([low, high]).astype(FORMATS[dtype].dtype)).size < 2:
        raise UsageError(f"range: got {low!r} and {high!r}, expected numbers that differ in {dtype}")
    here = lacking()
    lost = here.of_those(PLOTTED, [dtype])
    run = [implementation for implementation in PLOTTED if here.runs(implementation, dtype)]
    if not run:
        raise UsageError(f"dtype: got {dtype!r}, which cannot be run here: {'; '.join(lost.values())}")
    with formulas_of(activation):
        return draw(curves(activation, run, dtype, low, high, POINTS), lost)


def _bound(value: float, dtype: str) -> float:
    largest = min(FORMATS[dtype].largest, DRAWABLE)
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not -largest <= value <= largest:
        raise UsageError(f"range: got {value!r}, expected finite numbers within {largest:.4g}, for {dtype}")
    return float(value)
