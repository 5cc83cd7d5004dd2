"""JAX's program, run again: the part between torch's values and one landmark, or with other numbers as weights."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.cut.landmarks import Landmark
from crosscheck._models.engine import ModelResults
from crosscheck._models.judge.forcing import Forcing
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.run.constant_folding import Fixed
from crosscheck._models.run.places import of_constants
from crosscheck._models.values.uses import CONSTANT
from crosscheck._shadow.jax_equations import DRAWS

CLOSE = 1e-6
"""A mistake is mended where no more than this share of its error is left."""


def with_weights(results: ModelResults, weights: Mapping[str, Array], landmarks: list[Landmark]) -> Forcing:
    """JAX's program with other numbers in the arrays of these names, to be compared with torch at these landmarks."""
    named = zip(results.model.names, results.model.weights, strict=True)
    held, own = [weights.get(name, weight) for name, weight in named], results.forcing
    return Forcing(results.torch, results.flat, landmarks, Fixed(results.flat, held), held, own.inputs, own.loose)


def steps_before(results: ModelResults, at: int) -> list[Step]:
    """The steps of JAX's program that lead to a landmark from the landmarks at which JAX gets torch's values."""
    landmark = results.landmarks[at]
    step = results.flat.steps[landmark.step]
    target = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
    return _steps(results.flat, target, _forced(results) - {target})


def depends_on_random_numbers(results: ModelResults, at: int) -> bool:
    """Whether other random numbers would change what JAX computes on the way to a landmark from those before.

    Dropout with a share of 0 draws a mask too, which keeps every number, whatever is drawn.
    """
    flat, steps = results.flat, steps_before(results, at)
    draws = [step for step in steps if step.operation.name in DRAWS]
    if any(flat.kinds[number] != CONSTANT for step in draws for number in step.outputs):
        return True  # from a key that is an input
    if not draws:
        return False
    values = of_constants(flat, results.model.weights)
    others = {number: _other(values[number]) for step in draws for number in step.outputs}
    changed = of_constants(flat, results.model.weights, others) | others
    used = [step.inputs for step in steps if flat.kinds[step.outputs[0]] != CONSTANT] + [steps[-1].outputs]
    numbers = {number for group in used for number in group if isinstance(number, int) and number in values}
    return any(not np.array_equal(values[number], changed[number]) for number in numbers)


def _other(drawn: Array) -> Array:
    """Other numbers that could have been drawn."""
    return 1 - drawn if drawn.dtype.kind == "f" else ~drawn


def _forced(results: ModelResults) -> set[Any]:
    """The values of JAX that torch's replace."""
    given = [
        (landmark, results.flat.steps[landmark.step])
        for k, landmark in enumerate(results.landmarks)
        if k not in results.located.left
    ]
    return {step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place] for landmark, step in given}


def _steps(flat: JaxProgramFlat, target: Any, forced: Container[Any]) -> list[Step]:
    indices: set[int] = set()
    left = [target]
    while left:
        number = left.pop()
        if isinstance(number, int) and number in flat.maker and number not in forced:
            step = flat.steps[flat.maker[number]]
            if step.operation.index not in indices:
                indices.add(step.operation.index)
                left += step.inputs
    return [flat.steps[index] for index in sorted(indices)]
