"""The report of ``verify``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crosscheck._report.json_file import undrawn
from crosscheck._report.written import Written
from crosscheck._verdict.records import Comparison, Finding

if TYPE_CHECKING:
    from crosscheck._arithmetic.profile import Profile
    from crosscheck._report.document import Document

SCHEMA = "crosscheck.report/1"


@dataclass(frozen=True)
class ReportSummary:
    """The end of a report: the counts, the ids of the deviations that were seen, and the findings about them."""

    passed: bool
    comparisons: int
    failed: int
    points: int
    new: int
    recorded: bool
    compared_with: str
    deviations: tuple[str, ...]
    skipped: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Report(Written, schema=SCHEMA, written=("environment", "_undrawn", "summary"), renamed={"_undrawn": "comparisons"}):
    """The result of ``verify``.

    Attributes:
        comparisons: One record for each implementation, dtype, order and mode.
        environment: Versions, devices and settings on which the results may depend.
        findings: The findings about declared deviations: a region that is too wide, one that no longer occurs, a note.
        deviations: The cause and the reason of each declared deviation that was observed, by id.
        skipped: What was requested and cannot be run here, such as ``jax``, ``float16 in jax`` or ``compile``, and why.
        recorded: Whether the package has on record what the frameworks ship does in this environment. If not, new
            disagreements of these pass, unless the run is strict.
        compared_with: The name of the record that was used: that of this environment, or of the nearest recorded one.
    """

    comparisons: tuple[Comparison, ...]
    environment: Mapping[str, object]
    findings: tuple[Finding, ...] = ()
    deviations: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    recorded: bool = True
    compared_with: str = ""

    @property
    def compared(self) -> int:
        """The number of points that were judged, over all comparisons; 0 means that nothing was compared."""
        return sum(comparison.points for comparison in self.comparisons)

    @property
    def passed(self) -> bool:
        """Whether something was compared, and no comparison and no declared deviation failed."""
        return (
            self.compared > 0
            and all(comparison.passed for comparison in self.comparisons)
            and not any(finding.failed for finding in self.findings)
        )

    @property
    def summary(self) -> ReportSummary:
        """The end of its JSON."""
        return ReportSummary(
            passed=self.passed,
            comparisons=len(self.comparisons),
            failed=sum(not comparison.passed for comparison in self.comparisons),
            points=self.compared,
            new=sum(comparison.new for comparison in self.comparisons),
            recorded=self.recorded,
            compared_with=self.compared_with,
            deviations=tuple(sorted(self.deviations)),
            skipped=tuple(f"{what}: {why}" for what, why in self.skipped.items()),
            findings=self.findings,
        )

    @property
    def _undrawn(self) -> tuple[Comparison, ...]:
        return undrawn(self.comparisons)

    def document(self) -> Document:
        """The report as a document: the verdict, the largest errors of every activation, what fails, and figures.

        Returns:
            The document.
        """
        from crosscheck._report.text import document

        return document(self)

    def panels(self) -> Mapping[str, Mapping[str, Profile]]:
        """The errors for the figure: a panel for each order of one activation, the first that fails, or the first.

        Returns:
            The profiles of errors by panel and label.
        """
        from crosscheck._report.text import panels

        return panels(self.comparisons)
