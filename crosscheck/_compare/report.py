"""The report on two functions: first the verdict in one line, then the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crosscheck._compare.story import agreement, differently, elements_at, evidence, failing_cause, side_at_fault
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.names import CAUSES, ORDER_NAMES, PASSING
from crosscheck._report.blocks import Block, Code, Drawing, Heading, Table
from crosscheck._report.document import Document
from crosscheck._report.headline import Verdict
from crosscheck._report.report import Report, ReportSummary
from crosscheck._report.two_sided import TwoSidedReport
from crosscheck._verdict.records import Comparison, Diagnosis

if TYPE_CHECKING:
    from crosscheck._arithmetic.profile import Profile

MOST_CURVES = 4
WIDEST = 300
"""The most characters of a line; names and messages of exceptions may be long."""


@dataclass(frozen=True)
class PairSummary(ReportSummary):
    """The end of a report on two functions, which has the verdict too."""

    headline: str = ""
    cause: str | None = None
    side: str | None = None
    diagnosis: Diagnosis = field(default_factory=Diagnosis)


@dataclass(frozen=True)
class PairReport(Report, TwoSidedReport):
    """The result of ``compare``: a ``Report`` on two functions.

    Attributes:
        exceptions: What a side raised, by ``torch`` and ``jax``.
        diagnosis: For a report that fails: the function of the catalogue that each side is, the simplest inputs that show
            the disagreement, and a snippet of Python that shows it.
    """

    exceptions: Mapping[str, Exception] = field(default_factory=dict)
    diagnosis: Diagnosis = field(default_factory=Diagnosis)

    @property
    def decisive(self) -> Comparison | None:
        """The comparison that says most about the verdict.

        Among those that fail, it has the worst cause, and then the lowest order. But a comparison of values from two
        different functions comes first, unless a derivative is NaN or infinite at as many elements as the values differ at.
        """
        failing = [comparison for comparison in self.comparisons if not comparison.passed]
        if not failing:
            return max(self.comparisons, key=lambda c: float(c.figures.get("ulp_max", 0)), default=None)
        most_special = max(elements_at(comparison, "special") for comparison in failing)
        differ = [
            c
            for c in failing
            if c.order == 0 and failing_cause(c) == "definition" and elements_at(c, "definition") > most_special
        ]
        return min(differ or failing, key=lambda c: (CAUSES.index(failing_cause(c)), c.order))

    @property
    def cause(self) -> str | None:
        """The worst cause that fails; None where the two functions agree."""
        return None if self.passed or self.decisive is None else failing_cause(self.decisive)

    @property
    def side(self) -> str | None:
        """The side at fault: ``torch``, ``jax`` or ``both``; None if neither is, or if it is not known."""
        return None if self.passed or self.decisive is None else side_at_fault(self.decisive)

    @property
    def ran(self) -> bool:
        """Whether there was something to compare. If both functions raise, there was not."""
        return bool(self.comparisons) and (len(self.exceptions) < len(FRAMEWORKS) or self.compared > 0)

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        return _shortened(super().verdict)

    @property
    def _verdict(self) -> Verdict:
        decisive = self.decisive
        if decisive is None:
            return Verdict("FAILED", "", "nothing was compared")
        name = decisive.function
        if self.passed:
            return Verdict("AGREE", name, agreement(self))
        if decisive.message:
            what = f"{'' if self.ran else 'nothing was compared, '}{decisive.message}"
            return Verdict("FAILED", name, what)
        output = decisive.output if len({comparison.output for comparison in self.comparisons}) > 1 else ""
        return Verdict(f"DISAGREE ({failing_cause(decisive)})", name, differently(self.diagnosis, decisive), output)

    def story(self) -> str:
        """The verdict and its evidence.

        Returns:
            The text, in under 25 lines; of a long verdict, the first two lines are the headline and the rest.
        """
        return "\n".join(map(_shortened, super().story().splitlines()))

    def _evidence(self) -> Iterator[str]:
        return map(_shortened, evidence(self))

    def document(self) -> Document:
        """The report as a document: the verdict, the story, every comparison, a figure of the errors, and the snippet.

        Returns:
            The document.
        """
        blocks: list[Block] = [Heading("Every comparison"), Table(list(map(list, _rows(self))))]
        if self.panels():
            blocks.append(Drawing(self.plot, "How far PyTorch and JAX are apart, in ULP of the larger result"))
        if self.diagnosis.snippet:
            blocks += [Heading("To see it again"), Code(self.diagnosis.snippet, "python")]
        return self._document(blocks)

    def panels(self) -> Mapping[str, Mapping[str, Profile]]:
        """The errors for the figure: a panel for each order and dtype, with the comparisons that differ most.

        Returns:
            The profiles of errors by panel and label.
        """
        panels: dict[str, dict[str, Profile]] = {}
        for comparison in sorted(self.comparisons, key=lambda c: (c.order, c.passed, -c.max_ulp)):
            by = f" by {comparison.wrt}" if comparison.wrt else ""
            panel = panels.setdefault(f"{ORDER_NAMES[comparison.order]}, {comparison.dtype}", {})
            if comparison.profile is not None and len(panel) < MOST_CURVES:
                panel[f"{comparison.output}{by}, JAX {comparison.mode}"] = comparison.profile
        return {title: panel for title, panel in panels.items() if panel}

    @property
    def summary(self) -> PairSummary:
        """The end of its JSON."""
        return PairSummary(
            **vars(super().summary), headline=self.headline, cause=self.cause, side=self.side, diagnosis=self.diagnosis
        )


def without_names(report: PairReport) -> str:
    """The verdict behind its word and the names of both functions."""
    return report.verdict[len(report._verdict.head) :]


def _shortened(line: str) -> str:
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 3]}..."


def _rows(report: PairReport) -> Iterator[tuple[str, ...]]:
    yield "order", "output", "by", "mode", "verdict", "cause", "largest ULP"
    for c in report.comparisons:
        verdict = "agree" if c.passed and c.cause in (*PASSING, None) else "accepted" if c.passed else "DISAGREE"
        yield ORDER_NAMES[c.order], c.output, c.wrt, c.mode, verdict, c.cause or "-", f"{c.max_ulp:.3g}"
