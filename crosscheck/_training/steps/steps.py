"""Judge each step of two trainings from torch's state: what differs in float64, what only in the dtype, since when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._frameworks.torch_backend import to_array
from crosscheck._models.judge.tolerances import allowed
from crosscheck._shadow.base import Noise
from crosscheck._training.steps.departures import Departure, Moment, StepResults
from crosscheck._training.steps.jax_steps import LOSS, JaxStep, JaxSteps
from crosscheck._training.steps.partners import others, partners
from crosscheck._training.steps.quantities import (
    AVERAGES,
    GIVEN,
    GRADIENTS,
    RATE,
    SLOTS,
    STATISTICS,
    WEIGHTS,
    Context,
    JudgedTensor,
    Quantity,
    quantities,
    relative_difference,
)
from crosscheck._training.steps.reason import AVERAGE
from crosscheck._training.steps.torch_steps import TorchSteps, check_reproducible

FLOOR = 1e-8
"""The largest error of a loss or a gradient that is due to float64, relative to its size."""
CONSTANT = 2.0**-22
"""The error of an update from a constant of an optimiser, such as a learning rate, that one side holds in float32."""
ROUNDINGS = 16.0
"""A side is inaccurate if its error is this many times the effect of rounding and the other side's error."""
MOST_MOMENTS = 3
"""The most steps with the same fault that are searched for its reason."""
OWN = 2.0**10
"""The number of roundings that an update may contain if JAX keeps its own optimiser state."""
DOUBTFUL = 2.0**14
"""Rounding a constant may be amplified by this factor; larger differences are faults, and rounding is not measured."""
IN_FLOAT64 = 2.0**-53
DRAWS = 2
MOST_DOUBTS = 6
"""The number of steps with a doubt at which the effect of rounding on each tensor is measured; the largest is the limit."""


def run(
    torch: TorchSteps,
    jax: JaxSteps,
    batches: Sequence[Inputs],
    jax_batches: Sequence[Inputs],
    seed: int,
    progress: Callable[[str, int], None] | None = None,
) -> StepResults:
    """Judge every step, from torch's state on both sides. Afterwards, torch has the state after the last step."""
    check_reproducible(torch, batches[0])
    results = StepResults(torch, jax, partners(torch, jax, batches[0], jax_batches[0]))
    results.trained = frozenset(torch.parameters)
    limits = DriftLimits(FORMATS[torch.dtype].precision, seed)
    # JAX gets torch's numbers in float64: the dtype does not hold the sum of two of them
    state: dict[str, Array] = {**jax.start, **results.partners.of_weights(torch.weights())}
    summed: dict[str, Array] = {}
    for k, (batch, jax_batch) in enumerate(zip(batches, jax_batches, strict=True)):
        before, torch_state = torch.weights(), torch.state()
        averages = {slot: np.array(to_array(tensor.detach())) for slot, tensor in torch.averages()}
        torch_step = torch.observed(batch)
        program = jax.program(jax_batch)
        jax_step = program.wide(state, jax_batch.leaves)
        narrow = jax.plain(state, jax_batch)
        if k == 0 or frozenset(torch_step.slots.wide) != results.slots_of_torch:  # an optimiser may begin later
            others(results.partners, torch_step, jax_step, averages, state)
            results.slots_of_torch = frozenset(torch_step.slots.wide)
            mapped = {*results.partners.places, *results.partners.slots}
            changed = (name for name, array in jax_step.state.items() if _moves(np.asarray(state[name], np.float64), array))
            results.only_in_jax = tuple(sorted(set(changed) - mapped))
            own = program.sources(mapped) - mapped
            limits.own = any(jax.start[name].dtype.kind == "f" for name in own)
            results.gradients_seen = any(name in results.partners.places for name in program.gradients)
        of_step = torch_step, jax_step, narrow, before, state, batch, jax_batch, program, torch_state, summed
        _step(results, Context(results.partners, k + 1, *of_step), limits)
        summed = {
            **summed,
            **{name: gradient + summed.get(name, 0.0) for name, gradient in torch_step.gradients.wide.items()},
        }
        results.rates.append(torch_step.rates)
        lost = [
            name
            for name in results.partners.used - set(results.partners.places)
            if _moves(state[name], jax_step.state[name])
        ]
        if lost:  # torch's numbers for these are unknown, so later steps cannot begin equally
            results.lost = tuple(sorted(lost))
            break
        given = results.partners.of_weights(torch_step.weights.narrow), results.partners.of_slots(torch_step.slots.narrow)
        state = {**narrow.state, **given[0], **given[1]}
        if progress is not None:
            progress("steps", 1)
    return results


