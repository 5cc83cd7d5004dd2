"""Find the mistake in what devices exchange: change it, one place at a time, until JAX gives what PyTorch gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxprs_in_params

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_recording import source_of
from crosscheck._models.run.interpreter import on_the_cpu
from crosscheck._records.worded import Worded
from crosscheck._shadow.devices.sharing import SharedPlace, Sharing
from crosscheck._shadow.devices.whole import results_of_all, whole
from crosscheck._shadow.jax.lift import Interpreter
from crosscheck._shadow.jax_equations import wide_of, widened

Edit = tuple[SharedPlace, str]
Wrong = Callable[[ClosedJaxpr], frozenset[Any]]
"""The results of a program that are not PyTorch's."""

MOST, MOST_ALONE = 64, 96
"""So many changes of what devices exchange are tried, and of what each computes alone."""
NUMBERS, FEWEST = 2**30, 16
"""All tries together compute about so many numbers; a program of more is tried so many times for each of the two."""
ADDED = ("open", "alone", "unlike", "added")
"""Where there is no collective."""
CLOSE = 1e-6
"""Relative differences up to this come from constants that JAX rounded while it traced the program."""
CALLED = {"reduce_scatter": "psum_scatter"}
"""What users call a collective."""
WORDS = {
    ("open", "psum"): "psum over {axes} is missing: each of {n} devices goes on with its own part of the sum",
    ("open", "pmean"): "pmean over {axes} is missing: each of {n} devices goes on with the mean of its own part",
    ("alone", "psum"): "psum over {axes} is missing: each of {n} devices goes on with its own numbers",
    ("alone", "pmean"): "pmean over {axes} is missing: each of {n} devices goes on with its own numbers",
    ("unlike", "psum"): "psum over {axes} is missing: the result of one of {n} devices is returned for all",
    ("unlike", "pmean"): "pmean over {axes} is missing: the result of one of {n} devices is returned for all",
    ("added", "once"): "what each of {n} devices adds before {sums} over {axes} counts {n} times",
    ("psum", "mean"): "psum over {axes} adds up what PyTorch averages; pmean divides by {n}",
    ("psum", "times"): "pmean over {axes} averages what PyTorch adds up; psum does not divide by {n}",
    ("psum", "none"): "psum over {axes} is one too many: PyTorch adds up nothing there, and {n} devices do",
    ("psum", "late"): "psum over {axes} comes too late: PyTorch adds up first, and goes on with the sum",
    ("psum", "average late"): "pmean over {axes} comes too late: PyTorch averages first, and goes on with the mean",
    ("psum", "over"): "psum is over {axes}; over {other} it gives what PyTorch gives",
    ("pmax", "sum"): "pmax over {axes} takes the largest of what PyTorch adds up; psum does that",
    ("pmin", "sum"): "pmin over {axes} takes the smallest of what PyTorch adds up; psum does that",
    ("pmax", "average"): "pmax over {axes} takes the largest of what PyTorch averages; pmean does that",
    ("pmin", "average"): "pmin over {axes} takes the smallest of what PyTorch averages; pmean does that",
    ("pmax", "over"): "pmax is over {axes}; over {other} it gives what PyTorch gives",
    ("pmin", "over"): "pmin is over {axes}; over {other} it gives what PyTorch gives",
    ("reduce_scatter", "mean"): "psum_scatter over {axes} adds up what PyTorch averages: divide by {n}",
    ("reduce_scatter", "times"): "the mean by psum_scatter over {axes} is of what PyTorch adds up: do not divide by {n}",
    (
        "reduce_scatter",
        "along",
    ): "psum_scatter over {axes} is along another axis; along axis {other} it gives PyTorch's values",
    ("all_gather", "none"): "all_gather over {axes} is one too many: each device needs its own part alone",
    ("all_gather", "along"): "all_gather over {axes} is along another axis; along axis {other} it gives PyTorch's values",
    ("ppermute", "reversed"): "ppermute over {axes} sends the other way round than PyTorch's values need",
    ("ppermute", "none"): "ppermute over {axes} is one too many: each device needs what it has",
    (
        "ppermute",
        "open",
    ): "ppermute over {axes} goes around, from one end of {n} devices to the other; PyTorch has zeros there",
    ("ppermute", "closed"): "ppermute over {axes} does not go around, from one end of {n} devices to the other, as it must",
    ("ppermute", "by"): "ppermute over {axes} sends to another device; to that {other} further it gives PyTorch's values",
    ("loop", "more"): "the loop with ppermute over {axes} is a step too short: one more gives PyTorch's values",
    ("loop", "fewer"): "the loop with ppermute over {axes} is a step too long: one fewer gives PyTorch's values",
    ("loop", "array"): "ppermute over {axes} is missing for an array of shape {shape}, while the loop passes others on",
    (
        "loop",
        "number",
    ): "axis_index over {axes} is used with what ppermute brings from another device; that device's axis_index "
    "gives PyTorch's values",
    ("kept", "ahead"): "ppermute over {axes} is missing: each of {n} devices keeps what the next one needs",
    ("kept", "around"): "ppermute over {axes} is missing: each of {n} devices keeps what the next one needs",
    ("kept", "back"): "ppermute over {axes} is missing: each of {n} devices keeps what the one before it needs",
    ("kept", "behind"): "ppermute over {axes} is missing: each of {n} devices keeps what the one before it needs",
    ("sent", "sent"): "all_to_all over {axes} is missing: each of {n} devices keeps its own blocks",
    ("slice", "own"): "each of {n} devices along {axes} needs the block of its own axis_index, and takes another",
    (
        "compared",
        "is",
    ): "axis_index over {axes} is compared with another number: device {other} of {n} gives PyTorch's values",
    (
        "counted",
        "minus",
    ): "axis_index over {axes} is missing: each of {n} devices counts from 0, and must from {other} times its axis_index",
    ("counted", "plus"): "axis_index over {axes} is missing: each of {n} devices counts from 0, and must from {other} times "
    "its axis_index",
    ("numbered", "times"): "axis_index over {axes} counts blocks of another size; {other} gives PyTorch's values",
    ("joined", "swap"): "what devices along {axes} hold is concatenated in another order than PyTorch's",
    ("axis_index", "over"): "axis_index is over {axes}; over {other} it gives what PyTorch gives",
    ("axis_index", "by"): "axis_index over {axes} is that of another device than PyTorch's values need; add {other} to it",
    ("drawn", "apart"): "each of {n} devices along {axes} draws the same random numbers; fold its axis_index into the key",
}


