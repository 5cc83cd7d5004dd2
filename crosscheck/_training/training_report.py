"""The report on two trainings: which step, tensor and part of the training differ, and how far free runs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crosscheck._explain.facts import Fact
from crosscheck._models.report.records import WeightMatch
from crosscheck._models.report.weights import every_weight, of_weights
from crosscheck._report.blocks import Block, Drawing, Heading, Table
from crosscheck._report.document import Document
from crosscheck._report.headline import Verdict
from crosscheck._report.json_file import Summary
from crosscheck._report.two_sided import TwoSidedReport
from crosscheck._training.records import Drift

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "crosscheck.training/1"
SIDES = {"torch": "PyTorch", "jax": "JAX"}


@dataclass(frozen=True)
class TrainingFault:
    """A part of a training in which the two sides differ.

    Attributes:
        part: ``start``, ``data``, ``model``, ``loss``, ``gradients``, ``clipping``, ``schedule``, ``optimiser``,
            ``average``, ``statistics`` or ``parameters``.
        step: The first step at which it shows, from 1.
        steps: The number of steps at which it shows.
        tensor: The tensor with the largest error at the first of them.
        error: The error there, from the same state, in float64; relative to the tensor, or to how far the step moves it.
        cause: ``definition``, ``special`` for NaN or infinity on only one side, ``inaccurate``, or ``missing`` for
            parameters without a partner.
        side: The side that is inaccurate in the dtype; None if the sides compute different things, since it is unknown which
            one is meant.
        explanation: What differs, as far as that was found; otherwise empty.
        facts: The same as facts; none of what devices exchange.
    """

    part: str
    step: int
    steps: int
    tensor: str
    error: float
    cause: str
    side: str | None
    explanation: str
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class TrainingSummary(Summary):
    """The end of a report on two trainings; ``part`` and ``step`` are those of the first fault."""

    cause: str | None
    side: str | None
    message: str
    steps: int
    part: str | None
    step: int | None


@dataclass(frozen=True)
class TrainingReport(
    TwoSidedReport,
    schema=SCHEMA,
    written=("environment", "faults", "errors", "drift", "weights", "notes", "summary"),
):
    """The result of ``compare_training``.

    Attributes:
        name: The names of both steps.
        steps: The number of steps.
        faults: The faults, in the order of the steps.
        errors: For each step, the largest error of each kind of tensor, from the same state, in float64. A kind is missing
            where neither side has a finite number.
        drift: The distance of the two when each runs freely; None if there are no controls.
        weights: A record for every parameter and buffer of torch, and every array of JAX on which the loss depends.
        notes: Other remarks, such as what could not be compared.
        environment: Versions, devices and settings on which the results may depend.
        message: Why there is no verdict, although no fault was found, as if all is NaN at a step. Empty if there is one.
    """

    name: str
    steps: int
    faults: tuple[TrainingFault, ...]
    errors: tuple[Mapping[str, float], ...]
    drift: Drift | None
    weights: tuple[WeightMatch, ...]
    notes: tuple[str, ...]
    environment: Mapping[str, object]
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether every step was compared, none has a fault, and rounding explains the distance of the free runs."""
        return any(self.errors) and not (self.faults or self.message) and (self.drift is None or self.drift.faster is None)

    @property
    def first(self) -> TrainingFault | None:
        """The first fault."""
        return self.faults[0] if self.faults else None

    @property
    def cause(self) -> str | None:
        """The cause of the first fault; ``definition`` if only the free runs differ by too much; None if nothing differs."""
        return self.first.cause if self.first else None if self.passed or self.message else "definition"

    @property
    def side(self) -> str | None:
        """The side that is inaccurate in the first fault; None if there is no fault, or if neither side is known to be."""
        return self.first.side if self.first else None

    @property
    def _verdict(self) -> Verdict:
        if not (any(self.errors) or self.faults):
            return Verdict("FAILED", self.name, self.message or "nothing was compared")
        if self.first is not None:
            more = f", and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
            place = f"{self.first.part}, step {self.first.step}"
            sentence = f"{_said(self.first)}{more}"
            return Verdict(f"DISAGREE ({self.cause})", self.name, _what(self.first), place, sentence)
        if self.message:
            return Verdict("FAILED", self.name, self.message)
        if self.passed:
            count = f"{len(self.errors)} steps" if len(self.errors) > 1 else "1 step"
            free = f"; running freely, {_drift(self.drift)}" if self.drift else ""
            return Verdict("AGREE", self.name, f"{count}, each the same from the same state{free}")
        each = "each step is the same from the same state, but"
        return Verdict(f"DISAGREE ({self.cause})", self.name, f"{each} {_drift(self.drift)}")

    def _evidence(self) -> Iterator[str]:
        return _story(self)

    def __str__(self) -> str:
        return self.story()

    def document(self) -> Document:
        """The report as a document: the verdict, the story, the figure, the errors by kind of tensor, the weights.

        Returns:
            The document.
        """
        blocks: list[Block] = []
        if any(self.errors):
            blocks.append(Drawing(self.plot, "The error of each step from the same state, and the drift of free runs"))
            blocks += [Heading("The largest error of each kind of tensor"), Table(list(_rows(self.errors)))]
        return self._document([*blocks, *every_weight(self.weights)])

    def plot(self) -> Figure:
        """Draw the error of each step from the same state, and the distance of the free runs beside that of the controls.

        Returns:
            A figure that belongs to no window.

        Raises:
            ValueError: If nothing was compared.
        """
        from crosscheck._training.training_figure import draw

        return draw(self)

    @property
    def summary(self) -> TrainingSummary:
        """The end of its JSON."""
        part, step = (self.first.part, self.first.step) if self.first else (None, None)
        return TrainingSummary(self.passed, self.headline, self.cause, self.side, self.message, self.steps, part, step)


