"""Compare two models: the errors at each landmark in float64, what constants and rounding explain, and the faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck._allocator import trim
from crosscheck._frameworks.programs import Inputs
from crosscheck._frameworks.settings import undisturbed
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.backward.gradients import BackwardError, gradients
from crosscheck._models.copy.value_matching import PRODUCTS
from crosscheck._models.cut.landmarks import Landmark, landmarks
from crosscheck._models.cut.returned_values import ends
from crosscheck._models.judge.accuracy import Accuracy, accuracy
from crosscheck._models.judge.fault_search import locate
from crosscheck._models.judge.forced import Forced
from crosscheck._models.judge.forcing import FLOOR, ForcedRun, Forcing, Progress
from crosscheck._models.judge.quantities import other_quantities
from crosscheck._models.judge.rounding_jumps import without_jumps
from crosscheck._models.judge.tolerances import tolerances
from crosscheck._models.judge.whole import Models, without_hidden
from crosscheck._models.pair.pairing import WeightPair, pair
from crosscheck._models.pair.weights import Accounted, account
from crosscheck._models.record import jax_recording, jax_uses
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat, Rounded, Step
from crosscheck._models.record.torch_recording import TorchRecord, record
from crosscheck._models.report import uncompared
from crosscheck._models.report.records import Gradient
from crosscheck._models.run import memory
from crosscheck._models.run.constant_folding import Fixed
from crosscheck._models.run.interpreter import ModelRun
from crosscheck._models.run.kept_runs import KeptRuns, comparison_of
from crosscheck._models.run.recording import fitting, returned
from crosscheck._models.run.step_arithmetic import has_few_digits
from crosscheck._models.values.distances import blank
from crosscheck._models.values.uses import Use, fingerprint
from crosscheck._records.worded import Worded


@dataclass
class ModelResults:
    """The results of a comparison of two models, before they are put into words."""

    torch: TorchRecord
    inputs: Inputs
    model: JaxModel
    flat: JaxProgramFlat
    uses: list[tuple[Step, Use, int]]
    pairs: list[WeightPair]
    weights: Accounted
    landmarks: list[Landmark]
    forcing: Forcing
    located: Forced
    tolerances: Mapping[int, float]
    outputs: dict[str, int]
    """The landmark of each output, by name."""
    accuracy: dict[int, Accuracy]
    """By landmark."""
    narrow: Forced
    """The forced run of JAX in the dtype."""
    gradients: list[Gradient] = field(default_factory=list)
    raised: BackwardError | None = None
    """The exceptions that backward passes raised."""
    notes: list[str] = field(default_factory=list)
    uncopied: tuple[str, ...] = ()
    """The weights of torch that were to be copied to JAX, and were not."""
    open: set[int] = field(default_factory=set)
    """The landmarks that only show that these were not copied."""

    @cached_property
    def blank(self) -> set[int]:
        """The landmarks at which both sides have the same, and no finite number."""
        marks = enumerate(self.landmarks)
        wide = {
            number: mark.compared(mark.expected.wide) for number, mark in marks if np.isfinite(self.located.errors[number])
        }
        return {number for number, values in wide.items() if blank(values)}

    @cached_property
    def kept(self) -> ModelRun:
        """A forced run of JAX in float64 with all its values; the landmarks of faults keep JAX's values."""
        run = self.forcing.replaced(self.located.left, ForcedRun(wide=True, keep=True)).run
        assert run is not None
        return run

    @cached_property
    def applied(self) -> list[list[tuple[str, tuple[str, int, int]]]]:
        """For each use in JAX, the names and the numbers of its weights: slices of one array are different weights."""
        uses = jax_uses.uses(self.flat, self.forcing.fixed.numbers)
        return [list(zip(use.names, map(fingerprint, use.matrices), strict=True)) for _, use, _ in uses]


@dataclass(frozen=True)
class ModelTask:
    """What is compared.

    Attributes:
        torch_model: The module of torch.
        jax_model: The module or the function of JAX.
        params: The parameters of JAX's function.
        inputs: Torch's inputs.
        jax_inputs: JAX's.
        lay_out: Makes JAX's inputs of torch's.
        order: 1 if gradients are compared, too.
        seed: The seed of noise and cotangents.
        keep: The file that keeps runs.
        progress: Told what is running.
    """

    torch_model: Any
    jax_model: Any
    params: Any
    inputs: Inputs
    jax_inputs: Inputs
    lay_out: Callable[[Inputs], Inputs] | None = None
    order: int = 1
    seed: int = 0
    keep: Path | None = None
    progress: Progress = lambda what: None

    @property
    def precision(self) -> int:
        """The digits of the dtype, in bits."""
        return self.inputs.fmt.precision


