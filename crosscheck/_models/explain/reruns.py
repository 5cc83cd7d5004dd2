"""JAX's program between torch's values and one landmark, run again with other operands or results."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from crosscheck._models.engine import ModelResults
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._shadow.jax_equations import DRAWS


def steps_before(found: ModelResults, at: int) -> list[Step]:
    """The steps of JAX's program that lead to a landmark from the landmarks at which JAX gets torch's values."""
    landmark = found.landmarks[at]
    step = found.flat.steps[landmark.step]
    target = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
    return _steps(found.flat, target, _forced(found) - {target})


def draws_random_numbers(found: ModelResults, at: int) -> bool:
    """Whether JAX draws random numbers on the way to a landmark from those before."""
    return any(step.operation.name in DRAWS for step in steps_before(found, at))


def _forced(found: ModelResults) -> set[Any]:
    """The values of JAX that torch's replace."""
    given = [(one, found.flat.steps[one.step]) for k, one in enumerate(found.landmarks) if k not in found.located.left]
    return {step.outputs[0] if one.place < 0 else step.inputs[one.place] for one, step in given}


def _steps(flat: JaxProgramFlat, target: Any, forced: Container[Any]) -> list[Step]:
    found: set[int] = set()
    left = [target]
    while left:
        number = left.pop()
        if isinstance(number, int) and number in flat.maker and number not in forced:
            step = flat.steps[flat.maker[number]]
            if step.operation.index not in found:
                found.add(step.operation.index)
                left += step.inputs
    return [flat.steps[one] for one in sorted(found)]