def _said(fault: TrainingFault) -> str:
    where = f"from step {fault.step} on" if fault.steps > 1 else f"at step {fault.step}"
    return f"the {fault.part}, {where}: {_what(fault)}"


def _what(fault: TrainingFault) -> str:
    what = fault.explanation or f"{fault.tensor} is {fault.error:.2g} apart"
    side = f"; {SIDES[fault.side]} is inaccurate" if fault.side else ""
    return f"{what}{side}"


def _drift(drift: Drift | None) -> str:
    assert drift is not None
    if drift.faster is not None:
        step = drift.faster
        return f"the runs part at step {step}, {drift.times:.3g} times as far as PyTorch parts from itself by rounding"
    if drift.parted is None:
        return f"they stay within {max(drift.apart, default=0.0):.2g} of the way"
    return f"they part at step {drift.parted}, as PyTorch parts from itself"


def _story(report: TrainingReport) -> Iterator[str]:
    for fault in report.faults[:8]:
        yield f"  {_said(fault)}"
        yield f"    largest in {fault.tensor}: {fault.error:.2g}, at {fault.steps} of {len(report.errors)} steps"
    if not report.faults:
        for kind, largest in _largest(report.errors).items():
            yield f"  {kind}: at most {largest:.2g} apart in float64, from the same state"
    if report.drift is not None:
        drift = report.drift
        ends = f"after step {drift.steps[-1]} {drift.apart[-1]:.2g} of the way apart"
        controls = f"the furthest of {drift.runs} controls, one ULP away at the start: {drift.controls[-1]:.2g}"
        yield f"  running freely: {ends}; {controls}"
        yield f"  the last losses: PyTorch {drift.losses[-1][0]:.7g}, JAX {drift.losses[-1][1]:.7g}"
    yield from of_weights(report.weights)
    for note in report.notes[:6]:
        yield f"  note: {note}"


def _largest(errors: Sequence[Mapping[str, float]]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for step in errors:
        for kind, error in step.items():
            largest[kind] = max(largest.get(kind, 0.0), error)
    return largest


def _rows(errors: Sequence[Mapping[str, float]]) -> Iterator[list[str]]:
    yield ["tensors", "apart at most", "at step"]
    for kind, largest in _largest(errors).items():
        step = next(k for k, step_errors in enumerate(errors) if step_errors.get(kind) == largest)
        yield [kind, f"{largest:.2g}", str(step + 1)]
