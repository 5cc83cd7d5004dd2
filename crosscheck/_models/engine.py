"""Compare two models: the errors at each landmark in float64, what constants and rounding explain, and the faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck._allocator import trim
from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Inputs
from crosscheck._frameworks.settings import undisturbed
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.backward.gradients import BackwardError, gradients
from crosscheck._models.copy.value_matching import PRODUCTS
from crosscheck._models.cut.landmarks import Landmark, landmarks
from crosscheck._models.cut.returned_values import ends
from crosscheck._models.judge.fault_search import locate
from crosscheck._models.judge.forcing import FLOOR, Forced, ForcedRun, Forcing, Measuring, Progress
from crosscheck._models.judge.quantities import other_quantities
from crosscheck._models.judge.rounding_jumps import without_jumps
from crosscheck._models.judge.tolerances import DRAWS, DRAWS_IN_DOUBT, tolerances
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
from crosscheck._models.run.interpreter import ModelRun, Perturbation
from crosscheck._models.run.kept_runs import KeptRuns, comparison_of
from crosscheck._models.run.recording import fitting, returned
from crosscheck._models.run.step_arithmetic import has_few_digits
from crosscheck._models.values.distances import blank
from crosscheck._models.values.uses import Use, fingerprint
from crosscheck._shadow.base import Noise

NEAR = 4.0
"""There is no doubt if the errors add up to less than this many times the change under one draw of noise."""
LARGEST = 8.0
"""The largest number of an array is seldom so many times its root mean square, to which errors are relative."""
ROUNDINGS = 16.0
"""A side is inaccurate if its error is this many times the effect of rounding every operation and the other's error."""


@dataclass(frozen=True)
class Accuracy:
    """The errors in the dtype at one landmark, relative to the root mean square of torch's values.

    Attributes:
        torch: The error of torch here, for the same input.
        jax: The error of JAX here, for the same input.
        rounding: How far the rounding of every operation moves the result.
        accumulated: How far the two differ when each runs by itself.
        drift: How far rounding moves JAX's result when JAX runs by itself.
        held: The rounding of torch's dtype, for its largest number here: where JAX has more digits, torch's is rounded.
        excused: The rounding that JAX may have here. In 16 bits, it is that of one number, unless rounding changes an
            integer: that JAX computes a whole part in few digits, where torch does not, is its mistake and no excuse.
    """

    torch: float
    jax: float
    rounding: float
    accumulated: float
    drift: float
    held: float
    excused: float

    @property
    def side(self) -> str | None:
        """The side whose error is larger than rounding explains, and larger than the other side's."""
        limits = [ROUNDINGS * (self.rounding + self.jax) + self.held, ROUNDINGS * (self.excused + self.torch)]
        beyond = [error > limit for error, limit in zip((self.torch, self.jax), limits, strict=True)]
        return "torch" if beyond[0] else "jax" if beyond[1] else None


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


