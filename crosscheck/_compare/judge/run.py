"""Run a pair of functions, and judge each result."""

from __future__ import annotations

from dataclasses import replace

from crosscheck._compare.judge.comparisons import Request
from crosscheck._compare.judge.judging import judge_results
from crosscheck._compare.judge.large import LARGE, large
from crosscheck._compare.judge.results import Comparisons, directions, first_runs, independent_outputs, programs, results_of
from crosscheck._records.errors import UsageError


def run(request: Request) -> Comparisons:
    """Compare two functions. What running them shows is in the outcome; only wrong arguments raise.

    If only derivatives raise, the lower orders are still judged.
    """
    outcome = _run(request)
    comparisons = outcome.comparisons
    if not comparisons or any(comparison.message is None or comparison.order == 0 for comparison in comparisons):
        return outcome
    lower = run(replace(request, order=request.order - 1))
    lower.comparisons[:0] = [
        comparison for comparison in comparisons if all(comparison.order != other.order for other in lower.comparisons)
    ]
    return replace(lower, exceptions=outcome.exceptions)


def _run(request: Request) -> Comparisons:
    inputs = request.inputs
    at = inputs.floats[0] if len(inputs.floats) == 1 else None
    if at is not None and inputs.leaves[at].size > LARGE:
        outcome = large(request, at)
        if outcome is not None:
            return outcome
    outcome = Comparisons()
    sides = programs(request)
    first = first_runs(request, sides, outcome)
    if first is None:
        return outcome
    outputs, values = first
    alone = None if at is not None and inputs.leaves[at].size > LARGE else independent_outputs(sides[0], inputs, values)
    if request.exact is not None and alone is None:
        raise UsageError(
            "exact: these functions are not elementwise functions of one array, and a definition is evaluated element by "
            "element; leave exact out"
        )
    along = directions(outputs, inputs, alone, request)
    ran = results_of(request, sides, along, outcome)
    if ran is not None:
        outcome.add(judge_results(request, sides, outputs, along, ran, alone))
    return outcome
