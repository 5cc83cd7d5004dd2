"""Run one implementation at one set of inputs, in its modes, and judge it against the exact results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, FloatArray, IntArray, widen
from crosscheck._arithmetic.profile import Columns
from crosscheck._arithmetic.sampling import COLUMNS, PER_BINADE, ROWS, UNIFORM
from crosscheck._arithmetic.ulp import ulp
from crosscheck._frameworks.lacking import Lacking
from crosscheck._records.errors import said
from crosscheck._records.implementations import Implementation
from crosscheck._records.names import DTYPES, budget
from crosscheck._records.records import LONGEST, VOCABULARY, Activation
from crosscheck._records.worded import Worded
from crosscheck._truth.truth import Truth
from crosscheck._verdict import causes
from crosscheck._verdict.causes import CODE, Judgement, JudgingSetting
from crosscheck._verdict.judged import EXACT, ComparisonCauses, JudgedPoints, Key, counts_for_maximum, summarise
from crosscheck._verdict.scale import judged_by
from crosscheck._verify.inputs.sample import Sample
from crosscheck._verify.inputs.search import USUAL_EFFORT, Effort
from crosscheck._verify.run.implementations import Runner, covers, runner
from crosscheck._verify.run.second_run import MODE, SecondRun, differ, second_run, worse

EAGER_IN_JAX = (None, 8)
"""The lengths of rows at which JAX runs eagerly: it compiles every operation again for every length.

None stands for the inputs of an elementwise function.
"""

LENGTHS: Mapping[int, tuple[str, ...]] = {
    **dict.fromkeys((8, 100, *COLUMNS), DTYPES),
    **dict.fromkeys((1, 2), ("float32",)),
    1000: ("float32", "float64"),
    VOCABULARY: ("float32", "bfloat16"),
}
"""The lengths of rows that are run by default, each in these dtypes."""

EVERY_LENGTH: Mapping[int, tuple[str, ...]] = dict.fromkeys((*ROWS, *COLUMNS, VOCABULARY, LONGEST), DTYPES)

LONG_IN_NATIVES = ("float32",)
"""The dtypes in which what the frameworks ship is run at rows as long as a vocabulary."""


@dataclass(frozen=True)
class Plan:
    """The checked options of a run.

    Attributes:
        per_binade: The number of inputs of float64 and float32 that are sampled in each binade.
        uniform: The number of inputs of these dtypes that are sampled uniformly.
        lengths: The lengths of the rows for functions of rows, each with its dtypes.
        search: The effort of the search for rows at which crosscheck's own functions err most; None for no search.
        eager_in_jax: The lengths of rows at which JAX runs eagerly when it also runs under jit.
        natives_in: The modes in which only what the frameworks ship is run.
        layout: Whether an implementation's results in several layouts are compared, too.
        lacking: What cannot be run here, and so is left out.
    """

    dtypes: tuple[str, ...]
    orders: tuple[int, ...]
    implementations: tuple[str, ...]
    modes: tuple[str, ...]
    device: str
    seed: int
    per_binade: int = PER_BINADE
    uniform: int = UNIFORM
    lengths: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: LENGTHS)
    search: Effort | None = USUAL_EFFORT
    eager_in_jax: tuple[int | None, ...] = EAGER_IN_JAX
    natives_in: tuple[str, ...] = ()
    layout: bool = False
    replace: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    lacking: Lacking = field(default_factory=lambda: Lacking({}, {}))

    def runs(self, implementation: str, dtype: str) -> bool:
        """Whether an implementation is judged in a dtype."""
        return implementation in self.implementations and self.lacking.runs(implementation, dtype)


Results = dict[tuple[str, str, int], tuple[FloatArray, causes.Codes]]
"""By implementation, mode and order: what it gave, and the causes of the points."""
Runners = dict[tuple[object, ...], Runner]
"""The runners of one activation by implementation and parameters, made at their first use and kept for JAX's compiler."""


