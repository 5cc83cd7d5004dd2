"""The explanation of an activation: its definition, and each disagreement with its cause and a snippet to reproduce it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isinf, isnan
from typing import Any

from crosscheck._records.implementations import FRAMEWORKS, on_screen
from crosscheck._records.names import ORDER_NAMES
from crosscheck._records.records import Activation
from crosscheck._report.report import Report
from crosscheck._report.terminal import Filled, as_text
from crosscheck._report.text import headline
from crosscheck._verdict.environments import Environment
from crosscheck._verify.sightings.formula import described, formula
from crosscheck._verify.sightings.reproduce import Source, snippet
from crosscheck._verify.sightings.sight import Result, Sighting

MOST_SETTINGS = 6
SCHEMA = "crosscheck.explain/1"

SENTENCES = {
    "error": "The function raises an exception instead of giving a result.",
    "missing": "The framework finds no path from the result back to the input, so there is no derivative, or one that is "
    "cut off from the input.",
    "special": "One of the results is NaN or infinity where the exact result is not, or the other way round; often an "
    "intermediate step overflowed.",
    "definition": "This is not rounding: another function is computed here, and it stays another one when it is computed "
    "with more digits.",
    "inaccurate": "It is the right function, but digits are lost on the way: the result is further from the exact one than "
    "rounding alone explains, and with more digits the error shrinks.",
    "layout": "The same number gives another result at another place in the array, because vectorised and scalar code "
    "compute it by different steps.",
    "convention": "Mathematics leaves a choice here (the slope at a kink, the sign of a zero, the derivative at NaN), and "
    "another valid choice is made; nobody is wrong.",
    "flush": "Numbers below the smallest normal one (subnormals) are replaced by 0 to be faster.",
    "rounding": "Each step of a computation rounds to the nearest number of the format; the results differ by a few last "
    "digits and no more.",
    "exact": "The result is the exact one, correctly rounded.",
}
"""Each cause in one sentence, for readers who are new to floating point."""


@dataclass(frozen=True)
class Disagreement:
    """One disagreement. A declared one has the deviation's id, reason and link.

    ``seen`` is whether this run observed it, and ``looked_for`` whether the run could: in its modes and layouts. ``seen_in``
    names the recorded environments in which it was observed, ``not_seen_in`` those in which it was searched and not
    observed. ``declared_results`` are those of the anchor. ``elsewhere`` names other dtypes, orders, modes and parameters at
    which an undeclared one shows, and ``inputs`` counts its inputs. If an implementation raised at every input, there is no
    sighting, and ``message`` is what it raised.
    """

    id: str | None
    cause: str
    implementations: tuple[str, ...]
    order: int
    sighting: Sighting | None
    seen: bool = True
    looked_for: bool = True
    seen_in: tuple[str, ...] = ()
    not_seen_in: tuple[str, ...] = ()
    declared_results: Mapping[str, float] = dataclasses.field(default_factory=dict)
    reason: str = ""
    link: str = ""
    bug: bool = False
    elsewhere: tuple[str, ...] = ()
    inputs: int = 0
    message: str | None = None

    @property
    def title(self) -> str:
        """What disagrees, and whether that is declared and was seen, in words."""
        if self.id is None:
            return f"{on_screen(self.implementations)}: {self.cause} in the {ORDER_NAMES[self.order]} (NOT DECLARED)"
        unseen = ", not seen in this run" if self.looked_for else ", in another mode or layout than this run's"
        return f"{self.id} ({self.cause}, declared{'' if self.seen else unseen})"


@dataclass(frozen=True)
class Explanation:
    """An activation, its disagreements, declared and not, and the report of the run that searched for them."""

    activation: Activation
    source: Source
    report: Report
    disagreements: tuple[Disagreement, ...]

    @property
    def passed(self) -> bool:
        """Whether every disagreement is declared, and every declaration holds."""
        return self.report.passed

    def __str__(self) -> str:
        return as_text(Filled(render(self)))

    def snippet(self, sighting: Sighting, result: Result) -> str:
        here = Environment.of(self.report.environment)
        return snippet(self.activation, self.source, sighting, result, str(here))

    def data(self) -> dict[str, object]:
        record = self.activation
        return {
            "schema": SCHEMA,
            "environment": self.report.environment,
            "activation": {
                "name": record.name,
                "aliases": record.aliases,
                "latex": record.latex,
                "derivative": described(record.derivative),
                "second_derivative": described(record.second_derivative),
                "parameters": record.parameters,
                "kinks": record.kinks_at(record.parameters),
                "domain": record.domain,
                "limits": record.limits_at(record.parameters),
            },
            "disagreements": [
                {
                    **vars(disagreement),
                    "explanation": SENTENCES[disagreement.cause],
                    "snippets": {
                        r.implementation + r.layout: self.snippet(disagreement.sighting, r)
                        for r in disagreement.sighting.results
                    }
                    if disagreement.sighting
                    else {},
                }
                for disagreement in self.disagreements
            ],
            "summary": {"passed": self.passed, "headline": headline(self.report)},
        }


def render(explanation: Explanation) -> str:
    """The explanation as plain text; snippets begin at the margin, so that they can be pasted."""
    blocks = [_definition(explanation.activation), _verdict(explanation)]
    blocks += [_disagreement(explanation, i, disagreement) for i, disagreement in enumerate(explanation.disagreements, 1)]
    refuted = [f"{finding.deviation}: {finding.message}" for finding in explanation.report.findings if finding.failed]
    skipped = [f"{what}: {why}" for what, why in explanation.report.skipped.items()]
    for title, lines in (("Declared deviations that this run refutes:", refuted), ("Not run here:", skipped)):
        if lines:
            blocks.append("\n   ".join([title, *lines]))
    return "\n\n".join(blocks)


def _definition(record: Activation) -> str:
    names = ", ".join(record.aliases)
    module = inspect.getmodule(record.definition)
    about = inspect.getdoc(module) if module is not None and module.__doc__ else None
    lines = [record.name + (f", also called {names}" if names else "")]
    if about:
        lines.append(about.partition("\n")[0])
    lines += [
        "",
        _field("definition", formula(record.definition)),
        _field("derivative", described(record.derivative)),
        _field("second derivative", described(record.second_derivative)),
        _field("parameters", ", ".join(f"{name} = {value:g}" for name, value in record.parameters.items()) or "none"),
    ]
    kinks = [_field("kink", f"{kink}, as in {kink.source}") for kink in record.kinks_at(record.parameters)]
    lines += kinks or [_field("kinks", f"none{' at these parameters' if record.parameters else ''}")]
    lines.append(_field("limits", limits(record)))
    return "\n".join(lines)


def limits(record: Activation) -> str:
    """The limits of an activation at both ends of its domain, in words."""
    of_entry = "of one entry alone: " if record.rows else ""
    of_entry = "of a gate beside 1: " if record.result == "half" else of_entry
    ends = record.limits_at(record.parameters)
    low, high = (_limits(values, end) for values, end in zip((ends.minus, ends.plus), record.domain, strict=True))
    return f"{of_entry}{low}; {high}"


def _limits(values: tuple[float, float, float], end: float) -> str:
    said = (
        f"{name} {'has none' if isnan(value) else f'{value:g}'}" for name, value in zip(ORDER_NAMES, values, strict=True)
    )
    where = f"{'+' if end > 0 else '-'}infinity" if isinf(end) else f"{end:g}, the end of its domain,"
    return f"at {where} " + ", ".join(said)


def _verdict(explanation: Explanation) -> str:
    report = explanation.report
    both = not {"torch", "jax"} & report.skipped.keys()
    environment: Mapping[str, Any] = report.environment
    versions = [f"{name} {environment.get(name, {}).get('version', 'is missing')}" for name in FRAMEWORKS]
    said = counted(explanation.disagreements, explanation.passed, both=both)
    return f"{said} {headline(report)} ({', '.join(versions)}, {environment.get('device')})"


def counted(disagreements: Sequence[Disagreement], passed: bool, *, both: bool = True) -> str:
    """How many disagreements there are, in words; ``both`` is whether both frameworks were run."""
    if not disagreements and passed:
        agree = ", and PyTorch and JAX agree" * both
        return f"No disagreement: every result of every implementation is within its budget{agree}."
    if not disagreements:
        return "No deviation is declared."
    declared = sum(disagreement.id is not None for disagreement in disagreements)
    counts = ((declared, "declared deviation"), (len(disagreements) - declared, "undeclared disagreement"))
    return " and ".join(f"{n} {what}{'s' * (n != 1)}" for n, what in counts if n) + ", explained below."


def _disagreement(explanation: Explanation, number: int, disagreement: Disagreement) -> str:
    lines = [f"{number}. {disagreement.title}"]
    sighting = disagreement.sighting
    if sighting is not None:
        where = f"{sighting.dtype}, {ORDER_NAMES[sighting.order]}, {sighting.mode}"
        parameters = "".join(f", {name} = {value:g}" for name, value in sighting.parameters.items())
        lines.append(_field("input", f"{place(sighting)}: {where}{parameters}"))
        lines += [_field(result.label, _result(result, disagreement)) for result in sighting.results]
        rows = f" and in rows whose {sighting.row.known_by} entry has no limit" if sighting.row else ""
        rows = " and where a pair has no limit" if sighting.row and sighting.row.known_by == "gate" else rows
        nothing = f"none (at NaN{rows} the frameworks' derivatives are compared with each other)"
        lines.append(_field("exact", nothing if sighting.exact is None else f"{sighting.exact!r}, correctly rounded"))
    more = len(disagreement.elsewhere) - MOST_SETTINGS
    fields = {
        "raised": disagreement.message,
        "inputs": f"{disagreement.inputs:,} show it" if disagreement.inputs else "",
        "also in": "; ".join([*disagreement.elsewhere[:MOST_SETTINGS], *([f"and {more} more"] if more > 0 else [])]),
        "cause": f"{disagreement.cause}: {SENTENCES[disagreement.cause]}",
        "seen in": ", ".join(disagreement.seen_in),
        "not seen in": ", ".join(disagreement.not_seen_in),
        "reason": disagreement.reason,
        "bug": "it looks like a bug of the framework; the snippet below is ready for a report" if disagreement.bug else "",
        "link": disagreement.link,
    }
    lines += [_field(name, text) for name, text in fields.items() if text]
    for result in sighting.results if sighting else ():
        code = explanation.snippet(sighting, result) if sighting else ""
        lines += ["", f"   To reproduce {result.label}:", "", "```python", code, "```"]
    return "\n".join(lines)


def place(sighting: Sighting) -> str:
    """The input of a sighting in words; for a function of rows, which entry of which row it is."""
    row = sighting.row
    if row is None:
        return f"x = {sighting.input!r} ({sighting.input_bits})"
    length = len(row.bits)
    apart = sighting.input
    if row.known_by == "gate" and row.position is not None:
        half = length // 2
        j = row.position % half
        by = f", by x[{row.position}]," if sighting.order else ""
        gate = f"x[{j + half}] = {row.extreme!r} ({row.bits[j + half]})"
        return f"x[{j}] ({row.bits[j]}) with the gate {gate}{by} in a row of {length}"
    if isnan(apart):
        known = "a row with a NaN"
    elif isinf(row.extreme):
        known = f"a row whose {row.known_by if length > 1 else 'only'} entry is {row.extreme:g}"
    elif isinf(apart):
        known = f"an entry of {apart:g}"
    elif apart == 0:
        known = f"the {row.known_by} entry of its row"
    else:
        known = f"an entry {abs(apart):.4g} {'below' if apart < 0 else 'above'} the {row.known_by} of its row"
    if row.position is None:
        known = known if isnan(apart) or isinf(row.extreme) else f"a row whose {row.known_by} entry is {row.entry:g}"
        return f"{known}, of {length}"
    bits = row.bits[row.position]
    return f"{known}: x[{row.position}] = {row.entry!r} ({bits}) in a row of {length}"


def _result(result: Result, disagreement: Disagreement) -> str:
    if result.got is None:
        return str(result.message)
    measured = disagreement.cause in ("definition", "inaccurate", "layout") and not isnan(result.ulp)
    said = repr(result.got) + (f", error {result.ulp:.4g} ULP" if measured else "")
    declared = disagreement.declared_results.get(result.implementation)
    return said if declared is None or repr(declared) == repr(result.got) else f"{said} (declared: {declared!r})"


def _field(name: str, text: str) -> str:
    return f"   {name:22} {text}"