class DriftLimits:
    """The largest differences of two correct trainings in float64, and the largest effects of rounding in the dtype.

    Both are measured, at the first steps with a doubt; in float64 also at every power of two.
    """

    def __init__(self, precision: int, seed: int) -> None:
        self.unit, self.seed = 2.0**-precision, seed
        self.measured: set[int] = set()
        self.doubts = 0
        self.own = False
        self._limits: dict[Quantity, float] = {}
        self.rounding: dict[Quantity, tuple[float, float]] = {}

    def limit(self, quantity: Quantity) -> float:
        """The limit in float64."""
        base = FLOOR if quantity[0] in (LOSS, GRADIENTS) else CONSTANT
        if self.own and quantity[0] in (WEIGHTS, SLOTS, AVERAGES):
            base = max(base, OWN * self.unit)
        return max(base, self._limits.get(quantity, 0.0))

    def doubtful(self, tensor: JudgedTensor) -> bool:
        """Whether a difference may come from rounding: of constants, or in float64 itself of operations.

        In float64, terms may cancel until no digit is right, as in the gradient of a loss that hardly changes any more.
        """
        return self.unit == IN_FLOAT64 or tensor.error <= DOUBTFUL * self.unit

    def beyond(self, quantity: Quantity, tensor: JudgedTensor) -> bool:
        """Whether the two compute different things."""
        return not tensor.error <= self.limit(quantity)

    def inaccurate(self, quantity: Quantity, tensor: JudgedTensor) -> str | None:
        """The side whose error is larger than the other's, and larger than rounding every operation explains."""
        errors, rounding = tensor.errors, self.rounding.get(quantity, (0.0, 0.0))
        if quantity[0] in (WEIGHTS, SLOTS, AVERAGES):
            errors, rounding = tensor.usual_errors, (max(rounding), max(rounding))
        limits = [ROUNDINGS * (errors[k] + max(8 * self.unit, rounding[k])) for k in (0, 1)]
        beyond = [errors[k] > limits[1 - k] for k in (0, 1)]
        return "torch" if beyond[0] else "jax" if beyond[1] else None

    def measure(self, results: StepResults, context: Context, base: Mapping[Quantity, JudgedTensor]) -> bool:
        """Measure at a step, unless that was done there; return whether it was done."""
        if context.number in self.measured:
            return False
        self.measured.add(context.number)
        kept = results.torch.state()
        for draw in range(DRAWS):
            noise = Noise(self.seed * 1000 + draw, self.unit)
            given = context.state, context.jax_batch.leaves, noise
            constants, operations = (
                quantities(context, context.program.noisy(*given, constants_only=only)) for only in (True, False)
            )
            results.torch.restore(context.torch_state)
            noisy = replace(context, torch=results.torch.observed(context.batch, noise))
            in_torch = quantities(noisy, context.jax)
            for quantity, clear in base.items():
                moved = [
                    _finite(relative_difference(run[quantity].jax, clear.jax, clear.size)) for run in (constants, operations)
                ]
                limit = float(allowed(moved[0], moved[1], self.unit))
                self._limits[quantity] = max(self._limits.get(quantity, 0.0), limit)
                before = self.rounding.get(quantity, (0.0, 0.0))
                own = 0.0
                if quantity in in_torch:
                    own = _finite(relative_difference(in_torch[quantity].torch, clear.torch, clear.size))
                self.rounding[quantity] = max(before[0], own), max(before[1], moved[1])
        results.torch.restore(kept)
        return True


