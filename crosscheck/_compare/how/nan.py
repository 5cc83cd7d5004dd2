"""What the sides make of NaN in the inputs: some functions pass it on, others leave it out."""

from __future__ import annotations

from functools import partial

import numpy as np

from crosscheck._compare.how.trials import JAX, NAMES, TORCH, Trial, Trials


def of_nan(trials: Trials) -> str | None:
    """How the sides differ where an input is NaN, as a clause; None if they differ elsewhere too."""
    if not any(np.isnan(trials.given[at]).any() for at in trials.inputs.floats):
        return None
    numbers = trials.without_nan()
    if not numbers.proves(Trial("", partial(numbers.run, TORCH), JAX)):
        return None
    nan = [np.isnan(result) for result in trials.given_results]
    for passes, other in ((TORCH, JAX), (JAX, TORCH)):
        if (nan[passes] >= nan[other]).all() and (nan[passes] > nan[other]).any():
            return f"they differ only where an input is NaN: {NAMES[passes]} passes it on, {NAMES[other]} does not"
    return "they differ only in what they make of an input that is NaN"
