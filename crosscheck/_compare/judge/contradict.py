"""Does a side's derivative contradict its own function? Central differences of its float64 runs answer this."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array
from crosscheck._compare.judge.evidence import ProgramRuns
from crosscheck._frameworks.programs import Array, Directions, Inputs

STEP = 2.0**-17
"""The distance of a central difference, relative to the input: about the cube root of float64's roundoff."""
UNCERTAIN = 8
"""The error of a difference is taken to be this many times what halving its step changes."""
ROUNDING = 1e-6
"""And this share of its terms, for the rounding of float64."""


class Contradiction:
    """The central differences of one pair's lifted programs."""

    def __init__(
        self,
        runs: ProgramRuns,
        places: Sequence[tuple[int, int, int | None]],
        along: Directions,
        inputs: Inputs,
        alone: BoolArray | None,
    ) -> None:
        self.runs, self.places, self.along, self.inputs, self.alone = runs, places, along, inputs, alone
        self.floats = sorted({k for order, k, _ in places if order == 1})

    def sides(self, result: int, where: BoolArray) -> tuple[BoolArray, BoolArray]:
        """For each side, which of the elements ``where`` contradict the difference of the next lower order."""
        contradicting = []
        for side in (0, 1):
            try:
                contradicting.append(self._side(side, result, where))
            except Exception:  # a function that refuses the neighbouring inputs contradicts nothing
                contradicting.append(np.zeros(where.shape, bool))
        return contradicting[0], contradicting[1]

    def _side(self, side: int, result: int, where: BoolArray) -> BoolArray:
        order, k, by = self.places[result]
        assert by is not None
        own, other = (self._result(s, self.runs.arguments, result) for s in (side, 1 - side))
        x = self.runs.arguments[by]
        size = np.abs(np.nan_to_num(x))
        step = STEP * np.where(size > 0, size, max(float(np.median(size)), 2.0**-10))
        if self.alone is not None and self.alone[k]:
            return where & self._elementwise(side, result, by, step, own)
        # along the direction in which the two sides' derivatives differ most
        v = step * np.sign(np.where(where, np.nan_to_num(own - other), 0.0))
        differences = [self._along(side, order, k, by, v * f) / f for f in (1.0, 0.5)]
        with np.errstate(invalid="ignore", over="ignore"):
            expected = float(np.sum(v * own))
            terms = float(np.sum(np.abs(v * own)))
            unsure = UNCERTAIN * abs(differences[0] - differences[1]) + ROUNDING * max(
                terms, float(np.sum(np.abs(v * other)))
            )
            return where & bool(abs(differences[1] - expected) > unsure)

    def _elementwise(self, side: int, result: int, by: int, step: Float64Array, own: Float64Array) -> BoolArray:
        lower = self._lower(result)
        x = self.runs.arguments[by]
        differences = []
        for factor in (1.0, 0.5):
            with np.errstate(over="ignore"):  # next to the largest floats
                high, low = x + factor * step, x - factor * step
            up, down = (self._result(side, self._with(by, moved), lower) for moved in (high, low))
            with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
                differences.append(self._direction(result) * (up - down) / (high - low))
        with np.errstate(invalid="ignore", over="ignore"):
            floor = np.abs(self._result(side, self.runs.arguments, lower)) / np.maximum(step, 1e-300) * 2.0**-50
            unsure = UNCERTAIN * np.abs(differences[0] - differences[1]) + ROUNDING * np.abs(own) + 8 * floor
            return np.asarray(np.abs(differences[1] - own) > unsure)

    def _direction(self, result: int) -> Float64Array:
        """The factor of each element of an elementwise derivative, in the comparison with the next lower order."""
        order, k, by = self.places[result]
        of = (
            self.along.cotangents[self.floats.index(k)]
            if order == 1
            else self.along.tangents[self.inputs.wrt.index(by or 0)]
        )
        return np.asarray(of, np.float64)

    def _along(self, side: int, order: int, k: int, by: int, v: Float64Array) -> float:
        """Half the change, between the inputs moved by v and by -v, of the function whose gradient the derivative is."""
        x = self.runs.arguments[by]
        up, down = (self._potential(side, order, k, x + d, by) for d in (v, -v))
        return (up - down) / 2

    def _potential(self, side: int, order: int, k: int, moved: Float64Array, by: int) -> float:
        results = self.runs.run(side, self._with(by, moved))
        if order == 1:
            cotangent = np.asarray(self.along.cotangents[self.floats.index(k)], np.float64)
            return float(np.sum(np.asarray(results[k], np.float64) * cotangent))
        total = 0.0
        for i, (o, output, j) in enumerate(self.places):
            if o == order - 1 and output == k and j is not None:
                tangent = np.asarray(self.along.tangents[self.inputs.wrt.index(j)], np.float64)
                total += float(np.sum(np.asarray(results[i], np.float64) * tangent))
        return total

    def _lower(self, result: int) -> int:
        """The result of the next lower order: the value, or the gradient by the same input."""
        order, k, by = self.places[result]
        return self.places.index((order - 1, k, by if order > 1 else None))

    def _with(self, by: int, moved: Float64Array) -> list[Array]:
        arguments = list(self.runs.arguments)
        arguments[by] = moved
        return arguments

    def _result(self, side: int, arguments: Sequence[Array], result: int) -> Float64Array:
        return np.asarray(self.runs.run(side, arguments)[result], np.float64)
