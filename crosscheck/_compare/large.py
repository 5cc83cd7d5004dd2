"""Functions of very many elements: all are compared, and a part of them diagnosed."""

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
    elementwise_outputs,
    first_runs,
    programs,
    results_of,
)
from crosscheck._frameworks.programs import Directions

LARGE = 2**17
"""An elementwise function of more elements is diagnosed on a subset of them."""


def large(request: Request, at: int) -> Outcome | None:
    """Compare elementwise functions of very many elements: all of them with each other, a part of them thoroughly.

    The part holds the elements that are furthest apart and a sample of all. None where the functions are not elementwise,
    or give something else when they are called with a part.
    """
    whole = request.inputs.leaves[at].ravel()
    sample = np.unique(np.linspace(0, whole.size - 1, SUBSET // 2).astype(np.int64))
    part = replace(request, inputs=request.inputs.with_leaf(at, whole[sample]))
    outcome = Outcome()
    sides = programs(part)
    first = first_runs(part, sides, Outcome())
    if first is None:
        return None
    outputs, values = first
    alone = elementwise_outputs(sides[0], part.inputs, values)
    if alone is None or not alone.all():
        return None

    mode = "jit" if "jit" in request.modes else request.modes[0]
    everything = replace(request, inputs=request.inputs.with_leaf(at, whole), modes=(mode,))
    every_output = replace(outputs, shapes=tuple(whole.shape for _ in outputs.shapes))
    along = directions(every_output, everything.inputs, alone, everything)
    ran = results_of(everything, programs(everything), along, outcome)
    if ran is None:
        return outcome
    if mode not in ran.jax:
        return None
    chosen, equal = furthest(ran.torch, ran.jax[mode], request.inputs.fmt, SUBSET // 2)
    chosen = np.union1d(chosen, sample)

    part = replace(request, inputs=request.inputs.with_leaf(at, whole[chosen]))
    sides = programs(part)
    along = Directions([one[chosen] for one in along.cotangents], [one[chosen] for one in along.tangents])
    again = results_of(part, sides, along, outcome)
    if again is None:
        return outcome
    torch, jax = (picked(found, chosen) for found in (ran.torch, ran.jax[mode]))
    if not all(near(a, b, request.inputs.fmt) for a, b in zip(torch, again.torch, strict=True)):
        return None
    excerpt = Excerpt(chosen, np.isin(chosen, sample), whole.size, equal, request.inputs.leaves[at].shape)
    ran = Ran(torch, {**again.jax, mode: jax})
    outcome.add(judge_results(part, sides, outputs, along, ran, alone, excerpt))
    return outcome
