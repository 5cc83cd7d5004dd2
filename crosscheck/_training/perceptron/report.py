"""The report on two trainings of a perceptron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, BoolArray, FloatArray, IntArray
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._explain.facts import Fact, clause
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.names import CAUSES, PASSING
from crosscheck._report.blocks import Block, Drawing, Heading, Paragraph, Table
from crosscheck._report.document import Document
from crosscheck._report.written import Documented
from crosscheck._training.records import History, TrainingSetup
from crosscheck._training.training_report import TrainingFault, TrainingReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "crosscheck.perceptron/1"
ROWS = 10
"""The number of epochs that are shown: every 100th of 1,000."""
OWN = "own"
"""The comparison of both frameworks' own trainings."""
TENSORS = ("loss", "weight", "bias")
"""The tensors of each epoch that are kept, in the order of their computation."""

MEANING = {
    "exact": Fact("the same bits"),
    "rounding": Fact("by rounding"),
    "definition": Fact("drift"),
}


@dataclass(frozen=True)
class PerceptronDifference:
    """A difference between two trainings that rounding does not explain.

    Attributes:
        framework: The framework whose training is at fault; None if it is unknown which side is meant.
        part: As in ``TrainingFault``, or ``overflow`` for a loss that stopped being finite.
        epoch: The first epoch at which it shows, from 1.
        tensor: The tensor with the largest difference there.
        message: What differs.
        cause: One of crosscheck's causes.
        facts: What differs, as facts.
    """

    framework: str | None
    part: str
    epoch: int
    tensor: str
    message: str
    cause: str
    facts: tuple[Fact, ...] = ()

    def __str__(self) -> str:
        whose = f"{self.framework}'s " if self.framework else ""
        return f"{whose}{self.part}, from epoch {self.epoch} on: {self.message}"


@dataclass(frozen=True)
class Difference:
    """The first number that is not bit-equal in two trainings; epoch 0 is the start."""

    epoch: int
    tensor: str
    index: tuple[int, ...]
    torch: float
    jax: float


@dataclass(frozen=True)
class Settings:
    """The settings of both trainings."""

    epochs: int
    learning_rate: float
    seed: int
    dtype: str
    loss: str
    planted: Mapping[str, str]


@dataclass(frozen=True)
class Trained:
    """What a framework has learned: the loss of each epoch, and at the end the accuracy, the predictions and the weights."""

    losses: FloatArray
    accuracy: float
    predictions: IntArray
    weights: Mapping[str, FloatArray]


