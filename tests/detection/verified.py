"""Faults in a function of the catalogue, judged by ``crosscheck.verify``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from contract import USUAL_MODES
from floats import FORMATS
from usual_checks import usual_of

import crosscheck
from crosscheck import Comparison, Report
from detection.planting import Plant
from detection.records import MISSED, Fault, Said, Verdict, lies

SHAPE = (4, 8)
"""Of the normal inputs that the usual checks are given."""


@dataclass(frozen=True, kw_only=True)
class Planted(Fault):
    """``plant`` in the activation ``of`` on one side, or with the side ``each`` in each framework.

    Attributes:
        dtypes: The dtypes for ``crosscheck.verify``. Of each of them a comparison must fail.
        orders: The orders for ``crosscheck.verify``.
        modes: The modes for ``crosscheck.verify``.
        layout: Whether ``crosscheck.verify`` compares several layouts.
        first: The order in which it must show first: the lower ones must pass.
    """

    of: str
    plant: Plant
    dtypes: Sequence[str] = ("float32",)
    orders: Sequence[int] = (0,)
    modes: Sequence[str] = USUAL_MODES
    layout: bool = False
    first: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def report(self) -> Report:
        """What crosscheck says, of crosscheck's own implementations with the fault on one side."""
        assert self.side is not None
        return crosscheck.verify(
            self.of,
            implementations=["torch", "jax"],
            replace={self.side: self.plant(crosscheck.activations[self.of], self.side)},
            dtypes=self.dtypes,
            orders=self.orders,
            modes=self.modes,
            layout=self.layout,
            **self.options,
        )

    def judge(self) -> Verdict:
        """The worst cause of the first comparison that fails, and the worst input of that."""
        failing = [comparison for comparison in self.report().comparisons if not comparison.passed]
        if not failing:
            return MISSED
        decisive = min(failing, key=lambda comparison: (comparison.against != self.against, comparison.order))
        placed = all(self._placed(comparison) for comparison in failing)
        if self.first is not None:
            placed &= min(comparison.order for comparison in failing) == self.first
        sides = {comparison.side for comparison in failing}
        return Verdict(
            found={comparison.dtype for comparison in failing} == set(self.dtypes),
            cause=decisive.cause,
            side=sides.pop() if len(sides) == 1 else "both",
            at=None if decisive.worst is None else decisive.worst.input,
            placed=placed,
        )

    @property
    def against(self) -> str:
        """What the comparison that tells most is against."""
        return "alone" if self.cause == "layout" else "exact"

    def _placed(self, comparison: Comparison) -> bool:
        """Whether the worst input of every cause is where the fault is."""
        return all(lies(cause.worst.input, self.at) for cause in comparison.uncovered.values())

    def usual(self) -> Mapping[str, Said]:
        """At normal inputs, against the right function of the other framework."""
        assert self.side is not None
        activation = crosscheck.activations[self.of]
        functions = {side: getattr(activation, side) for side in ("torch", "jax")}
        functions[self.side] = _with(self.plant(activation, self.side), activation.parameters)
        x = np.random.default_rng(0).standard_normal(SHAPE)
        low, high = activation.domain
        x = np.where((low < x) & (x < high), x, -x)
        return usual_of(functions, [x.astype(FORMATS[self.dtypes[0]].dtype)], max(self.orders), self.side)


def _with(function: Any, parameters: Mapping[str, Any]) -> Any:
    return lambda x: function(x, **parameters)


def each(*rows: Planted) -> list[Planted]:
    """Each row twice, planted in torch and in JAX."""
    return [replace(row, name=f"{row.name}, {side}", side=side) for row in rows for side in ("torch", "jax")]
