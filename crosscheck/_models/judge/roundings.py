"""Numbers of a 16-bit model that one side rounds to the dtype and the other does not, such as the factor of an embedding.

The rounding of a number that does not depend on the data is the same for all data, so it is no random error: both sides
compute with two numbers. It counts where it moves a landmark by as much as rounding itself does, and where the results of
both sides differ by just that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Array
from crosscheck._models.judge.forced import Forced
from crosscheck._models.judge.forcing import ForcedRun, Forcing, Measuring
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.run.interpreter import Perturbation
from crosscheck._models.values.uses import DATA

ARITHMETIC = frozenset(["add", "sub", "mul", "div"])
PART = 3.0
"""The rounding must move a result by more than the other side's error, divided by this."""
LEAST = 0.25
"""And by more than this share of the dtype's unit."""
NEAR = 0.4
"""The difference of both sides holds it once, not more or less than this apart."""
SURE = 0.15
"""So far is what a difference seems to hold of it uncertain at most."""


@dataclass(frozen=True)
class Rounding:
    """A number, or numbers along one axis, that one side rounds to the dtype.

    Attributes:
        landmark: The landmark that shows it.
        side: The side that rounds: ``torch`` or ``jax``.
        error: How far the rounding moves the results, relative to them.
        sites: The operands of steps of JAX that may be these numbers: steps with positions.
    """

    landmark: int
    side: str
    error: float
    sites: Mapping[int, list[int]]


def roundings(forcing: Forcing, located: Forced) -> list[Rounding]:
    """Those that show at landmarks at which both models agree in float64; none if the dtype has more digits."""
    precision = FORMATS[forcing.flat.dtype].precision
    if precision > FORMATS["float16"].precision:
        return []
    return list(_roundings(forcing, located, 2.0**-precision))


def _roundings(forcing: Forcing, located: Forced, unit: float) -> Iterator[Rounding]:
    setup, values = ForcedRun(wide=True, narrow_values=True), Measuring(values=True, in_parts=False)
    right = {number for number, error in located.errors.items() if error <= forcing.tolerances[number]}
    every = {side: _sites(forcing.flat, held=side == "jax") for side in ("torch", "jax")}
    if not any(every.values()):
        return
    truth = forcing.replaced(located.left, setup, values).values
    narrow = forcing.replaced(located.left, ForcedRun(wide=False), values).values
    for side, sites in every.items():
        rounded = replace(setup, perturbation=Perturbation(rounded=sites))
        moved = forcing.replaced(located.left, rounded, values).values if sites else {}
        for number in sorted(right & moved.keys()):
            landmark = forcing.landmarks[number]
            if landmark.expected.wide.dtype != np.float64:
                continue
            torch_values, jax_values = landmark.compared(landmark.expected.narrow).astype(np.float64), _wide(narrow[number])
            effect, errors = moved[number] - truth[number], (torch_values - truth[number], jax_values - truth[number])
            if not np.isfinite([effect, *errors]).all() or not effect.any():
                continue
            size = _rms(truth[number])
            other = _rms(errors[side == "torch"]) / size
            error = _rms(effect) / size
            if error > max(LEAST * unit, other / PART) and _holds(errors[side == "jax"] - errors[side == "torch"], effect):
                yield Rounding(number, side, error, sites)


def _sites(flat: JaxProgramFlat, *, held: bool) -> dict[int, list[int]]:
    """Operands of arithmetic with data that do not depend on the data: those that the dtype holds, or others."""
    sites: dict[int, list[int]] = defaultdict(list)
    for step in (step for step in flat.steps if step.operation.kind == DATA and step.operation.name in ARITHMETIC):
        for place, operand in enumerate(step.inputs):
            if isinstance(operand, int) and flat.kinds[operand] == DATA:
                continue
            if held and not isinstance(operand, int):
                continue  # JAX rounds each number beside an array to its dtype, which is no mistake of a port
            dtype = str(flat.avals[operand].dtype if isinstance(operand, int) else operand.aval.dtype)
            if dtype in FORMATS and (dtype == flat.dtype) == held:
                sites[step.operation.index].append(place)
    return dict(sites)


def _holds(apart: Array, effect: Array) -> bool:
    """Whether a difference of the two sides is what a rounding makes, and other errors that do not depend on it."""
    square = float((effect * effect).sum())
    share = float((apart * effect).sum()) / square
    rest = float(((apart - share * effect) ** 2).sum())
    return abs(share - 1) <= NEAR and np.sqrt(rest / square / effect.size) <= SURE


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _wide(values: Array) -> Array:
    return np.asarray(values).astype(np.float64)
