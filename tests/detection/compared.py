"""Faults between two functions, judged by ``crosscheck.compare``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from usual_checks import usual_of

import crosscheck
from detection.records import MISSED, Fault, Said, Verdict, lies


@dataclass(frozen=True, kw_only=True)
class Between(Fault):
    """Two functions that differ, one of them perhaps wrong; ``make`` returns their inputs afresh, None for the stratified.

    Attributes:
        outputs: The outputs that fail, by the names that crosscheck gives them; any where left out.
    """

    torch: Callable[..., Any]
    jax: Callable[..., Any]
    make: Callable[[], Any]
    order: int = 1
    dtype: str = "float32"
    outputs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def judge(self) -> Verdict:
        """What the report says, of its decisive comparison."""
        report = crosscheck.compare(self.torch, self.jax, self.make(), order=self.order, dtype=self.dtype, **self.options)
        if report.passed or report.decisive is None:
            return MISSED
        failing = {comparison.output for comparison in report.comparisons if not comparison.passed}
        worst = report.decisive.worst
        placed = not self.outputs or failing == set(self.outputs)
        if self.at is not None:
            placed &= worst is not None and lies(worst.input, self.at)
        at = None if worst is None else worst.input
        return Verdict(found=True, cause=report.cause, side=report.side, at=at, placed=placed)

    def usual(self) -> Mapping[str, Said]:
        """At the same inputs."""
        return usual_of({"torch": self.torch, "jax": self.jax}, self.make(), self.order, self.side)