def run(
    torch_model: Any,
    jax_given: Any,
    params: Any,
    inputs: Inputs,
    jax_inputs: Inputs,
    *,
    lay_out: Callable[[Inputs], Inputs] | None = None,
    order: int = 1,
    seed: int = 0,
    keep: Path | None = None,
    progress: Progress = lambda what: None,
) -> ModelResults:
    """Record torch, trace JAX, pair the weights, force, and locate faults; then measure the dtype and gradients.

    ``lay_out`` makes JAX's inputs of torch's.
    """
    progress("running PyTorch")
    model, flat = fitting(torch_model, jax_given, params, inputs, jax_inputs, order)
    once = returned(torch_model, inputs)
    outputs = once.outputs
    memory.check(flat, order, once.numbers)
    torch = record(TorchProgram(torch_model, inputs, "cpu", once.shared), outputs.names, progress)
    trim()
    flat = jax_recording.as_often(flat, sum(use.kind in PRODUCTS for use in torch.uses))
    fixed = Fixed(flat, model.weights)
    uses = jax_uses.uses(flat, fixed.numbers)
    pairs = pair(torch.uses, torch.operations, [use for _, use, _ in uses], [step.operation for step in flat.steps])
    uses = [(step, use.without_numbers(), place) for step, use, place in uses]
    with ThreadPoolExecutor(1) as beside:
        # the runs of JAX need no account of the weights, and leave a core idle at times
        accounted = beside.submit(undisturbed()(account), torch, model, flat, uses, pairs)
        last = ends(torch, outputs, model, flat, uses, pairs)
        alike = [weight_pair for weight_pair in pairs if weight_pair.how not in ("nearly", "order")]
        held = {name for weight_pair in alike for name in uses[weight_pair.jax[0]][1].names[weight_pair.jax[1]].split("+")}
        loose = frozenset(model.names) - held
        paired = {weight_pair.torch for weight_pair in pairs}
        lonely = [names for use in torch.uses for slot, names in enumerate(use.names) if (use.index, slot) not in paired]
        tables = (torch.weights[name] for names in lonely for name in names.split("+"))
        if any(table.size > 1 and not has_few_digits(table, inputs.fmt.name) for table in tables):
            flat.rounded = Rounded.TABLES
        elif not loose and not lonely:
            flat.rounded = Rounded.NOTHING
        marks: list[Landmark] = []
        for jumps in (False, True):
            more = landmarks(torch, flat, uses, pairs, last, jumps=jumps)
            if jumps and len(more) == len(marks):  # no jump has a partner
                break
            marks = more
            forcing = Forcing(torch, flat, marks, fixed, model.weights, jax_inputs.leaves, loose)
            forcing.progress = progress
            if keep is not None:
                forcing.kept = KeptRuns(keep, _name(forcing))
            located, in_part = forcing.everywhere, list[str]()
            if any(error > FLOOR for error in located.errors.values()):
                # most differences are those of rounded constants, so no fault is searched before noise has shown how large
                forcing.tolerances = tolerances(forcing, located, inputs.fmt.precision, seed)
                located = locate(forcing)
                known = dict(forcing.tolerances)
                if longer := forcing.behind(located.left):  # a stretch is longer where JAX keeps its value
                    forcing.tolerances |= tolerances(forcing, located, inputs.fmt.precision, seed, longer)
                in_part = without_jumps(forcing, located, inputs.fmt.precision, seed)
                if forcing.tolerances != known:
                    located.run = None  # every value of a run, as many as all activations
                    located = locate(forcing)
            if not in_part:  # otherwise what jumps must be judged by itself, and replaced before what follows is judged
                break
        weights = accounted.result()
        if located.faults and (other := other_quantities(forcing, located)):
            located.run = None
            located = locate(forcing, other)
        if located.faults:
            models = Models(torch_model, torch, model, outputs, inputs, jax_inputs, lay_out, uses, pairs, weights)
            located = without_hidden(models, forcing, located, seed)
        accurate, narrow = accuracy(forcing, located, inputs.fmt.precision, seed)
    numbers = {(mark.step, mark.place): number for number, mark in enumerate(marks)}
    shown = {end.name: numbers[end.step, end.place] for end in last}
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
        shown,
        accurate,
        narrow,
    )
    if in_part:
        names = ", ".join(in_part[:4])
        results.notes.append(f"hardly judged: {names}; rounding may change most numbers there, as it changes an index")
    if torch.narrow:
        names = ", ".join(sorted({torch.operations[index].name for index in torch.narrow}))
        results.notes.append(f"PyTorch has no float64 for {names}: what these lead to is judged in {inputs.fmt.name}")
    trim()
    if order and not located.faults and not uncompared.blank_places(results) and outputs.floats:
        try:
            results.gradients = gradients(
                TorchProgram(torch_model, inputs, "cpu", once.shared),
                model,
                jax_inputs.leaves,
                torch,
                outputs.floats,
                forcing.loose,
                weights,
                seed,
            )
        except BackwardError as error:
            results.raised = error
    return results


def _name(forcing: Forcing) -> str:
    """The name of a comparison in a file that keeps runs."""
    expected = (array for mark in forcing.landmarks for array in (mark.expected.narrow, mark.expected.wide))
    places = [(mark.step, mark.place, mark.path) for mark in forcing.landmarks]
    versions = [metadata.version(package) for package in ("torch-jax-crosscheck", "jax", "torch", "numpy")]
    return comparison_of(
        forcing.flat, chain(forcing.weights, forcing.inputs, expected), places, sorted(forcing.loose), versions
    )


