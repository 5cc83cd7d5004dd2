"""The words of a report on two functions: the verdict in a clause, and its evidence line by line."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.names import ORDER_NAMES, ORDERS, SIGN_OF_ZERO
from crosscheck._records.worded import Worded, kind_of
from crosscheck._verdict.records import Comparison, Diagnosis, Identity, Point

if TYPE_CHECKING:
    from crosscheck._compare.report import PairReport

NAMES = {"torch": "PyTorch", "jax": "JAX", "both": "both sides"}

BUG = {
    "missing": "no gradient",
    "special": "wrong special",
    "definition": "another function",
    "inaccurate": "lost digits",
}
"""What the side at fault does wrong, as the kind of a fact."""

DIFFER = {
    "missing": Fact("no gradients"),
    "special": Fact("special of one"),
    "definition": Fact("two functions"),
    "inaccurate": Fact("lost digits", "one side"),
    "convention": Fact("choices"),
}
"""The verdict if no side is at fault, or none is known to be."""

NO_SIDE = {
    "convention": Fact("no side"),
    "missing": Fact("both lack"),
    "special": Fact("which result"),
    "definition": Fact("which function"),
    "inaccurate": Fact("which result"),
}
"""Why a cause without a side has none."""

MOST_NOTES = 6
MOST_AGREEING = 8
MUCH = 8
"""A side is called nearer to the truth if the other's error is this many times as large, and as many ULP."""
MOST_SHOWN = 12
A_SHARE = 1e-3
"""Differences larger than this, relatively, are given as a percentage."""
MANY = 50
"""If two functions differ at this many times as many elements as are NaN or infinite on one side, that comes first."""


def failing_cause(comparison: Comparison) -> str:
    """The cause that fails it: the worst one, but another function comes first if it shows nearly everywhere."""
    if not comparison.uncovered:
        return comparison.cause or "error"
    counts = {cause: count.count for cause, count in comparison.uncovered.items()}
    worst = next(iter(counts))
    if worst == "special" and counts.get("definition", 0) > MANY * counts["special"]:
        return "definition"
    return worst


def elements_at(comparison: Comparison, cause: str) -> int:
    """The number of elements at which a cause fails it."""
    count = comparison.uncovered.get(cause)
    return 0 if count is None else count.count


def side_at_fault(comparison: Comparison) -> str | None:
    """The side at fault in what fails it."""
    count = comparison.uncovered.get(failing_cause(comparison))
    return comparison.side if count is None else count.side


def agreement(report: PairReport) -> str:
    """How two functions agree."""
    if set(report.deviations) - {SIGN_OF_ZERO}:
        return Fact("accepted", ", ".join(report.deviations)).words()
    if all(set(comparison.causes) == {"exact"} for comparison in report.comparisons):
        return Fact("to the bit").words()
    rtol = max(float(c.figures.get("rtol", 0)) for c in report.comparisons)
    atol = max(float(c.figures.get("atol", 0)) for c in report.comparisons)
    if not rtol and not atol and all({"rtol", "atol"} <= c.figures.keys() for c in report.comparisons):
        return Fact("zeros of other sign").words()
    holds = f"rtol {_up(rtol)}" if isfinite(rtol) and rtol < 0.1 else f"atol {_up(atol)}"
    return Fact("holds", holds).words()


def differently(diagnosis: Diagnosis, decisive: Comparison) -> str:
    """How and where two functions differ, as far as it is known; otherwise their results at the worst place."""
    cause, side = failing_cause(decisive), side_at_fault(decisive)
    of = "" if decisive.order == 0 else f"the {ORDER_NAMES[decisive.order]}: "
    at_fault = "each side" if side == "both" else f"the {NAMES.get(side or '')} function"
    clauses = [(DIFFER[cause] if side is None else Fact(BUG[cause], at_fault)).words()]
    others = cause == "definition" and decisive.order == 0 and _are_others(diagnosis.identities)
    if others and all(diagnosis.identities.values()):
        return _identities(diagnosis.identities)
    if diagnosis.how is not None and (cause == "definition" or side is None):
        clauses = [*clauses[side is None :], f"{of}{diagnosis.how}"]
    elif others:
        clauses = [_identities(diagnosis.identities)]
    elif cause == "definition":
        clauses.append(_example(decisive.uncovered[cause].worst))
    if diagnosis.where:
        clauses.append(f"they differ {diagnosis.where}" if cause == "definition" else diagnosis.where)
    return "; ".join(clauses)


