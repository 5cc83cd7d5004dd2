"""Reports on every gate from many starts, and on the losses at extreme inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from crosscheck._frameworks.lacking import not_run
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.plain import plain
from crosscheck._report.document import Block, Document, Heading, Lines, Paragraph, Table
from crosscheck._report.written import Documented
from crosscheck._training.losses import DIFFERENCES, LossPoint, stale
from crosscheck._training.many import TIMES_CONTROL, GateResult
from crosscheck._training.report import SCHEMA


@dataclass(frozen=True)
class PerceptronsReport(Documented):
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
        """Whether the frameworks predict the same at every point of every gate from every start, except on the boundary."""
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

    def document(self) -> Document:
        """The report as a document: every gate, and the points at which the frameworks differ or may.

        Returns:
            The document.
        """
        head = ["gate", "truth", "learned in torch", "in jax", "mean accuracy", "logits apart", "control", "on the boundary"]
        reach = f"{TIMES_CONTROL:g} times that, or the roundoff"
        blocks: list[Block] = [
            Table([head, *map(_gate_cells, self.gates)]),
            Paragraph(f"The control moves every start by one ulp; a logit is on the boundary within {reach}."),
        ]
        never = [gate.gate for gate in self.gates if not any(gate.learned(name) for name in FRAMEWORKS)]
        if never:
            blocks.append(Paragraph(f"Never learned, in either framework: {', '.join(never)}."))
        lines = [
            f"{gate.gate}, seed {seed}, point {point}: the predictions differ"
            for gate in self.gates
            for seed, point in gate.disagreements
        ]
        lines += [
            f"{gate.gate}, seed {one.seed}, point {one.point}: on the boundary, torch {one.torch:.3g}, jax {one.jax:.3g}"
            for gate in self.gates
            for one in gate.boundary
        ]
        if lines:
            blocks.append(Lines("Points that differ, or are on the boundary", lines))
        return Document(self.headline, self.passed, blocks, self.environment)


def _gate_cells(gate: GateResult) -> list[str]:
    return [
        gate.gate,
        gate.truth,
        *(f"{gate.learned(name):,}" for name in FRAMEWORKS),
        " / ".join(dict.fromkeys(f"{gate.accuracy[name].mean():.1%}" for name in FRAMEWORKS)),
        f"{gate.apart:.2g}",
        f"{gate.control:.2g}",
        str(len(gate.boundary)),
    ]


@dataclass(frozen=True)
class LossesReport(Documented):
    """The result of ``losses``.

    Attributes:
        points: Every point, judged in ULP of the exact value.
        environment: Versions, devices and settings on which the results may depend.
        skipped: What cannot be run here, and why.
    """

    points: tuple[LossPoint, ...]
    environment: Mapping[str, object]
    skipped: Mapping[str, str] = field(default_factory=dict)

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
        points, lost = f"{len(self.points):,} points", not_run(self.skipped)
        if self.passed:
            seen = len({point.declared for point in self.points} - {None})
            return f"PASSED: {points}, no undeclared difference; {seen} declared ones seen again{lost}."
        return f"FAILED: {wrong:,} of {points} differ undeclared; not seen again: {', '.join(self.stale) or 'none'}{lost}."

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

    def document(self) -> Document:
        """The report as a document: the largest errors, what is not declared, and the declared differences.

        Returns:
            The document.
        """
        groups: dict[tuple[str, str, int], list[LossPoint]] = {}
        for point in self.points:
            groups.setdefault((point.implementation, point.dtype, point.order), []).append(point)
        head = ["implementation", "dtype", "", "points", "largest error [ULP]", "beyond, declared", "beyond, undeclared"]
        blocks: list[Block] = [Table([head, *(_loss_cells(*key, points) for key, points in groups.items())], keys=3)]
        if undeclared := [str(point) for point in self.points if not point.passed]:
            blocks.append(Lines("Not declared", undeclared))
        blocks += [Heading("Declared differences"), *map(Paragraph, _declared(self))]
        if self.skipped:
            blocks.append(Lines("Not run here", [f"{what}: {why}" for what, why in self.skipped.items()]))
        return Document(self.headline, self.passed, blocks, self.environment)


def _loss_cells(implementation: str, dtype: str, order: int, points: Sequence[LossPoint]) -> list[str]:
    within = [point.ulp for point in points if point.declared is None]
    declared = sum(point.declared is not None for point in points)
    undeclared = sum(not point.passed for point in points)
    counts = (str(len(points)), f"{max(within):.2g}", str(declared), str(undeclared))
    return [implementation, dtype, ("value", "gradient")[order], *counts]


def _declared(report: LossesReport) -> Iterator[str]:
    """Each declared difference, and the point at which it is largest."""
    run = {point.implementation for point in report.points}
    for difference in (one for one in DIFFERENCES if run & {*one.implementations}):
        yield f"{difference.id} ({', '.join(difference.implementations)}): {difference.reason}"
        seen = [point for point in report.points if point.declared == difference.id]
        if seen:
            worst = max(seen, key=lambda point: point.ulp)
            at = f"{'z' if worst.loss == 'logits' else 'p'} = {worst.input:g}, label {worst.label:g}, {worst.dtype}"
            what = ("value", "gradient")[worst.order]
            got, exact = _told_apart(worst.got, worst.exact)
            yield f"    {worst.implementation}, {at}: {what} {got}, exact {exact}"


def _told_apart(got: float, exact: float) -> tuple[str, str]:
    """Two numbers, with as many digits as it takes to see that they differ."""
    written = [(f"{got:.{digits}g}", f"{exact:.{digits}g}") for digits in range(6, 18)]
    return next((pair for pair in written if pair[0] != pair[1]), written[-1])
