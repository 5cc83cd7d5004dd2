"""Functions of very many independent elements or rows: all are compared, and a part is diagnosed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crosscheck._compare.comparisons import Excerpt, Request
from crosscheck._compare.furthest import furthest, near, picked
from crosscheck._compare.judging import judge_results
from crosscheck._compare.results import (
    SUBSET,
    Outcome,
    Ran,
    directions,
    first_runs,
    independent_outputs,
    programs,
    results_of,
)
from crosscheck._frameworks.programs import Array, Directions

LARGE = 2**17
"""A function of more elements is diagnosed on a subset of them, if its results at these do not depend on the others."""
LEAST_ROWS = 8


def large(request: Request, at: int) -> Outcome | None:
    """Compare functions of very many elements: all with each other, and a part thoroughly.

    The part consists of the elements that differ most and a sample of all; or of rows, along the first axis, if each result
    depends on one row. None if results depend on several, or if the part alone gives something else than the whole.
    """
    whole = request.inputs.leaves[at]
    outcome = _of_items(request, at, whole.ravel())
    if outcome is None and whole.ndim > 1 and len(whole) > 2 * LEAST_ROWS and request.exact is None:
        outcome = _of_items(request, at, whole)
    return outcome


def _of_items(request: Request, at: int, whole: Array) -> Outcome | None:
    """The same for the items along the first axis: elements of an array with one axis, or rows."""
    rows = whole.ndim > 1
    count = max(SUBSET // 2 // (whole.size // len(whole)), LEAST_ROWS)
    sample = np.unique(np.linspace(0, len(whole) - 1, count).astype(np.int64))
    part = replace(request, inputs=request.inputs.with_leaf(at, whole[sample]))
    outcome = Outcome()
    first = first_runs(part, programs(part), Outcome())
    if first is None:
        return None
    outputs, values = first
    independent = independent_outputs(programs(part)[0], part.inputs, values, rows=rows)
    if independent is None or not independent.all():
        return None
    alone = None if rows else independent

    mode = "jit" if "jit" in request.modes else request.modes[0]
    everything = replace(request, inputs=request.inputs.with_leaf(at, whole), modes=(mode,))
    every_output = replace(outputs, shapes=tuple((len(whole), *shape[1:]) for shape in outputs.shapes))
    along = directions(every_output, everything.inputs, alone, everything)
    ran = results_of(everything, programs(everything), along, outcome)
    if ran is None:
        return outcome
    if mode not in ran.jax:
        return None
    chosen, equal = furthest(ran.torch, ran.jax[mode], request.inputs.fmt, count)
    chosen = np.union1d(chosen, sample)

    part = outcome.request = replace(request, inputs=request.inputs.with_leaf(at, whole[chosen]))
    sides = programs(part)
    along = Directions([one[chosen] for one in along.cotangents], [one[chosen] for one in along.tangents])
    again = results_of(part, sides, along, outcome)
    if again is None:
        return outcome
    torch, jax = (picked(found, chosen) for found in (ran.torch, ran.jax[mode]))
    if not all(near(a, b, request.inputs.fmt) for a, b in zip(torch, again.torch, strict=True)):
        return None
    shape = whole.shape[:1] if rows else request.inputs.leaves[at].shape
    excerpt = Excerpt(chosen, np.isin(chosen, sample), shape, equal)
    ran = Ran(torch, {**again.jax, mode: jax})
    outcome.add(judge_results(part, sides, outputs, along, ran, alone, excerpt))
    return outcome