def _example(point: Point) -> str:
    """What both sides give at a place, with as few digits as show the difference."""
    got, expected = next(
        pair
        for digits in (3, 6, 9, 17)
        if len(set(pair := [f"{y:.{digits}g}" for y in (point.got, point.expected)])) > 1 or digits == 17
    )
    at = f" at [{', '.join(map(str, point.element))}]" if point.element else ""
    return Fact("example", torch=got, jax=expected, where=at).words()


def _are_others(identities: Mapping[str, Identity | None]) -> bool:
    """Whether the sides are known to be different functions."""
    return len({str(identity) for identity in identities.values()}) > 1


def _identities(identities: Mapping[str, Identity | None]) -> str:
    """Which function each side is, in words."""
    torch, jax = (str(identities.get(side) or "none of the catalogue") for side in FRAMEWORKS)
    return Fact("functions", torch=torch, jax=jax).words()


def _up(value: float) -> str:
    """A number rounded up to two digits, so that it still holds as a tolerance."""
    said = f"{value:.1e}"
    return said if float(said) >= value else f"{float(said) * 1.0500001:.1e}"


DENIED = {"definition": ("hidden in the dtype",)}
"""By the cause of a failure, the remarks that it denies: functions that differ much do not also differ too little."""


def evidence(report: PairReport) -> Iterator[str]:
    """The lines of the story."""
    decisive = report.decisive
    if decisive is None:
        return
    if not report.passed and not decisive.message:
        cause = failing_cause(decisive)
        count = decisive.uncovered[cause]
        no_side = NO_SIDE.get(cause, NO_SIDE["definition"])
        yield f"  side      {NAMES.get(side_at_fault(decisive) or '') or no_side.words()}"
        of = f"{decisive.points:,} elements"
        if decisive.diagnosed is not None:
            of = Fact("diagnosed", f"{decisive.diagnosed:,}", where=of).words()
        yield f"  cause     {cause}: {count.count:,} of {of}"
        yield f"  where     {_where(decisive)}"
        yield from _worst(count.worst)
        others = sorted(
            {(failing_cause(c), c.order) for c in report.comparisons if not c.passed} - {(cause, decisive.order)}
        )
        if others:
            yield f"  also      {'; '.join(f'{other} in the {ORDER_NAMES[order]}' for other, order in others[:4])}"
    if len(report.comparisons) > 1:
        yield from _agreeing(report)
    yield from _diagnosis(report.diagnosis)
    if decisive.figures:
        yield from _figures(decisive, truth=report.passed or _is_known(decisive))
    for id_, (cause, reason) in list(report.deviations.items())[:4]:
        yield f"  accepted  {id_} ({cause}): {reason}"
    # of notes that differ only in their numbers, such as those of both modes, the first
    kept = {_subject(note): note for comparison in reversed(report.comparisons) for note in reversed(comparison.notes)}
    notes = [*report.diagnosis.notes, *_nearer(report), *reversed(kept.values())]
    denied = () if report.passed or decisive.message else DENIED.get(failing_cause(decisive), ())
    notes = [note for note in notes if kind_of(note) not in denied]
    for note in notes[:MOST_NOTES]:
        yield f"  note      {note}"
    if len(notes) > MOST_NOTES:
        yield f"  note      and {len(notes) - MOST_NOTES} more; the JSON report has them all"


def _is_known(comparison: Comparison) -> bool:
    """Whether anything says what is right where two sides compute different functions."""
    if comparison.message or failing_cause(comparison) != "definition":
        return True
    truth = comparison.uncovered["definition"].worst.truth
    return truth is None or not isnan(truth)


def _subject(note: str) -> Hashable:
    return (note.kind, *note.about) if isinstance(note, Worded) else note


def _agreeing(report: PairReport) -> Iterator[str]:
    """What agrees in every mode, by order: the outputs, and the inputs of their derivatives."""
    passed: dict[tuple[int, str, str], bool] = {}
    for c in report.comparisons:
        key = c.order, c.output, c.wrt
        passed[key] = passed.get(key, True) and c.passed
    for order in ORDERS:
        agree = [f"{output}{f' by {by}' if by else ''}" for (o, output, by), ok in passed.items() if ok and o == order]
        if agree:
            more = f" and {len(agree) - MOST_AGREEING} more" if len(agree) > MOST_AGREEING else ""
            yield f"  agree     {ORDER_NAMES[order]} of {', '.join(agree[:MOST_AGREEING])}{more}"


