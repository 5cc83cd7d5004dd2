"""Reports on sweeps, read and written, and one table of several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

from crosscheck._arithmetic.profile import Profile
from crosscheck._frameworks.lacking import not_run
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import IMPLEMENTATIONS, Implementation, legend, on_screen
from crosscheck._records.names import DTYPES, ORDER_NAMES, ORDERS, budget
from crosscheck._report.blocks import Block, Drawing, Paragraph, Table
from crosscheck._report.document import Document
from crosscheck._report.json_file import Summary, read
from crosscheck._report.written import Written
from crosscheck._sweep.records import EDGES, SweepDifference, SweepResult

SCHEMA = "crosscheck.sweep/1"
HEAD = ("function", "order", "implementation", "max ULP", "at", "correctly rounded", "flushed", "special")
CORRECT = 0.5
"""The error, in ULP, that is drawn for a binade in which every result is correctly rounded."""
SIZES = (*(f"{edge}" if edge < 1024 else f"2^{edge.bit_length() - 1}" for edge in EDGES), "", "")
"""The bounds of the histogram, as a profile has them."""


@dataclass(frozen=True)
class InputRange:
    """The first and the last input, and their bits."""

    low: float
    high: float
    bits: tuple[str, str]


@dataclass(frozen=True)
class SweepReport(
    Written,
    schema=SCHEMA,
    written=("function", "dtype", "parameters", "range", "results", "differences", "environment", "summary"),
):
    """The result of ``sweep``.

    Attributes:
        function: The name of the activation.
        dtype: The dtype of the inputs.
        parameters: The values of its parameters.
        low: The first input; may be NaN.
        high: The last input; may be NaN.
        bits: The bits of these two in hexadecimal.
        results: One record for each implementation and order.
        differences: How many results of each pair of implementations differ.
        environment: Versions, devices and settings on which the results may depend.
        skipped: What was requested and cannot be run here, and why; empty if the report was read from a file.
    """

    function: str
    dtype: str
    parameters: Mapping[str, float]
    low: float
    high: float
    bits: tuple[str, str]
    results: tuple[SweepResult, ...]
    differences: tuple[SweepDifference, ...]
    environment: Mapping[str, object]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return max(result.inputs for result in self.results)

    @property
    def beyond(self) -> tuple[SweepResult, ...]:
        """The results of crosscheck's own implementations that exceed the budget, or have a wrong NaN or infinity."""
        return tuple(
            result
            for result in self._own
            if (result.max_ulp or 0.0) > budget(self.dtype, result.order) or result.special or result.subnormal
        )

    @property
    def _own(self) -> list[SweepResult]:
        return [result for result in self.results if Implementation.of(result.implementation).own]

    @property
    def passed(self) -> bool:
        """Whether the own implementations keep the budget at every input; what the frameworks ship is only measured."""
        return not self.beyond

    @property
    def headline(self) -> str:
        """The result in one line."""
        all_of = isnan(self.low) and isnan(self.high)
        where = "every input there is" if all_of else f"every input from {self.low:.9g} to {self.high:.9g}"
        said = ": the own implementations keep the budget at each" if self._own else ""
        for result in self.beyond[:1]:
            whose = f"the {ORDER_NAMES[result.order]} of {on_screen(result.implementation)}"
            said = f": {whose} is beyond its budget of {budget(self.dtype, result.order):g} ULP"
        return f"{self.function}, {self.dtype}: {where}, {self.inputs:,}{said}{not_run(self.skipped)}"

    @property
    def range(self) -> InputRange:
        """The first and the last input, as in the JSON."""
        return InputRange(self.low, self.high, self.bits)

    @property
    def summary(self) -> Summary:
        """The end of its JSON."""
        return Summary(self.passed, self.headline)

    def panels(self) -> Mapping[str, Mapping[str, Profile]]:
        """The data of the report's figure: the largest error in each binade, and the number of errors of each size.

        Returns:
            The profiles of errors by order and implementation.
        """
        places = sorted({binade.place for result in self.results for binade in result.binades})
        panels: dict[str, dict[str, Profile]] = {}
        for result in self.results:
            worst = {binade.place: binade.ulp for binade in result.binades}
            errors = tuple(worst.get(place, CORRECT) for place in places)
            counts = tuple(result.histogram.get(str(edge), 0) for edge in EDGES)
            profile = Profile("binade", tuple(low for low, _ in places), errors, (*counts, 0, 0), SIZES)
            title = f"{self.function} {ORDER_NAMES[result.order]}, {self.dtype}"
            panels.setdefault(title, {})[on_screen(result.implementation)] = profile
        return panels

    def document(self) -> Document:
        """The report as a document, with its figure.

        Returns:
            The document.
        """
        table = Table([HEAD[1:], *(_cells(self, result)[1:] for result in self.results)])
        caption = f"{self.function}: the largest error in each binade of inputs, and how many results are how far off"
        blocks: list[Block] = [table, *map(Paragraph, _remarks(self)), Drawing(self.plot, caption)]
        return Document(self.headline, self.passed, blocks, self.environment)


