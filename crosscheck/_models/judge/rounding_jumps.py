"""Numbers that rounding moves far, such as rows of a table that an integer selects: a right port may differ there.

They must not excuse the numbers beside them. Rounding changes ``floor(log2(x))`` only where ``log2(x)`` is close to an
integer; elsewhere the two models must have the same integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from crosscheck._arithmetic.formats import BoolArray
from crosscheck._frameworks.programs import Array
from crosscheck._models.judge.forced import Forced
from crosscheck._models.judge.forcing import FLOOR, ForcedRun, Forcing, Measuring
from crosscheck._models.judge.tolerances import UNITS, allowed
from crosscheck._models.run.interpreter import Perturbation
from crosscheck._models.values.distances import sizes
from crosscheck._shadow.base import Noise

DRAWS = 24
"""A number that rounding moves half of the time is missed once in 2^24 times."""


def without_jumps(forcing: Forcing, clean: Forced, precision: int, seed: int) -> list[str]:
    """Leave out the numbers that jump at each landmark whose difference only a jump excuses; the others are judged.

    Returns:
        The names of the landmarks where most numbers jump, so that little can be judged, or nothing.
    """
    unit = 2.0**-precision
    jump = UNITS * unit
    most = float(allowed(jump, jump, unit))  # for numbers that do not jump
    excused = [
        n for n, error in clean.errors.items() if FLOOR < error <= forcing.tolerances[n] and forcing.tolerances[n] > most
    ]
    if not excused:
        return []
    constants, operations = _moved(forcing, clean, excused, unit, seed)
    in_part = []
    for number in excused:
        landmark = forcing.landmarks[number]
        steady: BoolArray = np.maximum(constants[number], operations[number]) <= jump
        if steady.mean() < 0.5:
            in_part.append(landmark.name)
        if steady.all() or not steady.any():
            continue
        of_constants, of_operations = (float(moves[number][steady].max()) for moves in (constants, operations))
        forcing.landmarks[number] = replace(landmark, steady=steady)
        forcing.tolerances[number] = max(FLOOR, float(allowed(of_constants, of_operations, unit)))
    return in_part


def _moved(
    forcing: Forcing, clean: Forced, numbers: list[int], unit: float, seed: int
) -> tuple[Mapping[int, Array], Mapping[int, Array]]:
    """How far noise on the constants, and on all operations, moves each number, relative to the numbers beside it."""
    setup, values = ForcedRun(wide=True, only=numbers), Measuring(values=True)
    clear = forcing.replaced(clean.left, setup, values)
    base = {number: _floats(own) for number, own in clear.values.items()}
    size = {number: sizes(base[number]) for number in numbers}
    moves: tuple[dict[int, Array], dict[int, Array]] = ({}, {})
    for draw in range(DRAWS):
        noise = Noise(seed * 1000 + draw, unit)
        for kind, constants_only in enumerate((True, False)):
            noisy = replace(setup, perturbation=Perturbation(noise, constants_only))
            run = forcing.replaced(clean.left, noisy, values)
            for number in numbers:
                apart = np.abs(_floats(run.values[number]) - base[number]) / size[number]
                apart = np.where(np.isnan(apart), np.inf, apart)
                moves[kind][number] = np.maximum(apart, moves[kind].get(number, 0.0))
    return moves


def _floats(values: Array) -> Array:
    return np.asarray(values, np.float64)