@dataclass(frozen=True)
class Exchanged:
    """A mistake in what devices exchange.

    Attributes:
        words: What it is; of the kind of the place and of the change, about the axes of devices.
        source: Where the user's code calls the collective, as ``file:line``; empty if JAX does not know it.
        error: How far devices are apart that should hold the same, relative to what they hold.
    """

    words: Worded
    source: str
    error: float = 0.0


def exchanged(shared: ClosedJaxpr, wrong: Wrong) -> Exchanged | None:
    """The change with which no result is wrong, in words; None if there is none."""
    sharing = Sharing()
    before = wrong(whole(shared, sharing))
    sites = list(sharing.sites.values())
    if not before or not sites:
        return None
    affordable = max(FEWEST, NUMBERS // max(1, _numbers(shared.jaxpr)))
    most, most_alone = min(MOST, affordable), min(MOST_ALONE, affordable)

    def left(sharing: Sharing) -> frozenset[Any]:
        try:
            return wrong(whole(shared, sharing))
        except Exception:  # a change may give arrays of other shapes, which any operation may refuse
            return before

    better: list[Edit] = []
    # what there is is changed before anything is added
    changed = sorted((site for site in sites if not site.own), key=lambda site: site.kind in ADDED)
    single = [(site, option) for site in changed for option in site.options][:most]
    # what a shard_map is given comes last: an operation inside says more
    own = sorted((site for site in sites if site.own), key=lambda site: site.equation.primitive.name == "shard_map")
    alone = [(site, option) for site in own for option in site.options][:most_alone]
    for site, option in [*single, *alone]:
        rest = left(Sharing({site.key: option}))
        if not rest:
            return _placed([(site, option)], sites, shared)
        if rest < before:
            better.append((site, option))
    for option in dict.fromkeys(option for _, option in better):
        edits = [edit for edit in better if edit[1] == option]
        if len(edits) > 1 and not left(Sharing({site.key: option for site, option in edits})):
            return _placed(edits, sites, shared)
    if late := _late(single, left):
        return late
    groups = list(dict.fromkeys((site.kind, site.axes, option) for site, option in single))
    for kind, axes, option in groups[:most]:
        everywhere = Sharing(everywhere=(kind, axes, option))
        if not left(everywhere):
            alike = [site for site in everywhere.sites.values() if (site.kind, site.axes) == (kind, axes)]
            return _placed([(site, option) for site in alike], sites, shared)
    return None


def _placed(edits: Sequence[Edit], sites: Sequence[SharedPlace], shared: ClosedJaxpr) -> Exchanged:
    """The edits in words; a mean that is only missing because it is taken later is said to be late."""
    (site, option), after = edits[0], Sharing({site.key: option for site, option in edits})
    if site.kind in ADDED and option == "pmean":
        whole(shared, after)
        for place in sites:
            now = after.sites.get(place.key)
            if (
                place.kind == "psum"
                and place.axes == site.axes
                and now is not None
                and "none" == now.options[0] != place.options[0]
            ):
                return _said([(place, "average late")], sites)
    return _said(edits, sites)


def _said(edits: Sequence[Edit], sites: Sequence[SharedPlace]) -> Exchanged:
    site, option = edits[0]
    what, _, other = (option, "", "") if (site.kind, option) in WORDS else option.partition(" ")
    names = {CALLED.get(place.kind, place.kind) for place in sites if place.axes == site.axes}
    sums = " and ".join(sorted(names & {"psum", "psum_scatter"})) or "psum"
    axes = " and ".join(f"`{axis}`" for axis in site.axes)
    other = f"`{other}`" if what == "over" else other
    shape = other.partition(" ")[2]
    words = WORDS[site.kind, what].format(axes=axes, n=site.devices, other=other, sums=sums, shape=shape)
    sources = list(dict.fromkeys(filter(None, (_source(place) for place, _ in edits))))
    at = f", at {', '.join(sources[:3])}" if sources else ""
    return Exchanged(Worded(words + at, f"{site.kind} {what}", *site.axes), sources[0] if sources else "")


def _numbers(jaxpr: Jaxpr) -> int:
    """About how many numbers a program computes on each device."""
    own = sum(prod(getattr(var.aval, "shape", ())) for equation in jaxpr.eqns for var in equation.outvars)
    return own + sum(
        equation.params.get("length", 1) * _numbers(inside)
        for equation in jaxpr.eqns
        for inside in jaxprs_in_params(equation.params)
    )


def _source(site: SharedPlace) -> str:
    return next(filter(None, map(source_of, (site.equation, *site.callers))), "")


def _late(edits: Sequence[Edit], left: Callable[[Sharing], frozenset[Any]]) -> Exchanged | None:
    """A sum that is taken of what is computed from summands, where PyTorch computes it from the sum."""
    before = [site for site, option in edits if site.kind == "open" and option == "psum"]
    after = [site for site, option in edits if site.kind == "psum" and option == "mean"]
    for early in before:
        for late in after:
            if early.axes == late.axes and not left(Sharing({early.key: "psum", late.key: "mean"})):
                return _said([(late, "late")], [early, late])
    return None


def unlike(shared: ClosedJaxpr, dtype: str, arguments: Sequence[Array]) -> Exchanged | None:
    """The first result that devices should hold alike, and do not, in words; None if there is none."""
    results = results_of_all(shared)
    if results is None:
        return None
    program, sites = results
    for site, values in zip(sites, evaluated(program, dtype, arguments), strict=True):
        rows = values.reshape(site.devices, -1).astype(np.float64)
        others = [k for k, row in enumerate(rows) if not is_close(row, rows[0])]
        if others:
            axes = " and ".join(f"`{axis}`" for axis in site.axes)
            apart = float(np.abs(rows[others[0]] - rows[0]).max())
            size = float(np.sqrt(np.mean(np.square(rows[0]))))
            source = source_of(site.equation)
            words = (
                f"device {others[0]} of {site.devices} along {axes} holds other numbers than device 0 in a result that all "
                f"should hold alike: {apart:.2g} apart"
            )
            said = Worded(words + (f", at {source}" if source else ""), "unlike", others[0], *site.axes)
            return Exchanged(said, source, apart / (size or 1.0))
    return None


def evaluated(closed: ClosedJaxpr, dtype: str, arguments: Sequence[Array]) -> list[Array]:
    """What a program gives in float64."""
    with on_the_cpu(wide=True):
        given = [np.asarray(argument).astype(wide_of(argument.dtype)) for argument in arguments]
        interpreter = Interpreter(dtype, {}, np.uint64(0), np.float64(0), np.float64(0))
        results = interpreter.run(closed.jaxpr, [widened(constant) for constant in closed.consts], given)
        return [np.asarray(result) for result in results]


def is_close(array: Array, expected: Array) -> bool:
    """Whether two arrays are the same, but for rounded constants."""
    size = float(np.sqrt(np.mean(np.square(expected)))) if expected.size else 0.0
    return bool(np.abs(array - expected).max(initial=0.0) <= CLOSE * (size or 1.0))
