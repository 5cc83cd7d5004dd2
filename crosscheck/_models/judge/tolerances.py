"""The largest difference of correct models in float64: from rounding the constants to the dtype, and from float64."""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import replace
from typing import TypeVar

import numpy as np

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Array
from crosscheck._models.judge.forced import Forced
from crosscheck._models.judge.forcing import FLOOR, ForcedRun, Forcing, Measuring
from crosscheck._models.run.interpreter import Perturbation
from crosscheck._shadow.base import Noise

DRAWS = 3
"""The number of draws of noise if the first one leaves doubt."""
DRAWS_IN_DOUBT = 16
"""The number where only the landmarks in doubt are run: an integer, such as that of an expert, changes in some of them."""
UNITS = 2.0**12
"""Rounding that moves a number by more units of the dtype, relative to the numbers beside it, has changed an integer.

Numbers of 16 bits are never that far from others.
"""
MORE_DRAWS = 8
"""The number if noise explains the largest difference, but not that of each row and each feature."""

CONSTANTS = 16.0
"""The functions differ if a difference is this many times the effect of rounding the constants to the dtype."""
IN_16_BITS = 5.0
"""The same in 16 bits, where 16 times the effect may be as large as the numbers; ``MORE_DRAWS`` show more of the effect."""
OPERATIONS = 64.0
"""It must also be this many times the effect of rounding in float64."""

Moved = TypeVar("Moved", float, Array)


def allowed(constants: Moved, operations: Moved, unit: float, factor: float = CONSTANTS) -> Moved:
    """The limit, from the changes under noise of the dtype's unit roundoff: on constants alone, and on operations."""
    return np.maximum(factor * constants, OPERATIONS * operations * (2.0**-53 / unit))


def factor_and_draws(precision: int) -> tuple[float, int]:
    """The factor on the effect of constants in a dtype with so many digits, and the draws of noise that show the effect."""
    return (IN_16_BITS, MORE_DRAWS) if precision <= FORMATS["float16"].precision else (CONSTANTS, DRAWS)


def tolerances(
    forcing: Forcing, clean: Forced, precision: int, seed: int, among: Collection[int] | None = None
) -> dict[int, float]:
    """The largest difference of correct models in float64 at each landmark: from rounded constants, and from float64.

    ``among`` are the landmarks for which it is taken; by default, all.

    Noise moves some rows and features more than others, for example far positions. What it makes there excuses no
    difference elsewhere: the limit is lower where the difference in some row or feature is larger than noise makes it. Where
    rounding changes an integer, a few draws do not show which rows it may change; see ``jumps``.
    """
    unit = 2.0**-precision
    factor, draws = factor_and_draws(precision)
    # a replaced value would hide how far constants move it
    setup = ForcedRun(wide=True, mended=False)
    base = forcing.replaced(clean.left, replace(setup, only=among), Measuring(values=True, parts=True))
    moved = {number: (np.zeros(parts.shape), np.zeros(parts.shape)) for number, parts in base.parts.items()}
    rounded = without_float64(forcing, clean.left) & moved.keys()
    bounds: dict[int, float] = {}
    lower: dict[int, float] = {}
    doubtful = among
    for draw in range(MORE_DRAWS):
        noise = Noise(seed * 1000 + draw, unit)
        for kind, constants_only in enumerate((True, False)):
            noisy = replace(setup, perturbation=Perturbation(noise, constants_only), only=doubtful)
            for number, parts in forcing.replaced(clean.left, noisy, Measuring(against=base, parts=True)).parts.items():
                np.maximum(moved[number][kind], finite(parts), out=moved[number][kind])
        for number in rounded:  # there, torch's operations are rounded as constants are
            np.maximum(*moved[number], out=moved[number][0])
        limits = {number: np.maximum(FLOOR, allowed(*own, unit, factor)) for number, own in moved.items()}
        bounds = {number: float(own.max(initial=FLOOR)) for number, own in limits.items()}
        smooth = [number for number, bound in bounds.items() if bound <= allowed(UNITS * unit, UNITS * unit, unit)]
        over = {number: float((base.parts[number] / limits[number]).max(initial=0.0)) for number in smooth}
        lower = {n: base.errors[n] / ratio for n, ratio in over.items() if ratio > 1 and base.errors[n] <= bounds[n]}
        beyond = [number for number, bound in bounds.items() if not clean.errors[number] <= bound]
        if not lower and (not beyond or draw + 1 >= draws):
            break
        doubtful = [*beyond, *lower]  # more draws only allow more
    return bounds | lower


def without_float64(forcing: Forcing, left: Container[int]) -> set[int]:
    """The landmarks before which torch has an operation without float64, since the last values that JAX gets from torch."""
    operations, narrow = forcing.torch.operations, forcing.torch.narrow
    if not narrow:
        return set()
    given = {landmark.operation for number, landmark in enumerate(forcing.landmarks) if number not in left}
    before: dict[int, bool] = {}  # whether the stretch that ends with an operation has one
    for operation in operations:
        before[operation.index] = operation.index in narrow or any(before[k] for k in operation.inputs if k not in given)
    return {
        number
        for number, landmark in enumerate(forcing.landmarks)
        if landmark.operation is not None and before[landmark.operation]
    }


def finite(parts: Array) -> Array:
    """Noise under which a result is not finite does not show how far it moves."""
    return np.where(np.isfinite(parts), parts, 0.0)
