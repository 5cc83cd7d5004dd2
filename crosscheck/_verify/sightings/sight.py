"""A sighting: a disagreement run again at one input, with the result of each implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, Float64Array, FloatArray, bits_of, is_number, widen
from crosscheck._arithmetic.sampling import COLUMNS, ROWS
from crosscheck._frameworks.lacking import Lacking
from crosscheck._records.deviations import Anchor, Deviation, Region
from crosscheck._records.errors import said
from crosscheck._records.implementations import Implementation, on_screen
from crosscheck._records.records import Activation
from crosscheck._records.worded import Worded
from crosscheck._verdict import causes
from crosscheck._verdict.causes import CODE, FIRST_PASSING, Judgement
from crosscheck._verify.inputs.sample import Sample, samples
from crosscheck._verify.run.implementations import GAPS, VIEWS, implementations_of
from crosscheck._verify.run.task import Plan, Runners, Task

REPEATED = 64
"""The number of copies in the array of a single input, so that vectorised kernels take their vectorised path."""


def task_of(
    activation: Activation, parameters: Mapping[str, float], sample: Sample, orders: Sequence[int], runners: Runners
) -> Task:
    """A sample with its truths in some orders, in which any implementation can be run on the CPU."""
    plan = Plan(dtypes=(), orders=tuple(orders), implementations=(), modes=(), device="cpu", seed=0)
    return Task.of(activation, 0, parameters, sample, plan, runners)


def tried(task: Task, name: str, order: int, mode: str, count: int, view: str = "") -> tuple[FloatArray, Judgement] | str:
    """An implementation's results, flat, and the judgement of ``verify`` on them; or why there are none.

    The inputs, or the rows, are repeated up to ``count`` in an array, or run as a ``view`` of another array.
    """
    implementation, mode = Implementation.of(name), _mode(name, mode)
    if implementation not in implementations_of(task.activation, task.parameters):
        return NOT_JUDGED
    try:
        run = task.runner(implementation)
        got = run.run(task.sample.tiled(count), order, mode, view=view or None)
        if got is None:
            return NO_DERIVATIVE
        true = task.truths[order]
        got = got[: true.rounded.size]
        setting = task.setting(run, order, mode)
        return got, causes.judge(task.known(order), got.astype(task.dtype), true, setting)
    except Exception as error:  # an exception is the implementation's result
        return said(error)


NOT_JUDGED = Worded("is not judged with these parameters", "not judged")
NO_DERIVATIVE = Worded("finds no derivative", "no derivative")


def _mode(name: str, mode: str) -> str:
    """The mode in which an implementation is run; another one than requested if it lacks that."""
    return mode if mode in Implementation.of(name).modes else "eager"


@dataclass(frozen=True)
class Result:
    """The result of one implementation at one input: a number with its error in ULP, or what it raised.

    ``ulp`` is NaN if there is no truth or no error to measure. ``got`` is None if the implementation raised or found no
    derivative; ``message`` then says so. It was run in an array with ``copies`` of the input, or of its row; with a
    ``view``, one of ``VIEWS``, in an array of that length that is a view of another one.
    """

    implementation: str
    got: float | None
    ulp: float
    message: str | None = None
    mode: str = "eager"
    copies: int = REPEATED
    view: str = ""

    @property
    def layout(self) -> str:
        """The layout of its input in words, unless it is an array of copies."""
        return " with this input only" if self.copies == 1 else f" in a view {self.view}" if self.view else ""

    @property
    def label(self) -> str:
        """The implementation and the layout, for people."""
        return on_screen(self.implementation) + self.layout


@dataclass(frozen=True)
class SightedRow:
    """The row at which a function of rows was run, and the direction of its derivatives, as bits.

    ``position`` is that of the entry in question, None where the whole row has one result; for half a row, that of the
    result. ``extreme`` is the largest entry, or the smallest or the gate, if the others are ``known_by`` that. ``number`` is
    the number of the row among the ``sampled`` rows of its length, None if it is not one of them. It is run in an array of
    as many copies, since along the first axis this number decides whether torch takes its vectorised path. ``made`` are the
    lines of numpy that make a row as long as a vocabulary.
    """

    bits: tuple[str, ...]
    direction: tuple[str, ...]
    position: int | None
    entry: float
    known_by: str
    extreme: float
    number: int | None
    sampled: int
    made: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sighting:
    """Some implementations at one input. ``exact`` is the correctly rounded truth, None where nothing defines one.

    For a function of rows, ``input`` is the number that identifies the entry, and ``row`` is its row and position.
    """

    dtype: str
    order: int
    mode: str
    parameters: Mapping[str, float]
    input: float
    input_bits: str
    exact: float | None
    results: tuple[Result, ...]
    row: SightedRow | None = None


@dataclass(frozen=True)
class Sought:
    """A disagreement to run again: of some implementations, at the one input in the array ``x``.

    Of a ``declared`` deviation, it has the results at the anchor, and the lengths of rows to which the region is restricted.
    In a function of rows, ``x`` identifies an entry: of the shortest sampled row in which the implementations disagree at
    such an entry, with these results. With ``layouts``, each is also run with the input alone and in views of other arrays.
    """

    implementations: Sequence[str]
    x: FloatArray
    order: int
    mode: str
    parameters: Mapping[str, float]
    layouts: bool = False
    declared: Deviation | None = None
    results: Mapping[str, float] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()

    @classmethod
    def at(
        cls,
        activation: Activation,
        deviation: Deviation,
        implementations: Sequence[str],
        region: Region,
        anchor: Anchor,
        dtype: str,
    ) -> Sought:
        """A declared deviation of some of its implementations at an anchor, in one of the dtypes of its region."""
        return cls(
            implementations,
            np.array([anchor.input]).astype(FORMATS[dtype].dtype),
            region.order,
            deviation.modes_of(region)[0],
            {**activation.parameters, **region.parameters},
            layouts=deviation.cause == "layout",
            declared=deviation,
            results=anchor.results,
            lengths=region.lengths,
        )


def runnable_implementations(deviation: Deviation, lacking: Lacking, dtype: str | None = None) -> tuple[str, ...]:
    """The implementations of a deviation that can be run here; none if it shows only between two, and one is missing."""
    implementations = tuple(name for name in deviation.implementations if lacking.runs(name, dtype))
    return (
        () if deviation.cause == "convention" and len(implementations) < len(deviation.implementations) else implementations
    )


def sight(
    activation: Activation, sought: Sought, beside: Sequence[tuple[str, str]] = (), runners: Runners | None = None
) -> Sighting:
    """The results of the implementations at the input that is sought, in a row if the function is one of rows.

    If they do not disagree at these parameters, the sighting is at other parameters with which the function is verified.
    ``beside`` are further implementations, each with its mode, that run at the same place; their results come last.
    ``runners`` are kept between the sightings of one activation.
    """
    x, order, mode, row = sought.x, sought.order, sought.mode, None
    sample, parameters = Sample(x, None, x), sought.parameters
    runners = {} if runners is None else runners
    if activation.rows:
        sample, row, parameters = _in_a_row(activation, sought, runners)
    task = task_of(activation, parameters, sample, [order], runners)
    position = (row.position or 0) if row else 0
    copies = row.sampled if row else REPEATED
    runs = [(name, mode, copies, "") for name in sought.implementations]
    if sought.layouts:
        runs += [(name, mode, *layout) for layout in ((1, ""), (copies, GAPS)) for name in sought.implementations]
    results = [_result(task, order, position, *run) for run in runs]
    for view in (view for view in VIEWS if view != GAPS and sought.layouts and row is None):
        seen = [_result(task, order, position, name, mode, copies, view) for name in sought.implementations]
        results += [result for result, whole in zip(seen, results, strict=False) if repr(result.got) != repr(whole.got)]
    results += [_result(task, order, position, name, mode_beside, copies, "") for name, mode_beside in beside]
    true = task.truths[order]
    return Sighting(
        dtype=str(x.dtype),
        order=order,
        mode=mode,
        parameters=dict(parameters),
        input=float(x[0]),
        input_bits=bits_of(x),
        exact=float(true.rounded[position]) if true.judged[position] else None,
        results=tuple(results),
        row=row,
    )


def _result(task: Task, order: int, position: int, name: str, mode: str, copies: int, view: str) -> Result:
    ran, mode = tried(task, name, order, mode, copies, view), _mode(name, mode)
    if isinstance(ran, str):
        return Result(name, None, np.nan, ran, mode, copies, view)
    got, judgement = ran
    ulp = float(judgement.ulp_of_unit[position]) if task.truths[order].judged[position] else np.nan
    return Result(name, float(got[position]), ulp, None, mode, copies, view)


def _in_a_row(activation: Activation, sought: Sought, runners: Runners) -> tuple[Sample, SightedRow, Mapping[str, float]]:
    order, dtype, number = sought.order, sought.x.dtype, float(sought.x[0])
    whole = order == 0 and activation.result == "one"
    lengths = sought.lengths or (*ROWS, *COLUMNS)
    others = activation.cases if sought.declared and sought.parameters == activation.parameters else ()
    first = None
    for case in (sought.parameters, *others):
        for sample in samples(activation, case, str(dtype), lengths, seed=0, per_binade=0, uniform=0):
            rows = np.flatnonzero(is_number(sample.known(order), number).reshape(len(sample.x), -1).any(axis=1))
            if not rows.size or (sought.lengths and sample.length not in lengths):
                continue
            some = sample.taken(rows)
            at = np.flatnonzero(is_number(some.known(order), number))
            error = _disagreement(task_of(activation, case, some, [order], runners), sought, len(sample.x))[at]
            i, position = divmod(int(at[np.argmax(error)]), sample.width(order))
            candidate = *_place(sample, int(rows[i]), None if whole else position), case
            if error.max() > -np.inf:
                return candidate
            first = first or candidate
    if first is None:
        gated = activation.known_by == "gate"
        pair = np.array([[1, number] if gated else [number, -np.inf if whole else 0]]).astype(dtype)
        place = None if whole else int(gated and order > 0)
        sample, row = _place(Sample.of_rows(pair, np.array([[1, gated]], dtype), activation), 0, place)
        first = sample, replace(row, number=None), sought.parameters
    return first


def _disagreement(task: Task, sought: Sought, count: int) -> Float64Array:
    """The first implementation's error at each point; -inf where they do not disagree, or not as declared."""
    if sought.declared and sought.layouts:
        return _apart(task, sought, count)
    order = sought.order
    true = task.truths[order]
    runs = []
    for name in sought.implementations:
        run = tried(task, name, order, sought.mode, count)
        if isinstance(run, str):  # it is shown later
            return np.zeros(true.rounded.shape)
        runs.append(run)
    codes = [judgement.codes for _, judgement in runs]
    cause = sought.declared.cause if sought.declared else None
    cause = "inaccurate" if cause in ("definition", "missing") else cause
    failing = [of_one == CODE[cause] if cause else of_one < FIRST_PASSING for of_one in codes]
    shown = np.all(failing, axis=0) if cause else np.any(failing, axis=0)
    if len(runs) == 2:
        small = causes.cancelled(true, task.scales.get(order), rows=True)
        got = (runs[0][0], runs[1][0])
        pair = causes.judge_pair(got, (codes[0], codes[1]), order, np.isnan(widen(task.known(order))), small).codes
        shown |= pair == CODE[cause] if cause else pair < FIRST_PASSING
    for name, (values, _) in zip(sought.implementations, runs, strict=True):
        if (result := sought.results.get(name)) is not None:
            shown &= is_number(values, float(np.float64(result).astype(values.dtype)))
    return np.where(shown, np.nan_to_num(runs[0][1].ulp_of_unit), -np.inf)


