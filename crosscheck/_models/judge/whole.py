"""The whole models have the last word: where both are the same function, no stretch between landmarks is wrong.

A difference inside that nothing shows, such as in numbers that a mask hides later, is no fault: the results agree to the
precision of float64, at the given weights and inputs and at others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial

import numpy as np
import torch

from crosscheck._frameworks.programs import Array, Inputs, Outputs
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.cut.returned_values import ends
from crosscheck._models.judge.forced import Forced
from crosscheck._models.judge.forcing import ForcedRun, Forcing, Measuring
from crosscheck._models.judge.fresh import other_inputs, other_weights
from crosscheck._models.judge.tolerances import UNITS, allowed, factor_and_draws, finite, tolerances
from crosscheck._models.pair.pairing import WeightPair
from crosscheck._models.pair.weights import Accounted
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import Step
from crosscheck._models.record.torch_recording import TorchRecord, ending
from crosscheck._models.run.constant_folding import Fixed
from crosscheck._models.run.interpreter import ModelRun, Perturbation
from crosscheck._models.values.distances import distance
from crosscheck._models.values.uses import Use, Values
from crosscheck._shadow.base import Noise

FRESH = 2
"""The number of times that both models are given other weights and inputs."""
TINY = 2.0**-40
"""Noise that shows how rounding adds up in float64: so little that its effect is proportional to it."""
BEYOND = 2.0
"""More draws do not explain a difference this many times the largest that one explains in any of many rows and features."""
MANY = 64
"""The largest of so many moves little from draw to draw."""
EXACT = 2.0**-48
"""Relative errors up to this do not count in float64."""


class Agreement(IntEnum):
    """What explains the difference of the results in float64, where it explains least."""

    NOTHING = 0
    CONSTANTS = 1
    """The rounding of constants to the dtype, such as that of a table of positions."""
    FLOAT64 = 2
    """The rounding of operations in float64."""


@dataclass(frozen=True)
class Models:
    """Both models at the given inputs; ``lay_out`` makes JAX's inputs of torch's, None if that is not known."""

    torch_model: torch.nn.Module
    torch: TorchRecord
    jax: JaxModel
    outputs: Outputs
    inputs: Inputs
    jax_inputs: Inputs
    lay_out: Callable[[Inputs], Inputs] | None
    uses: Sequence[tuple[Step, Use, int]]
    pairs: Sequence[WeightPair]
    accounted: Accounted


def without_hidden(models: Models, forcing: Forcing, located: Forced, seed: int) -> Forced:
    """The forced run without faults, if nothing shows them; JAX keeps its values there."""
    precision = models.inputs.fmt.precision
    agreement = _agreement(models, forcing, precision, seed)
    if agreement is Agreement.NOTHING:
        return located
    if agreement is Agreement.CONSTANTS:
        # constants may explain a small fault, but none as large as these, which other weights would show
        least = UNITS * 2.0**-precision
        if not all(located.errors[fault.landmark] > least and _is_hidden(forcing, fault.shown) for fault in located.faults):
            return located
    forcing.mends, forcing.local = {}, set()
    first = forcing.watched(partial(_is_equal, forcing))
    first.run = None
    # a stretch is longer now where JAX keeps its value
    forcing.tolerances = tolerances(forcing, first, precision, seed)
    left, results = forcing.watched(partial(_is_equal, forcing)).left, _results(forcing)
    # results are right where JAX runs by itself
    return forcing.replaced(set(first.errors) - results if left & results else left, ForcedRun(wide=True))


def _is_equal(forcing: Forcing, forced: Forced, number: int, matrix: Array, expected: Array, run: ModelRun) -> bool:
    forced.errors[number] = distance(matrix, expected)
    return forced.errors[number] <= forcing.tolerances[number]


def _results(forcing: Forcing) -> set[int]:
    """The landmarks of outputs and of running statistics."""
    return {number for number, landmark in enumerate(forcing.landmarks) if landmark.fixed}


def _is_hidden(forcing: Forcing, numbers: Collection[int]) -> bool:
    """Whether no result changes where torch's values replace JAX's at these landmarks."""
    free = forcing.free(wide=True, values=True)
    setup, against = ForcedRun(wide=True, mended=False), Measuring(against=free, in_parts=False)
    forced = forcing.replaced(set(free.errors) - set(numbers), setup, against)
    return all(forced.errors[number] <= EXACT for number in _results(forcing))


def _agreement(models: Models, forcing: Forcing, precision: int, seed: int) -> Agreement:
    """What explains the differences at the given weights and inputs, and at others."""
    agreements: list[Agreement] = []
    for draw in _draws(models, forcing, seed):
        jax = replace(models.jax, weights=tuple(draw.weights))
        marks = ends(draw.torch, models.outputs, jax, forcing.flat, models.uses, models.pairs)
        fixed = Fixed(forcing.flat, draw.weights)
        whole = Forcing(draw.torch, forcing.flat, marks, fixed, draw.weights, draw.inputs, forcing.loose)
        agreements.append(_explained(whole, precision, seed))
        if agreements[-1] is Agreement.NOTHING:
            break
    return min(agreements) if len(agreements) > FRESH else Agreement.NOTHING


@dataclass(frozen=True)
class _Draw:
    """What torch gives, and the weights and the inputs of JAX."""

    torch: TorchRecord
    weights: Sequence[Array]
    inputs: Sequence[Array]


def _draws(models: Models, forcing: Forcing, seed: int) -> Iterator[_Draw]:
    """The given weights and inputs, then others."""
    yield _Draw(models.torch, models.jax.weights, models.jax_inputs.leaves)
    for draw in range(FRESH):
        rng = np.random.default_rng((seed, draw))
        weights = other_weights(models.torch, models.jax, forcing.flat, models.accounted, rng)
        inputs = other_inputs(models.inputs, rng)
        if weights is None:  # a weight of 0 may hide a branch, whatever the inputs are
            return
        if models.lay_out is not None and (record := _of_torch(models, weights.torch, inputs)) is not None:
            yield _Draw(record, weights.jax, models.lay_out(inputs).leaves)
        elif (record := _of_torch(models, weights.torch, models.inputs)) is not None:
            yield _Draw(record, weights.jax, models.jax_inputs.leaves)


def _of_torch(models: Models, weights: Mapping[str, Array], inputs: Inputs) -> TorchRecord | None:
    """The results of torch for other weights and inputs; None if it raises or gives NaN, as where they make no sense."""
    program = TorchProgram(models.torch_model, inputs, "cpu")
    own = {**dict(program.function.named_parameters()), **dict(program.function.named_buffers())}
    with torch.no_grad():
        for name, numbers in weights.items():
            own[name].copy_(torch.from_numpy(numbers))
    try:
        results, buffers = ending(program)
    except Exception:  # a model may raise anything
        return None
    pairs = list(zip(results, (values.wide for values in models.torch.results), strict=True))
    if any(new.shape != old.shape or np.isnan(new).sum() > np.isnan(old).sum() for new, old in pairs):
        return None
    every = {**models.torch.weights, **weights}
    return replace(models.torch, weights=every, results=[Values(result, result) for result in results], buffers=buffers)


def _explained(whole: Forcing, precision: int, seed: int) -> Agreement:
    """Whether rounding explains the difference in every row and every feature of the results, where JAX runs by itself."""
    every, unit = set(range(len(whole.landmarks))), 2.0**-precision
    factor, draws = factor_and_draws(precision)
    setup = ForcedRun(wide=True, mended=False)
    base = whole.replaced(every, setup, Measuring(values=True, parts=True))
    if any((parts > UNITS * unit).any() for parts in base.parts.values()):
        return Agreement.NOTHING  # rounded constants do not make so much
    operations, constants = ({number: np.zeros(parts.shape) for number, parts in base.parts.items()} for _ in range(2))
    best_agreement = Agreement.NOTHING
    for draw in range(draws):
        for moved, size in ((operations, TINY), (constants, unit)):
            noise = Noise(seed * 1000 + draw, size)
            # torch's operations without float64 are rounded as constants are
            alone = moved is constants and not whole.torch.narrow
            noisy = replace(setup, perturbation=Perturbation(noise, constants_only=alone))
            run = whole.replaced(every, noisy, Measuring(against=base, parts=True))
            for number, parts in moved.items():
                np.maximum(parts, finite(run.parts[number]), out=parts)
        for agreement, share in ((Agreement.FLOAT64, 0.0), (Agreement.CONSTANTS, 1.0)):
            limits = {n: np.maximum(EXACT, allowed(share * constants[n], operations[n], TINY, factor)) for n in every}
            if all((base.parts[n] <= limits[n]).all() for n in every):
                best_agreement = max(best_agreement, agreement)
        many = (n for n in every if base.parts[n].size >= MANY)
        if best_agreement is Agreement.FLOAT64 or any(base.parts[n].max() > BEYOND * limits[n].max() for n in many):
            break  # more draws only allow more, and not so much more
    return best_agreement
