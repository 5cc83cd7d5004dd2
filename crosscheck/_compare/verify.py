"""One activation, all its subjects: run them, judge them against the exact results and against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from crosscheck._compare import causes
from crosscheck._compare.causes import CODE, Judgement, Setting
from crosscheck._compare.judged import Judged, Key, summarise
from crosscheck._compare.scale import scale
from crosscheck._compare.subjects import Runner, Subject, covers, runner, subjects_of
from crosscheck._exact.evaluate import truth
from crosscheck._exact.truth import Truth
from crosscheck._numerics.formats import FORMATS, Float64Array, FloatArray, widen
from crosscheck._numerics.sampling import PER_BINADE, UNIFORM, stratified
from crosscheck._numerics.ulp import in_units
from crosscheck._spec.records import Activation, budget

PAIRS = (("torch", "jax"), ("torch.native", "jax.native"))


@dataclass(frozen=True)
class Plan:
    """What to run: checked names, all of them known."""

    dtypes: tuple[str, ...]
    orders: tuple[int, ...]
    subjects: tuple[str, ...]
    modes: tuple[str, ...]
    device: str
    seed: int
    per_binade: int = PER_BINADE
    uniform: int = UNIFORM
    replace: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Task:
    """One set of inputs with its truth, shared by every subject."""

    activation: Activation
    case: int
    parameters: Mapping[str, float]
    x: FloatArray
    truths: Mapping[int, Truth]
    at_zero: Mapping[int, Truth]
    scales: Mapping[int, Float64Array]
    plan: Plan

    @property
    def dtype(self) -> str:
        return str(self.x.dtype)


def inputs(activation: Activation, parameters: Mapping[str, float], dtype: str, plan: Plan) -> FloatArray:
    """The inputs for one dtype: stratified, with the kinks and the deviations' anchors among them."""
    regions = [region for deviation in activation.deviations for region in deviation.regions if dtype in region.dtypes]
    return stratified(
        FORMATS[dtype],
        seed=plan.seed,
        near=[kink.at for kink in activation.kinks_at(parameters)],
        exactly=[anchor.input for region in regions for anchor in region.anchors],
        per_binade=plan.per_binade,
        uniform=plan.uniform,
    )


def run(activation: Activation, plan: Plan, progress: Callable[[str, str], None] | None = None) -> Iterator[Judged]:
    """Every comparison of one activation, one by one as they are done.

    ``progress`` is called with the activation's name and the dtype before the inputs of each are tried.
    """
    for case, values in enumerate(({}, *activation.cases)):
        parameters = {**activation.parameters, **values}
        for dtype in plan.dtypes:
            if progress is not None:
                progress(activation.name, dtype)
            yield from _one_dtype(activation, case, parameters, dtype, plan)


def _one_dtype(
    activation: Activation, case: int, parameters: Mapping[str, float], dtype: str, plan: Plan
) -> Iterator[Judged]:
    x = inputs(activation, parameters, dtype, plan)
    wide = widen(x)
    formulas = {1: activation.derivative, 2: activation.second_derivative}
    task = _Task(
        activation=activation,
        case=case,
        parameters=parameters,
        x=x,
        truths=truth(activation, x, plan.orders, parameters),
        at_zero=truth(activation, np.zeros(1, x.dtype), plan.orders, parameters),
        scales={k: scale(partial(formulas[k], **parameters), wide) for k in plan.orders if k in formulas},
        plan=plan,
    )
    results: dict[tuple[str, str, int], tuple[FloatArray, causes.Codes]] = {}
    for subject in subjects_of(activation):
        if subject.name in plan.subjects:
            yield from _one_subject(task, subject, results)
    for pair in PAIRS:
        if set(pair) <= set(plan.subjects):
            yield from _one_pair(task, pair, results)


def _one_subject(
    task: _Task, subject: Subject, results: dict[tuple[str, str, int], tuple[FloatArray, causes.Codes]]
) -> Iterator[Judged]:
    plan = task.plan
    orders = [order for order in plan.orders if covers(subject, task.dtype, order)]
    modes = [mode for mode in plan.modes if mode in subject.modes]
    for mode in modes:
        for order in orders:
            key = Key(task.activation.name, task.case, subject.name, "exact", task.dtype, order, mode, plan.device)
            try:
                run = runner(task.activation, subject, task.parameters, plan.device, plan.replace.get(subject.name))
                got = run.run(task.x, order, mode)
                judgement, got = _judge(task, run, subject, got, order, mode)
            except Exception as error:  # whatever a subject raises is its result
                yield _failed(task, key, f"{type(error).__name__}: {error}", subject.side)
                continue
            results[subject.name, mode, order] = got, judgement.codes
            at_fault = (judgement.codes < causes.FIRST_PASSING).any() and subject.side != "analytic"
            yield summarise(
                key,
                task.parameters,
                task.x,
                judgement.codes,
                (got, task.truths[order].rounded),
                (judgement.ulp_of_unit, judgement.ulp),
                task.truths[order],
                subject.side if at_fault else None,
            )