@dataclass(frozen=True)
class PerceptronReport(
    Documented,
    schema=SCHEMA,
    written=("environment", "gate", "settings", "frameworks", "agree", "cause", "first", "findings", "_compared"),
    renamed={"first": "first_difference", "findings": "faults", "_compared": "comparisons"},
):
    """The result of ``perceptron``.

    Attributes:
        gate: What was learned.
        seed: The seed of the start.
        planted: The faults that were planted, by framework.
        setup: The data, the start and the settings of both trainings.
        histories: By framework, the results when it trains by itself: ``loss`` (epochs,), and ``weight`` and ``bias``
            (epochs + 1, ...): the start and the values after each epoch.
        comparisons: The results of ``compare_training``: for the two frameworks' own trainings, under ``own``; or for each
            planted or replaced training, under its framework, compared with the other framework's own.
        environment: Versions, devices and settings on which the results may depend.
    """

    gate: str
    seed: int
    planted: Mapping[str, str]
    setup: TrainingSetup
    histories: Mapping[str, History]
    comparisons: Mapping[str, TrainingReport]
    environment: Mapping[str, object]

    @cached_property
    def findings(self) -> tuple[PerceptronDifference, ...]:
        """The differences that rounding does not explain, by framework."""
        return tuple(self._findings())

    def _findings(self) -> Iterator[PerceptronDifference]:
        for judged, report in self.comparisons.items():
            for fault in report.faults:
                side = fault.side or (None if judged == OWN else judged)
                facts = fault.facts or (_error(fault),)
                words = fault.explanation or clause(facts)
                yield PerceptronDifference(side, fault.part, fault.step, fault.tensor, words, fault.cause, facts)
        for framework in FRAMEWORKS:
            loss = self.histories[framework]["loss"]
            lost = np.flatnonzero(~np.isfinite(loss))
            if lost.size:
                fact = Fact("not finite", "the loss", where=str(loss[lost[0]]))
                yield PerceptronDifference(framework, "overflow", int(lost[0]) + 1, "loss", fact.words(), "special", (fact,))

    @property
    def cause(self) -> str:
        """The worst of crosscheck's causes.

        ``exact`` (bit-equal) and ``rounding`` agree. The others are those of ``compare_training``. If a loss stopped being
        finite, the cause is ``special``.
        """
        causes = [finding.cause for finding in self.findings]
        causes += [
            comparison.cause
            for comparison in self.comparisons.values()
            if comparison.cause is not None and not comparison.faults
        ]
        causes.append("rounding" if self.first else "exact")
        return min(causes, key=CAUSES.index)

    @property
    def agree(self) -> bool:
        """Whether both trainings agree, even if neither has learned its task."""
        return self.cause in PASSING

    @property
    def passed(self) -> bool:
        """The same as ``agree``, under the name that every report has."""
        return self.agree

    @cached_property
    def first(self) -> Difference | None:
        """The first number that is not bit-equal when each framework trains by itself."""
        differences = []
        for name in TENSORS:
            a, b = (self.histories[framework][name] for framework in FRAMEWORKS)
            unequal = np.argwhere((a != b) & ~(np.isnan(a) & np.isnan(b)))
            if len(unequal):
                at = tuple(map(int, unequal[0]))
                differences.append(Difference(at[0] + (name == "loss"), name, at[1:], float(a[at]), float(b[at])))
        return min(differences, key=lambda difference: difference.epoch, default=None)

    def predictions(self, framework: str) -> BoolArray:
        """The predictions of a framework after the last epoch.

        Args:
            framework: ``torch`` or ``jax``.

        Returns:
            Whether the sigmoid is at least a half (points, outputs).
        """
        weight, bias = (self.histories[framework][name][-1].astype(np.float64) for name in ("weight", "bias"))
        with np.errstate(all="ignore"):
            return np.asarray(self.setup.x.astype(np.float64) @ weight.T + bias >= 0)

    def accuracy(self, framework: str) -> float:
        """The share of the labels that a framework predicts correctly.

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
        words = str(self.findings[0]) if self.findings else MEANING[self.cause].words()
        return f"{'AGREE' if self.agree else 'DISAGREE'}: {what}: {words}."

    @property
    def settings(self) -> Settings:
        """The settings of both trainings, as in the JSON."""
        setup = self.setup
        return Settings(setup.epochs, setup.learning_rate, self.seed, setup.dtype, "bce_with_logits", self.planted)

    @property
    def frameworks(self) -> dict[str, Trained]:
        """What each framework has learned, as in the JSON."""
        return {
            name: Trained(
                history["loss"],
                self.accuracy(name),
                self.predictions(name).astype(int).ravel(),
                {tensor: history[tensor][-1] for tensor in ("weight", "bias")},
            )
            for name, history in self.histories.items()
        }

    @property
    def _compared(self) -> dict[str, dict[str, Any]]:
        left_out = ("schema", "environment", "errors")
        return {
            name: {key: value for key, value in report.data().items() if key not in left_out}
            for name, report in self.comparisons.items()
        }

    def plot(self) -> Figure:
        """Draw both loss curves, their difference, and the decision boundary if there are two inputs.

        Returns:
            A figure that belongs to no window.
        """
        from crosscheck._training.perceptron.plot import draw

        return draw(self)

    def document(self) -> Document:
        """The report as a document: the losses, the predictions, where the trainings differ, and a figure.

        Returns:
            The document.
        """
        evidence = map(Paragraph, (*_faults(self), *_first(self), *_drift(self)))
        figure = Drawing(self.plot, f"{self.gate}: the losses of both trainings, and how far they are apart")
        blocks: list[Block] = [_losses(self), _results(self), Heading("Differences"), *evidence, figure]
        return Document(self.headline, self.passed, blocks, self.environment)


def _error(fault: TrainingFault) -> Fact:
    kind = "more than rounding" if fault.cause == "inaccurate" else "apart"
    return Fact(kind, fault.tensor, where=f"{fault.error:.2g}")


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
    for finding in report.findings:
        yield f"{finding}; largest in {finding.tensor}."


def _first(report: PerceptronReport) -> Iterator[str]:
    first = report.first
    if first is None:
        yield f"{Fact('no difference').words()}."
        return
    where = f"{first.tensor}{list(first.index) if first.index else ''}"
    fmt = FORMATS[report.setup.dtype]
    with np.errstate(invalid="ignore"):
        largest = np.array([max(abs(first.torch), abs(first.jax))])
        units = abs(first.torch - first.jax) / float(unit_of(fmt, largest)[0])
    yield f"First difference: epoch {first.epoch}, {where}: torch {first.torch!r}, jax {first.jax!r}, {units:.3g} ulp apart."


def _drift(report: PerceptronReport) -> Iterator[str]:
    for drift in (comparison.drift for comparison in report.comparisons.values() if comparison.drift is not None):
        shown = [k for k in (10**power - 1 for power in range(len(str(len(drift.steps))))) if k < len(drift.steps)]
        shown += [len(drift.steps) - 1] if shown[-1] != len(drift.steps) - 1 else []
        for words, distances in (
            ("How far the weights are apart, of the way that they have gone", drift.apart),
            (Fact("other starts", str(drift.runs)).words(), drift.controls),
        ):
            yield f"{words}: " + ", ".join(f"{distances[k]:.2g} at epoch {drift.steps[k]:,}" for k in shown) + "."
    if report.agree and report.first is not None:
        yield (
            f"Cause: {report.cause}. Every epoch is the same from the same state, and the weights part no further than "
            "rounding explains."
        )
