"""How two different functions differ: hypotheses are tried one after the other, and the first that is proven is reported."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from crosscheck._compare.budget import FOR_HOW, Budget
from crosscheck._compare.comparisons import Judged, Request
from crosscheck._compare.how_constants import Constants
from crosscheck._compare.how_dependence import of_dependence
from crosscheck._compare.how_inputs import fitted, of_inputs
from crosscheck._compare.how_nan import of_nan
from crosscheck._compare.how_outputs import of_outputs, swapped
from crosscheck._compare.trials import JAX, TORCH, Change, Trials

MOST_ELEMENTS = 2**20
"""If the inputs have more elements in all, no hypothesis is tried."""


def how(request: Request, judged: Judged, budget: Budget) -> str | None:
    """How the two sides differ in one result, as a clause; None if no hypothesis is proven."""
    if judged.x is None and sum(leaf.size for leaf in request.inputs.leaves) > MOST_ELEMENTS:
        return None
    trials = Trials(request, judged, budget.part(FOR_HOW))
    if trials.draws:
        sides = " and ".join(trials.draws)
        return f"{sides} {'draw' if len(trials.draws) > 1 else 'draws'} random numbers"
    if said := of_nan(trials):
        return said
    # A proof is coarser than the verdict. If no change at all is proven, each change that does nothing would be.
    unchanged = Change("", partial(trials.run, TORCH), JAX)
    found = None if trials.proves(unchanged) else trials.first(_changes(trials))
    if found is not None:
        return found.said
    return of_dependence(trials) if trials.order == 0 and not trials.spent else None


def _changes(trials: Trials) -> Iterator[Change]:
    """The hypotheses, simplest first: changes of the results, of the inputs, of numbers inside the functions."""
    yield from of_outputs(trials)
    if trials.order == 0:
        yield from swapped(trials)
        yield from of_inputs(trials)
    constants = Constants(trials)
    yield from constants.exchanged()
    yield from constants.fitted()
    if trials.order == 0:
        yield from fitted(trials)
    yield from constants.operations()