@dataclass(frozen=True)
class Task:
    """One set of inputs with its truth, shared by every implementation."""

    activation: Activation
    case: int
    parameters: Mapping[str, float]
    sample: Sample
    truths: Mapping[int, Truth]
    at_zero: Mapping[int, Truth]
    scales: Mapping[int, Float64Array]
    plan: Plan
    runners: Runners

    @classmethod
    def of(
        cls,
        activation: Activation,
        case: int,
        parameters: Mapping[str, float],
        sample: Sample,
        plan: Plan,
        runners: Runners,
    ) -> Task:
        at_zero = sample.also(np.zeros_like(sample.x[:1]), None if sample.v is None else sample.v[:1])
        return cls(
            activation=activation,
            case=case,
            parameters=parameters,
            sample=sample,
            truths=sample.truths(activation, plan.orders, parameters),
            at_zero=at_zero.truths(activation, plan.orders, parameters),
            scales=sample.scales(activation, plan.orders, parameters),
            plan=plan,
            runners=runners,
        )

    def setting(self, run: Runner, order: int, mode: str) -> JudgingSetting:
        """The values with which a result of an order is judged."""
        flush = run.flush(self.dtype, mode)
        return JudgingSetting(
            budget=budget(self.dtype, order),
            flush_inputs=flush.inputs,
            flush_outputs=flush.outputs,
            at_zero=self.at_zero[order],
            scale=judged_by(self.scales.get(order), self.truths[order].fmt, order, own=run.own),
            rows=self.activation.rows,
        )

    @cached_property
    def _columns(self) -> tuple[Columns, Columns]:
        """The columns of the inputs of values and of derivatives, shared by every comparison."""
        value, derivative = (self.known(order) for order in (0, 1))
        columns = Columns.of(value)
        return columns, columns if derivative is value else Columns.of(derivative)

    def known(self, order: int) -> FloatArray:
        return self.sample.known(order)

    @property
    def dtype(self) -> str:
        return str(self.sample.x.dtype)

    def runner(self, implementation: Implementation) -> Runner:
        key = (implementation.name, *self.parameters.items())
        if key not in self.runners:
            replacement = self.plan.replace.get(implementation.name)
            self.runners[key] = runner(self.activation, implementation, self.parameters, self.plan.device, replacement)
        return self.runners[key]

    def key(self, implementation: str, against: str, order: int, mode: str) -> Key:
        name, device, sample = self.activation.name, self.plan.device, self.sample
        return Key(name, self.case, implementation, against, self.dtype, order, mode, device, sample.length, sample.searched)

    def judged(self, key: Key, points: JudgedPoints, side: str | None, notes: tuple[str, ...] = ()) -> ComparisonCauses:
        """A comparison, from its points."""
        truth, columns = self.truths[key.order], self._columns[min(key.order, 1)]
        return summarise(key, self.parameters, points, truth, side, columns, notes)


@dataclass(frozen=True)
class Ran:
    """What an implementation gave or raised: an exception is its result, too."""

    order: int
    mode: str
    runner: Runner | None = None
    got: FloatArray | None = None
    again: SecondRun | None = None
    got_again: FloatArray | None = None
    error: Exception | None = None


def settings(task: Task, implementation: Implementation) -> list[tuple[str, int]]:
    """The modes and orders in which an implementation is run."""
    plan = task.plan
    own = implementation.own
    if not own and task.sample.shapes and task.dtype not in LONG_IN_NATIVES:
        return []
    modes = [mode for mode in plan.modes if mode in implementation.modes and not (own and mode in plan.natives_in)]
    if implementation.side == "jax" and "jit" in modes and task.sample.length not in plan.eager_in_jax:
        modes = [mode for mode in modes if mode != "eager"]
    every = [(mode, order) for mode in modes for order in plan.orders]
    return [(mode, order) for mode, order in every if covers(task.activation, implementation, task.dtype, order, mode)]


