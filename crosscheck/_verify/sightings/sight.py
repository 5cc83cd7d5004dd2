"""A sighting: a disagreement run again at one input, with the result of each implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, Float64Array, FloatArray, IntArray, bits_of, is_number, widen
from crosscheck._arithmetic.sampling import COLUMNS, ROWS
from crosscheck._frameworks.lacking import Lacking
from crosscheck._records.deviations import Anchor, Deviation, Region
from crosscheck._records.errors import said
from crosscheck._records.implementations import Implementation, on_screen
from crosscheck._records.names import budget
from crosscheck._records.records import Activation
from crosscheck._truth.truth import Truth
from crosscheck._verdict import causes
from crosscheck._verdict.causes import CODE, FIRST_PASSING, Judgement, Setting
from crosscheck._verdict.scale import judged_by
from crosscheck._verify.inputs.sample import Sample, samples
from crosscheck._verify.run.implementations import GAPS, VIEWS, Runner, implementations_of, runner

REPEATED = 64
"""The number of copies in the array of a single input, so that vectorised kernels take their vectorised path."""
DEVICE = "cpu"
Runners = dict[tuple[object, ...], Runner]
"""The runners of one activation by implementation and parameters, kept so that JAX does not compile again."""


@dataclass(frozen=True)
class _Task:
    """A sample with its truth for one order, shared by every implementation."""

    activation: Activation
    parameters: Mapping[str, float]
    sample: Sample
    order: int
    true: Truth
    scale: Float64Array | None
    at_zero: Truth
    runners: Runners


def task_of(activation: Activation, parameters: Mapping[str, float], sample: Sample, order: int, runners: Runners) -> _Task:
    zero = np.zeros_like(sample.x[:1])
    at_zero = Sample(zero, None, zero) if sample.v is None else sample.also(zero, sample.v[:1])
    return _Task(
        activation,
        parameters,
        sample,
        order,
        true=sample.truths(activation, [order], parameters)[order],
        scale=sample.scales(activation, [order], parameters).get(order),
        at_zero=at_zero.truths(activation, [order], parameters)[order],
        runners=runners,
    )


def _implementations(task: _Task) -> dict[str, Implementation]:
    return {implementation.name: implementation for implementation in implementations_of(task.activation, task.parameters)}


def _mode(implementation: Implementation, mode: str) -> str:
    """The mode in which an implementation is run; another one than requested if it lacks that."""
    return mode if mode in implementation.modes else "eager"


def _runner(task: _Task, name: str) -> Runner:
    key = (name, *task.parameters.items())
    if key not in task.runners:
        task.runners[key] = runner(task.activation, _implementations(task)[name], task.parameters, DEVICE, None)
    return task.runners[key]


def run_in(task: _Task, name: str, mode: str, count: int, view: str = "") -> tuple[FloatArray, Judgement] | None:
    """An implementation's results, flat, and the judgement of ``verify`` on them; None if it finds no derivative.

    The inputs, or the rows, are repeated up to ``count`` in an array, or run as a ``view`` of another array. Raises what the
    implementation raises.
    """
    sample = task.sample
    mode = _mode(_implementations(task)[name], mode)
    run = _runner(task, name)
    got = run.run(sample.tiled(count), task.order, mode, view=view or None)
    if got is None:
        return None
    got = got[: task.true.rounded.size]
    dtype = str(sample.x.dtype)
    flush = run.flush(dtype, mode)
    setting = Setting(
        budget=budget(dtype, task.order),
        flush_inputs=flush.inputs,
        flush_outputs=flush.outputs,
        at_zero=task.at_zero,
        scale=judged_by(task.scale, task.true.fmt, task.order, own=run.own),
        rows=task.activation.rows,
    )
    return got, causes.judge(sample.known(task.order), got.astype(sample.x.dtype), task.true, setting)


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
class Row:
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
    row: Row | None = None


@dataclass(frozen=True)
class Declared:
    """A deviation of some of its implementations at one of its anchors, in one of the dtypes of the anchor's region."""

    deviation: Deviation
    implementations: tuple[str, ...]
    region: Region
    anchor: Anchor
    dtype: str


def there(deviation: Deviation, lacking: Lacking, dtype: str | None = None) -> tuple[str, ...]:
    """The implementations of a deviation that can be run here; none if it shows only between two, and one is missing."""
    found = tuple(name for name in deviation.implementations if lacking.runs(name, dtype))
    return () if deviation.cause == "convention" and len(found) < len(deviation.implementations) else found


