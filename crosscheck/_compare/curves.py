"""An activation at chosen inputs: what each subject gives there, for curves over an interval and for single points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from crosscheck._compare import causes
from crosscheck._compare.causes import Setting
from crosscheck._compare.scale import scale
from crosscheck._compare.subjects import runner, subjects_of
from crosscheck._exact.evaluate import truth
from crosscheck._numerics.formats import FORMATS, Float64Array, FloatArray, bits_of, widen
from crosscheck._numerics.ulp import round_once
from crosscheck._spec.records import Activation, budget

REPEATED = 64
"""A single input is run in an array of as many copies, so that vectorised kernels take their vectorised path."""
DEVICE = "cpu"


@dataclass(frozen=True)
class Result:
    """What one subject gives at one input: a number with its error in ULP, or what it raised.

    ``ulp`` is NaN where there is no truth or no error to measure; ``got`` is None where the subject raised or found
    no derivative, which ``message`` then tells.
    """

    subject: str
    got: float | None
    ulp: float
    message: str | None = None


@dataclass(frozen=True)
class Sighting:
    """Some subjects at one input. ``exact`` is the correctly rounded truth, None where nothing defines one."""

    dtype: str
    order: int
    mode: str
    parameters: Mapping[str, float]
    input: float
    input_bits: str
    exact: float | None
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Curve:
    """One subject over the inputs: its results, and its errors in ULP in the unit that it is judged by."""

    subject: str
    y: Float64Array
    ulp: Float64Array


@dataclass(frozen=True)
class Panel:
    """One order: the analytic curve in float64, the budget in ULP, the subjects, and who could not be run, and why."""

    order: int
    analytic: Float64Array
    budget: float
    curves: tuple[Curve, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Curves:
    """An activation over an interval, at inputs of a dtype, ascending."""

    name: str
    parameters: Mapping[str, float]
    dtype: str
    x: Float64Array
    panels: tuple[Panel, ...]


def sight(
    activation: Activation,
    subjects: Sequence[str],
    x: FloatArray,
    order: int,
    mode: str,
    parameters: Mapping[str, float],
) -> Sighting:
    """What the subjects give at the one input ``x``, an array of one element."""
    true = truth(activation, x, [order], parameters)[order]
    return Sighting(
        dtype=str(x.dtype),
        order=order,
        mode=mode,
        parameters=dict(parameters),
        input=float(x[0]),
        input_bits=bits_of(x),
        exact=float(true.rounded[0]) if true.judged[0] else None,
        results=tuple(_result(activation, parameters, name, x, order, mode) for name in subjects),
    )


def _result(
    activation: Activation,
    parameters: Mapping[str, float],
    name: str,
    x: FloatArray,
    order: int,
    mode: str,
) -> Result:
    try:
        got, ulp = _run(activation, parameters, name, np.repeat(x, REPEATED), order, mode)
    except Exception as error:  # whatever a subject raises is its result
        return Result(name, None, np.nan, f"{type(error).__name__}: {error}")
    if got is None:
        return Result(name, None, np.nan, "finds no derivative")
    return Result(name, float(got[0]), float(ulp[0]))


def curves(activation: Activation, subjects: Sequence[str], dtype: str, low: float, high: float, count: int) -> Curves:
    """The value and the gradient of an activation at up to ``count`` inputs of a dtype, evenly spaced in an interval."""
    parameters = activation.parameters
    fmt = FORMATS[dtype]
    evenly = low / 2 + (high / 2 - low / 2) * np.linspace(0, 1, count)  # halves, since high - low may overflow
    x = np.unique(round_once(2 * evenly, fmt))
    wide = widen(x)
    exact = truth(activation, x, (0,), parameters)[0].approximate()
    with np.errstate(all="ignore"):
        derivative = np.broadcast_to(np.asarray(activation.derivative(np, wide, **parameters), np.float64), wide.shape)
    analytic = (exact, derivative)
    chosen = [subject.name for subject in subjects_of(activation) if subject.name in subjects]
    panels = []
    for order in (0, 1):
        found: list[Curve] = []
        missing: dict[str, str] = {}
        for name in chosen:
            try:
                got, errors = _run(activation, parameters, name, x, order, "eager")
            except Exception as error:  # whatever a subject raises is its result
                missing[name] = f"{type(error).__name__}: {error}"
                continue
            if got is None:
                missing[name] = "finds no derivative"
                continue
            found.append(Curve(name, widen(got), errors))
        panels.append(Panel(order, analytic[order], budget(dtype, order), tuple(found), missing))
    return Curves(activation.name, dict(parameters), dtype, wide, tuple(panels))


def _run(
    activation: Activation, parameters: Mapping[str, float], name: str, x: FloatArray, order: int, mode: str
) -> tuple[FloatArray | None, Float64Array]:
    """A subject's results and their errors in the unit that ``verify`` judges by; NaN where nothing is judged.

    Raises whatever the subject raises.
    """
    subject = {subject.name: subject for subject in subjects_of(activation)}[name]
    mode = mode if mode in subject.modes else "eager"
    run = runner(activation, subject, parameters, DEVICE, None)
    got = run.run(x, order, mode)
    if got is None:
        return None, np.zeros(0)
    dtype = str(x.dtype)
    flush = run.flush(dtype, mode)
    formula = {1: activation.derivative, 2: activation.second_derivative}.get(order)
    setting = Setting(
        budget=budget(dtype, order),
        flush_inputs=flush.inputs,
        flush_outputs=flush.outputs,
        at_zero=truth(activation, np.zeros(1, x.dtype), [order], parameters)[order],
        scale=scale(partial(formula, **parameters), widen(x)) if formula else None,
    )
    true = truth(activation, x, [order], parameters)[order]
    errors = causes.judge(x, got.astype(x.dtype), true, setting).ulp_of_unit
    return got, np.where(true.judged, errors, np.nan)