def run_implementation(task: Task, implementation: Implementation, begun: Callable[[int], None] | None = None) -> list[Ran]:
    """Its results in each setting; ``begun`` is called with each order before it runs."""
    runs = []
    for mode, order in settings(task, implementation):
        if begun is not None:
            begun(order)
        try:
            run = task.runner(implementation)
            got = run.run(task.sample, order, mode)
            twice = mode == MODE and implementation.side != "analytic" and not task.sample.shapes
            once_more = second_run(run, order, task.plan.orders) if twice else None
            runs.append(Ran(order, mode, run, got, once_more, once_more.run(task.sample, got) if once_more else None))
        except Exception as error:
            runs.append(Ran(order, mode, error=error))
    return runs


def judge_implementation(
    task: Task,
    implementation: Implementation,
    ran: Sequence[Ran],
    results: Results,
) -> Iterator[ComparisonCauses]:
    for outcome in ran:
        order, mode = outcome.order, outcome.mode
        key = task.key(implementation.name, EXACT, order, mode)
        error = outcome.error
        notes: tuple[str, ...] = ()
        if outcome.runner is not None:
            try:
                judgement, got, notes = _judge_twice(task, outcome.runner, outcome, implementation.own)
            except Exception as raised:  # it raised only in float64
                error = raised
        if error is not None:
            yield failed(task, key, said(error), implementation.side)
            continue
        results[implementation.name, mode, order] = got, judgement.codes
        if task.sample.shapes:
            notes = (*notes, _worst_row(task, judgement, order))
        at_fault = (judgement.codes < causes.FIRST_PASSING).any() and implementation.side != "analytic"
        expected, errors = task.truths[order].rounded, (judgement.ulp_of_unit, judgement.ulp)
        points = JudgedPoints(task.known(order), judgement.codes, got, expected, *errors)
        yield task.judged(key, points, implementation.side if at_fault else None, notes)


def _worst_row(task: Task, judgement: Judgement, order: int) -> str:
    """The row with the largest error of a result, among those whose truth is normal."""
    counted = counts_for_maximum(judgement.codes, task.truths[order]) | (judgement.codes < causes.FIRST_PASSING)
    errors = np.where(counted, np.nan_to_num(judgement.ulp_of_unit, nan=np.inf), 0)
    of_rows = errors.reshape(len(task.sample.x), -1).max(axis=1)
    worst = int(of_rows.argmax())
    shape = task.sample.shapes[worst]
    return Worded(f"worst row: {shape}: {of_rows[worst]:.3g} ULP", "worst row", shape)


def _judge_twice(task: Task, run: Runner, outcome: Ran, own: bool) -> tuple[Judgement, FloatArray, tuple[str, ...]]:
    """The judgement of a result; at each point where a second run is worse, the judgement of that."""
    order, mode = outcome.order, outcome.mode
    # shorter rows show whether what a framework ships is another function; here it would take most of the time
    rerun = None if task.sample.shapes and not own else lambda sample: run.run(sample, order, mode)
    first = _judge(task, run, outcome.got, order, mode, rerun)
    if outcome.again is None or outcome.got_again is None:
        return *first, ()
    differs = differ(first[1], outcome.got_again)
    if not differs.any():
        return *first, ()
    second = _judge(
        task, run, np.where(differs, outcome.got_again, first[1]), order, mode, partial(outcome.again.run, got=None)
    )
    judgement, got, at = worse(first, second)
    why = outcome.again.why
    return judgement, got, (Worded(f"at {at.sum():,} inputs {why}", why.kind),) if at.any() else ()


Rerun = Callable[[Sample], FloatArray | None]


