"""Search for the inputs at which crosscheck's own functions err most, and judge them as any others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, Float64Array, FloatArray
from crosscheck._records.implementations import Implementation
from crosscheck._records.names import budget
from crosscheck._records.records import Activation
from crosscheck._verdict import causes
from crosscheck._verdict.causes import FIRST_PASSING
from crosscheck._verdict.judged import ComparisonCauses, counts_for_maximum
from crosscheck._verify.inputs.sample import Sample, taken
from crosscheck._verify.inputs.search import neighbours, worst, worst_first
from crosscheck._verify.inputs.shapes import USED, RowShape
from crosscheck._verify.run.task import Plan, Runners, Task, judge_implementation, run_implementation

OWN = {"torch": ("eager",), "jax": ("jit", "eager")}
"""The implementations that are searched, each in the first of these modes that is run."""
AT_ONCE = 11
"""The number of rows in one run: as many as the sample has of the first length, so that JAX does not compile again."""


def searched(
    activation: Activation,
    parameters: Mapping[str, float],
    sample: Sample,
    dtype: str,
    plan: Plan,
    runners: Runners,
) -> Iterator[ComparisonCauses]:
    """The comparisons at the worst inputs that were found; for an elementwise function, in addition to those of a sample."""
    own = {
        Implementation(name): next(mode for mode in modes if mode in plan.modes)
        for name, modes in OWN.items()
        if plan.runs(name, dtype) and set(modes) & set(plan.modes)
    }
    if own and plan.search is not None:
        in_modes = replace(plan, modes=tuple(set(own.values())))
        make = partial(Task.of, activation, 0, parameters, plan=in_modes, runners=runners)
        tasks = _rows(activation, dtype, plan, own, make) if activation.rows else _inputs(sample, plan, own, make)
        for task in tasks:
            for implementation, mode in own.items():
                alone = replace(task, plan=replace(plan, modes=(mode,)))
                yield from judge_implementation(alone, implementation, run_implementation(alone, implementation), {})


Make = Callable[[Sample], Task]
Own = Mapping[Implementation, str]


def _rows(activation: Activation, dtype: str, plan: Plan, own: Own, make: Make) -> Iterator[Task]:
    """The worst rows, of each length."""
    assert plan.search is not None
    first = plan.search.lengths[0]

    def task(shapes: Sequence[RowShape], length: int) -> Task:
        return make(Sample.of_shapes(shapes, taken(activation, length), activation, FORMATS[dtype], searched=True))

    shapes = worst(lambda shapes: _share(task(shapes, first), own), plan.search, AT_ONCE, plan.seed)
    for length in plan.search.lengths:
        if dtype in plan.lengths.get(length, ()):
            yield task(shapes[: AT_ONCE if length == first else len(USED)], length)


def _inputs(sample: Sample, plan: Plan, own: Own, make: Make) -> Iterator[Task]:
    """Inputs near the worst of a sample, then near the worst of these, and so on; equally many, for JAX's compiler."""
    assert plan.search is not None
    x, share = sample.x, _share(make(sample), own)
    for number in range(plan.search.rounds - 1):
        near = neighbours(x, share, plan.seed + number)
        near_share = _share(make(_inputs_of(near)), own)
        x, share = _worst(x, near, share, near_share)
    near = neighbours(x, share, plan.seed + plan.search.rounds)
    near[: x.size // 2] = x[: x.size // 2]  # the worst inputs that were found are judged too
    yield make(_inputs_of(near))


def _inputs_of(x: FloatArray) -> Sample:
    return Sample(x, None, x, searched=True)


def _worst(
    x: FloatArray, near: FloatArray, share: Mapping[object, Float64Array], near_share: Mapping[object, Float64Array]
) -> tuple[FloatArray, dict[object, Float64Array]]:
    """The worst of the tried inputs and those near them, as many as of either; the worst for each result come first."""
    joined = {key: np.concatenate([share[key], near_share[key]]) for key in share}
    order = worst_first(joined)[: x.size]
    return np.concatenate([x, near])[order], {key: of[order] for key, of in joined.items()}


def _share(task: Task, own: Own) -> dict[object, Float64Array]:
    """The errors of each result, as a share of its budget."""
    return {
        (implementation.name, order): _errors(task, implementation, order, mode)
        for implementation, mode in own.items()
        for order in task.plan.orders
    }


def _errors(task: Task, implementation: Implementation, order: int, mode: str) -> Float64Array:
    """The largest error of a result in each row, as a share of the budget; infinite if it raises."""
    try:
        run = task.runner(implementation)
        got = run.run(task.sample, order, mode)
    except Exception:  # it is reported when the rows are judged
        got = None
    if got is None:
        return np.full(len(task.sample.x), np.inf)
    judgement = causes.judge(task.known(order), got, task.truths[order], task.setting(run, order, mode))
    counted = counts_for_maximum(judgement.codes, task.truths[order])
    share = np.where(counted, judgement.ulp_of_unit / budget(task.dtype, order), 0)
    share[(judgement.codes < FIRST_PASSING) & ~counted] = np.inf
    return np.asarray(share.reshape(len(task.sample.x), -1).max(axis=1))
