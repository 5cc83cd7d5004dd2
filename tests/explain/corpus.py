"""The corpus of planted mistakes: a case with what is said of it, then the sums; "at once" is by the headline alone.

A row is wrong if crosscheck complains of the right version, says something that is false, or does not name what it named
when the kept table was written.
"""

from collections.abc import Iterator, Sequence

from corpora import Corpus

from explain import CASES
from explain.judged import Row, judged, totals, warm_up

COLUMNS = ("cases", "named", "at once", "proven", "false", "alarms", "median", "95 %")


def is_worse(now: Row, kept: Row | None) -> bool:
    """Whether there is an alarm, a false word that was not there, or less is named than was."""
    before = kept or {"named": False, "false": []}
    return bool(now["alarm"]) or bool(set(now["false"]) - set(before["false"])) or (before["named"] and not now["named"])


def line(row: Row) -> str:
    """A row, beneath it what crosscheck says, what of it is false, and what it says against the right version."""
    proven = {True: "yes", False: "no", None: "-"}[row["proven"]]
    named, at_once, false = ("yes" if row[column] else "no" for column in ("named", "at once", "false"))
    marks = f"{named:6} {at_once:7} {proven:6} {false:6}"
    more = [row["headline"], *row["said"].splitlines()]
    more += [f"false: {', '.join(row['false'])}"] if row["false"] else []
    more += [f"of the right one: {row['alarm']}"] if row["alarm"] else []
    below = "".join(f"\n    {text}" for text in more)
    return f"{row['case']:64} {marks} {row['seconds'] - row['right_seconds']:7.1f}{below}"


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """The sums of each kind, and of all."""
    yield f"\n{'':12}" + "".join(f"{column:>8}" for column in COLUMNS)
    for name, counts in totals(rows):
        yield f"{name:12}" + "".join(f"{counts[column]:8}" for column in COLUMNS)


CORPUS = Corpus(
    name="explain",
    case="case",
    cases=CASES,
    judged=judged,
    head=f"{'case':64} {'named':6} {'at once':7} {'proven':6} {'false':6} {'seconds':>7}",
    line=line,
    sums=sums,
    worse=is_worse,
    begun=warm_up,
    more=lambda rows: {"totals": dict(totals(rows))},
)
