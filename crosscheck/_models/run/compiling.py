"""Stretches of a JAX program between the steps that are watched, compiled where a model repeats them.

Stretches with the same equations share what is compiled, also with those of other comparisons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from crosscheck._models.record.jax_recording import JaxProgramFlat, Rounded, Step
from crosscheck._models.run.step_arithmetic import Arithmetic
from crosscheck._models.values.uses import DATA
from crosscheck._shadow.base import Noise
from crosscheck._shadow.jax.lift import Interpreter
from crosscheck._shadow.jax.noise import QUIET, seed_of
from crosscheck._shadow.jax_equations import Constants

Function = Callable[[Any, Any, list[Any]], list[Any]]
"""A function of the seed and the size of the noise, and of the values that a stretch needs."""

REPEATED = 8
"""A stretch is compiled if the model has this many with the same equations: fewer take less time one step at a time."""
KEPT = 64
"""The most stretches that are kept compiled; a process that compares ever new models drops the oldest."""


@dataclass(frozen=True)
class Stretch:
    """Steps that run together; two are equal if they have the same equations.

    Attributes:
        dtype: The dtype of the model.
        equations: The equations and how they are connected, without the numbers of the values.
        steps: The steps.
        given: The values that they need, by number.
        made: The values that are needed after them.
        exact: The constants in them before they were rounded.
        rounded: What torch may hold rounded to the dtype.
        functions: What is compiled of it: for a clean run, and for one under noise.
    """

    dtype: str
    equations: Hashable
    steps: Sequence[Step] = field(compare=False)
    given: Sequence[int] = field(compare=False)
    made: Sequence[int] = field(compare=False)
    exact: Constants = field(compare=False)
    rounded: Rounded
    functions: tuple[Function, Function] | None = field(default=None, compare=False)

    @property
    def indices(self) -> set[int]:
        """The indices of its steps."""
        return {step.operation.index for step in self.steps}

    def run(self, value: Callable[[int], Any], noise: Noise | None) -> Iterator[tuple[int, Any]]:
        """The values that it makes, by number; its noise is independent of that of other stretches.

        ``value`` gives those that it needs, floats in float64, or as `LargeWeight` weights.
        """
        assert self.functions is not None
        seed = seed_of(noise or QUIET, self.steps[0].operation.index)
        unit = np.float64((noise or QUIET).unit)
        results = self.functions[noise is not None](seed, unit, list(map(value, self.given)))
        return zip(self.made, results, strict=True)


@lru_cache(maxsize=2 * KEPT)  # clean and under noise
def _compiled(stretch: Stretch, noisy: bool) -> Function:
    def function(seed: Any, unit: Any, given: list[Any]) -> list[Any]:
        interpreter = Interpreter(stretch.dtype, stretch.exact, seed, unit, np.float64(0))
        arithmetic = Arithmetic(interpreter, stretch.exact, wide=True, noisy=noisy, rounded=stretch.rounded)
        values: dict[Any, Any] = dict(zip(stretch.given, given, strict=True))
        for step in stretch.steps:
            operands = [
                arithmetic.literal(operand) if isinstance(operand, Literal) else values[operand] for operand in step.inputs
            ]
            values.update(zip(step.outputs, arithmetic.results(step, operands), strict=True))
        return [values[number] for number in stretch.made]

    return jax.jit(function)


def repeated(flat: JaxProgramFlat, before: Container[int], after: Container[int]) -> list[Stretch]:
    """The stretches that are worth compiling, if a value is watched before some steps and after others."""
    last = {number: step.operation.index for step in flat.steps for number in step.inputs if isinstance(number, int)}
    last |= dict.fromkeys(flat.results, len(flat.steps))
    alike: dict[Stretch, list[Stretch]] = defaultdict(list)
    for steps in _between(flat, before, after):
        stretch = _stretch(flat, steps, last, steps[-1].operation.index in after)
        alike[stretch].append(stretch)
    worth = []
    for first, same in alike.items():
        if len(same) >= REPEATED:
            functions = _compiled(first, False), _compiled(first, True)  # looked up once: comparing equations takes time
            worth += [replace(stretch, functions=functions) for stretch in same]
    return worth


def _between(flat: JaxProgramFlat, before: Container[int], after: Container[int]) -> Iterator[list[Step]]:
    """The longest runs of steps on data that can be compiled, without a watched value inside."""
    steps: list[Step] = []
    for step in flat.steps:
        if step.operation.kind != DATA:
            continue
        compiles = _compiles(step)
        if steps and (step.operation.index in before or not compiles):
            yield steps
            steps = []
        if compiles:
            steps.append(step)
            if step.operation.index in after:
                yield steps
                steps = []
    if steps:
        yield steps


def _compiles(step: Step) -> bool:
    """Whether steps of this kind can be recognised: parameters that cannot be hashed are not compared."""
    if step.equation is None or step.equation.effects:
        return False
    try:
        hash(_parameters(step))
    except TypeError:
        return False
    return True


def _parameters(step: Step) -> tuple[Any, ...]:
    return tuple(sorted(step.equation.params.items()))


def _stretch(flat: JaxProgramFlat, steps: Sequence[Step], last: Mapping[int, int], watched: bool) -> Stretch:
    """Steps as a stretch; ``last`` has the last step that needs a value, and the last result may be ``watched``."""
    inside = [number for step in steps for number in step.outputs]
    read = dict.fromkeys(number for step in steps for number in step.inputs if isinstance(number, int))
    given = [number for number in read if number not in set(inside)]
    end = steps[-1].operation.index
    made = [number for number in inside if last.get(number, -1) > end or (watched and number == steps[-1].outputs[0])]
    local = {number: k for k, number in enumerate([*given, *inside])}
    literals = [literal for step in steps for literal in step.inputs if isinstance(literal, Literal)]
    exact = {id(literal): flat.exact[id(literal)] for literal in literals if id(literal) in flat.exact}

    def described(operand: Any) -> Hashable:
        if not isinstance(operand, Literal):
            return local[operand]
        return operand.aval, np.asarray(operand.val).tobytes(), np.asarray(exact.get(id(operand), 0.0)).tobytes()

    equations = tuple(
        (
            step.equation.primitive,
            _parameters(step),
            tuple(map(described, step.inputs)),
            tuple(atom.aval for atom in (*step.equation.invars, *step.equation.outvars)),
        )
        for step in steps
    )
    return Stretch(flat.dtype, (equations, tuple(local[number] for number in made)), steps, given, made, exact, flat.rounded)
