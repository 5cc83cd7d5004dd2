"""How two different functions differ: hypotheses are tried one after the other, and the first that is proven is reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crosscheck._compare.diagnose.budget import FOR_HOW, SearchBudget
from crosscheck._compare.how.dependence import of_dependence
from crosscheck._compare.how.edits import EditsOfFunction
from crosscheck._compare.how.inputs import fitted, of_inputs
from crosscheck._compare.how.nan import of_nan
from crosscheck._compare.how.outputs import of_outputs, swapped
from crosscheck._compare.how.trials import NAMES, Trial, Trials
from crosscheck._compare.judge.comparisons import Judged, Request
from crosscheck._explain.facts import Fact, clause

MOST_ELEMENTS = 2**20
"""If the inputs have more elements in all, no hypothesis is tried."""


@dataclass(frozen=True)
class How:
    """How two functions differ: as facts, one for each mistake."""

    facts: tuple[Fact, ...]

    @property
    def words(self) -> str:
        """The same as a clause."""
        return clause(self.facts)


def how(request: Request, judged: Judged, budget: SearchBudget) -> How | None:
    """How the two sides differ in one result; None if no hypothesis is proven."""
    if judged.x is None and sum(leaf.size for leaf in request.inputs.leaves) > MOST_ELEMENTS:
        return None
    trials = Trials(request, judged, budget.part(FOR_HOW))
    if trials.draws:
        return _one(Fact("random", "draw" if len(trials.draws) > 1 else "draws", " and ".join(trials.draws)))
    if fact := of_nan(trials):
        return _one(fact)
    # A proof is coarser than the verdict. If no change at all is proven, each change that does nothing would be.
    if trials.proves(trials.as_it_is):
        return _of_dependence(trials)
    edits = EditsOfFunction(trials)
    if trials.order == 0 and (facts := edits.of_functions()):
        return How(facts)
    if (trial := trials.first(change for change in _changes(trials) if not change.is_part)) is not None:
        return _one(trial.fact)
    if trials.order == 0 and (facts := edits.early()):
        return How(facts)
    if trials.order == 0 and (trial := trials.first(of_inputs(trials, with_result=True))) is not None:
        return _one(trial.fact)
    if trials.order == 0 and (facts := edits.late()):
        return How(facts)
    if (trial := trials.first(_others(trials))) is not None:
        return _one(trial.fact)
    return _of_dependence(trials)


def _one(fact: Fact) -> How:
    return How((fact,))


def _of_dependence(trials: Trials) -> How | None:
    fact = of_dependence(trials) if trials.order == 0 and not trials.spent else None
    return None if fact is None else _one(fact)


def cast(request: Request, judged: Judged, budget: SearchBudget, side: int) -> How | None:
    """To which dtypes of fewer digits one side casts; None if to none."""
    trials = Trials(request, judged, budget.part(FOR_HOW))
    trials.result(side)  # what a program contains is known after a run
    dtypes = sorted(trials.lifted[side].met.narrow)
    return _one(Fact("cast", " and ".join(dtypes), NAMES[side])) if dtypes else None


def _changes(trials: Trials) -> Iterator[Trial]:
    """The hypotheses, simplest first: changes of the results and of the inputs."""
    yield from of_outputs(trials)
    if trials.order == 0:
        yield from swapped(trials)
        yield from of_inputs(trials)


def _others(trials: Trials) -> Iterator[Trial]:
    """What says less than an edit: changes that explain a part of the results, and an input times a number."""
    yield from (change for change in of_outputs(trials) if change.is_part)
    if trials.order == 0:
        yield from fitted(trials)
