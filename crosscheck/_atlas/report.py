"""The atlas of a run: every disagreement in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isinf, isnan
from pathlib import Path
from typing import Any

from crosscheck._atlas.records import LAYOUTS, Area, AtlasRow, Coverage, Input, Outcome
from crosscheck._atlas.rows import distinct
from crosscheck._frameworks.lacking import not_run
from crosscheck._records.implementations import IMPLEMENTATIONS, USUAL_MODES, legend, on_screen
from crosscheck._records.names import ORDER_NAMES
from crosscheck._report.blocks import Block, Heading, Paragraph, Table
from crosscheck._report.document import Document
from crosscheck._report.json_file import read
from crosscheck._report.terminal import as_text, layout
from crosscheck._report.written import Documented

SCHEMA = "crosscheck.atlas/1"
FIRST_DTYPE = "float32"
"""An example in this dtype is preferred to one in another dtype."""


@dataclass(frozen=True)
class AtlasSummary:
    """The end of an atlas: the number of rows of each kind; ``distinct`` is the number of those in ``Atlas.distinct``."""

    passed: bool
    points: int
    disagreements: int
    declared: int
    undeclared: int
    seen: int
    distinct: int
    refuted: int
    headline: str


@dataclass(frozen=True)
class Atlas(
    Documented,
    schema=SCHEMA,
    written=("environment", "coverage", "rows", "summary"),
    renamed={"rows": "deviations"},
):
    """The result of ``atlas``.

    Attributes:
        rows: One for each disagreement: the declared deviations first, then those that are not declared.
        environment: Versions, devices and settings on which the results may depend.
        coverage: What was run: ``functions``, ``dtypes``, ``modes``, ``layout``, ``seed`` and ``quick``.
        compared: The number of points that were judged; 0 means that nothing was compared.
        skipped: What was requested and cannot be run here, such as ``jax``, ``float16 in jax`` or ``compile``, and why.
    """

    rows: tuple[AtlasRow, ...]
    environment: Mapping[str, Any]
    coverage: Coverage
    compared: int
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether something was compared, every disagreement is declared, and every declaration holds."""
        return self.compared > 0 and all(row.passed for row in self.rows)

    @property
    def distinct(self) -> tuple[AtlasRow, ...]:
        """The rows that were observed, without those that have the region and the mechanism of an earlier one."""
        return tuple(distinct(row for row in self.rows if row.seen))

    @property
    def summary(self) -> AtlasSummary:
        """The counts, and the verdict in one line.

        Returns:
            The summary, as in the JSON.
        """
        declared, seen = sum(row.declared for row in self.rows), sum(row.seen for row in self.rows)
        refuted = sum(bool(row.findings) for row in self.rows)
        functions, undeclared = len(self.coverage.functions), len(self.rows) - declared
        if not self.compared:
            headline = "FAILED: nothing was compared."
        else:
            said = (
                f"{_count(len(self.rows), 'disagreement')} about {_count(functions, 'function')}, {seen} of them seen here"
            )
            wrong = [f"{undeclared} not declared"] * bool(undeclared) + [f"{refuted} not as declared"] * bool(refuted)
            said = f"FAILED: {said}; {', '.join(wrong)}" if wrong else f"PASSED: {said}, all declared"
            headline = f"{said}{not_run(self.skipped)}."
        return AtlasSummary(
            passed=self.passed,
            points=self.compared,
            disagreements=len(self.rows),
            declared=declared,
            undeclared=undeclared,
            seen=seen,
            distinct=len(self.distinct),
            refuted=refuted,
            headline=headline,
        )

    def document(self) -> Document:
        """The atlas as a document: every row, by function.

        Returns:
            The document.
        """
        blocks: list[Block] = []
        for function, natives in {row.function: row.natives for row in self.rows}.items():
            shipped = "; ".join(f"{on_screen(implementation)} is {path}" for implementation, path in natives.items())
            rows = [_cells(row) for row in self.rows if row.function == function]
            blocks += [Heading(function), *([Paragraph(f"{shipped}.")] if shipped else []), Table([list(HEAD), *rows])]
        if findings := [[row.id, finding] for row in self.rows for finding in row.findings]:
            blocks += [Heading("Not as declared"), Table([["disagreement", "what refutes it"], *findings])]
        return Document(self.summary.headline, self.passed, [*blocks, *_not_run(self)], self.environment)

    def __str__(self) -> str:
        return as_text(layout(printed(self)))