def _apart(task: Task, sought: Sought, count: int) -> Float64Array:
    """The difference between the first implementation's results of each row alone and among ``count``; -inf for none."""
    run = task.runner(Implementation.of(sought.implementations[0])).run
    layouts = [task.sample.tiled(count), *(task.sample.taken([i]) for i in range(len(task.sample.x)))]
    together, *alone = (run(sample, sought.order, sought.mode) for sample in layouts)
    size = task.truths[sought.order].rounded.size
    if together is None:
        return np.zeros(size)
    gap = np.abs(widen(together[:size]) - widen(np.concatenate([result for result in alone if result is not None])))
    return np.where(gap > 0, gap, -np.inf)


def _place(sample: Sample, number: int, position: int | None) -> tuple[Sample, SightedRow]:
    row_sample = sample.taken([number])
    assert row_sample.v is not None
    return row_sample, SightedRow(
        bits=tuple(bits_of(entry) for entry in row_sample.x[0]),
        direction=tuple(bits_of(entry) for entry in row_sample.v[0]),
        position=position,
        entry=float(widen(row_sample.x).max() if position is None else row_sample.x[0, position]),
        known_by=sample.known_by,
        extreme=_extreme(sample, widen(row_sample.x[0]), position),
        number=number,
        sampled=len(sample.x),
        made=sample.lines(number),
    )


def _extreme(sample: Sample, row: Float64Array, position: int | None) -> float:
    if sample.known_by == "gate":
        gates = row[sample.outputs :]
        return float(gates[(position or 0) % gates.size])
    return float({"largest": row.max, "smallest": row.min}[sample.known_by]())
