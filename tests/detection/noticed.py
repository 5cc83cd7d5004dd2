"""The corpus of what the usual checks say of the planted faults and of the right functions.

A row is wrong if a check notices something now and noticed nothing when the kept table was written, or the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from corpora import Corpus
from usual_checks import CHECKS

from detection import FAULTS, RIGHT
from detection.records import Fault, Right, Row, by_class


def judged(case: Fault | Right) -> Row:
    """What the usual checks say; a check that cannot be asked is left out."""
    said = case.usual()
    told = {check: said[check] for check in CHECKS if check in said}
    return {"case": case.name, "class": case.kind, "right": isinstance(case, Right), "said": told}


def notices(row: Row) -> dict[str, bool]:
    """Which checks notice something, of those that can be asked."""
    return {check: said is not None for check, said in row["said"].items()}


def is_worse(now: Row, kept: Row | None) -> bool:
    return kept is not None and notices(now) != notices(kept)


def line(row: Row) -> str:
    cells = {True: "notices", False: "-", None: ""}
    return f"{row['class']:28}{row['case']:58}" + "".join(f"{cells[notices(row).get(check)]:>34}" for check in CHECKS)


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """How many faults of each class each check finds, and of how many right functions it complains."""
    for right, title in ((False, "faults found"), (True, "right functions complained of")):
        some = [row for row in rows if row["right"] is right]
        yield f"\n{title}, of those that a check can be asked of"
        yield f"{'class':28}{'all':>6}" + "".join(f"{check:>34}" for check in CHECKS)
        for kind, of_kind in by_class(some).items():
            asked = [[notices(row)[check] for row in of_kind if check in row["said"]] for check in CHECKS]
            cells = [f"{sum(some)} of {len(some)}" if some else "not applicable" for some in asked]
            yield f"{kind:28}{len(of_kind):6}" + "".join(f"{cell:>34}" for cell in cells)


CORPUS = Corpus(
    name="usual",
    case="case",
    cases=[*FAULTS, *RIGHT],
    judged=judged,
    head=f"{'class':28}{'case':58}" + "".join(f"{check:>34}" for check in CHECKS),
    line=line,
    sums=sums,
    worse=is_worse,
)