def _nearer(report: PairReport) -> Iterator[str]:
    """If both agree and one is much nearer to the truth: how near."""
    for order in ORDERS if report.passed else ():
        errors = [(c.figures["torch_ulp"], c.figures["jax_ulp"]) for c in report.comparisons if c.order == order]
        known = [pair for pair in errors if not isnan(pair[0])]
        torch, jax = max(known, key=lambda pair: max(pair) / max(min(pair), 1), default=(0.0, 0.0))
        if max(torch, jax) > MUCH * max(min(torch, jax), 1):
            name = NAMES["torch" if torch < jax else "jax"]
            yield Fact("nearer", ORDER_NAMES[order], name, torch=f"{torch:.3g}", jax=f"{jax:.3g}").words()


def _where(comparison: Comparison) -> str:
    by = f" by {comparison.wrt}" if comparison.wrt else ""
    return f"{ORDER_NAMES[comparison.order]} of {comparison.output}{by}, {comparison.dtype}, JAX {comparison.mode}"


def _worst(point: Point) -> Iterator[str]:
    element = ", ".join(map(str, point.element or ()))
    place = f"[{element}]" if element else "the only element"
    if point.input_bits:
        yield f"  at        {place}, input {point.input!r} ({point.input_bits})"
    else:
        yield f"  at        {place}"
    yield f"  PyTorch   {point.got!r}"
    yield f"  JAX       {point.expected!r}"
    if point.truth is not None and not isnan(point.truth):
        yield f"  truth     {point.truth!r}"
    elif isnan(point.got) == isnan(point.expected):
        yield "  truth     not known: the two functions differ in float64 too"
    if isfinite(point.ulp):
        yield f"  apart     {Fact('of the larger', _apart(point)).words()}"


def _apart(point: Point) -> str:
    """The difference of both results: in ULP if these are few, otherwise as a share."""
    larger = max(abs(point.got), abs(point.expected))
    share = abs(point.got - point.expected) / larger if larger else 0.0
    return f"{share:.2%}" if share > A_SHARE and point.ulp > MANY else f"{point.ulp:.4g} ULP"


def _diagnosis(diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.how is not None:
        yield f"  how       {diagnosis.how}"
    if diagnosis.where:
        yield f"  differ    {diagnosis.where}"
    if diagnosis.identities:
        yield f"  identity  {_identities(diagnosis.identities)}"
    if diagnosis.recognised:
        kind = "a deviation" if len(diagnosis.recognised) == 1 else "deviations"
        yield f"  known as  {', '.join(diagnosis.recognised)}, {kind} of the catalogue"
    if diagnosis.worst is not None and isfinite(diagnosis.worst.ulp):
        yield f"  worst     input {diagnosis.worst.input!r}, found nearby: {_apart(diagnosis.worst)} apart"
    if diagnosis.inputs:
        yield f"  simplest  {'; '.join(f'{name} = {_array(array)}' for name, array in diagnosis.inputs.items())}"


def _array(array: Any) -> str:
    """The array if it is short, otherwise its shape."""
    return (
        repr(np.asarray(array).astype(object).tolist()) if array.size <= MOST_SHOWN else f"an array of shape {array.shape}"
    )


def _figures(comparison: Comparison, *, truth: bool) -> Iterator[str]:
    f = comparison.figures
    yield f"  measured  {_where(comparison)}, {comparison.points:,} elements"
    percent = f["rel_p99"] > A_SHARE  # nobody counts ULP at such a distance
    rows = [("ulp", "ULP", ".3g")] * (not percent) + [
        ("abs", "absolute", ".3g"),
        ("rel", "relative", ".2%" if percent else ".3g"),
    ]
    for name, label, form in rows:
        median, most, largest = (format(float(f[f"{name}_{which}"]), form) for which in ("p50", "p99", "max"))
        yield f"    {label:9} median {median}, 99% {most}, largest {largest}"
    if isnan(f["torch_ulp"]) or not truth:
        yield "    accuracy  not known: no truth is"
    else:
        yield f"    accuracy  PyTorch {f['torch_ulp']:.3g} ULP, JAX {f['jax_ulp']:.3g} ULP from the truth, where it is known"
    noticed = [
        Fact("noticed" if f[key] else "unnoticed", name).words()
        for name, key in (
            ("torch.testing.assert_close", "assert_close_notices"),
            ("numpy.testing.assert_allclose", "assert_allclose_notices"),
        )
    ]
    rtol = f"rtol {_up(float(f['rtol']))} or " if f["rtol"] < 1 else ""
    yield f"    passes with {rtol}atol {_up(float(f['atol']))}; {', '.join(noticed)}"
