"""The first step of a record: what was seen of an activation in several samples, and which of it no region covers yet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from crosscheck._arithmetic.formats import BoolArray
from crosscheck._records.deviations import Deviation, Region, Seen
from crosscheck._records.records import Activation
from crosscheck._verdict.coverage import excuses, regions_of
from crosscheck._verdict.judged import ComparisonCauses

Wanted = Sequence[tuple[ComparisonCauses, BoolArray]]
"""Comparisons, and the points in each that a region is to cover."""
Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True)
class MeasuredActivation:
    """The results of an activation's natives in an environment, with several seeds, and the record of them there."""

    activation: Activation
    runs: Sequence[Sequence[ComparisonCauses]]
    seen: Seen
    on_record: Mapping[str, Sequence[Region]]

    @cached_property
    def judged(self) -> list[ComparisonCauses]:
        return [comparison for run in self.runs for comparison in run]

    def alone(self, deviation: Deviation, *regions: Region) -> Deviation:
        """The deviation with only these regions, as regions of this environment."""
        return replace(deviation, regions=regions, seen=(self.seen,))

    def open_points(
        self, fitted: Mapping[str, Sequence[Region]], among: Wanted | None = None
    ) -> Iterator[tuple[ComparisonCauses, BoolArray]]:
        """For each comparison, the points that no region covers, ``among`` these or among all."""
        settled = [
            self.alone(deviation, *fitted[deviation.id])
            for deviation in self.activation.deviations
            if fitted.get(deviation.id)
        ]
        for comparison, at in (
            among if among is not None else ((comparison, np.ones(comparison.x.shape, bool)) for comparison in self.judged)
        ):
            left = at[comparison.failing]
            for deviation in settled:
                for region in regions_of(deviation, comparison) if left.any() else ():
                    left &= ~excuses(deviation, region, comparison)
            if left.any():
                yield comparison, marked(comparison, left)


def marked(comparison: ComparisonCauses, failing: BoolArray) -> BoolArray:
    """These failing points, marked among all points."""
    result = np.zeros(comparison.x.shape, bool)
    result[comparison.failing] = failing
    return result


def grouped(wanted: Wanted, by: Callable[[ComparisonCauses], Group]) -> dict[Group, Wanted]:
    """The comparisons and points by something that the comparisons have."""
    groups: dict[Group, list[tuple[ComparisonCauses, BoolArray]]] = {}
    for pair in wanted:
        groups.setdefault(by(pair[0]), []).append(pair)
    return dict(groups)