def read_atlas(path: str | Path, what: str) -> Atlas:
    """An atlas from its JSON; ``UsageError`` names the argument ``what``, and why the file cannot be used."""
    file = read(Atlas, path, what, "crosscheck atlas --json", _check)
    return Atlas(file.rows, file.environment, file.coverage, file.summary.points)


def _check(file: Any) -> None:
    for row in file.rows:
        if not len(row.inputs) == len(row.results) == len(row.truth):
            raise ValueError(f"{row.id}: inputs, results and truth differ in number")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def printed(atlas: Atlas) -> Document:
    """What is printed of the atlas: every row in short form, the failing ones first."""
    blocks: list[Block] = []
    if atlas.rows:
        rows = [
            [row.id, settings(row), row.cause, row.side or "", (examples(row) or [""])[0], status(row)]
            for row in sorted(atlas.rows, key=lambda row: row.passed)
        ]
        about = legend({result.implementation for row in atlas.rows for results in row.results for result in results})
        blocks += [Table([["disagreement", "of", "cause", "side", "for example", ""], *rows]), Paragraph(about)]
    blocks += [Paragraph(f"{row.id}: {finding}") for row in atlas.rows for finding in row.findings]
    return Document(atlas.summary.headline, atlas.passed, [*blocks, *_not_run(atlas)])


def _not_run(atlas: Atlas) -> Iterator[Block]:
    return (Paragraph(f"Not run here: {what}: {why}") for what, why in atlas.skipped.items())


def status(row: AtlasRow) -> str:
    if not row.declared:
        return "NOT DECLARED"
    if row.findings:
        return "NOT AS DECLARED"
    return "seen" if row.seen else "not seen"


def settings(row: AtlasRow) -> str:
    """The derivatives, the dtypes, and the modes if these are not the usual ones."""
    modes = "" if set(row.modes) & set(USUAL_MODES) else f"; in {', '.join(row.modes)}"
    return f"{', '.join(ORDER_NAMES[order] for order in row.orders)}; {', '.join(row.dtypes)}{modes}"


def examples(row: AtlasRow) -> list[str]:
    """One line for the first example of each order, in float32 where there is one: the results and the exact result."""
    lines = []
    for order in row.orders:
        of_order = [example for example in zip(row.inputs, row.results, row.truth, strict=True) if example[0].order == order]
        if of_order:
            at, results, truth = next((example for example in of_order if example[0].dtype == FIRST_DTYPE), of_order[0])
            exact = "no exact result" if truth is None else f"exact {truth.decimal}"
            shown = {
                (IMPLEMENTATIONS.index(result.implementation), tuple(LAYOUTS).index(result.layout)): outcome(result)
                for result in reversed(results)
                if result.implementation in (*row.implementations, *row.natives)
            }
            said = ", ".join(shown[key] for key in sorted(shown))
            lines.append(f"{ORDER_NAMES[order]} at {place(at)}: {said}; {exact}")
    return lines


def place(at: Input) -> str:
    parameters = "".join(f", {name} = {value:g}" for name, value in at.parameters.items() if name != "axis")
    row = f" in a row of {at.place.length or len(at.place.bits)}" if at.place else ""
    return f"{at.x.decimal}{row} ({at.dtype}{parameters})"


def outcome(result: Outcome) -> str:
    who = f"{on_screen(result.implementation)} {LAYOUTS[result.layout]}".rstrip()
    return f"{who}: {result.message}" if result.got is None else f"{who} {result.got.decimal}"


HEAD = ("disagreement", "of", "cause", "side", "inputs", "for example", "why", "source", "differs from", "")


def _cells(row: AtlasRow) -> list[str]:
    beside = "; ".join(f"{other.id} in {' and '.join(other.differs)}" for other in row.beside)
    why = row.reason + (" It looks like a bug." if row.bug else "")
    inputs, results = "; ".join(dict.fromkeys(map(area, row.region))), ". ".join(examples(row))
    return [row.id, settings(row), row.cause, row.side or "", inputs, results, why, row.link, beside, status(row)]


def area(region: Area) -> str:
    intervals = ", ".join(
        f"{low:g}" if low == high or isnan(low) else f"{low:g} to {high:g}" for low, high in region.intervals
    )
    lengths = f" in rows of {', '.join(map(str, region.lengths))}" if region.lengths else ""
    parameters = "".join(f", {name} = {value:g}" for name, value in region.parameters.items())
    bound = "" if isinf(region.max_ulp) else f", at most {region.max_ulp:.4g} ULP"
    return f"{ORDER_NAMES[region.order]} {intervals}{lengths}{parameters} ({', '.join(region.dtypes)}{bound})"
