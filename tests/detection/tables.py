"""The three tables, each as data and as lines of text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from detection.records import KINDS, Fault, Right, Verdict
from detection.usual import CHECKS

OURS = "crosscheck"
Row = dict[str, Any]
Told = Callable[[str], None]


def place(at: Any) -> str:
    """Where a fault is, in words."""
    if at is None:
        return "anywhere"
    return f"{at[0]:.6g} to {at[1]:.6g}" if isinstance(at, tuple) else at if isinstance(at, str) else f"{at!r}"


def fault_row(fault: Fault) -> Row:
    """What was expected of a fault and what was said of it."""
    start = time.perf_counter()
    try:
        verdict = fault.judge()
    except Exception as error:  # of a row that cannot be judged, which is not found then
        verdict = Verdict(found=False, at=f"{type(error).__name__}: {error}")
    return {
        "name": fault.name,
        "class": fault.kind,
        "expected": {"cause": fault.cause, "side": fault.side, "at": place(fault.at)},
        "got": {"cause": verdict.cause, "side": verdict.side, "at": None if verdict.at is None else place(verdict.at)},
        "found": verdict.found,
        "as_expected": fault.expects(verdict),
        "seconds": round(time.perf_counter() - start, 2),
    }


def alarm_row(right: Right) -> Row:
    """How many comparisons of something right there were, and which failed."""
    start = time.perf_counter()
    comparisons = right.comparisons()
    failed = [one for one in comparisons if not one.passed]
    return {
        "name": right.name,
        "class": right.kind,
        "comparisons": len(comparisons),
        "points": sum(one.points for one in comparisons),
        "dtypes": sorted({one.dtype for one in comparisons}),
        "orders": sorted({one.order for one in comparisons}),
        "seeds": list(right.seeds),
        "shapes": right.shapes(),
        "alarms": [f"{one.dtype} {one.mode} order {one.order}: {one.cause}, {one.message or one.worst}" for one in failed],
        "seconds": round(time.perf_counter() - start, 2),
    }


def usual_row(row: Fault | Right) -> Row:
    """What the usual checks say; a check that cannot be asked is left out."""
    said = row.usual()
    return {"name": row.name, "class": row.kind, "said": {check: said[check] for check in CHECKS if check in said}}


def fault_lines(rows: Iterable[Row]) -> Iterator[str]:
    """A line a fault, then how many of each class."""
    yield f"{'class':20}{'fault':58}{'cause':15}{'side':7}{'input':28}{'':9}{'s':>6}"
    kept = []
    for row in rows:
        kept.append(row)
        got, mark = row["got"], "" if row["as_expected"] else "MISSED" if not row["found"] else "WRONG"
        cells = (got["cause"] or "-", got["side"] or "-", shortened(got["at"] or "-", 27))
        named = f"{row['class']:20}{shortened(row['name'], 57):58}"
        yield f"{named}{cells[0]:15}{cells[1]:7}{cells[2]:28}{mark:9}{row['seconds']:6.1f}"
    yield ""
    yield f"{'class':20}{'faults':>8}{'found':>8}{'cause, side and input right':>30}"
    for kind, ones in _by_kind(kept).items():
        yield f"{kind:20}{len(ones):8}{_count(ones, 'found'):8}{_count(ones, 'as_expected'):30}"
    yield f"{'all':20}{len(kept):8}{_count(kept, 'found'):8}{_count(kept, 'as_expected'):30}"
    if kept:
        yield f"detection rate: {_count(kept, 'as_expected') / len(kept):.1%}"


def alarm_lines(rows: Iterable[Row]) -> Iterator[str]:
    """A line for each alarm and each class."""
    kept = []
    for row in rows:
        kept.append(row)
        yield from (f"ALARM {row['name']}: {alarm}" for alarm in row["alarms"])
    yield f"{'class':24}{'functions':>10}{'comparisons':>13}{'points':>14}{'alarms':>8}{'s':>8}  seeds, dtypes, shapes"
    for kind, ones in {**_by_kind(kept), "all": kept}.items():
        sums = [sum(one[name] for one in ones) for name in ("comparisons", "points")]
        alarms, seconds = sum(len(one["alarms"]) for one in ones), sum(one["seconds"] for one in ones)
        kinds = [sorted({str(value) for one in ones for value in one[name]}) for name in ("seeds", "dtypes")]
        shapes = sorted({shape for one in ones for shape in one["shapes"]})
        told = f"{','.join(kinds[0])}; {', '.join(kinds[1])}; {len(shapes)} shapes"
        yield f"{kind:24}{len(ones):10}{sums[0]:13,}{sums[1]:14,}{alarms:8}{seconds:8.0f}  {told}"


def usual_lines(
    faults: Sequence[Row], right: Sequence[Row], found: Mapping[str, bool], alarms: Mapping[str, bool]
) -> Iterator[str]:
    """How many faults of each class each check finds, and of how many right functions it complains."""
    for rows, ours, title in (
        (faults, found, "faults found, of those that a check can be asked of"),
        (right, alarms, "right functions complained of, of those that a check can be asked of"),
    ):
        yield title
        yield f"{'class':24}{'all':>6}{OURS:>14}" + "".join(f"{check:>34}" for check in CHECKS)
        for kind, ones in {**_by_kind(rows), "all": rows}.items():
            cells = [f"{sum(ours[one['name']] for one in ones)} of {len(ones)}"]
            for check in CHECKS:
                said = [one["said"][check] for one in ones if check in one["said"]]
                cells.append(f"{sum(one is not None for one in said)} of {len(said)}" if said else "not applicable")
            yield f"{kind:24}{len(ones):6}{cells[0]:>14}" + "".join(f"{cell:>34}" for cell in cells[1:])
        yield ""


def shortened(text: str, width: int) -> str:
    """A text in so many characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _by_kind(rows: Sequence[Row]) -> dict[str, list[Row]]:
    names = dict.fromkeys(
        [*(kind for kind in KINDS if any(row["class"] == kind for row in rows)), *(row["class"] for row in rows)]
    )
    return {kind: [row for row in rows if row["class"] == kind] for kind in names}


def _count(rows: Sequence[Row], name: str) -> int:
    return sum(row[name] for row in rows)
