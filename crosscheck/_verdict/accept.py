"""What a user knows of a pair and lives with: causes in regions of inputs, or declared deviations of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, FloatArray, widen
from crosscheck._records.deviations import Deviation
from crosscheck._records.implementations import MODES
from crosscheck._records.names import DTYPES, ORDERS
from crosscheck._verdict.causes import CODE, Codes


@dataclass(frozen=True)
class Acceptance:
    """One cause that passes at inputs from ``low`` to ``high``, everywhere where these are None.

    ``name`` is how it is shown in a report.
    """

    name: str
    cause: str
    low: float | None = None
    high: float | None = None
    orders: tuple[int, ...] = ORDERS
    dtypes: tuple[str, ...] = DTYPES
    modes: tuple[str, ...] = MODES

    def covers(self, codes: Codes, x: FloatArray | None, order: int, dtype: str, mode: str) -> BoolArray:
        """Which elements it covers; where no input stands at an element's place, only a region of everything does."""
        here = codes == CODE[self.cause]
        if order not in self.orders or dtype not in self.dtypes or mode not in self.modes:
            return np.zeros(codes.shape, bool)
        if self.low is None or self.high is None:
            return np.asarray(here)
        if x is None:
            return np.zeros(codes.shape, bool)
        wide = widen(x)
        return np.asarray(here & (np.isnan(wide) if isnan(self.low) else (self.low <= wide) & (wide <= self.high)))


def declared(deviation: Deviation) -> list[Acceptance]:
    """A deviation of the catalogue, wherever it is declared."""
    return [
        Acceptance(deviation.id, deviation.cause, low, high, (region.order,), region.dtypes, deviation.modes_of(region))
        for region in deviation.regions
        for low, high in region.intervals
    ]


@dataclass(frozen=True)
class Accepted:
    """All that is accepted."""

    all: tuple[Acceptance, ...] = ()

    def open(self, codes: Codes, x: FloatArray | None, order: int, dtype: str, mode: str) -> BoolArray:
        """Which elements pass by nothing that is accepted, whether or not they pass by themselves; those that fail count."""
        covered = np.zeros(codes.shape, bool)
        for one in self.all:
            covered |= one.covers(codes, x, order, dtype, mode)
        return ~covered

    def used(self, codes: Codes, x: FloatArray | None, order: int, dtype: str, mode: str) -> tuple[str, ...]:
        """The names of those that cover something."""
        return tuple(dict.fromkeys(one.name for one in self.all if one.covers(codes, x, order, dtype, mode).any()))
