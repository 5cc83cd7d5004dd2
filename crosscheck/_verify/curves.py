"""The curves of an activation over an interval: its value, its gradient, and the errors of each implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, Float64Array, widen
from crosscheck._arithmetic.ulp import round_once
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import Implementation
from crosscheck._records.names import budget
from crosscheck._records.records import Activation
from crosscheck._verify.inputs.sample import Sample
from crosscheck._verify.run.implementations import implementations_of
from crosscheck._verify.sightings.sight import task_of, tried


@dataclass(frozen=True)
class Curve:
    """One implementation at the inputs: its results, and its errors in the unit of the judgement."""

    implementation: str
    y: Float64Array
    ulp: Float64Array


@dataclass(frozen=True)
class Panel:
    """One order: the analytic curve in float64, the budget in ULP, the implementations, and why others could not be run."""

    order: int
    analytic: Float64Array
    budget: float
    curves: tuple[Curve, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Curves:
    """An activation at inputs of a dtype, ascending. For a function of rows, ``where`` says which entry of the row x is."""

    name: str
    parameters: Mapping[str, float]
    dtype: str
    x: Float64Array
    panels: tuple[Panel, ...]
    where: str = ""


ONE_ENTRY = (0, (0, 0, 1), "the first entry of the row (x, 0, 1)")
ONE_GATE = (1, (1, 0), "the pair (1, x), where x is the gate")


def drawn(activation: Activation) -> tuple[int, tuple[float, ...], str]:
    """For a function of rows: the position of the entry x that varies, the row, and a description."""
    return ONE_GATE if activation.known_by == "gate" else ONE_ENTRY


def curves(
    activation: Activation, implementations: Sequence[str], dtype: str, low: float, high: float, count: int
) -> Curves:
    """The value and the gradient of an activation at up to ``count`` inputs of a dtype, evenly spaced in an interval.

    Inputs outside of the function's domain are omitted. For a function of rows, x is one entry of a row, and the derivative
    is that by x: see ``drawn``.
    """
    parameters = activation.parameters
    fmt = FORMATS[dtype]
    evenly = low / 2 + (high / 2 - low / 2) * np.linspace(0, 1, count)  # halves, since high - low may overflow
    x = np.unique(round_once(2 * evenly, fmt))
    begin, end = activation.domain
    x = x[(begin < widen(x)) & (widen(x) < end)]
    if not x.size:
        raise UsageError(f"{activation.name}: the interval from {low:g} to {high:g} lies outside of the domain {begin, end}")
    sample = Sample(x, None, x)
    place, row, words = drawn(activation)
    if activation.rows:
        entries, along = (np.tile(np.array(vector, x.dtype), (x.size, 1)) for vector in (row, np.eye(len(row))[0]))
        entries[:, place] = x
        sample = Sample.of_rows(entries, along, activation)
    task = task_of(activation, parameters, sample, (0, 1), {})
    wide = replace(sample, x=widen(sample.x), v=None if sample.v is None else widen(sample.v), at=widen(sample.at))
    derivative = task.runner(Implementation("analytic")).run(wide, 1, "eager")
    assert derivative is not None
    points = [slice(None), slice(None)]
    if activation.rows:
        points = [slice(place % sample.width(order), None, sample.width(order)) for order in (0, 1)]
    analytic = (task.truths[0].approximate()[points[0]], derivative[points[1]])
    chosen = [
        implementation.name
        for implementation in implementations_of(activation, parameters)
        if implementation.name in implementations
    ]
    panels = []
    for order, at in enumerate(points):
        drawn_curves: list[Curve] = []
        missing: dict[str, str] = {}
        for name in chosen:
            ran = tried(task, name, order, "eager", len(sample.x))
            if isinstance(ran, str):
                missing[name] = ran
                continue
            got, judgement = ran
            ulp = np.where(task.truths[order].judged, judgement.ulp_of_unit, np.nan)
            drawn_curves.append(Curve(name, widen(got)[at], ulp[at]))
        panels.append(Panel(order, analytic[order], budget(dtype, order), tuple(drawn_curves), missing))
    return Curves(activation.name, dict(parameters), dtype, widen(x), tuple(panels), words if activation.rows else "")