def sight(
    activation: Activation,
    implementations: Sequence[str],
    x: FloatArray,
    order: int,
    mode: str,
    parameters: Mapping[str, float],
    *,
    declared: Declared | None = None,
    layouts: bool = False,
    beside: Sequence[tuple[str, str]] = (),
    runners: Runners | None = None,
) -> Sighting:
    """The results of the implementations at the one input ``x``, an array of one element.

    For a function of rows, ``x`` is the number that identifies an entry. The row is the shortest sampled one in which the
    implementations disagree at such an entry, and as it is ``declared``, if it is. If they do not at these parameters, the
    sighting is at other parameters with which the function is verified. With ``layouts``, each implementation is also run
    with the input, or its row, alone and in a view with gaps, and in those other views that change the result. ``beside``
    are further implementations, each with its mode, that run at the same place; their results come last. ``runners`` are
    kept between the sightings of one activation.
    """
    sample, row = Sample(x, None, x), None
    runners = {} if runners is None else runners
    if activation.rows:
        sample, row, parameters = _in_a_row(activation, implementations, x, order, mode, parameters, declared, runners)
    task = task_of(activation, parameters, sample, order, runners)
    position = (row.position or 0) if row else 0
    copies = row.sampled if row else REPEATED
    runs = [(name, mode, copies, "") for name in implementations]
    if layouts:
        runs += [(name, mode, *layout) for layout in ((1, ""), (copies, GAPS)) for name in implementations]
    results = [_result(task, *one, position) for one in runs]
    for view in VIEWS if layouts and row is None else ():
        seen = [_result(task, name, mode, copies, view, position) for name in implementations] if view != GAPS else []
        results += [one for one, whole in zip(seen, results, strict=False) if repr(one.got) != repr(whole.got)]
    results += [_result(task, name, one, copies, "", position) for name, one in beside]
    return Sighting(
        dtype=str(x.dtype),
        order=order,
        mode=mode,
        parameters=dict(parameters),
        input=float(x[0]),
        input_bits=bits_of(x),
        exact=float(task.true.rounded[position]) if task.true.judged[position] else None,
        results=tuple(results),
        row=row,
    )


def sight_declared(
    activation: Activation,
    declared: Declared,
    beside: Sequence[tuple[str, str]] = (),
    runners: Runners | None = None,
) -> Sighting:
    """The results of the implementations of a declared deviation at one of its anchors, and of others."""
    deviation, region = declared.deviation, declared.region
    return sight(
        activation,
        declared.implementations,
        np.array([declared.anchor.input]).astype(FORMATS[declared.dtype].dtype),
        region.order,
        deviation.modes_of(region)[0],
        {**activation.parameters, **region.parameters},
        declared=declared,
        layouts=deviation.cause == "layout",
        beside=beside,
        runners=runners,
    )


def _result(task: _Task, name: str, mode: str, copies: int, view: str, position: int) -> Result:
    implementation = _implementations(task).get(name)
    if implementation is None:
        return Result(name, None, np.nan, "is not judged with these parameters", mode, copies, view)
    mode = _mode(implementation, mode)
    try:
        run = run_in(task, name, mode, copies, view)
    except Exception as error:  # an exception is the implementation's result
        return Result(name, None, np.nan, said(error), mode, copies, view)
    if run is None:
        return Result(name, None, np.nan, "finds no derivative", mode, copies, view)
    got, judgement = run
    ulp = float(judgement.ulp_of_unit[position]) if task.true.judged[position] else np.nan
    return Result(name, float(got[position]), ulp, None, mode, copies, view)


