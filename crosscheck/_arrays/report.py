"""The comparison of saved arrays as text and JSON: the verdict in one line, then each name, then the worst elements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

from crosscheck._arrays.records import ArrayComparison, ArrayLimits, Element
from crosscheck._report import shown
from crosscheck._report.blocks import Block, Code, Drawing, Table
from crosscheck._report.document import Document
from crosscheck._report.json_file import Summary, undrawn
from crosscheck._report.written import Written

if TYPE_CHECKING:
    from crosscheck._arithmetic.profile import Profile

SCHEMA = "crosscheck.arrays/1"
MOST_SHOWN = 12
MOST_ROWS = 200
MOST_PANELS = 3


@dataclass(frozen=True)
class ArraysSummary(Summary):
    """The end of a report on arrays; ``first`` is the name of the first one that fails."""

    elements: int
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    refused: Mapping[str, str]
    first: str | None


@dataclass(frozen=True)
class ArraysReport(Written, schema=SCHEMA, written=("limits", "_undrawn", "summary"), renamed={"_undrawn": "comparisons"}):
    """The result of ``compare_arrays``.

    Attributes:
        comparisons: One record for each name that both sides have, in the order of ``a``.
        only_a: Names that only ``a`` has. If there are any, the report fails, since something was not compared.
        only_b: Names that only ``b`` has. If there are any, the report fails too.
        limits: The allowed differences.
        refused: For each array that could not be compared, by name, the reason. If there are any, the report fails.
    """

    comparisons: tuple[ArrayComparison, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    limits: ArrayLimits
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        """The number of elements that were compared; 0 means that nothing was."""
        return sum(comparison.elements for comparison in self.comparisons)

    @property
    def passed(self) -> bool:
        """Whether something was compared, no array was left out, and every element is within the limits."""
        return self.compared > 0 and not self._left_out and all(comparison.passed for comparison in self.comparisons)

    @property
    def first(self) -> ArrayComparison | None:
        """The first array that fails, in the order of ``a``. For layers, this is where the difference begins."""
        return next((comparison for comparison in self.comparisons if not comparison.passed), None)

    @property
    def _left_out(self) -> int:
        """How many arrays were not compared."""
        return len(self.only_a) + len(self.only_b) + len(self.refused)

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        if not self.compared:
            return "FAILED: nothing was compared: the two sides have no name in common, or only empty arrays."
        worst = max(
            self.comparisons,
            key=lambda comparison: (not comparison.passed, comparison.special > 0, comparison.figures["ulp_max"]),
        )
        arrays = f"{len(self.comparisons)} array{'s' * (len(self.comparisons) != 1)}"
        many = f"{arrays}, {self.compared:,} elements"
        if self.passed:
            return f"AGREE: {many}: within {self.limits}; the largest difference is {worst.figures['ulp_max']:.4g} ULP."
        failed = sum(not comparison.passed for comparison in self.comparisons)
        if not failed:
            others = len(self.only_a) + len(self.only_b)
            left_out = [f"{others} are on one side only"] * bool(others)
            left_out += [f"{len(self.refused)} could not be compared"] * bool(self.refused)
            return f"DISAGREE: {many} agree, but {' and '.join(left_out)}."
        beyond = sum(comparison.beyond for comparison in self.comparisons)
        text = f"{failed} of {many}: {beyond:,} elements beyond {self.limits}, the worst in {shown.name(worst.name)}"
        if self.first is not None and failed > 1:
            text += f", the first in {shown.name(self.first.name)}"
        return f"DISAGREE: {text}{'' if worst.side is None else f'; at fault: {worst.side}'}."

    def document(self) -> Document:
        """The report as a document: the verdict, the figures of every array, the worst elements, and a figure of the
        differences.

        Returns:
            The document.
        """
        story = "\n".join(_evidence(self)).strip()
        head = ["name", "dtype", "shape", "verdict", "equal", "beyond", "median ULP", "99% ULP", "largest ULP"]
        rows = [head, *(list(_row(comparison)) for comparison in _ranked(self)[:MOST_ROWS])]
        blocks: list[Block] = [Table(rows)] if self.comparisons else []
        blocks += [Code(story)] if story else []
        if self.panels():
            blocks.append(Drawing(self.plot, "How far A and B are apart, in ULP of the larger element"))
        return Document(self.headline, self.passed, blocks)

    def panels(self) -> Mapping[str, Mapping[str, Profile]]:
        """The differences for the figure: a panel for each of the arrays that differ most.

        Returns:
            The profiles of differences by panel and label.
        """
        drawn = [comparison for comparison in _ranked(self) if comparison.profile is not None]
        return {
            shown.name(comparison.name): {shown.name(comparison.name): comparison.profile}
            for comparison in drawn[:MOST_PANELS]
            if comparison.profile is not None
        }

    def story(self) -> str:
        """The verdict and its evidence.

        Returns:
            The text.
        """
        return "\n".join([self.headline, *_evidence(self)])

    def __str__(self) -> str:
        return self.story()

    @property
    def summary(self) -> ArraysSummary:
        """The end of its JSON."""
        first = None if self.first is None else self.first.name
        return ArraysSummary(self.passed, self.headline, self.compared, self.only_a, self.only_b, self.refused, first)

    @property
    def _undrawn(self) -> tuple[ArrayComparison, ...]:
        return undrawn(self.comparisons)


def _evidence(report: ArraysReport) -> Iterator[str]:
    for side, names in (("A", report.only_a), ("B", report.only_b)):
        if names:
            more = len(names) - MOST_SHOWN
            yield f"  only in {side}: {', '.join(map(shown.name, names[:MOST_SHOWN]))}" + (
                f" and {more} more" if more > 0 else ""
            )
    for why in list(report.refused.values())[:MOST_SHOWN]:
        yield f"  not compared: {shown.name(why)}"
    if len(report.refused) > MOST_SHOWN:
        yield f"  not compared: {len(report.refused) - MOST_SHOWN} more; --json has them all"
    ranked = _ranked(report)
    if report.first is not None and len(ranked) > 1:
        yield from _in_order(report.comparisons, report.comparisons.index(report.first))
    for comparison in ranked[:MOST_SHOWN]:
        yield ""
        yield from _described(comparison)
    if len(ranked) > MOST_SHOWN:
        yield ""
        yield f"and {len(ranked) - MOST_SHOWN} arrays that are closer; --json has them all"


def _ranked(report: ArraysReport) -> list[ArrayComparison]:
    return sorted(
        report.comparisons, key=lambda comparison: (comparison.passed, -comparison.special, -comparison.figures["ulp_max"])
    )


def _in_order(comparisons: Sequence[ArrayComparison], first: int) -> Iterator[str]:
    """Where the difference begins: the arrays in the order of A, from the one before the first that fails."""
    yield ""
    yield f"in the order of A, where array {first + 1} of {len(comparisons)} is the first to differ:"
    part = comparisons[max(first - 1, 0) :][:MOST_SHOWN]
    width = max(len(shown.name(comparison.name)) for comparison in part)
    for comparison in part:
        yield f"  {shown.name(comparison.name):{width}}  {_verdict(comparison):9}  {_passes(comparison)}".rstrip()


def _passes(comparison: ArrayComparison) -> str:
    """The tolerances that would pass; each alone is enough."""
    if comparison.special or not comparison.elements:
        return ""
    if comparison.equal == comparison.elements:
        return "all elements are equal"
    return f"passes {_limits(comparison)}"


def _limits(comparison: ArrayComparison) -> str:
    limits = {"ulp": "ulp_max", "rtol": "rel_max", "atol": "abs_max"}
    finite = {name: comparison.figures[figure] for name, figure in limits.items() if isfinite(comparison.figures[figure])}
    *some, last = [f"{name} {_up(value)}" for name, value in finite.items()]
    return f"with {', '.join(some)} or {last}"


def _row(comparison: ArrayComparison) -> Iterator[str]:
    yield from (
        shown.name(comparison.name),
        comparison.dtype,
        "x".join(map(str, comparison.shape)) or "one number",
        _verdict(comparison),
    )
    yield from (f"{comparison.equal:,}", f"{comparison.beyond:,}")
    yield from (f"{comparison.figures[f'ulp_{what}']:.3g}" for what in ("p50", "p99", "max"))


def _verdict(comparison: ArrayComparison) -> str:
    return "agrees" if comparison.passed else "DISAGREES" if comparison.elements else "is EMPTY"


def _described(comparison: ArrayComparison) -> Iterator[str]:
    shape = "x".join(map(str, comparison.shape)) or "one number"
    equal = ": all elements are equal" * (0 < comparison.elements == comparison.equal)
    yield f"{shown.name(comparison.name)} ({comparison.dtype}, {shape}) {_verdict(comparison)}{equal}"
    if not comparison.elements or equal:
        return
    figures = comparison.figures
    for label, measure in (("ULP", "ulp"), ("absolute", "abs"), ("relative", "rel")):
        p50, p99, largest = (figures[f"{measure}_{what}"] for what in ("p50", "p99", "max"))
        yield f"  {label:9} median {p50:.3g}, 99% {p99:.3g}, largest {largest:.3g}"
    yield f"  {'equal':9} {comparison.equal:,} of {comparison.elements:,} elements; beyond the limit {comparison.beyond:,}"
    if comparison.special:
        yield f"  {'special':9} at {comparison.special:,} elements one is NaN or infinite and the other another number"
    else:
        yield f"  {'passes':9} {_limits(comparison)}"
        if not comparison.passed and isfinite(figures["rms_ulp"]):
            yield f"  {'size':9} largest {figures['rms_ulp']:.3g} ULP of the root mean square of B"
    if comparison.a_ulp is not None and comparison.b_ulp is not None:
        fault = "" if comparison.side is None else f"; at fault: {comparison.side}"
        yield f"  {'truth':9} A {comparison.a_ulp:.3g} ULP, B {comparison.b_ulp:.3g} ULP from it at most{fault}"
    for number, element in enumerate(comparison.worst):
        yield f"  {'' if number else 'worst':9} {_element(element)}"


def _element(element: Element) -> str:
    truth = "" if element.truth is None else f", truth {element.truth!r}"
    return f"[{', '.join(map(str, element.index))}] A {element.a!r}, B {element.b!r}{truth}: {element.ulp:.4g} ULP"


def _up(value: float) -> str:
    """Two digits, rounded up, so that the limit holds."""
    short = float(f"{value:.1e}")
    return f"{short if short >= value else short + 10.0 ** int(f'{value:.1e}'.split('e')[1]) / 10:.2g}"
