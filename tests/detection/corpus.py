"""The corpus of planted faults: each with what is said of it, then how many of a class have their side, cause and input."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from corpora import Corpus

from detection import FAULTS
from detection.records import Fault, Row, Verdict, by_class


def place(at: Any) -> str:
    """Where a fault is, in words."""
    if at is None:
        return "anywhere"
    return f"{at[0]:.6g} to {at[1]:.6g}" if isinstance(at, tuple) else at if isinstance(at, str) else f"{at!r}"


def judged(fault: Fault) -> Row:
    """What was expected of a fault and what was said of it."""
    start = time.perf_counter()
    try:
        verdict = fault.judge()
    except Exception as error:  # of a row that cannot be judged, which is not found then
        verdict = Verdict(found=False, at=f"{type(error).__name__}: {error}")
    return {
        "fault": fault.name,
        "class": fault.kind,
        "expected": {"cause": fault.cause, "side": fault.side, "at": place(fault.at)},
        "got": {"cause": verdict.cause, "side": verdict.side, "at": None if verdict.at is None else place(verdict.at)},
        "found": verdict.found,
        "as_expected": fault.expects(verdict),
        "seconds": round(time.perf_counter() - start, 2),
    }


def line(row: Row) -> str:
    got, mark = row["got"], "" if row["as_expected"] else "MISSED" if not row["found"] else "WRONG"
    cells = f"{got['cause'] or '-':15}{got['side'] or '-':7}{shortened(got['at'] or '-', 27):28}"
    return f"{row['class']:20}{shortened(row['fault'], 57):58}{cells}{mark:9}{row['seconds']:6.1f}"


def shortened(text: str, width: int) -> str:
    """A text in so many characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """How many of each class are found."""
    yield f"\n{'class':20}{'faults':>8}{'found':>8}{'cause, side and input right':>30}"
    for kind, some in by_class(rows).items():
        yield f"{kind:20}{len(some):8}" + "".join(
            f"{sum(row[name] for row in some):{width}}" for name, width in (("found", 8), ("as_expected", 30))
        )
    yield f"detection rate: {sum(row['as_expected'] for row in rows) / len(rows):.1%}"


CORPUS = Corpus(
    name="detection",
    case="fault",
    cases=FAULTS,
    judged=judged,
    head=f"{'class':20}{'fault':58}{'cause':15}{'side':7}{'input':28}{'':9}{'s':>6}",
    line=line,
    sums=sums,
    worse=lambda row, kept: not row["as_expected"],
)