def _in_a_row(
    activation: Activation,
    implementations: Sequence[str],
    x: FloatArray,
    order: int,
    mode: str,
    parameters: Mapping[str, float],
    declared: Declared | None,
    runners: Runners,
) -> tuple[Sample, Row, Mapping[str, float]]:
    cases = [parameters, *(activation.cases if declared and parameters == activation.parameters else ())]
    lengths = declared.region.lengths if declared else ()
    number = float(x[0])
    first = None
    for case in cases:
        for sample in samples(activation, case, str(x.dtype), lengths or (*ROWS, *COLUMNS), seed=0, per_binade=0, uniform=0):
            rows = np.flatnonzero(is_number(sample.known(order), number).reshape(len(sample.x), -1).any(axis=1))
            if not rows.size or (lengths and sample.length not in lengths):
                continue
            some = _chosen(sample, rows)
            at = np.flatnonzero(is_number(some.known(order), number))
            task = task_of(activation, case, some, order, runners)
            error = _disagreement(task, implementations, mode, len(sample.x), declared)[at]
            whole = order == 0 and activation.result == "one"
            i, position = divmod(int(at[np.argmax(error)]), sample.width(order))
            found = *_place(sample, int(rows[i]), None if whole else position), case
            if error.max() > -np.inf:
                return found
            first = first or found
    if first is None:
        whole = order == 0 and activation.result == "one"
        gated = activation.known_by == "gate"
        pair = np.array([[1, number] if gated else [number, -np.inf if whole else 0]]).astype(x.dtype)
        place = None if whole else int(gated and order > 0)
        sample, row = _place(Sample.of_rows(pair, np.array([[1, gated]], x.dtype), activation), 0, place)
        first = sample, replace(row, number=None), parameters
    return first


def _disagreement(
    task: _Task, implementations: Sequence[str], mode: str, count: int, declared: Declared | None
) -> Float64Array:
    """The first implementation's error at each point; -inf where they do not disagree, or not as declared."""
    if declared and declared.deviation.cause == "layout":
        return _apart(task, implementations[0], mode, count)
    runs = []
    for name in implementations:
        try:
            run = run_in(task, name, mode, count)
        except Exception:  # the exception is shown later
            run = None
        if run is None:
            return np.zeros(task.true.rounded.shape)
        runs.append(run)
    found = [judgement.codes for _, judgement in runs]
    cause = declared.deviation.cause if declared else None
    cause = "inaccurate" if cause in ("definition", "missing") else cause
    failing = [codes == CODE[cause] if cause else codes < FIRST_PASSING for codes in found]
    shown = np.all(failing, axis=0) if cause else np.any(failing, axis=0)
    if len(runs) == 2:
        small = causes.cancelled(task.true, task.scale, rows=True)
        got = (runs[0][0], runs[1][0])
        pair = causes.judge_pair(
            got, (found[0], found[1]), task.order, np.isnan(widen(task.sample.known(task.order))), small
        ).codes
        shown |= pair == CODE[cause] if cause else pair < FIRST_PASSING
    for name, (values, _) in zip(implementations, runs, strict=True):
        if declared and (result := declared.anchor.results.get(name)) is not None:
            shown &= is_number(values, float(np.float64(result).astype(values.dtype)))
    return np.where(shown, np.nan_to_num(runs[0][1].ulp_of_unit), -np.inf)


def _apart(task: _Task, name: str, mode: str, count: int) -> Float64Array:
    """The difference between an implementation's results of each row alone and among ``count``; -inf if there is none."""
    run = _runner(task, name).run
    layouts = [task.sample.tiled(count), *(task.sample.taken([i]) for i in range(len(task.sample.x)))]
    together, *alone = (run(sample, task.order, mode) for sample in layouts)
    size = task.true.rounded.size
    if together is None:
        return np.zeros(size)
    gap = np.abs(widen(together[:size]) - widen(np.concatenate([one for one in alone if one is not None])))
    return np.where(gap > 0, gap, -np.inf)


def _chosen(sample: Sample, numbers: Sequence[int] | IntArray) -> Sample:
    """Some of the rows."""
    assert sample.v is not None
    return sample.also(sample.x[numbers], sample.v[numbers])


def _place(sample: Sample, number: int, position: int | None) -> tuple[Sample, Row]:
    one = _chosen(sample, [number])
    assert one.v is not None
    return one, Row(
        bits=tuple(bits_of(entry) for entry in one.x[0]),
        direction=tuple(bits_of(entry) for entry in one.v[0]),
        position=position,
        entry=float(widen(one.x).max() if position is None else one.x[0, position]),
        known_by=sample.known_by,
        extreme=_extreme(sample, widen(one.x[0]), position),
        number=number,
        sampled=len(sample.x),
        made=sample.lines(number),
    )


def _extreme(sample: Sample, row: Float64Array, position: int | None) -> float:
    if sample.known_by == "gate":
        gates = row[sample.outputs :]
        return float(gates[(position or 0) % gates.size])
    return float({"largest": row.max, "smallest": row.min}[sample.known_by]())
