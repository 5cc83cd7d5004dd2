"""What the sides make of NaN in the inputs: some functions pass it on, others leave it out."""

from __future__ import annotations

import numpy as np

from crosscheck._compare.how.trials import JAX, NAMES, TORCH, Trials
from crosscheck._explain.facts import Fact


def of_nan(trials: Trials) -> Fact | None:
    """How the sides differ where an input is NaN; None if they differ elsewhere too."""
    if not any(np.isnan(trials.given[at]).any() for at in trials.inputs.floats):
        return None
    numbers = trials.without_nan()
    if not numbers.proves(numbers.as_it_is):
        return None
    nan = [np.isnan(result) for result in trials.given_results]
    for passes, other in ((TORCH, JAX), (JAX, TORCH)):
        if (nan[passes] >= nan[other]).all() and (nan[passes] > nan[other]).any():
            return Fact("nan", role=NAMES[passes])
    return Fact("nans")