def _judge(
    task: Task, run: Runner, got: FloatArray | None, order: int, mode: str, rerun: Rerun | None
) -> tuple[Judgement, FloatArray]:
    """Judge a result; ``rerun`` gives it at other inputs. Without it, points beyond the budget are ``inaccurate``."""
    true = task.truths[order]
    if got is None:
        got = np.zeros_like(task.known(order))
    judgement = causes.judge(task.known(order), got, true, task.setting(run, order, mode))
    bad = causes.beyond(judgement)
    if bad.size:
        if order > 0 and not widen(got[true.judged]).any():
            judgement.codes[bad] = CODE["missing"]
        elif rerun is not None:
            judgement.codes[bad[_definition(task, rerun, got, bad, order)]] = CODE["definition"]
    return judgement, got


def _definition(task: Task, rerun: Rerun, got: FloatArray, bad: Any, order: int) -> Any:
    """Which points beyond the budget are another function's: a run of the implementation in float64 shows it."""
    activation, parameters = task.activation, task.parameters
    true = task.truths[order]
    x = widen(task.known(order))
    expected = true.approximate()[bad]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.abs((widen(got[bad]) - expected) / expected)
    magnitude = 0.0
    for k, lower in task.truths.items():
        if k <= order:
            ordinary = np.abs(lower.approximate()[(np.abs(widen(task.known(k))) <= 20) & lower.judged])
            magnitude = max(magnitude, float(ordinary[np.isfinite(ordinary)].max(initial=0.0)))
    magnitude *= 4**order  # each differentiation multiplies the rounding by what the formula does to its input

    def errors_of(sample: Sample) -> tuple[Float64Array, Float64Array]:
        count = causes.MOST_PROBED if sample.length is None else len(task.sample.x)
        result = rerun(sample.tiled(count))
        exact = sample.truths(activation, [order], parameters)[order]
        result = np.zeros_like(exact.rounded) if result is None else result[: exact.rounded.size]
        # got minus the truth, including the truth's own rounding, which would otherwise hide the error
        with np.errstate(invalid="ignore", over="ignore"):
            return np.nan_to_num((result - exact.rounded) - exact.residual * ulp(exact.exponent, exact.fmt)), exact.rounded

    relative = np.nan_to_num(relative)
    in_float64 = task.dtype == "float64"
    if task.sample.length is not None:
        length = task.sample.width(order)
        rows = _probed_rows(bad, relative, np.abs(relative * expected), length)
        at_offsets = [errors_of(task.sample.rows(rows, 1 + offset)) for offset in (0.0, *causes.NEARBY)]
        signed, exact = np.stack([signed for signed, _ in at_offsets]), at_offsets[0][1]
        return causes.systematic_in_rows(bad, relative, rows, length, signed, exact, magnitude, in_float64=in_float64)

    def errors(at: Float64Array) -> tuple[Float64Array, Float64Array]:
        return errors_of(Sample(at, None, at))

    return causes.systematic(x[bad], relative, errors, magnitude, in_float64=in_float64, of_values=order == 0)


def _probed_rows(bad: IntArray, relative: Float64Array, absolute: Float64Array, length: int) -> IntArray:
    """The rows to examine: those with the largest errors, and some others; fewer if they are long."""
    count = int(np.clip(1000 // length, 1, 6))
    largest = [np.argsort(np.nan_to_num(error))[-max(1, count // 3) :] for error in (absolute, relative)]
    spread = np.linspace(0, bad.size - 1, max(1, count // 3)).astype(int)
    chosen = bad[largest[0]] if count == 1 else bad[np.concatenate([*largest, spread])]
    return np.unique(chosen // length)


def failed(task: Task, key: Key, message: str, side: str) -> ComparisonCauses:
    """The comparison of an implementation that raised."""
    empty = np.zeros(0)
    return ComparisonCauses(
        key=key,
        parameters=task.parameters,
        x=task.sample.at[:0],
        codes=np.zeros(0, np.uint8),
        failing=np.zeros(0, int),
        got=task.sample.at[:0],
        expected=task.sample.at[:0],
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
