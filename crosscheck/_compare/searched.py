"""The rows at which an own function of rows errs most, searched for and judged like any others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from crosscheck._compare import causes
from crosscheck._compare.causes import FIRST_PASSING
from crosscheck._compare.judged import Judged, counts_for_maximum
from crosscheck._compare.sample import Sample, taken
from crosscheck._compare.search import worst
from crosscheck._compare.shapes import USED, RowShape
from crosscheck._compare.subjects import Runner, Subject
from crosscheck._compare.task import Plan, Task, judge_subject, run_subject
from crosscheck._numerics.formats import FORMATS, Float64Array
from crosscheck._spec.records import Activation, budget

OWN = {"torch": ("eager",), "jax": ("jit", "eager")}
"""The subjects that are searched, each in the first of these modes that is run."""
AT_ONCE = 11
"""How many rows are run at once: as many as the sample has of the first length, so that JAX need not compile again."""


def searched(
    activation: Activation, parameters: Mapping[str, float], dtype: str, plan: Plan, runners: dict[str, Runner]
) -> Iterator[Judged]:
    """The comparisons of the worst rows that were found, of each length."""
    own = {
        Subject(name, name): next(mode for mode in modes if mode in plan.modes)
        for name, modes in OWN.items()
        if name in plan.subjects and set(modes) & set(plan.modes)
    }
    if not own or plan.search is None:
        return

    def task(shapes: Sequence[RowShape], length: int) -> Task:
        sample = Sample.of_shapes(shapes, taken(activation, length), activation, FORMATS[dtype], searched=True)
        return Task.of(activation, 0, parameters, sample, replace(plan, modes=tuple(set(own.values()))), runners)

    def errors(shapes: Sequence[RowShape]) -> dict[object, Float64Array]:
        of = task(shapes, first)
        return {(subject.name, order): _errors(of, subject, order, own[subject]) for subject in own for order in plan.orders}

    first = plan.search.lengths[0]
    shapes = worst(errors, plan.search, AT_ONCE, plan.seed)
    for length in plan.search.lengths:
        if dtype in plan.lengths.get(length, ()):
            of = task(shapes[: AT_ONCE if length == first else len(USED)], length)
            for subject in own:
                yield from judge_subject(of, subject, run_subject(of, subject), {})


def _errors(task: Task, subject: Subject, order: int, mode: str) -> Float64Array:
    """The largest error of a result in each row, as a share of the budget; infinite where it raises."""
    try:
        run = task.runner(subject)
        got = run.run(task.sample, order, mode)
    except Exception:  # it is told of where the rows are judged
        return np.full(len(task.sample.x), np.inf)
    if got is None:
        return np.full(len(task.sample.x), np.inf)
    judgement = causes.judge(task.known(order), got, task.truths[order], task.setting(run, order, mode))
    counted = counts_for_maximum(judgement.codes, task.truths[order])
    share = np.where(counted, judgement.ulp_of_unit / budget(task.dtype, order), 0)
    share[(judgement.codes < FIRST_PASSING) & ~counted] = np.inf
    return np.asarray(share.reshape(len(task.sample.x), -1).max(axis=1))
