"""How far what the frameworks ship lies apart, measured over an interval: a larger difference of a port is not theirs."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np

from crosscheck import Activation
from crosscheck._records.implementations import FRAMEWORKS, MATCHED, NATIVE, OWN, Implementation
from crosscheck._records.names import DTYPES, ORDER_NAMES
from crosscheck._verify.curves import Curves, curves

LOW, HIGH, COUNT = -10.0, 10.0, 1001
USELESS = 0.1
"""A relative difference from which no digit agrees: only an absolute tolerance says something then."""


@dataclass(frozen=True)
class Tolerance:
    """Of one dtype and order: each of the two holds alone, as ``rtol`` or ``atol`` of ``numpy.testing.assert_allclose``."""

    dtype: str
    order: int
    rtol: float
    atol: float

    def __str__(self) -> str:
        if self.atol == 0:
            return "equal"
        relative = [f"rtol {up(self.rtol)}"] if self.rtol < USELESS else []
        return " or ".join([*relative, f"atol {up(self.atol)}"])


def up(value: float) -> str:
    """Two digits, rounded up, so that it holds."""
    step = 10.0 ** (floor(log10(value)) - 1)
    return f"{ceil(value / step * (1 - 1e-12)) * step:.1e}".replace("e-0", "e-").replace("e+00", "")


def compared(record: Activation) -> tuple[str, ...]:
    """Of each framework the call that matches the definition; crosscheck's own where it ships none."""
    kinds = {side: MATCHED if native.matched else NATIVE for side, native in record.natives.items()}
    return tuple(Implementation(side, kinds.get(side, OWN)).name for side in FRAMEWORKS)


def measured(record: Activation) -> list[Tolerance]:
    """For each dtype, the value and the gradient."""
    names = compared(record)
    return [tolerance for dtype in DTYPES for tolerance in of(curves(record, names, dtype, LOW, HIGH, COUNT), kinks(record))]


def kinks(record: Activation) -> list[float]:
    """There each framework may choose a slope of its own: no tolerance is about that."""
    return [kink.at for kink in record.kinks_at(record.parameters)]


def of(drawn: Curves, left_out: list[float]) -> Iterator[Tolerance]:
    smooth = ~np.isin(drawn.x, left_out)
    for panel in drawn.panels:
        if len(panel.curves) == 2:
            a, b = (np.broadcast_to(curve.y, drawn.x.shape)[smooth] for curve in panel.curves)
            apart = np.abs(a - b)
            relative = np.divide(apart, np.abs(b), out=np.where(apart > 0, np.inf, 0.0), where=b != 0)
            yield Tolerance(drawn.dtype, panel.order, float(np.nanmax(relative)), float(np.nanmax(apart)))


def table(tolerances: list[Tolerance]) -> list[list[str]]:
    """A row for each order, a column for each dtype."""
    cells = {(tolerance.order, tolerance.dtype): str(tolerance) for tolerance in tolerances}
    orders = sorted({tolerance.order for tolerance in tolerances})
    rows = [[ORDER_NAMES[order], *(cells.get((order, dtype), "") for dtype in DTYPES)] for order in orders]
    return [["", *DTYPES], *rows]