def _finite(value: float) -> float:
    return value if np.isfinite(value) else 0.0


def _moves(before: Array, after: Array) -> bool:
    return after.dtype.kind == "f" and not np.array_equal(before, after, equal_nan=True)


def _step(results: StepResults, context: Context, limits: DriftLimits) -> None:
    """Judge one step, and note the faults."""
    base = quantities(context, context.jax)
    largest: dict[str, float] = {}
    compared = {quantity: tensor for quantity, tensor in base.items() if not tensor.blank}
    if (LOSS, LOSS) not in compared or 2 * len(compared) < len(base):
        results.blank.append(context.number)
    for (kind, _), tensor in compared.items():
        largest[kind] = max(largest.get(kind, 0.0), tensor.error)
    results.errors.append(largest)
    if limits.unit == IN_FLOAT64 and context.number & (context.number - 1) == 0:
        limits.measure(results, context, base)  # the dtype is float64 itself, so nothing else shows the rounding
    results.rounding.append(_rounding(base, limits))
    special = not np.isfinite(context.torch.loss[1]) or not np.isfinite(context.jax.loss)
    if special and results.first_special is None:
        results.first_special = context.number

    def wrong() -> dict[Quantity, JudgedTensor]:
        return {quantity: tensor for quantity, tensor in base.items() if limits.beyond(quantity, tensor)}

    def inaccurate() -> dict[Quantity, JudgedTensor]:
        return {quantity: tensor for quantity, tensor in base.items() if limits.inaccurate(quantity, tensor)}

    beyond = wrong()
    doubtful = any(limits.doubtful(tensor) for tensor in beyond.values()) if beyond else bool(inaccurate())
    if doubtful and limits.doubts < MOST_DOUBTS and limits.measure(results, context, base):
        limits.doubts += 1
        beyond = wrong()
    if beyond:
        _wrong(results, context, limits, beyond)
    else:
        for quantity, tensor in inaccurate().items():
            side = limits.inaccurate(quantity, tensor)
            error = max(tensor.errors)
            moment = Moment(context, {quantity: tensor}, context.jax)
            _note(results, Departure(quantity[0], quantity, context.number, error, "inaccurate", side, (moment,)))
            break


def _rounding(base: Mapping[Quantity, JudgedTensor], limits: DriftLimits) -> float:
    """The root mean square effect of rounding on a step, over all parameters, on the side where it is larger.

    It is the difference between the dtype and float64, at least one rounding of each number, and at least noise's effect.
    """
    total = np.zeros(3)
    count = 0
    for quantity, tensor in base.items():
        if quantity[0] == WEIGHTS and tensor.narrow is not None:
            for side, wide in enumerate((tensor.torch, tensor.jax)):
                total[side] += float(np.sum((np.asarray(tensor.narrow[side], np.float64) - wide) ** 2))
            noise = max(limits.rounding.get(quantity, (0.0, 0.0))) * tensor.size if limits.unit == IN_FLOAT64 else 0.0
            total[2] += float(np.sum(np.maximum(limits.unit * np.abs(tensor.torch), noise) ** 2))
            count += tensor.torch.size
    largest = float(total.max())
    return float(np.sqrt(largest / count)) if count and np.isfinite(largest) else 0.0


