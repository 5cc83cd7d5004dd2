"""The points that no deviation covers: grouped by disagreement, and run again at the worst input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crosscheck._arithmetic.formats import from_bits
from crosscheck._records.names import CAUSES
from crosscheck._records.records import Activation
from crosscheck._report.report import Report
from crosscheck._verdict.judged import ALONE, EXACT
from crosscheck._verdict.records import Comparison
from crosscheck._verify.sightings.sight import Sighting, Sought, sight


@dataclass(frozen=True)
class Uncovered:
    """A disagreement that no deviation covers: in an order, with one cause, and the comparisons that show it."""

    implementations: tuple[str, ...]
    order: int
    cause: str
    comparisons: tuple[Comparison, ...]


def uncovered(activation: Activation, report: Report) -> list[Uncovered]:
    """The disagreements that no deviation covers, worst cause first; each with its comparisons, in the order to show them.

    A disagreement of two implementations is left out if one of them already disagrees with the exact results in that way.
    """
    groups: dict[tuple[tuple[str, ...], int, str], list[Comparison]] = {}
    for comparison in sorted(report.comparisons, key=lambda c: c.against != EXACT):
        implementations: tuple[str, ...] = (comparison.implementation,)
        if comparison.against not in (EXACT, ALONE):
            implementations = (comparison.implementation, comparison.against)
        undeclared = comparison.new or not comparison.passed
        raised = comparison.message is not None and undeclared
        for cause in ("error",) if raised else comparison.uncovered:
            alone = any(((implementation,), comparison.order, cause) in groups for implementation in implementations)
            if len(implementations) == 1 or not alone:
                groups.setdefault((implementations, comparison.order, cause), []).append(comparison)
    disagreements = []
    for (implementations, order, cause), comparisons in sorted(groups.items(), key=lambda item: CAUSES.index(item[0][2])):
        # float32 first, then eager, then the default parameters
        comparisons.sort(key=lambda c: (c.dtype != "float32", c.mode != "eager", c.parameters != activation.parameters))
        disagreements.append(Uncovered(implementations, order, cause, tuple(comparisons)))
    return disagreements


def sight_uncovered(
    activation: Activation, disagreement: Uncovered, beside: Sequence[tuple[str, str]] = ()
) -> Sighting | None:
    """The worst input in the first setting, with others ``beside``; None if an implementation raised at every input."""
    first = disagreement.comparisons[0]
    count = first.uncovered.get(disagreement.cause)
    if count is None:
        return None
    x, layouts = from_bits([count.worst.input_bits], first.dtype), disagreement.cause == "layout"
    sought = Sought(disagreement.implementations, x, disagreement.order, first.mode, first.parameters, layouts=layouts)
    return sight(activation, sought, beside)