def _share(forcing: Forcing, number: int) -> float:
    """The rounding of the dtype in which JAX has the value of a landmark, as a share of that of the program's dtype."""
    landmark = forcing.landmarks[number]
    if landmark.fixed and landmark.operation is None:  # running statistics, which models hold in their own dtype
        return 1.0
    step = forcing.flat.steps[landmark.step]
    value = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
    dtype = forcing.flat.avals[value].dtype if isinstance(value, int) else None
    return forcing.flat.interpreter.share(dtype)


def accuracy(forcing: Forcing, located: Forced, precision: int, seed: int) -> tuple[dict[int, Accuracy], Forced]:
    """The accuracy in the dtype at each landmark at which the two models agree in float64.

    An error is relative to all numbers there. Small numbers beside large ones may have few right digits, as those that an
    activation makes far below 0, where one framework rounds more often than the other.
    """
    wrong = {number for number, error in located.errors.items() if not error <= forcing.tolerances[number]}
    unit = 2.0**-precision
    setup = ForcedRun(wide=True, narrow_values=True)
    truth = forcing.replaced(located.left, setup, Measuring(values=True, in_parts=False))
    against = Measuring(against=truth, in_parts=False)
    jax = forcing.replaced(located.left, ForcedRun(wide=False, keep=bool(located.faults)), against)
    free = forcing.free(wide=False)
    # where all is equal in float64, torch's values are those of a clean run of JAX
    equal = not located.left and all(error <= FLOOR for error in located.errors.values())
    free_wide = None if equal else forcing.free(wide=True, values=True)
    # rounding may change an integer, such as the index of the largest of two nearly equal numbers
    floats = {number for number in truth.errors if forcing.landmarks[number].expected.wide.dtype == np.float64}
    judged = sorted(floats - wrong)
    least = {number: unit * _share(forcing, number) for number in judged}
    strict = set(judged) if precision <= FORMATS["float16"].precision else set[int]()
    accuracies: dict[int, Accuracy] = {}
    spread, drift = dict.fromkeys(truth.errors, 0.0), dict.fromkeys(truth.errors, 0.0)
    least_spread = dict.fromkeys(truth.errors, np.inf)
    doubtful: set[int] | None = None
    drifts = True
    for draw in range(DRAWS if forcing.mends else DRAWS_IN_DOUBT):
        noise = Noise(seed * 1000 + draw, unit)
        if doubtful is None or doubtful:
            moved = replace(setup, perturbation=Perturbation(noise), only=doubtful)
            noisy = forcing.replaced(located.left, moved, against)
            for number, error in noisy.errors.items():
                spread[number], least_spread[number] = max(spread[number], error), min(least_spread[number], error)
        if drifts:
            for number, error in forcing.free(wide=True, noise=noise, against=free_wide).errors.items():
                drift[number] = max(drift[number], error)
        # what each draw makes is rounding; if JAX, and some draw, make far more, an integer changed, such as a chosen expert
        jumped = {number for number in judged if min(jax.errors[number], spread[number]) > ROUNDINGS * least_spread[number]}
        accuracies = {
            number: Accuracy(
                torch=truth.errors[number],
                jax=jax.errors[number],
                rounding=max(spread[number], least[number]),
                accumulated=free.errors[number],
                drift=drift[number],
                held=LARGEST * unit * forcing.flat.interpreter.share(forcing.landmarks[number].expected.narrow.dtype),
                excused=least[number] if number in strict - jumped else max(spread[number], least[number]),
            )
            for number in judged
        }
        beyond = {number for number, errors in accuracies.items() if errors.side is not None}
        # what a fault adds up to is no effect of rounding
        drifts = not located.faults and any(errors.accumulated > NEAR * errors.drift for errors in accuracies.values())
        drifts = drifts and draw + 1 < DRAWS
        if not beyond and not drifts:
            break  # more draws only allow more
        doubtful = None if forcing.mends else beyond
    return accuracies, jax
