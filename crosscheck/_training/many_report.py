"""Every gate from many starts, and the losses far out: to be printed, asked and written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from crosscheck._records.plain import plain
from crosscheck._report.json_file import write_json
from crosscheck._report.terminal import as_text
from crosscheck._training.agreement import FRAMEWORKS, TIMES_CONTROL
from crosscheck._training.losses import DIFFERENCES, LossPoint, stale
from crosscheck._training.many import GateResult
from crosscheck._training.report import SCHEMA

MOST = 10


@dataclass(frozen=True)
class PerceptronsReport:
    """The result of ``perceptrons``.

    Attributes:
        gates: One result for each gate.
        settings: The arguments of the run.
        environment: Versions, devices and settings on which the results may depend.
    """

    gates: tuple[GateResult, ...]
    settings: Mapping[str, object]
    environment: Mapping[str, object]

    @property
    def agree(self) -> bool:
        """Whether the frameworks predict the same at every point of every gate from every start, off the boundary."""
        return all(gate.agree for gate in self.gates)

    @property
    def passed(self) -> bool:
        """The same as ``agree``, under the name that every report has."""
        return self.agree

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        predictions = sum(gate.predictions["torch"].size for gate in self.gates)
        what = f"{len(self.gates)} gate{'s' * (len(self.gates) != 1)} from {self.settings['seeds']:,} starts each"
        wrong = sum(len(gate.disagreements) for gate in self.gates)
        if wrong:
            return f"DISAGREE: {what}: {wrong:,} of {predictions:,} predictions differ, off the boundary or not finite."
        listed = sum(len(gate.boundary) for gate in self.gates)
        tail = f"; {listed:,} logits sit on the boundary within rounding" if listed else ""
        return f"AGREE: {what}: the same {predictions:,} predictions in torch and jax{tail}."

    def data(self) -> dict[str, object]:
        """The report as plain data (schema ``crosscheck.perceptron/1``).

        Returns:
            What ``to_json`` writes.
        """
        return {
            "schema": SCHEMA,
            "environment": plain(self.environment),
            "gate": [gate.gate for gate in self.gates],
            "settings": plain(self.settings),
            "gates": [
                {
                    "gate": gate.gate,
                    "frameworks": {
                        name: {
                            "accuracy": gate.accuracy[name].tolist(),
                            "predictions": gate.predictions[name].astype(int).tolist(),
                            "learned": gate.learned(name),
                        }
                        for name in FRAMEWORKS
                    },
                    "agree": gate.agree,
                    "largest_difference": plain(gate.apart),
                    "control": plain(gate.control),
                    "boundary": [plain(asdict(one)) for one in gate.boundary],
                    "disagreements": plain(gate.disagreements),
                }
                for gate in self.gates
            ],
            "agree": self.agree,
        }

    def to_json(self, path: str | Path) -> None:
        """Write the report as JSON, whole or not at all.

        Args:
            path: The file, compressed if it ends in ``.gz``.

        Raises:
            OSError: If the file cannot be written.
        """
        write_json(path, self.data())

    def __str__(self) -> str:
        return as_text(many_layout(self))


def many_layout(report: PerceptronsReport) -> RenderableType:
    """The report as something rich prints."""
    table = Table("gate", "truth", box=None, pad_edge=False)
    for column in ("learned in torch", "in jax", "mean accuracy", "logits apart", "control", "on the boundary"):
        table.add_column(column, justify="right")
    for gate in report.gates:
        table.add_row(
            gate.gate,
            gate.truth,
            *(f"{gate.learned(name):,}" for name in FRAMEWORKS),
            " / ".join(dict.fromkeys(f"{gate.accuracy[name].mean():.1%}" for name in FRAMEWORKS)),
            f"{gate.apart:.2g}",
            f"{gate.control:.2g}",
            str(len(gate.boundary)),
        )
    lines = [
        f"{gate.gate}, seed {seed}, point {point}: the predictions differ"
        for gate in report.gates
        for seed, point in gate.disagreements
    ]
    lines += [
        f"{gate.gate}, seed {one.seed}, point {one.point}: on the boundary, torch {one.torch:.3g}, jax {one.jax:.3g}"
        for gate in report.gates
        for one in gate.boundary
    ]
    more = [f"and {len(lines) - MOST:,} more; --json has them all"] if len(lines) > MOST else []
    never = [gate.gate for gate in report.gates if not any(gate.learned(name) for name in FRAMEWORKS)]
    said = [f"Never learned, in either framework: {', '.join(never)}."] if never else []
    reach = f"{TIMES_CONTROL:g} times that, or the roundoff"
    legend = f"The control moves every start by one ulp; a logit is on the boundary within {reach}."
    style = "bold green" if report.agree else "bold red"
    return Group(
        Text(report.headline, style=style), Text(), table, Text(legend), *map(Text, said), *map(Text, lines[:MOST] + more)
    )


@dataclass(frozen=True)
class LossesReport:
    """The result of ``losses``.

    Attributes:
        points: Every point, judged in ULP of the exact value.
        environment: Versions, devices and settings on which the results may depend.
    """

    points: tuple[LossPoint, ...]
    environment: Mapping[str, object]

    @property
    def stale(self) -> list[str]:
        """The declared differences that did not occur."""
        return stale(list(self.points))

    @property
    def passed(self) -> bool:
        """Whether every difference is declared, and every declared difference occurred."""
        return bool(self.points) and all(point.passed for point in self.points) and not self.stale

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        wrong = sum(not point.passed for point in self.points)
        points = f"{len(self.points):,} points"
        if self.passed:
            return f"PASSED: {points}, no undeclared difference; {len(DIFFERENCES)} declared ones seen again."
        return f"FAILED: {wrong:,} of {points} differ undeclared; not seen again: {', '.join(self.stale) or 'none'}."

    def data(self) -> dict[str, object]:
        """The report as plain data (schema ``crosscheck.losses/1``).

        Returns:
            What ``to_json`` writes.
        """
        return {
            "schema": "crosscheck.losses/1",
            "environment": plain(self.environment),
            "points": [plain(vars(point)) for point in self.points],
            "declared": {
                one.id: {"implementations": list(one.implementations), "reason": one.reason} for one in DIFFERENCES
            },
            "stale": self.stale,
            "passed": self.passed,
        }

    def to_json(self, path: str | Path) -> None:
        """Write the report as JSON, whole or not at all.

        Args:
            path: The file, compressed if it ends in ``.gz``.

        Raises:
            OSError: If the file cannot be written.
        """
        write_json(path, self.data())

    def __str__(self) -> str:
        return as_text(losses_layout(self))


def losses_layout(report: LossesReport) -> RenderableType:
    """The report as something rich prints."""
    table = Table("implementation", box=None, pad_edge=False)
    for column in ("dtype", "", "points", "largest error [ULP]", "beyond, declared", "beyond, undeclared"):
        table.add_column(column, justify="right" if "e" in column and column != "dtype" else "left")
    groups: dict[tuple[str, str, int], list[LossPoint]] = {}
    for point in report.points:
        groups.setdefault((point.implementation, point.dtype, point.order), []).append(point)
    for (implementation, dtype, order), points in groups.items():
        within = [point.ulp for point in points if point.declared is None]
        declared = sum(point.declared is not None for point in points)
        undeclared = sum(not point.passed for point in points)
        row = (dtype, ("value", "gradient")[order], str(len(points)), f"{max(within):.2g}", str(declared), str(undeclared))
        table.add_row(implementation, *row)
    parts: list[RenderableType] = []
    for difference in DIFFERENCES:
        seen = [point for point in report.points if point.declared == difference.id]
        parts.append(Text(f"{difference.id} ({', '.join(difference.implementations)}): {difference.reason}"))
        if seen:
            worst = max(seen, key=lambda point: point.ulp)
            at = f"{'z' if worst.loss == 'logits' else 'p'} = {worst.input:g}, label {worst.label:g}, {worst.dtype}"
            what = ("value", "gradient")[worst.order]
            parts.append(Text(f"    {worst.implementation}, {at}: {what} {worst.got:g}, exact {worst.exact:.6g}"))
    undeclared_lines = [Text(f"Not declared: {point}") for point in report.points if not point.passed]
    style = "bold green" if report.passed else "bold red"
    title = Text("Declared differences:", style="bold")
    return Group(Text(report.headline, style=style), Text(), table, *undeclared_lines[:MOST], Text(), title, *parts)