def read_sweep(path: str | Path) -> SweepReport:
    """A report from a JSON file; ``UsageError`` if the file holds none."""
    file = read(SweepReport, path, "table", "crosscheck sweep NAME --json", _check)
    about, span = (file.function, file.dtype, file.parameters), (file.range.low, file.range.high, file.range.bits)
    return SweepReport(*about, *span, file.results, file.differences, file.environment)


def _check(file: Any) -> None:
    """Raise ``ValueError`` if the fields have the right types but contradict each other."""
    if file.dtype not in DTYPES:
        raise ValueError(f"dtype: got {file.dtype!r}, expected one of {', '.join(DTYPES)}")
    if not file.results:
        raise ValueError("results: there are none")
    for result in file.results:
        if result.order not in ORDERS or result.implementation not in IMPLEMENTATIONS or result.inputs < 1:
            raise ValueError(
                f"results: {result.implementation!r}, order {result.order}, {result.inputs} inputs are no result of a sweep"
            )


def read_sweeps(folder: str | Path) -> list[SweepReport]:
    """The reports in a folder, ordered by name; ``UsageError`` if there is none."""
    if not Path(folder).is_dir():
        what = "is a file" if Path(folder).exists() else "does not exist"
        raise UsageError(f"table: {folder} {what}, expected a folder with what `crosscheck sweep NAME --json` has written")
    paths = sorted(Path(folder).glob("*.json"))
    if not paths:
        raise UsageError(f"table: {folder} holds no .json file; write them with `crosscheck sweep NAME --json`")
    return [read_sweep(path) for path in paths]


def _remarks(report: SweepReport) -> list[str]:
    """How many results differ in bits, and what the column of the table means."""
    about = f"max ULP is over finite results whose truth is normal or 0; from {report.bits[0]} to {report.bits[1]}."
    pairs = ((on_screen((difference.implementation, difference.against)), difference) for difference in report.differences)
    return [
        *(
            f"{both} differ in bits at {difference.inputs:,} inputs ({ORDER_NAMES[difference.order]})"
            for both, difference in pairs
        ),
        f"{about} {legend({result.implementation for result in report.results})}",
        *(f"Not run here: {what}: {why}" for what, why in report.skipped.items()),
    ]


def table_document(reports: Sequence[SweepReport]) -> Document:
    """Several reports as one table."""
    rows = [_cells(report, result) for report in reports for result in report.results]
    title = f"{len(reports)} sweep{'s' * (len(reports) != 1)}: " + ", ".join(report.function for report in reports)
    return Document(title, all(report.passed for report in reports), [Table([HEAD, *rows])])


def _cells(report: SweepReport, result: SweepResult) -> tuple[str, ...]:
    worst = result.worst
    judged = result.inputs - result.not_judged
    share = result.correctly_rounded / judged if judged else 0.0
    return (
        report.function if report.dtype == "float32" else f"{report.function} {report.dtype}",
        ORDER_NAMES[result.order],
        on_screen(result.implementation),
        "" if result.max_ulp is None else f"{result.max_ulp:.4g}" if result.max_ulp < 1e6 else f"{result.max_ulp:.3g}",
        "" if worst is None else f"{worst.input:.9g}",
        f"{int(share * 1e5) / 1e3:.3f}%",  # rounded down, so that it is 100% only for all of them
        f"{result.flushed:,}",
        f"{result.special:,}",
    )
