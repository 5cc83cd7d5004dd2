"""Weights that were to be copied, and that no run proved: which they are, and which faults may be theirs."""

from __future__ import annotations

from collections.abc import Sequence

from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.edits import EditSearch
from crosscheck._models.judge.forced import LocatedFault
from crosscheck._models.report.records import AMBIGUOUS, IN_JAX, INTEGERS, NOT_PROVEN, UNUSED, WeightMatch
from crosscheck._models.report.uncompared import statistics
from crosscheck._models.values.uses import DATA
from crosscheck._records.worded import kind_of

OF_SETTINGS = frozenset(["setting", "form", "padding"])
"""The kinds of facts that other weights seldom explain, as they may explain another function or order of numbers."""


def not_copied(results: ModelResults, matches: Sequence[WeightMatch]) -> tuple[str, ...]:
    """The weights of PyTorch that were not copied, although JAX has an array for them; ``matches`` are of the copying.

    If JAX has none of that size, nothing could be copied: the port is another model there.
    """
    never = {reason.kind for reason in (INTEGERS, UNUSED, IN_JAX)}
    left = [match for match in matches if not match.matched and kind_of(match.reason) not in never]
    # an array that was copied without a proof from where it likely comes, and is right, is no place for another weight
    right = _right(results)
    alone = {match.jax for match in left} - {match.jax for match in results.weights.matches if match.torch in right}
    empty = {value.size for name, value in zip(results.model.names, results.model.weights, strict=True) if name in alone}
    unreturned = {name for name, other in statistics(results).items() if not other}
    sizes = {name: value.size for name, value in results.torch.weights.items() if name not in unreturned}
    likely = {NOT_PROVEN.kind, AMBIGUOUS.kind}
    return tuple(
        match.torch
        for match in left
        if match.torch in sizes and (kind_of(match.reason) in likely or sizes[match.torch] in empty) and match.torch
    )


def set_aside(results: ModelResults) -> None:
    """Take away the faults that weights explain which no run proved. JAX's layers may be right.

    A fault stays if another setting explains it: with that, PyTorch has JAX's values, so that the weights are right.
    So are those that no fault taken away depends on, if JAX holds their numbers.
    """
    if not results.uncopied:
        return
    applied: dict[int, set[str]] = {}
    for use in results.torch.uses:
        names = {name for names in use.names for name in names.split("+")} - set(results.torch.buffers)
        if unproven := names & set(results.uncopied):
            applied.setdefault(use.operation.index, set()).update(unproven)
    edits = EditSearch(results)
    # a fault before such weights cannot be corrected by a run, and what follows shows it again
    doubtful, kept, wrong = set(applied), list[LocatedFault](), set[str]()
    for fault in results.located.faults:
        landmark = results.landmarks[fault.landmark]
        if landmark.operation is None and landmark.name in results.uncopied:  # a statistic
            wrong.add(landmark.name)
            results.open.update(fault.shown)
            continue
        before = _before(results, [fault.operation]) & doubtful
        explained = before and edits.explanation(fault) and all(fact.kind in OF_SETTINGS for fact in edits.facts(fault))
        if before and not explained:
            wrong.update(*(applied.get(index, ()) for index in before))
            results.open.update(fault.shown)
            continue
        kept.append(fault)
        if not before and _before(results, [landmark.operation, *landmark.beside]) & set(applied):
            doubtful.add(fault.operation)
    results.located.faults = kept
    held = {match.torch for match in results.weights.matches if match.matched} - wrong
    results.uncopied = tuple(name for name in results.uncopied if name not in held)


def _right(results: ModelResults) -> set[str]:
    """The weights of PyTorch whose use in JAX gives PyTorch's result."""
    errors, tolerances = results.located.errors, results.tolerances
    marks = enumerate(results.landmarks)
    made = {mark.operation for number, mark in marks if mark.place < 0 and errors[number] <= tolerances[number]}
    uses = (use for use in results.torch.uses if use.operation.index in made)
    return {name for use in uses for names in use.names for name in names.split("+")}


def _before(results: ModelResults, operations: Sequence[int | None]) -> set[int]:
    """These operations of PyTorch, and those on data before them, back to values that JAX got from PyTorch."""
    known = {
        index for landmark in results.landmarks for index in (landmark.operation, *landmark.beside) if index is not None
    }
    seen: set[int] = set()
    left = [index for index in operations if index is not None and index >= 0]
    while left:
        index = left.pop()
        operation = results.torch.operations[index]
        if index not in seen and operation.kind == DATA:
            seen.add(index)
            left += [index for index in operation.inputs if index not in known]
    return seen