def _wrong(results: StepResults, context: Context, limits: DriftLimits, beyond: Mapping[Quantity, JudgedTensor]) -> None:
    """The differences in float64, each stage by itself: for the later stages, JAX gets torch's gradients."""

    def of(*kinds: str) -> dict[Quantity, JudgedTensor]:
        return {quantity: tensor for quantity, tensor in beyond.items() if quantity[0] in kinds}

    loss, gradients, statistics = of(LOSS), of(GRADIENTS), of(STATISTICS)
    update = of(WEIGHTS, SLOTS, GIVEN, RATE)
    forced: JaxStep | None = None
    if loss:
        _depart(results, context, LOSS, loss)
    elif gradients and update:
        _depart(results, context, GRADIENTS, gradients)
    if update:  # at a gradient near 0, an optimiser may amplify a small difference
        forced = with_torchs_gradients(results, context)
        lost = any(name in context.jax.without for _, name in gradients)  # it cannot be replaced, and clipping uses it
        if forced is None or lost:
            update = {} if loss or gradients else update
        else:
            again = quantities(context, forced)
            update = {
                quantity: tensor
                for quantity, tensor in again.items()
                if quantity in update and limits.beyond(quantity, tensor)
            }
    if update:
        _depart(results, context, "update", update, forced)
    averages = of(AVERAGES)
    if averages and of(WEIGHTS):  # the average of other weights is another one
        weights, names = results.partners.of_weights(context.torch.weights.wide), context.torch.trained
        trained = {leaf: array for leaf, array in weights.items() if results.partners.is_trained(leaf, names)}
        forced = context.program.wide(context.state, context.jax_batch.leaves, weights=trained)
        again = quantities(context, forced)
        averages = {quantity: again[quantity] for quantity in averages if limits.beyond(quantity, again[quantity])}
    if averages:
        _depart(results, context, AVERAGE, averages, forced)
    if loss:  # the input of a normalisation may be wrong, unless one side does not change its statistics
        before = results.partners.of_weights(context.before)
        statistics = {
            (kind, name): tensor
            for (kind, name), tensor in statistics.items()
            if np.array_equal(tensor.torch, before[name]) or np.array_equal(tensor.jax, before[name])
        }
    if statistics:
        _depart(results, context, STATISTICS, statistics)


def same_loss(first: float, second: float) -> bool:
    """Whether two losses are equal up to the rounding of float64."""
    return relative_difference(np.asarray(first), np.asarray(second), abs(second)) <= FLOOR


def loss_of(results: StepResults, context: Context, batch: Inputs) -> float:
    """torch's loss of another batch, from the state before a step."""
    with results.torch.unchanged():
        results.torch.restore(context.torch_state)
        return results.torch.observed(batch).loss[1]


def with_torchs_gradients(
    results: StepResults, context: Context, gradients: Mapping[str, Array] | None = None
) -> JaxStep | None:
    """JAX's step with torch's gradients, or with these; None if the place of its backward pass is not found."""
    places = [name for name in context.program.gradients if name in results.partners.places]
    if not places:
        return None
    torch_gradients = results.partners.of_gradients(context.torch.gradients.wide if gradients is None else gradients)
    return context.program.wide(context.state, context.jax_batch.leaves, {name: torch_gradients[name] for name in places})


def _depart(
    results: StepResults, context: Context, stage: str, wrong: Mapping[Quantity, JudgedTensor], forced: JaxStep | None = None
) -> None:
    quantity = max(wrong, key=lambda quantity: wrong[quantity].error)
    error = wrong[quantity].error
    cause = "definition" if np.isfinite(error) else "special"
    moment = Moment(context, wrong, forced or context.jax)
    _note(results, Departure(stage, quantity, context.number, error, cause, None, (moment,)))


def _note(results: StepResults, new: Departure) -> None:
    for k, old in enumerate(results.departures):
        if old.stage == new.stage and (old.cause == "inaccurate") == (new.cause == "inaccurate"):
            moments = (*old.moments, *new.moments)[:MOST_MOMENTS]
            results.departures[k] = replace(old, steps=old.steps + 1, moments=moments)
            return
    results.departures.append(new)
