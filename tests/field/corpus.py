"""The corpus of bugs that public projects had: a row for each bug, then what each check found.

A row is wrong if crosscheck complains of the right version, or does not notice, place or name what it did when the kept
table was written.
"""

from collections.abc import Iterator, Sequence

from corpora import Corpus

from field import BUGS
from field.judged import Row, judged

CHECKS = ("project's own", "assert_close", "assert_allclose", "layer by layer", "crosscheck")
COLUMNS = ("notices", "alarm", "place", "cause")


def is_worse(now: Row, kept: Row | None) -> bool:
    """Whether crosscheck complains of the right version, or misses what it found before; a new bug must be noticed."""
    wanted = [column for column in ("notices", "place", "cause") if kept["crosscheck"][column]] if kept else ["notices"]
    return now["crosscheck"]["alarm"] or not all(now["crosscheck"][column] for column in wanted)


def line(row: Row) -> str:
    """A row, and beneath it what crosscheck says, where it does not name the place and the cause."""
    own = row["crosscheck"]
    marks = " ".join(
        f"{'yes' if own[column] else 'no':{len(column) + 1 if column == 'notices' else 6}}" for column in COLUMNS
    )
    more = "".join(
        f"\n    {own[key]}"
        for key, shown in (
            ("said", not (own["place"] and own["cause"])),
            ("said of the right one", own["alarm"]),
        )
        if shown
    )
    return f"{row['bug']:44} {marks} {row['seconds']:7.1f}{more}"


def counted(rows: list[Row], check: str) -> str:
    """How many bugs a check notices, and so on, of those that it can be asked of."""
    asked = [row[check] for row in rows if row[check] is not None]
    sums = {column: sum(row[column] for row in asked) for column in COLUMNS}
    return (
        f"asked of {len(asked)}: notices {sums['notices']}, complains of {sums['alarm']} right ones, "
        f"names {sums['place']} places and {sums['cause']} causes"
    )


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """What each check found."""
    for check in CHECKS:
        yield f"{check:16} {counted(rows, check)}"


CORPUS = Corpus(
    name="field",
    case="bug",
    cases=BUGS,
    judged=judged,
    head=f"{'bug':44} {'notices':8} {'alarm':6} {'place':6} {'cause':6} {'seconds':>7}",
    line=line,
    sums=sums,
    worse=is_worse,
)
