"""Weights that were to be copied, and that no run proved: which they are, and which faults may be theirs."""

from __future__ import annotations

from collections.abc import Sequence

from crosscheck._models.copy.copying import AMBIGUOUS, NOT_PROVEN
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.edits import EditSearch
from crosscheck._models.judge.forcing import LocatedFault
from crosscheck._models.pair.listing import IN_JAX, UNUSED
from crosscheck._models.report.records import INTEGERS, WeightMatch
from crosscheck._models.report.uncompared import statistics
from crosscheck._models.values.uses import DATA

OF_SETTINGS = frozenset(["setting", "form", "padding"])
"""The kinds of facts that other weights seldom explain, as they may explain another function or order of numbers."""


def not_copied(found: ModelResults, matches: Sequence[WeightMatch]) -> tuple[str, ...]:
    """The weights of PyTorch that were not copied, although JAX has an array for them; ``matches`` are of the copying.

    If JAX has none of that size, nothing could be copied: the port is another model there.
    """
    left = [one for one in matches if not one.matched and one.reason not in (INTEGERS, UNUSED, IN_JAX)]
    alone = {one.jax for one in left}
    empty = {value.size for name, value in zip(found.model.names, found.model.weights, strict=True) if name in alone}
    unreturned = {name for name, other in statistics(found).items() if not other}
    sizes = {name: value.size for name, value in found.torch.weights.items() if name not in unreturned}
    likely = (NOT_PROVEN, AMBIGUOUS)
    return tuple(
        one.torch for one in left if one.torch in sizes and (one.reason in likely or sizes[one.torch] in empty) and one.torch
    )


def set_aside(found: ModelResults) -> None:
    """Take away the faults that weights explain which no run proved. JAX's layers may be right.

    A fault stays if another setting explains it: with that, PyTorch has JAX's values, so that the weights are right.
    So are those that no fault taken away depends on, if JAX holds their numbers.
    """
    if not found.uncopied:
        return
    applied: dict[int, set[str]] = {}
    for use in found.torch.uses:
        names = {name for names in use.names for name in names.split("+")} - set(found.torch.buffers)
        if unproven := names & set(found.uncopied):
            applied.setdefault(use.operation.index, set()).update(unproven)
    edits = EditSearch(found)
    # a fault before such weights cannot be corrected by a run, and what follows shows it again
    doubtful, kept, wrong = set(applied), list[LocatedFault](), set[str]()
    for fault in found.located.faults:
        landmark = found.landmarks[fault.landmark]
        if landmark.operation is None and landmark.name in found.uncopied:  # a statistic
            wrong.add(landmark.name)
            found.open.update(fault.shown)
            continue
        before = _before(found, [fault.operation]) & doubtful
        explained = before and edits.explanation(fault) and all(one.kind in OF_SETTINGS for one in edits.facts(fault))
        if before and not explained:
            wrong.update(*(applied.get(one, ()) for one in before))
            found.open.update(fault.shown)
            continue
        kept.append(fault)
        if not before and _before(found, [landmark.operation, *landmark.beside]) & set(applied):
            doubtful.add(fault.operation)
    found.located.faults = kept
    held = {match.torch for match in found.weights.matches if match.matched} - wrong
    found.uncopied = tuple(name for name in found.uncopied if name not in held)


def _before(found: ModelResults, operations: Sequence[int | None]) -> set[int]:
    """These operations of PyTorch, and those on data before them, back to values that JAX got from PyTorch."""
    known = {one for landmark in found.landmarks for one in (landmark.operation, *landmark.beside) if one is not None}
    seen: set[int] = set()
    left = [one for one in operations if one is not None and one >= 0]
    while left:
        index = left.pop()
        operation = found.torch.operations[index]
        if index not in seen and operation.kind == DATA:
            seen.add(index)
            left += [one for one in operation.inputs if one not in known]
    return seen
