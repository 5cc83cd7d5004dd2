"""Disagreements that a user accepts: causes in regions of inputs, or declared deviations of the catalogue."""

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
    """One cause that passes at inputs from ``low`` to ``high``; if these are None, at all inputs.

    ``name`` is its name in a report.
    """

    name: str
    cause: str
    low: float | None = None
    high: float | None = None
    orders: tuple[int, ...] = ORDERS
    dtypes: tuple[str, ...] = DTYPES
    modes: tuple[str, ...] = MODES

    def covers(self, codes: Codes, x: FloatArray | None, order: int, dtype: str, mode: str) -> BoolArray:
        """The elements that it covers. If elements have no input each, only an acceptance of all inputs covers them."""
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
    """The acceptances of a deviation of the catalogue, in all of its regions."""
    return [
        Acceptance(deviation.id, deviation.cause, low, high, (region.order,), region.dtypes, deviation.modes_of(region))
        for region in deviation.regions
        for low, high in region.intervals
    ]


@dataclass(frozen=True)
class Accepted:
    """All acceptances of a comparison."""

    all: tuple[Acceptance, ...] = ()

    def open(self, codes: Codes, x: FloatArray | None, order: int, dtype: str, mode: str) -> BoolArray:
        """The failing elements that no acceptance covers; others may be included, since only failing ones count."""
        covered = np.zeros(codes.shape, bool)
        for acceptance in self.all:
            covered |= acceptance.covers(codes, x, order, dtype, mode)
        return ~covered

    def used(self, codes: Codes, x: FloatArray | None, order: int, dtype: str, mode: str) -> tuple[str, ...]:
        """The names of the acceptances that cover something."""
        return tuple(
            dict.fromkeys(
                acceptance.name for acceptance in self.all if acceptance.covers(codes, x, order, dtype, mode).any()
            )
        )
