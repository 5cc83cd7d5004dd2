"""The corpus of the zoo: right ports must be certified, planted bugs and mistakes of trainings found where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import trained_mistakes
from corpora import Corpus, Row, cpu_seconds
from facts import has_fact
from trained_mistakes import Mistake

import crosscheck
from zoo import ARCHITECTURES, Architecture, Port, installed
from zoo.architecture import keep_new
from zoo.bugs import BUGS, Bug, planted, trios

SEED = 1
BACKWARD = "moe-plain-stopped-gates"
"""Two layers stop gradients: only the one that the backward pass meets first is named."""


@dataclass(frozen=True)
class Case:
    """``judge`` gives the report, and whether it is as it must be; ``library`` is what the port needs."""

    kind: str
    of: str
    library: str
    judge: Callable[[], tuple[bool, Any]]

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.of}"


def compared(architecture: Architecture, port: Port, seed: int = SEED, **options: Any) -> crosscheck.ModelsReport:
    """The report on a port."""
    model, inputs = architecture.torch_model(seed), architecture.inputs(seed)
    return crosscheck.compare_models(
        model, port.model, inputs, params=port.params, torch_to_jax=port.torch_to_jax, **options
    )


def certified(architecture: Architecture, library: str, dtype: str = "float32") -> tuple[bool, Any]:
    """A right port is, with its values and gradients, landmark by landmark."""
    report = compared(architecture, architecture.jax(library, SEED, dtype=dtype), dtype=dtype)
    whole = len(report.layers) > 4 and bool(report.gradients)
    return report.passed and whole and not any(gradient.cause for gradient in report.gradients), report


def found(bugs: Sequence[Bug], where: set[str]) -> tuple[bool, Any]:
    """The modules of the bugs are blamed, and no others."""
    first = bugs[0]
    report = compared(ARCHITECTURES[first.architecture], planted(bugs, SEED), order=int(first.shows == "gradients"))
    named = report.first is not None and bool(report.first.explanation)
    return named and not report.passed and {fault.torch for fault in report.faults} == where, report


def placed(mistake: Mistake) -> tuple[bool, Any]:
    """The mistake is named, in its part, at its step, in its tensor."""
    report = mistake.training().compared()
    first = report.first
    right = (
        first is not None
        and not report.passed
        and (first.part, first.step) == (mistake.part, mistake.step)
        and (mistake.fact is None or has_fact(first.facts, mistake.fact))
        and mistake.tensor in first.tensor
        and tuple(fault.part for fault in report.faults[1:]) == mistake.beside
    )
    return right, report


def cases() -> Iterator[Case]:
    """The cases of each kind."""
    ports = [(architecture, library) for architecture in ARCHITECTURES.values() for library in architecture.ports]
    for architecture, library in ports:
        yield Case("right", f"{architecture.name}-{library}", library, partial(certified, architecture, library))
    for architecture, library in ports:
        new = replace(architecture, draw=keep_new)
        yield Case("new", f"{architecture.name}-{library}", library, partial(certified, new, library))
    for architecture in ARCHITECTURES.values():
        yield Case("bfloat16", architecture.name, "plain", partial(certified, architecture, "plain", "bfloat16"))
    for bug in BUGS:
        where = {bug.where[-1]} if bug.name == BACKWARD else {*bug.where}
        yield Case("bug", bug.name, bug.library, partial(found, [bug], where))
    for bugs in trios():
        where = {path for bug in bugs for path in bug.where}
        yield Case("bugs", "+".join(bug.name for bug in bugs), bugs[0].library, partial(found, bugs, where))
    for mistake in trained_mistakes.MISTAKES:
        yield Case("training", mistake.kind, "plain", partial(placed, mistake))


CASES = tuple(cases())


def judged(case: Case) -> Row:
    """The row of a case; its seconds are those of the CPU."""
    start = cpu_seconds()
    right, report = case.judge()
    seconds = round(cpu_seconds() - start, 1)
    return {"case": case.name, "kind": case.kind, "right": right, "said": report.headline, "seconds": seconds}


def line(row: Row) -> str:
    return f"{row['case']:64} {'as it must be' if row['right'] else 'WRONG':13} {row['seconds']:6.1f} CPU s  {row['said']}"


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """How many rows of each kind are as they must be."""
    for kind in dict.fromkeys(row["kind"] for row in rows):
        some = [row for row in rows if row["kind"] == kind]
        right = f"{sum(row['right'] for row in some)} of {len(some)}"
        yield f"{kind:10} {right:>12} as they must be, {sum(row['seconds'] for row in some):5.0f} CPU s"


CORPUS = Corpus(
    name="zoo",
    case="case",
    cases=[case for case in CASES if installed(case.library)],
    judged=judged,
    head=f"{'case':64} {'':13} {'':12}  what crosscheck says",
    line=line,
    sums=sums,
    worse=lambda row, kept: not row["right"],
)
