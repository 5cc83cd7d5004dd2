"""The accuracy of both sides in the dtype, at each landmark at which they agree in float64."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._models.judge.forced import Forced
from crosscheck._models.judge.forcing import FLOOR, ForcedRun, Forcing, Measuring
from crosscheck._models.judge.tolerances import DRAWS, DRAWS_IN_DOUBT
from crosscheck._models.run.interpreter import Perturbation
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
    # where all is equal in float64, torch's values are those of a clean run of JAX
    equal = not located.left and all(error <= FLOOR for error in located.errors.values())

    def moved(draw: int, only: set[int] | None) -> Forced:
        noisy = replace(setup, perturbation=Perturbation(Noise(seed * 1000 + draw, unit)), only=only)
        return forcing.replaced(located.left, noisy, against)

    def drifting(draw: int) -> Forced:
        return forcing.free(wide=True, noise=Noise(seed * 1000 + draw, unit), against=free_wide)

    truth = forcing.replaced(located.left, setup, Measuring(values=True, in_parts=False))
    against = Measuring(against=truth, in_parts=False)
    free_wide = None if equal else forcing.free(wide=True, values=True)
    jax = forcing.replaced(located.left, ForcedRun(wide=False, keep=bool(located.faults)), against)
    free = forcing.free(wide=False)
    noisy, drifted = moved(0, None), drifting(0)
    # rounding may change an integer, such as the index of the largest of two nearly equal numbers
    floats = {number for number in truth.errors if forcing.landmarks[number].expected.wide.dtype == np.float64}
    judged = sorted(floats - wrong)
    least = {number: unit * _share(forcing, number) for number in judged}
    strict = set(judged) if precision <= FORMATS["float16"].precision else set[int]()
    accuracies: dict[int, Accuracy] = {}
    spread, drift = dict.fromkeys(truth.errors, 0.0), dict.fromkeys(truth.errors, 0.0)
    least_spread = dict.fromkeys(truth.errors, np.inf)
    beyond, drifts = set[int](), False
    for draw in range(DRAWS if forcing.mends else DRAWS_IN_DOUBT):
        if draw:
            noisy = moved(draw, None if forcing.mends else beyond) if beyond or forcing.mends else Forced()
            drifted = drifting(draw) if drifts else Forced()
        for number, error in noisy.errors.items():
            spread[number], least_spread[number] = max(spread[number], error), min(least_spread[number], error)
        for number, error in drifted.errors.items():
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
    return accuracies, jax
