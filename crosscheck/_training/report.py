"""Two trainings of a perceptron, or many, to be printed, asked and written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, BoolArray
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.plain import plain
from crosscheck._report.document import Block, Document, Drawing, Heading, Paragraph, Table
from crosscheck._report.written import Documented
from crosscheck._training.agreement import TIMES_CONTROL, Agreement
from crosscheck._training.records import History, Setup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "crosscheck.perceptron/1"
ROWS = 10
"""Epochs that are shown: every 100th of 1,000."""

MEANING = {
    "exact": "bit for bit the same",
    "rounding": "they differ by rounding",
    "inaccurate": "they drift apart by more than rounding explains, though each step is right within rounding",
}

_KNOWN = "what the losses are known to lose far out"


@dataclass(frozen=True)
class PerceptronReport(Documented):
    """The result of ``perceptron``.

    Attributes:
        gate: What was learned.
        seed: The seed of the start.
        planted: The faults that were planted, by framework.
        setup: What both trainings depend on.
        histories: Every tensor of every epoch, by framework.
        agreement: The verdict: cause, first and largest difference, growth, faults.
        environment: Versions, devices and settings on which the results may depend.
    """

    gate: str
    seed: int
    planted: Mapping[str, str]
    setup: Setup
    histories: Mapping[str, History]
    agreement: Agreement
    environment: Mapping[str, object]

    @property
    def agree(self) -> bool:
        """Whether both trainings agree, learned or not."""
        return self.agreement.agree

    @property
    def passed(self) -> bool:
        """The same as ``agree``, under the name that every report has."""
        return self.agree

    def predictions(self, framework: str) -> BoolArray:
        """The predictions of a framework after the last epoch.

        Args:
            framework: ``torch`` or ``jax``.

        Returns:
            Whether the sigmoid is at least a half (points, outputs).
        """
        final = self.histories[framework].final.astype(np.float64)
        if self.setup.logits:
            with np.errstate(over="ignore"):
                final = (1 / (1 + np.exp(-final))).astype(self.setup.x.dtype)
        return np.asarray(final >= 0.5)

    def accuracy(self, framework: str) -> float:
        """The share of the labels that a framework predicts.

        Args:
            framework: ``torch`` or ``jax``.

        Returns:
            A number from 0 to 1.
        """
        return float((self.predictions(framework) == (self.setup.y == 1)).mean())

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        what = f"{self.gate}, {self.setup.dtype}, {self.setup.epochs:,} epochs"
        if not self.agreement.findings:
            known = f" and by {_KNOWN} (crosscheck perceptron --losses)" if self.agreement.declared else ""
            return f"{'AGREE' if self.agree else 'DISAGREE'}: {what}: {MEANING[self.agreement.cause]}{known}."
        first = self.agreement.findings[0]
        where = f"first seen at epoch {first.epoch} in {first.tensor}"
        return f"DISAGREE: {what}: {first.framework} has the fault {first.fault!r}, {where}."

    def data(self) -> dict[str, object]:
        """The report as plain data (schema ``crosscheck.perceptron/1``).

        Returns:
            What ``to_json`` writes.
        """
        return {"schema": SCHEMA, "environment": plain(self.environment), **self.training()}

    def training(self) -> dict[str, object]:
        """The part of the data that is about this training.

        Returns:
            The data without ``schema`` and ``environment``.
        """
        verdict, setup = self.agreement, self.setup
        return {
            "gate": self.gate,
            "settings": {
                "epochs": setup.epochs,
                "learning_rate": setup.learning_rate,
                "seed": self.seed,
                "dtype": setup.dtype,
                "loss": "bce_with_logits" if setup.logits else "bce",
                "planted": dict(self.planted),
            },
            "frameworks": {
                name: {
                    "losses": plain(history["loss"].tolist()),
                    "accuracy": self.accuracy(name),
                    "predictions": self.predictions(name).astype(int).ravel().tolist(),
                    "weights": {tensor: plain(history[tensor][-1].tolist()) for tensor in ("weight", "bias")},
                }
                for name, history in self.histories.items()
            },
            "agree": self.agree,
            "cause": verdict.cause,
            "declared": verdict.declared,
            "first_difference": plain(asdict(verdict.first)) if verdict.first else None,
            "largest_difference": {name: plain(asdict(one)) for name, one in verdict.largest.items()},
            "growth": {str(epoch): plain({"frameworks": a, "control": b}) for epoch, (a, b) in verdict.growth.items()},
            "faults": [plain(asdict(finding)) for finding in verdict.findings],
        }

    def plot(self) -> Figure:
        """Draw both loss curves, their difference, and the decision boundary if there are two inputs.

        Returns:
            A figure that belongs to no window.
        """
        from crosscheck._training.plot import draw

        return draw(self)

    def document(self) -> Document:
        """The report as a document: the losses, the predictions, where the trainings part, and a figure.

        Returns:
            The document.
        """
        evidence = map(Paragraph, (*_faults(self), *_first(self), *_size(self)))
        figure = Drawing(self.plot, f"{self.gate}: the losses of both trainings, and how far they are apart")
        blocks: list[Block] = [_losses(self), _results(self), Heading("Differences"), *evidence, figure]
        return Document(self.headline, self.passed, blocks, self.environment)


def _losses(report: PerceptronReport) -> Table:
    epochs, digits = report.setup.epochs, {"float32": 9, "float64": 17}[report.setup.dtype]
    rows = [["epoch", "loss in torch", "loss in jax", "difference"]]
    for epoch in sorted({1, *range(step := max(1, epochs // ROWS), epochs + 1, step), epochs}):
        torch, jax = (float(report.histories[name]["loss"][epoch - 1]) for name in FRAMEWORKS)
        rows.append([f"{epoch:,}", f"{torch:.{digits}g}", f"{jax:.{digits}g}", f"{torch - jax:.2g}"])
    return Table(rows)


def _results(report: PerceptronReport) -> Table:
    predictions = (report.predictions(name).astype(int).ravel().tolist() for name in FRAMEWORKS)
    labels = str(report.setup.y.astype(int).ravel().tolist())
    return Table(
        [
            ["", *FRAMEWORKS],
            ["accuracy", *(f"{report.accuracy(name):.0%}" for name in FRAMEWORKS)],
            ["predictions", *map(str, predictions)],
            ["labels", labels, labels],
        ]
    )


def _faults(report: PerceptronReport) -> Iterator[str]:
    for name, fault in report.planted.items():
        yield f"Planted in {name}: {fault}."
    for finding in report.agreement.findings:
        where = f"from epoch {finding.epoch} on, first in {finding.tensor}"
        yield f"{finding.framework}: {finding.fault}, {where}: {finding.message}."


def _first(report: PerceptronReport) -> Iterator[str]:
    first = report.agreement.first
    if first is None:
        yield "No difference: every tensor is bit-equal at every epoch."
        return
    where = f"{first.tensor}{list(first.index) if first.index else ''}"
    fmt = FORMATS[report.setup.dtype]
    with np.errstate(invalid="ignore"):
        largest = np.array([max(abs(first.torch), abs(first.jax))])
        units = abs(first.torch - first.jax) / float(unit_of(fmt, largest)[0])
    yield f"First difference: epoch {first.epoch}, {where}: torch {first.torch!r}, jax {first.jax!r}, {units:.3g} ulp apart."


def _size(report: PerceptronReport) -> Iterator[str]:
    verdict = report.agreement
    if verdict.first is None:
        return
    tensor, largest = max(verdict.largest.items(), key=lambda item: item[1].difference)
    yield f"Largest difference: {largest.difference:.2g}, in {tensor} at epoch {largest.epoch}."
    growth = {f"epoch {epoch:,}": pair for epoch, pair in verdict.growth.items() if epoch}
    yield "How far the weights are apart: " + ", ".join(f"{a:.2g} at {epoch}" for epoch, (a, _) in growth.items()) + "."
    yield "Had the start moved by one ulp: " + ", ".join(f"{b:.2g} at {epoch}" for epoch, (_, b) in growth.items()) + "."
    if verdict.agree:
        known = f" together with {_KNOWN}" if verdict.declared else ""
        yield (
            f"Cause: {verdict.cause}. Every step of both sides follows from the step before within rounding, and no tensor "
            f"is further apart than {TIMES_CONTROL:g} times the control explains{known}."
        )
