"""The corpus of pairs of functions: a line for each, then how many verdicts, causes and sides are as expected."""

import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from corpora import Corpus

from pairs import MISSING, PAIRS
from pairs.records import Pair

Row = dict[str, Any]


def judged(pair: Pair) -> Row:
    """The row of a pair."""
    start = time.perf_counter()
    report = pair.report()
    seconds = round(time.perf_counter() - start, 2)
    got, expected = said(report.passed, report.cause, report.side), said(pair.passes, pair.cause, pair.side)
    return {"pair": pair.name, "expected": expected, "got": got, "seconds": seconds}


def said(passed: bool, cause: str | None, side: str | None) -> str:
    """A verdict in a few words."""
    return "agree" if passed else f"{cause}{f', {side}' if side else ''}"


def is_wrong(row: Row, kept: Row | None) -> bool:
    """Whether the verdict, the cause or the side is another one."""
    return row["got"] != row["expected"]


def line(row: Row) -> str:
    mark = "   WRONG" if is_wrong(row, None) else ""
    return f"{row['pair']:48} {row['expected']:24} {row['got']:24} {row['seconds']:8.2f}{mark}"


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """How many are as expected, and what they cost."""
    right = sum(row["expected"] == "agree" for row in rows)
    expected = sum(not is_wrong(row, None) for row in rows)
    yield f"{expected} of {len(rows)} as expected ({right} agree, {len(rows) - right} do not)"
    seconds = [row["seconds"] for row in rows]
    yield f"seconds a pair: median {statistics.median(seconds):.2f}, largest {max(seconds):.2f}"


CORPUS = Corpus(
    name="pairs",
    case="pair",
    cases=[pair for pair in PAIRS if pair.holds_here],
    judged=judged,
    head=f"{'pair':48} {'expected':24} {'got':24} {'seconds':>8}",
    line=line,
    sums=sums,
    worse=is_wrong,
    left_out=[f"left out: the pairs of {library}, which is not installed" for library in MISSING],
)
