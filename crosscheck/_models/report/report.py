"""The report on two models: the verdict in one line, each fault, then every landmark, weight and gradient."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from crosscheck._arguments import path
from crosscheck._explain.facts import Fact
from crosscheck._models.report.records import Gradient, WeightMatch
from crosscheck._models.report.script import Segment, save
from crosscheck._models.report.tree import tree
from crosscheck._models.report.weights import MOST_ROWS, every_weight, number, of_weights
from crosscheck._report.blocks import Block, Drawing, Folded, Heading, Table, Tree
from crosscheck._report.document import Document
from crosscheck._report.headline import Verdict
from crosscheck._report.json_file import Summary
from crosscheck._report.two_sided import TwoSidedReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "crosscheck.models/1"
MOST_FAULTS = 8
DEPTH = re.compile(r"\.\d+\.")
"""The number of a layer in the path of a module or a weight."""
NARROW = 80
"""The largest width of the tree, so that it fits any terminal."""
SIDES = {"torch": "PyTorch", "jax": "JAX", None: "not known"}


@dataclass(frozen=True)
class Layer:
    """A landmark: a place where both models hold the same quantity, if the port is correct.

    Each error is the largest difference of an element, relative to the root mean square of torch's values there.

    Attributes:
        name: The name of the weight that is applied there, or ``sum``, or the name of an output.
        place: ``operand`` for the data to which the weight is applied, ``result`` for the result.
        torch: The module of torch.
        operation: The operation of torch that gives the value.
        jax: The place in JAX: the names of its modules and functions, if its library provides them.
        source: The line of JAX's code.
        error: The error in float64 made since the previous landmarks, given the same values there.
        tolerance: The largest error in float64 of correct models.
        accumulated: The difference in the dtype when each model runs by itself; None if the landmark is wrong in float64.
        drift: How far rounding alone moves JAX's value there; None if the landmark is wrong in float64.
        torch_error: The error of torch in the dtype made since the previous landmarks; None like ``drift``.
        jax_error: The error of JAX, likewise.
        rounding: How far the rounding of every operation since then moves the value; None like ``drift``.
        cause: ``exact``, ``rounding``, ``inaccurate`` or ``definition``.
        side: The side that is inaccurate; None if neither is, or if it is unknown which function is meant.
        fault: The number of the fault that shows here; None if none does.
    """

    name: str
    place: str
    torch: str
    operation: str
    jax: str
    source: str
    error: float
    tolerance: float
    accumulated: float | None
    drift: float | None
    torch_error: float | None
    jax_error: float | None
    rounding: float | None
    cause: str
    side: str | None
    fault: int | None


@dataclass(frozen=True)
class Fault:
    """A fault of its own, not a consequence of an earlier one.

    Attributes:
        torch: The module of torch whose result JAX does not have.
        kind: The class of that module.
        operation: The operation of torch.
        jax: The place in JAX.
        source: The line of JAX's code.
        cause: ``definition``, ``inaccurate``, ``missing``, ``special``, or ``error`` if a backward pass raises.
        side: The side at fault; None if it is unknown which function is meant.
        error: The size of the error, as in ``Layer``.
        explanation: What differs, as far as it is known.
        layers: The numbers of the landmarks at which it shows.
        facts: What differs as facts, one for each mistake; none if that is not known, or of gradients.
    """

    torch: str
    kind: str
    operation: str
    jax: str
    source: str
    cause: str
    side: str | None
    error: float
    explanation: str
    layers: tuple[int, ...]
    facts: tuple[Fact, ...] = ()

    @property
    def where(self) -> str:
        """The name of the module, or the model itself."""
        return self.torch or "the model itself"


@dataclass(frozen=True)
class OutputOfModels:
    """How far an output is apart where each model runs by itself, and how far rounding alone moves it."""

    apart: float
    drift: float


@dataclass(frozen=True)
class ModelsSummary(Summary):
    """The end of a report on two models; ``first`` is the module of torch that goes wrong first."""

    cause: str | None
    side: str | None
    message: str
    first: str | None
    landmarks: int
    faults: int
    seconds: float


@dataclass(frozen=True)
class ModelsReport(
    TwoSidedReport,
    schema=SCHEMA,
    written=("environment", "layers", "faults", "weights", "gradients", "_apart", "notes", "summary"),
    renamed={"_apart": "outputs"},
):
    """The result of ``compare_models``.

    Attributes:
        name: The names of both models.
        layers: Every landmark, in the order in which JAX reaches them.
        faults: The faults, in that order.
        weights: A record for every parameter and buffer of torch and every array of JAX.
        gradients: The verdict on the gradient by each parameter of torch.
        outputs: For each output, the difference when each model runs by itself, and how much of it rounding explains.
        notes: Other remarks, such as what could not be compared.
        environment: Versions, devices and settings on which the results may depend.
        message: Why there is no verdict, although no fault was found: too little could be compared. Empty if there is one.
        segments: For each fault that float64 shows, the operations of both sides as code that runs without the models.
        seconds: The duration in seconds.
    """

    name: str
    layers: tuple[Layer, ...]
    faults: tuple[Fault, ...]
    weights: tuple[WeightMatch, ...]
    gradients: tuple[Gradient, ...]
    outputs: Mapping[str, tuple[float, float]]
    notes: tuple[str, ...]
    environment: Mapping[str, object]
    message: str = ""
    segments: tuple[Segment, ...] = field(default=(), compare=False, repr=False)
    seconds: float = field(default=0.0, compare=False)

    @property
    def passed(self) -> bool:
        """Whether enough was compared and nothing goes wrong."""
        return bool(self.layers) and not self.faults and not self.message

    @property
    def first(self) -> Fault | None:
        """The first fault."""
        return self.faults[0] if self.faults else None

    @property
    def diverging(self) -> tuple[tuple[Fault, ...], ...]:
        """All faults, in groups of similar ones."""
        ordered = sorted(self.faults, key=_alike)
        groups = [tuple(group) for _, group in groupby(ordered, key=_alike)]
        return tuple(sorted(groups, key=lambda group: self.faults.index(group[0])))

    @property
    def cause(self) -> str | None:
        """The cause of the first fault; None if there is no fault."""
        return self.first.cause if self.first else None

    @property
    def side(self) -> str | None:
        """The side of the first fault; None if there is no fault, or the side is not known."""
        return self.first.side if self.first else None

    @property
    def _verdict(self) -> Verdict:
        if self.message or not self.layers:
            return Verdict("FAILED", self.name, self.message or "nothing was compared")
        fault = self.first
        if fault is None:
            apart = [distance for distance, _ in self.outputs.values()]
            largest = f"; the outputs are {max(apart):.2g} apart, by rounding" if apart else ""
            return Verdict("AGREE", self.name, f"the same function at all {len(self.layers)} landmarks{largest}")
        more = f", and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
        sentence = f"first in {fault.where}: {fault.explanation}{more}"
        mistake = fault.facts[0].words() if fault.facts else ""
        return Verdict(f"DISAGREE ({fault.cause})", self.name, fault.explanation, fault.torch, sentence, mistake)

    def _evidence(self) -> Iterator[str]:
        return _story(self)

    def tree(self) -> str:
        """The modules of the model, each with a verdict; the inside of a module is shown if something in it is wrong.

        Returns:
            The text, of lines of at most 80 characters; empty if nothing was compared.
        """
        from crosscheck._report.terminal import Fitted, as_text

        return as_text(Fitted(self._tree.table), NARROW) if self.layers else ""

    @property
    def _tree(self) -> Tree:
        return tree(self.layers, self.faults)

    def __str__(self) -> str:
        return "\n\n".join(filter(None, (self.story(), self.tree())))

    def document(self) -> Document:
        """The report as a document: the verdict, the story, the tree of layers, the figure of errors, weights, gradients.

        Returns:
            The document.
        """
        blocks: list[Block] = []
        if self.layers:
            blocks += [Heading("Every layer"), self._tree]
            blocks.append(Drawing(self.plot, "The error at each landmark, made there and accumulated"))
        blocks += every_weight(self.weights)
        if self.gradients:
            blocks.append(Folded("Every gradient", Table(list(_gradient_rows(self.gradients)))))
        return self._document(blocks)

    def plot(self) -> Figure:
        """Draw the error over depth: the error made at each landmark in float64, the accumulated one, and rounding's bound.

        Returns:
            A figure that belongs to no window.

        Raises:
            ValueError: If nothing was compared.
        """
        from crosscheck._models.report.figure import draw

        return draw(self.layers, self.faults)

    def save_segments(self, folder: str | Path, *, force: bool = False) -> list[Path]:
        """Write each segment as a script that runs alone, with its arrays in a ``.safetensors`` file beside it.

        Args:
            folder: The folder for the files; it is made if it does not exist.
            force: Whether to replace files that crosscheck did not write, too.

        Returns:
            The paths of the scripts, one for each of ``segments``.

        Raises:
            UsageError: If a file of that name exists that crosscheck did not write.
            OSError: If a file cannot be written.

        Examples:
            >>> import crosscheck, jax, numpy as np, subprocess, sys, tempfile, torch
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))
            >>> params = {name: jax.numpy.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
            >>> def port(p, x):
            ...     h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"])
            ...     return h @ p["2.weight"].T + p["2.bias"]
            >>> report = crosscheck.compare_models(model, port, [np.ones((3, 4))], params=params)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     [script] = report.save_segments(folder)
            ...     script.name
            '1-1.py'
        """
        return save(self.segments, path("folder", folder), force=force)

    @property
    def summary(self) -> ModelsSummary:
        """The end of its JSON."""
        return ModelsSummary(
            self.passed,
            self.headline,
            self.cause,
            self.side,
            self.message,
            self.first.torch if self.first else None,
            len(self.layers),
            len(self.faults),
            self.seconds,
        )

    @property
    def _apart(self) -> dict[str, OutputOfModels]:
        return {name: OutputOfModels(*distances) for name, distances in self.outputs.items()}


def _alike(fault: Fault) -> tuple[str, ...]:
    explained = bool(fault.kind) and (bool(fault.facts) or fault.cause == "special")
    first = fault.facts[:1]  # the others say at how many elements
    roles = [role for fact in first for role in (*fact.roles, fact.near if len(fault.facts) == 1 else "")]
    # the same module at another depth, such as layers.0 and layers.1
    return fault.cause, fault.kind, "" if explained else fault.operation, *(DEPTH.sub(".N.", role) for role in roles)


def _story(report: ModelsReport) -> Iterator[str]:
    groups = report.diverging
    for group in groups[:MOST_FAULTS]:
        yield from _of_group(group)
    if len(groups) > MOST_FAULTS:
        yield f"  and {len(groups) - MOST_FAULTS} more kinds of faults"
    if not report.faults and report.layers and not report.message:
        worst = max(report.layers, key=lambda layer: layer.accumulated or 0.0)
        if worst.accumulated is not None and worst.drift is not None:
            rounding = f"rounding alone moves JAX by {worst.drift:.2g} there"
            yield f"  accumulated at most {worst.accumulated:.2g}, at {worst.name}; {rounding}"
        yield f"  made between two landmarks, in float64: at most {max(layer.error for layer in report.layers):.2g}"
    for name, (apart, drift) in list(report.outputs.items())[:4]:
        yield f"  {name}: {apart:.2g} apart in the dtype; rounding alone moves it by {drift:.2g}"
    yield from of_weights(report.weights)
    bad = [gradient for gradient in report.gradients if gradient.cause]
    if report.gradients:
        count = sum(gradient.compared for gradient in report.gradients)
        reasons = Counter(gradient.explanation for gradient in report.gradients if not gradient.compared)
        others = "".join(f"; {many} not compared: {reason}" for reason, many in reasons.items())
        yield f"  gradients: {count - len(bad)} of {count} agree{others}"
    if report.segments:
        yield "  each fault by itself: report.save_segments(folder) or --segments FOLDER writes a script that runs it"
    for note in report.notes[:4]:
        yield f"  note: {note}"


def _of_group(group: Sequence[Fault]) -> Iterator[str]:
    first = group[0]
    count = f"{len(group)} x {first.kind}: " if len(group) > 1 else ""
    yield f"  {count}{first.where} ({first.kind}, {first.operation}): {first.explanation}"
    side = f"; at fault: {SIDES[first.side]}" if first.side else ""
    where = " ".join(filter(None, (first.jax, first.source))) or "unnamed"
    lines_of_torch = dict.fromkeys(fact.source for fact in first.facts if fact.source)
    torch = f"; PyTorch: {', '.join(lines_of_torch)}" if lines_of_torch else ""
    yield f"    an error of {first.error:.2g} made there{side}; JAX: {where}{torch}"
    if len(group) > 1:
        others = [place for place in dict.fromkeys(fault.where for fault in group) if place != first.where]
        if others:
            yield f"    likewise {', '.join(others[:3])}{', ...' if len(others) > 3 else ''}"


def _gradient_rows(gradients: Sequence[Gradient]) -> Iterator[list[str]]:
    yield ["parameter", "JAX", "verdict", "apart"]
    for gradient in gradients[:MOST_ROWS]:
        verdict = gradient.cause or ("ok" if gradient.compared else f"not compared: {gradient.explanation}")
        yield [gradient.parameter, ", ".join(gradient.jax), verdict, number(gradient.error)]
