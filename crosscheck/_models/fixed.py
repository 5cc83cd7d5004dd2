"""What a program of JAX computes from weights and constants alone: the same in every run, so it is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crosscheck._frameworks.programs import Array
from crosscheck._models.jax_recording import JaxProgramFlat
from crosscheck._models.places import is_moved, without_inputs
from crosscheck._models.uses import DATA, WEIGHT


class Fixed:
    """The fixed values of the runs of a program with the same weights: of the runs in float64, and of those in the dtype."""

    def __init__(self, flat: JaxProgramFlat, weights: Sequence[Array]) -> None:
        self._flat, self._weights = flat, weights
        self._moved = moved(flat)
        self._found: dict[bool, dict[int, Any]] = {}

    def values(self, *, wide: bool, loose: frozenset[str] | None = None) -> Mapping[int, Any]:
        """The fixed values, by number; None for those that only the moves of weights need.

        With ``loose``, the weights that get noise, these are the values that are the same in all noisy runs: the other
        weights, and what is only moved from them. All else is rounded.
        """
        if wide not in self._found:
            # without what only the moves need, which is as large as all weights
            found = without_inputs(self._flat, self._weights, wide=wide, keep=needed_by(self._flat))
            self._found[wide] = {number: found.get(number) for number, kind in self._flat.kinds.items() if kind != DATA}
        found = self._found[wide]
        if loose is None:
            return found
        origins = self._flat.origins
        return {number: value for number, value in found.items() if number in self._moved and not origins[number] & loose}

    def drop(self, *, wide: bool = True) -> None:
        """Forget the values, which are as large as all weights. They are computed again if they are needed.

        With ``wide=False``, forget only those in the dtype.
        """
        for one in (True, False) if wide else (False,):
            self._found.pop(one, None)


def moved(flat: JaxProgramFlat) -> set[int]:
    """The values that are moved from weights alone."""
    return {one for one, kind in flat.kinds.items() if kind == WEIGHT and is_moved(flat, one)}


def needed_by(flat: JaxProgramFlat) -> set[int]:
    """The values that steps need which do more than to move a weight."""
    only = moved(flat)
    # a step that joins weights runs again under noise if one of them gets noise
    steps = [step for step in flat.steps if len(step.inputs) > 1 or not only.issuperset(step.outputs)]
    return {one for step in steps for one in step.inputs if isinstance(one, int)} | set(flat.results)
