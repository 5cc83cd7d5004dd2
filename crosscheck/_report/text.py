"""Reports as text: first the verdict in one line, then a table, then the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from crosscheck._frameworks.lacking import not_run
from crosscheck._records.implementations import FRAMEWORKS, IMPLEMENTATIONS, MODES_OF, legend, on_screen
from crosscheck._records.names import CAUSES, DTYPES
from crosscheck._report.blocks import Block, Drawing, Heading, Lines, Paragraph, Table
from crosscheck._report.document import Document
from crosscheck._verdict.environments import Environment
from crosscheck._verdict.records import CauseCount, Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crosscheck._arithmetic.profile import Profile
    from crosscheck._report.report import Report

ORDER_NAMES = ("value", "gradient", "second")
MOST_FIGURES = 12
DTYPE_ORDER = ("float32", "float64", "bfloat16", "float16")
"""The figure shows the first of these dtypes that fails; if none fails, the first that was run."""


def document(report: Report) -> Document:
    """The report as a document."""
    blocks: list[Block] = []
    if report.comparisons:
        blocks += [Table(list(_rows(report.comparisons)), keys=2), Paragraph(_legend(report.comparisons))]
    blocks += [Lines(title, lines) for title, lines in _evidence_lists(report) if lines]
    if report.deviations:
        blocks.append(Heading("Declared deviations of the frameworks, seen again"))
        blocks.append(Table([["id", "cause", "reason"], *([id_, *why] for id_, why in sorted(report.deviations.items()))]))
    blocks += _drawings(report.comparisons)
    return Document(headline(report), report.passed, blocks, report.environment)


def _evidence_lists(report: Report) -> Iterator[tuple[str, list[str]]]:
    """The lists of evidence, by title: what fails, what is new, and the findings about declared deviations."""
    yield (
        "Not declared, so this run fails",
        list(_disagreements(comparison for comparison in report.comparisons if not comparison.passed)),
    )
    yield (
        f"New, not on record of {report.compared_with}",
        list(_disagreements(comparison for comparison in report.comparisons if comparison.new)),
    )
    refuted = [f"{finding.deviation}: {finding.message}" for finding in report.findings if finding.failed]
    yield "Declared deviations that this run refutes", refuted
    unseen = dict.fromkeys(finding.deviation for finding in report.findings if not finding.failed)
    yield "Declared deviations that need not show in this environment or sample, and do not; the JSON says where", [*unseen]
    if not report.recorded:
        here = Environment.of(report.environment, report.comparisons[0].device if report.comparisons else "cpu")
        how = f"the frameworks are compared with {report.compared_with}, the nearest that is"
        consequence = "what is new does not fail here; with --strict it does"
        yield "This environment is not on record", [f"{here}: {how}; {consequence}"]
    yield "Not run here", [f"{what}: {why}" for what, why in report.skipped.items()]


def _drawings(comparisons: Sequence[Comparison]) -> Iterator[Block]:
    """A figure for each activation, failing ones first, up to some number."""
    names = _by_failure(comparisons)
    for name in names[:MOST_FIGURES]:
        shown = panels([comparison for comparison in comparisons if comparison.function == name])
        if shown:
            caption = f"The errors of {name} against the proven truth, of each implementation where it is worst"
            yield Drawing(partial(_drawn, shown), caption)
    if len(names) > MOST_FIGURES:
        yield Paragraph(f"Figures of {MOST_FIGURES} of {len(names)} activations; a report on one activation has its own.")


def _drawn(panels: Mapping[str, Mapping[str, Profile]]) -> Figure:
    from crosscheck._report.profile_plot import draw

    return draw(panels)


def _by_failure(comparisons: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(c.function for c in sorted(comparisons, key=lambda c: c.passed)))


def panels(comparisons: Sequence[Comparison]) -> Mapping[str, Mapping[str, Profile]]:
    """The orders of one activation, the first that fails, or the first; in each, its implementations in one dtype."""
    by_order: dict[str, dict[str, Profile]] = {}
    name = next(iter(_by_failure(comparisons)), None)
    for order in sorted({comparison.order for comparison in comparisons}):
        wanted = (name, order, "exact")
        here = [c for c in comparisons if (c.function, c.order, c.against) == wanted and c.profile is not None]
        if not here:
            continue
        dtype = min((c.passed, DTYPE_ORDER.index(c.dtype), c.dtype) for c in here)[2]
        worst: dict[str, Comparison] = {}
        for comparison in sorted((c for c in here if c.dtype == dtype), key=lambda c: (c.passed, -c.max_ulp)):
            worst.setdefault(comparison.implementation, comparison)
        profiles = (
            (implementation, worst[implementation].profile) for implementation in IMPLEMENTATIONS if implementation in worst
        )
        shown = {on_screen(implementation): profile for implementation, profile in profiles if profile is not None}
        by_order[f"{name} {ORDER_NAMES[order]}, {dtype}"] = shown
    return by_order


def headline(report: Report) -> str:
    """The verdict in one line."""
    names = list(dict.fromkeys(comparison.function for comparison in report.comparisons))
    what = names[0] if len(names) == 1 else f"{len(names)} activations"
    if not report.compared:
        return "FAILED: nothing was compared."
    failed = sum(not comparison.passed for comparison in report.comparisons)
    refuted = len({finding.deviation for finding in report.findings if finding.failed})
    counts = f"{len(report.comparisons):,} comparisons of {report.compared:,} points"
    if report.passed:
        known, new = len(report.deviations), sum(comparison.new for comparison in report.comparisons)
        tail = f"; {known} declared deviation{'s' * (known != 1)} of the frameworks seen again" if known else ""
        if not report.recorded:
            shown = f"new disagreements of the frameworks in {new:,} comparison{'s' * (new != 1)}: " if new else ""
            tail += f"; {shown}this environment is not on record"
        return f"PASSED: {what}: no undeclared disagreement in {counts}{tail}{not_run(report.skipped)}."
    wrong = f"{failed:,} of {counts} failed" if failed else f"{counts} agree"
    wrong += f"; {refuted} declared deviations do not hold" if refuted else ""
    return f"FAILED: {what}: {wrong}{not_run(report.skipped)}."


def _legend(comparisons: Iterable[Comparison]) -> str:
    names = {comparison.implementation for comparison in comparisons}
    return f"Worst error in ULP over all dtypes and modes, against the proven truth; - is not compared. {legend(names)}"


def _rows(comparisons: Sequence[Comparison]) -> Iterator[list[str]]:
    """The head of the table, and a row for each order of each activation."""
    present = {comparison.implementation for comparison in comparisons}
    implementations = [implementation for implementation in IMPLEMENTATIONS if implementation in present]
    yield ["activation", "order", *map(on_screen, implementations), "verdict", "worst cause"]
    rows: dict[tuple[str, int], list[Comparison]] = {}
    for comparison in comparisons:
        rows.setdefault((comparison.function, comparison.order), []).append(comparison)
    for (function, order), group in sorted(rows.items()):
        causes = [c.cause for c in group if c.cause]
        yield [
            function,
            ORDER_NAMES[order],
            *(
                _worst_ulp([c for c in group if c.implementation == implementation and c.against == "exact"])
                for implementation in implementations
            ),
            _verdict(group),
            min(causes, key=CAUSES.index) if causes else "-",
        ]


def accuracy(report: Report) -> Iterator[Block]:
    """The largest error of each own implementation by dtype, framework and mode."""
    by_derivative: dict[tuple[str, int], dict[tuple[str, str, str], list[Comparison]]] = {}
    for comparison in report.comparisons:
        if comparison.implementation in FRAMEWORKS and comparison.against == "exact":
            here = by_derivative.setdefault((comparison.function, comparison.order), {})
            here.setdefault((comparison.dtype, comparison.implementation, comparison.mode), []).append(comparison)
    present = {setting for settings in by_derivative.values() for setting in settings}
    columns = [
        (dtype, implementation, mode)
        for dtype in DTYPES
        for implementation in FRAMEWORKS
        for mode in MODES_OF[implementation]
        if (dtype, implementation, mode) in present
    ]
    table = [["activation", "order", *(f"{dtype} {_run(implementation, mode)}" for dtype, implementation, mode in columns)]]
    excepted = [["activation", "order", "inputs", "largest", "at", "of", "flushed"]]
    for (function, order), settings in sorted(by_derivative.items()):
        row = [function, ORDER_NAMES[order]]
        table.append([*row, *(_with_exceptions(settings.get(column, [])) for column in columns)])
        if left_out := _exceptions([comparison for some in settings.values() for comparison in some]):
            excepted.append([*row, *left_out])
    yield Heading(
        "Largest error of crosscheck's own implementations, in ULP, against the proven truth; jit is jax.jit. In brackets: "
        "at how many inputs it is within the budget only because an error counts in ULP of the terms that cancel there"
    )
    yield Table(table, keys=2)
    if excepted[1:]:
        yield Heading(
            "What these maxima leave out. The inputs in brackets, the largest error there in ULP of the result itself, its "
            "input, dtype and framework; and how many inputs or results below the smallest normal number were flushed to 0"
        )
        yield Table(excepted, keys=2)


def _run(implementation: str, mode: str) -> str:
    """An implementation and its mode, unless that is ``eager``."""
    return on_screen(implementation) + f" {mode}" * (mode != "eager")


def _with_exceptions(comparisons: list[Comparison]) -> str:
    count = sum(comparison.excepted.count for comparison in comparisons if comparison.excepted)
    return _worst_ulp(comparisons) + (f" ({count:,})" if count else "")


def _exceptions(comparisons: list[Comparison]) -> tuple[str, ...] | None:
    """The cells on what the maxima of one derivative leave out, in all dtypes and modes; None if that is nothing."""
    exceptions = [(comparison.excepted, comparison) for comparison in comparisons if comparison.excepted]
    flushed = sum(comparison.causes["flush"].count for comparison in comparisons if "flush" in comparison.causes)
    if not exceptions:
        return ("", "", "", "", f"{flushed:,}") if flushed else None
    worst, of = max(exceptions, key=lambda pair: pair[0].worst.ulp_of_truth)
    total = sum(excepted.count for excepted, _ in exceptions)
    at = f"{worst.worst.input!r}"
    return (
        f"{total:,}",
        f"{worst.worst.ulp_of_truth:.3g}",
        at,
        f"{of.dtype}, {_run(of.implementation, of.mode)}",
        f"{flushed:,}",
    )


def _verdict(group: Sequence[Comparison]) -> str:
    """The verdict in a word on all comparisons of one order of an activation."""
    if not all(c.passed for c in group):
        return "DISAGREE"
    declared = {id_ for c in group for id_ in c.deviations}
    return "new" if any(c.new for c in group) else f"{len(declared)} declared" if declared else "agree"


def _worst_ulp(comparisons: list[Comparison]) -> str:
    judged = [comparison.max_ulp for comparison in comparisons if comparison.points]
    return f"{max(judged):.{3 if max(judged) < 1000 else 2}g}" if judged else "-"


def _disagreements(comparisons: Iterable[Comparison]) -> Iterator[str]:
    """The disagreements that no deviation covers, one line each, the worst causes first."""
    for comparison in sorted(comparisons, key=lambda c: CAUSES.index(c.cause) if c.cause else -1):
        where = f"{comparison.function}{_parameters(comparison.parameters)} {ORDER_NAMES[comparison.order]}"
        setting = f"{comparison.dtype} {comparison.mode}"
        alone = comparison.against in ("exact", "alone")
        who = on_screen(comparison.implementation if alone else (comparison.implementation, comparison.against))
        if comparison.message:
            yield f"{where}, {setting}: {who} raised {comparison.message}"
        elif not comparison.points:
            yield f"{where}, {setting}: {who}: nothing was compared"
        for cause, count in comparison.uncovered.items():
            yield f"{where}, {setting}: {who}: {cause}{_side(comparison)}, {_evidence(count)}"
        yield from (f"{where}, {setting}: {who}: {note}" for note in comparison.notes)


def _parameters(parameters: Mapping[str, float]) -> str:
    return "(" + ", ".join(f"{name}={value:g}" for name, value in parameters.items()) + ")" if parameters else ""


def _side(comparison: Comparison) -> str:
    if comparison.against in ("exact", "alone") or comparison.side is None:
        return ""
    return " (both sides)" if comparison.side == "both" else f" ({comparison.side} side)"


def _evidence(count: CauseCount) -> str:
    worst = count.worst
    ulp = f", {worst.ulp:.4g} ULP" if worst.ulp == worst.ulp else ""
    inputs = f"{count.count:,} input{'s' * (count.count != 1)}"
    return f"{inputs}, worst at {worst.input!r} ({worst.input_bits}): got {worst.got!r}, expected {worst.expected!r}{ulp}"