def run(task: ModelTask) -> ModelResults:
    """Record torch, trace JAX, pair the weights, force, and locate faults; then measure the dtype and gradients."""
    inputs, seed = task.inputs, task.seed
    task.progress("running PyTorch")
    model, flat = fitting(task.torch_model, task.jax_model, task.params, inputs, task.jax_inputs, task.order)
    once = returned(task.torch_model, inputs)
    memory.check(flat, task.order, once.numbers)
    torch = record(TorchProgram(task.torch_model, inputs, "cpu", once.shared), once.outputs.names, task.progress)
    trim()
    flat = jax_recording.as_often(flat, sum(use.kind in PRODUCTS for use in torch.uses))
    fixed = Fixed(flat, model.weights)
    uses = jax_uses.uses(flat, fixed.numbers)
    pairs = pair(torch.uses, torch.operations, [use for _, use, _ in uses], [step.operation for step in flat.steps])
    uses = [(step, use.without_numbers(), place) for step, use, place in uses]
    with ThreadPoolExecutor(1) as beside:
        # the runs of JAX need no account of the weights, and leave a core idle at times
        accounted = beside.submit(undisturbed()(account), torch, model, flat, uses, pairs)
        last = ends(torch, once.outputs, model, flat, uses, pairs)
        loose = _loose(torch, model, flat, uses, pairs, inputs.fmt.name)

        def forcing_at(marks: list[Landmark]) -> Forcing:
            forcing = Forcing(torch, flat, marks, fixed, model.weights, task.jax_inputs.leaves, loose)
            forcing.progress = task.progress
            if task.keep is not None:
                forcing.kept = KeptRuns(task.keep, _name(forcing))
            return forcing

        marks = landmarks(torch, flat, uses, pairs, last, jumps=False)
        forcing = forcing_at(marks)
        located, in_part = _located(forcing, task)
        if in_part:  # what jumps must be judged by itself, and replaced before what follows is judged
            more = landmarks(torch, flat, uses, pairs, last, jumps=True)
            if len(more) > len(marks):  # otherwise no jump has a partner
                marks, forcing = more, forcing_at(more)
                located, in_part = _located(forcing, task)
        weights = accounted.result()
        if located.faults and (other := other_quantities(forcing, located)):
            located.run = None
            located = locate(forcing, other)
        if located.faults:
            both = task.torch_model, torch, model, once.outputs, inputs, task.jax_inputs, task.lay_out
            located = without_hidden(Models(*both, uses, pairs, weights), forcing, located, seed)
        accurate, narrow = accuracy(forcing, located, task.precision, seed)
    numbers = {(mark.step, mark.place): number for number, mark in enumerate(marks)}
    results = ModelResults(
        torch,
        inputs,
        model,
        flat,
        uses,
        pairs,
        weights,
        marks,
        forcing,
        located,
        forcing.tolerances,
        {end.name: numbers[end.step, end.place] for end in last},
        accurate,
        narrow,
        notes=_notes(torch, in_part, inputs.fmt.name),
    )
    trim()
    floats = once.outputs.floats
    if task.order and not located.faults and not uncompared.blank_places(results) and floats:
        program = TorchProgram(task.torch_model, inputs, "cpu", once.shared)
        try:
            results.gradients = gradients(program, model, task.jax_inputs.leaves, torch, floats, loose, weights, seed)
        except BackwardError as error:
            results.raised = error
    return results


def _loose(
    torch: TorchRecord,
    model: JaxModel,
    flat: JaxProgramFlat,
    uses: list[tuple[Step, Use, int]],
    pairs: list[WeightPair],
    dtype: str,
) -> frozenset[str]:
    """The weights of JAX that torch does not hold; says to the program what torch may hold rounded instead."""
    alike = [weight_pair for weight_pair in pairs if weight_pair.how not in ("nearly", "order")]
    held = {name for weight_pair in alike for name in uses[weight_pair.jax[0]][1].names[weight_pair.jax[1]].split("+")}
    loose = frozenset(model.names) - held
    paired = {weight_pair.torch for weight_pair in pairs}
    lonely = [names for use in torch.uses for slot, names in enumerate(use.names) if (use.index, slot) not in paired]
    tables = (torch.weights[name] for names in lonely for name in names.split("+"))
    if any(table.size > 1 and not has_few_digits(table, dtype) for table in tables):
        flat.rounded = Rounded.TABLES
    elif not loose and not lonely:
        flat.rounded = Rounded.NOTHING
    return loose


def _located(forcing: Forcing, task: ModelTask) -> tuple[Forced, list[str]]:
    """The faults, and the names of landmarks of which only some numbers are judged, as rounding makes the rest jump."""
    located = forcing.everywhere
    if not any(error > FLOOR for error in located.errors.values()):
        return located, []
    # most differences are those of rounded constants, so no fault is searched before noise has shown how large
    forcing.tolerances = tolerances(forcing, located, task.precision, task.seed)
    located = locate(forcing)
    known = dict(forcing.tolerances)
    if longer := forcing.behind(located.left):  # a stretch is longer where JAX keeps its value
        forcing.tolerances |= tolerances(forcing, located, task.precision, task.seed, longer)
    in_part = without_jumps(forcing, located, task.precision, task.seed)
    if forcing.tolerances != known:
        located.run = None  # every value of a run, as many as all activations
        located = locate(forcing)
    return located, in_part


def _notes(torch: TorchRecord, in_part: list[str], dtype: str) -> list[str]:
    notes: list[str] = []
    if in_part:
        names = ", ".join(in_part[:4])
        words = f"hardly judged: {names}; rounding may change most numbers there, as it changes an index"
        notes.append(Worded(words, "hardly judged", *in_part))
    if torch.narrow:
        names = ", ".join(sorted({torch.operations[index].name for index in torch.narrow}))
        words = f"PyTorch has no float64 for {names}: what these lead to is judged in {dtype}"
        notes.append(Worded(words, "no float64"))
    return notes


def _name(forcing: Forcing) -> str:
    """The name of a comparison in a file that keeps runs."""
    expected = (array for mark in forcing.landmarks for array in (mark.expected.narrow, mark.expected.wide))
    places = [(mark.step, mark.place, mark.path) for mark in forcing.landmarks]
    versions = [metadata.version(package) for package in ("torch-jax-crosscheck", "jax", "torch", "numpy")]
    return comparison_of(
        forcing.flat, chain(forcing.weights, forcing.inputs, expected), places, sorted(forcing.loose), versions
    )