def _judge(
    task: _Task, run: Runner, subject: Subject, got: FloatArray | None, order: int, mode: str
) -> tuple[Judgement, FloatArray]:
    true = task.truths[order]
    if got is None:
        got = np.zeros_like(task.x)
    flush = run.flush(task.dtype, mode)
    setting = Setting(
        budget=budget(task.dtype, order),
        flush_inputs=flush.inputs,
        flush_outputs=flush.outputs,
        at_zero=task.at_zero[order],
        scale=task.scales.get(order),
    )
    judgement = causes.judge(task.x, got, true, setting)
    bad = causes.beyond(judgement)
    if bad.size:
        if order > 0 and not widen(got[true.judged]).any():
            judgement.codes[bad] = CODE["missing"]
        else:
            judgement.codes[bad[_definition(task, run, got, bad, order, mode)]] = CODE["definition"]
    return judgement, got


def _definition(task: _Task, run: Runner, got: FloatArray, bad: Any, order: int, mode: str) -> Any:
    """Which of the points beyond the budget are another function, told by running the subject in float64."""
    activation, parameters = task.activation, task.parameters
    true = task.truths[order]
    x = widen(task.x)
    expected = true.approximate()[bad]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.abs((widen(got[bad]) - expected) / expected)
    ordinary = [np.abs(t.approximate()[(np.abs(x) <= 20) & t.judged]) for k, t in task.truths.items() if k <= order]
    magnitude = max((float(values[np.isfinite(values)].max(initial=0.0)) for values in ordinary), default=0.0)

    def errors(at: Float64Array) -> tuple[Float64Array, Float64Array]:
        result = run.run(at, order, mode)
        exact = truth(activation, at, [order], parameters)[order]
        result = np.zeros_like(at) if result is None else result
        # got minus the truth, the truth's own rounding included, or the error would drown in it
        unit = np.ldexp(1.0, (exact.exponent - 52).astype(np.int32))
        with np.errstate(invalid="ignore", over="ignore"):
            return np.nan_to_num((result - exact.rounded) - exact.residual * unit), exact.rounded

    return causes.systematic(x[bad], np.nan_to_num(relative), errors, magnitude, in_float64=task.dtype == "float64")


def _one_pair(
    task: _Task, pair: Sequence[str], results: Mapping[tuple[str, str, int], tuple[FloatArray, causes.Codes]]
) -> Iterator[Judged]:
    """The two frameworks with each other: torch runs eagerly, JAX in each mode."""
    for (name, mode, order), (other, other_codes) in results.items():
        if name != pair[1] or (pair[0], "eager", order) not in results:
            continue
        got, codes = results[pair[0], "eager", order]
        true = task.truths[order]
        judged = causes.judge_pair((got, other), (codes, other_codes), order, np.isnan(widen(task.x)))
        with np.errstate(invalid="ignore"):
            apart = np.abs(in_units(got, true.exponent, true.fmt) - in_units(other, true.exponent, true.fmt))
        apart[~true.judged] = np.nan
        failing = judged.codes < causes.FIRST_PASSING
        sides = [side for side, wrong in zip(("torch", "jax"), judged.at_fault, strict=True) if (wrong & failing).any()]
        yield summarise(
            Key(task.activation.name, task.case, pair[0], pair[1], task.dtype, order, mode, task.plan.device),
            task.parameters,
            task.x,
            judged.codes,
            (got, other),
            (apart, apart),
            true,
            "both" if len(sides) == 2 else next(iter(sides), None),
        )


def _failed(task: _Task, key: Key, message: str, side: str) -> Judged:
    """A comparison whose subject raised."""
    empty = np.zeros(0)
    return Judged(
        key=key,
        parameters=task.parameters,
        x=task.x[:0],
        codes=np.zeros(0, np.uint8),
        failing=np.zeros(0, int),
        got=task.x[:0],
        expected=task.x[:0],
        ulp=empty,
        ulp_of_truth=empty,
        causes={},
        side=side if side != "analytic" else None,
        max_ulp=0.0,
        max_ulp_of_truth=0.0,
        max_abs=0.0,
        undecided=0,
        message=message,
    )
