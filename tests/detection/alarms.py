"""The corpus of right functions: a line for each, with its alarms, then how many comparisons of each class raised one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from corpora import Corpus

from detection import RIGHT
from detection.records import Right, Row, by_class


def judged(right: Right) -> Row:
    """How many comparisons of something right there were, and which failed."""
    start = time.perf_counter()
    comparisons = right.comparisons()
    failed = [comparison for comparison in comparisons if not comparison.passed]
    return {
        "function": right.name,
        "class": right.kind,
        "comparisons": len(comparisons),
        "points": sum(comparison.points for comparison in comparisons),
        "dtypes": sorted({comparison.dtype for comparison in comparisons}),
        "orders": sorted({comparison.order for comparison in comparisons}),
        "seeds": list(right.seeds),
        "shapes": right.shapes(),
        "alarms": [
            f"{fault.dtype} {fault.mode} order {fault.order}: {fault.cause}, {fault.message or fault.worst}"
            for fault in failed
        ],
        "seconds": round(time.perf_counter() - start, 2),
    }


def line(row: Row) -> str:
    counts = f"{row['comparisons']:13,}{row['points']:14,}{len(row['alarms']):8}{row['seconds']:8.1f}"
    return f"{row['class']:28}{row['function']:52}{counts}" + "".join(f"\n    ALARM {alarm}" for alarm in row["alarms"])


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """The counts of each class, and over what it was tried."""
    yield f"\n{'class':28}{'functions':>10}{'comparisons':>13}{'points':>14}{'alarms':>8}{'s':>8}  seeds, dtypes, shapes"
    for kind, some in by_class(rows).items():
        comparisons, points, seconds = (sum(row[name] for row in some) for name in ("comparisons", "points", "seconds"))
        seeds, dtypes, shapes = (
            sorted({str(value) for row in some for value in row[n]}) for n in ("seeds", "dtypes", "shapes")
        )
        counts = f"{len(some):10}{comparisons:13,}{points:14,}{sum(len(row['alarms']) for row in some):8}{seconds:8.0f}"
        yield f"{kind:28}{counts}  {','.join(seeds)}; {', '.join(dtypes)}; {len(shapes)} shapes"


CORPUS = Corpus(
    name="alarms",
    case="function",
    cases=RIGHT,
    judged=judged,
    head=f"{'class':28}{'right function':52}{'comparisons':>13}{'points':>14}{'alarms':>8}{'s':>8}",
    line=line,
    sums=sums,
    worse=lambda row, kept: bool(row["alarms"]) or not row["comparisons"],
)
