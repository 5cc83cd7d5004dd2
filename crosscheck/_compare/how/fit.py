"""Fit the number with which one side gives what the other gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from crosscheck._arithmetic.formats import Float64Array
from crosscheck._compare.how.trials import Trials, sizes_of
from crosscheck._frameworks.programs import Array

EVALUATIONS = 30
FITTED = 1e-7
"""The largest difference of the results, relative to their sizes, after a fit that is worth the proof."""
FAR = 1e3


class Fit:
    """Fits a number to one side's results at the given inputs."""

    def __init__(self, trials: Trials, target: int) -> None:
        self._target = trials.given_results[target]
        self._finite = np.isfinite(self._target)
        self._sizes = sizes_of(self._target)[self._finite]

    def apart(self, run: Callable[[float], Array], value: float) -> Float64Array:
        """The differences of the results from the target, relative to their sizes; large where there is no result."""
        with np.errstate(all="ignore"):
            try:
                result = run(value)
            except Exception:  # an operation may refuse the number
                result = np.empty(0)
            if result.shape != self._target.shape:
                return np.full(self._sizes.size, FAR)
            return np.clip(np.nan_to_num((result - self._target)[self._finite] / self._sizes, nan=FAR), -FAR, FAR)

    def best(self, run: Callable[[float], Array], starts: Sequence[float]) -> float | None:
        """The number at which the results agree; None if no start leads to one."""
        from scipy.optimize import least_squares  # takes as long to import as a small comparison

        if not self._sizes.size:
            return None
        for start in starts:
            solution = least_squares(
                lambda value: self.apart(run, float(value[0])),
                [start],
                xtol=1e-15,
                ftol=1e-15,
                gtol=1e-15,
                max_nfev=EVALUATIONS,
            )
            if np.abs(solution.fun).max() < FITTED:
                return float(solution.x[0])
        return None
