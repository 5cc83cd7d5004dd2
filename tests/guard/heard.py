"""What crosscheck says while a case is judged: each report that a public function returns, and what the command prints."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable
from typing import Any

import cli
from corpora import Row, begun, cpu_seconds, judged, making

import crosscheck
from guard.reach import VERBS

PLACES = ("torch", "where", "operation", "part", "step", "epoch", "tensor", "framework", "side", "cause", "proven")
"""What a fault says of its place, of those that it has."""
CHANGES = ("seconds", "right_seconds")
"""What is another number in each run."""
LINE = re.compile(r"(?<=\.py:)\d+")
"""A line of a program; it moves whenever a test is written above it."""
FOLDER = re.compile(re.escape(tempfile.gettempdir()) + r"/[\w.-]+")

_heard: list[Row] = []


@functools.cache
def _listening() -> None:
    """From now on, keep what the public functions return; this comes before a corpus imports them by name."""
    for verb in VERBS:
        setattr(crosscheck, verb, _listened(verb, getattr(crosscheck, verb)))
    run = cli.run

    def printing(*arguments: str, **options: Any) -> Any:
        done = run(*arguments, **options)
        _keep({"call": f"crosscheck {arguments[0]}", "exit": done.exit_code, "said": lines(done.output)})
        return done

    cli.run = printing


def _listened(verb: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        report = function(*arguments, **options)
        _keep({"call": verb, **said(report)})
        return report

    return call


def _keep(told: Row) -> None:
    if not making:
        _heard.append(told)


def said(report: Any) -> Row:
    """The words of a report, and what programs read of it."""
    faults = [*getattr(report, "faults", ()), *getattr(report, "findings", ())]
    told: Row = {name: getattr(report, name) for name in ("passed", "cause", "side", "headline") if hasattr(report, name)}
    diagnosis = getattr(report, "diagnosis", None)
    facts = [fact for source in (diagnosis, report, *faults) for fact in getattr(source, "facts", ())]
    return {
        **told,
        "verdict": lines(getattr(report, "verdict", "")),
        "faults": [
            " | ".join(f"{name}: {getattr(fault, name)}" for name in PLACES if hasattr(fault, name)) for fault in faults
        ],
        "facts": [settled(" | ".join(f"{name}: {value}" for name, value in vars(fact).items() if value)) for fact in facts],
        "story": lines(report.story() if hasattr(report, "story") else str(report)),
    }


def lines(text: str) -> list[str]:
    return settled(text).splitlines()


def settled(text: str) -> str:
    """A text without what is another one in each run, or wherever a file has a line more."""
    return FOLDER.sub("FOLDER", LINE.sub("*", text))


def row_of(name: str, case: str) -> tuple[Row, float]:
    """The row of a case of a corpus with what was said while it was judged, and its CPU seconds."""
    _listening()
    begun(name)
    _heard.clear()
    start = cpu_seconds()
    try:
        row = judged(name, case)
    except Exception as error:  # the row says it, and the others are judged
        row = {"case": case, "raised": f"{type(error).__name__}: {error}"}
    kept = {key: value for key, value in row.items() if key not in CHANGES}
    return {**kept, "heard": [*_heard]}, cpu_seconds() - start
