"""Run all implementations of one activation, and judge them against the exact results and against each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, FloatArray, widen
from crosscheck._arithmetic.ulp import in_units
from crosscheck._records.errors import said
from crosscheck._records.implementations import FRAMEWORKS, Implementation
from crosscheck._records.names import ORDER_NAMES
from crosscheck._records.records import Activation
from crosscheck._truth.truth import Truth
from crosscheck._verdict import causes
from crosscheck._verdict.causes import CODE
from crosscheck._verdict.judged import ALONE, ComparisonCauses, JudgedPoints
from crosscheck._verify.inputs.sample import samples
from crosscheck._verify.run import layout
from crosscheck._verify.run.implementations import implementations_of
from crosscheck._verify.run.task import (
    Plan,
    Results,
    Runners,
    Task,
    failed,
    judge_implementation,
    run_implementation,
    settings,
)
from crosscheck._verify.run.worst_inputs import searched

EXHAUSTIVE = ("bfloat16", "float16")
"""In these dtypes, every input of an elementwise function is tried, so no search is needed."""
PAIRS = (("torch", "jax"), ("torch.native", "jax.native"))
PAIRED_MODES = {"eager": ("eager", "eager"), "jit": ("eager", "jit"), "compile": ("compile", "jit")}
"""For the comparison of both frameworks in a mode: the mode of torch and the mode of JAX, if these are not that mode."""


Progress = Callable[[str, str, float], None]
"""Called with the activation's name, the dtype and order that begin, and the share of the activation that is done."""
Begun = Callable[[str, float], None]
"""Called with what begins and the share of a dtype that is done."""


def run(activation: Activation, plan: Plan, progress: Progress | None = None) -> Iterator[ComparisonCauses]:
    """Every comparison of one activation, each as soon as it is done."""
    runners: Runners = {}
    every = list(itertools.product(enumerate(({}, *activation.cases)), plan.dtypes))
    for number, ((case, of_case), dtype) in enumerate(every):
        parameters = {**activation.parameters, **of_case}

        def begun(what: str, share: float, number: int = number, dtype: str = dtype) -> None:
            if progress is not None:
                progress(activation.name, f"{dtype} {what}", (number + min(share, 1.0)) / len(every))

        begun("", 0.0)
        yield from _one_dtype(activation, case, parameters, dtype, plan, runners, begun)


def _one_dtype(
    activation: Activation,
    case: int,
    parameters: Mapping[str, float],
    dtype: str,
    plan: Plan,
    runners: Runners,
    begun: Begun,
) -> Iterator[ComparisonCauses]:
    sampling = {"seed": plan.seed, "per_binade": plan.per_binade, "uniform": plan.uniform}
    lengths = [length for length, dtypes in plan.lengths.items() if dtype in dtypes]
    searchable = (
        case == 0
        and plan.search
        and (plan.search.lengths[0] in lengths if activation.rows else plan.search.rounds and dtype not in EXHAUSTIVE)
    )
    parts = (len(lengths) if activation.rows else 1) + bool(searchable)
    for number, sample in enumerate(samples(activation, parameters, dtype, lengths, **sampling)):
        task = Task.of(activation, case, parameters, sample, plan, runners)
        results: Results = {}
        implementations = [
            implementation
            for implementation in implementations_of(activation, parameters)
            if plan.runs(implementation.name, dtype)
        ]
        runs = sum(len(settings(task, implementation)) for implementation in implementations)
        count = itertools.count()

        def order_begun(order: int, number: int = number, runs: int = runs, count: Iterator[int] = count) -> None:
            begun(ORDER_NAMES[order], (number + next(count) / runs) / parts)

        # JAX's compiler takes most of the time, and does not hold Python's lock
        with ThreadPoolExecutor(len(implementations) or 1) as pool:
            runs_of = pool.map(partial(run_implementation, task, begun=order_begun), implementations)
            for implementation, ran in zip(implementations, runs_of, strict=True):
                yield from judge_implementation(task, implementation, ran, results)
        for pair in PAIRS:
            yield from _one_pair(task, pair, results)
        if plan.layout and case == 0 and dtype in layout.DTYPES and sample.length in (None, layout.ROW):
            for implementation in implementations:
                yield from _layouts(task, implementation, results)
    if searchable:
        begun("search", (parts - 1) / parts)
        yield from searched(activation, parameters, sample, dtype, plan, runners)


def _one_pair(task: Task, pair: tuple[str, str], results: Results) -> Iterator[ComparisonCauses]:
    for mode, order in itertools.product(task.plan.modes, task.plan.orders):
        modes = PAIRED_MODES.get(mode, (mode, mode))
        settings = [(name, mode, order) for name, mode in zip(pair, modes, strict=True)]
        if not all(setting in results for setting in settings):
            continue
        (got, codes), (other, other_codes) = (results[setting] for setting in settings)
        true = task.truths[order]
        small = causes.cancelled(true, task.scales.get(order), task.activation.rows)
        judged = causes.judge_pair((got, other), (codes, other_codes), order, np.isnan(widen(task.known(order))), small)
        apart = np.where(true.judged, _apart(got, other, true), np.nan)
        failing = judged.codes < causes.FIRST_PASSING
        sides = [side for side, wrong in zip(FRAMEWORKS, judged.at_fault, strict=True) if (wrong & failing).any()]
        side = "both" if len(sides) == 2 else next(iter(sides), None)
        points = JudgedPoints(task.known(order), judged.codes, got, other, apart, apart)
        yield task.judged(task.key(*pair, order, mode), points, side)


def _apart(got: FloatArray, other: FloatArray, true: Truth) -> Float64Array:
    """How far two results are apart, in ULP of the truth."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(in_units(got, true.exponent, true.fmt) - in_units(other, true.exponent, true.fmt)))


def _layouts(task: Task, implementation: Implementation, results: Results) -> Iterator[ComparisonCauses]:
    """Compare an implementation with itself in other layouts of its input."""
    for order in task.plan.orders:
        mode = layout.MODES.get(implementation.side, "")
        if (implementation.name, mode, order) not in results:
            continue
        whole, _ = results[implementation.name, mode, order]
        key = task.key(implementation.name, ALONE, order, mode)
        try:
            anchors = [
                anchor.input
                for deviation in task.activation.deviations
                if deviation.cause == "layout" and implementation.name in deviation.implementations
                for region in deviation.regions
                if region.order == order and task.dtype in region.dtypes
                for anchor in region.anchors
            ]
            of_layouts = layout.layouts(task.runner(implementation), task.sample, order, mode, whole, anchors)
        except Exception as error:
            yield failed(task, key, said(error), implementation.side)
            continue
        if of_layouts is None:
            continue
        apart = _apart(of_layouts.got, of_layouts.expected, task.truths[order])
        codes = np.where(of_layouts.differs, CODE["layout"], CODE["exact"]).astype(np.uint8)
        side, notes = (implementation.side, (of_layouts.note,)) if of_layouts.differs.any() else (None, ())
        points = JudgedPoints(task.known(order), codes, of_layouts.got, of_layouts.expected, apart, apart)
        yield task.judged(key, points, side, notes)
