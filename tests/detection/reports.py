"""Faults in what is written: a report that says something else than what was found."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from contract import CAUSES, PASSING
from corpora import shared
from kept import plain

import crosscheck
from crosscheck import Comparison, Report
from detection.records import MISSED, Fault, Verdict

WORDS = {True: ("PASSED",), False: ("FAILED",)}


@shared
def failed() -> Report:
    """A report with failures of several causes, and with much that passes; what it writes without a lie is right."""
    replace = {"jax": lambda x: x * 2, "torch": lambda x: x.relu() + x.isnan() * 0}
    report = crosscheck.verify("relu", quick=True, implementations=["torch", "jax"], replace=replace, orders=[0, 1])
    assert not list(contradictions(report))
    return report


def contradictions(report: Report) -> Iterator[str]:
    """Where what a report writes says another thing than its comparisons, or contradicts itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        report.to_json(path)
        yield from _in_json(report, json.loads(path.read_text()))
    agreed = all(map(_passes, report.comparisons)) and not any(finding.failed for finding in report.findings)
    if report.passed != agreed:
        yield "report.passed"
    document = report.document()
    page = document.page()
    for place, text in (
        ("text", str(report)),
        ("markdown", document.markdown().removeprefix("**")),
        ("html", page.partition("<title>")[2]),
    ):
        if not text.startswith(WORDS[agreed]):
            yield f"the verdict in {place}"
        causes = {cause for comparison in report.comparisons for cause in comparison.uncovered}
        if missing := [cause for cause in causes if cause not in text]:
            yield f"{missing[0]} in {place}"
    if 'class="title passed"' in page and not agreed:
        yield "the colour in html"


def _in_json(report: Report, data: Any) -> Iterator[str]:
    if len(data["comparisons"]) != len(report.comparisons):
        yield "comparisons in json"
    for comparison, written in zip(report.comparisons, data["comparisons"], strict=False):
        if written["passed"] != _passes(comparison):
            yield "passed in json"
        for field in ("cause", "side", "points", "max_ulp", "order", "dtype", "mode", "implementation", "against"):
            if written[field] != plain(getattr(comparison, field)):
                yield f"{field} in json"
        if comparison.worst is not None and (
            written["worst"]["input"] != plain(comparison.worst.input)
            or written["worst"]["got"] != plain(comparison.worst.got)
        ):
            yield "worst in json"
        counted = {cause: tally["count"] for cause, tally in written["causes"].items()}
        if counted != {cause: tally.count for cause, tally in comparison.causes.items()}:
            yield "causes in json"
    summary = data["summary"]
    if summary["failed"] != sum(not _passes(comparison) for comparison in report.comparisons):
        yield "summary.failed in json"
    if summary["passed"] != (summary["failed"] == 0):
        yield "summary.passed in json"


def _passes(comparison: Comparison) -> bool:
    """By its causes: every one that fails is covered by a deviation, of which this report has none."""
    failing = [cause for cause in comparison.causes if CAUSES.index(cause) < min(map(CAUSES.index, PASSING))]
    return comparison.message is None and comparison.points > 0 and not failing


@dataclass(frozen=True, kw_only=True)
class Written(Fault):
    """``lie(original)`` in the place of the function ``of`` that writes; ``at`` is where the contradiction is."""

    of: str
    lie: Callable[[Any], Any]

    def judge(self) -> Verdict:
        """The first contradiction in what is written of a failed report."""
        report = failed()
        module, _, name = self.of.rpartition(".")
        original = _attribute(module, name)
        with patch(self.of, self.lie(original)):
            places = list(contradictions(report))
        if not places:
            return MISSED
        return Verdict(found=True, cause="contradiction", at=places[0], placed=self.at in (None, *places))


def _attribute(path: str, name: str) -> Any:
    import importlib

    try:
        return getattr(importlib.import_module(path), name)
    except ModuleNotFoundError:
        module, _, owner = path.rpartition(".")
        return vars(getattr(importlib.import_module(module), owner))[name]
