"""Judge the bugs of the field and print a table: ``python -m field [WORD ...]`` in the tests' folder.

Each WORD keeps the bugs whose names hold it. It exits with 1 if crosscheck complains of a right version, or does not notice,
place or name what it did when the kept table was written.
"""

import json
import sys
import warnings
from pathlib import Path

from corpora import chosen, parser_of, write_rows

from field import BUGS
from field.judged import Row, judged

CHECKS = ("project's own", "assert_close", "assert_allclose", "layer by layer", "crosscheck")
COLUMNS = ("notices", "alarm", "place", "cause")
KEPT = Path(__file__).parents[2] / "results" / "field" / "field.json"


def main(arguments: list[str]) -> int:
    """Print a row for each bug, then what each check found."""
    parser = parser_of("field", __doc__, "bug")
    asked = parser.parse_args(arguments)
    bugs = chosen(parser, asked, BUGS, "bug")
    kept = {row["bug"]: row["crosscheck"] for row in json.loads(KEPT.read_text(encoding="utf-8"))["bugs"]}
    rows: list[Row] = []
    print(f"{'bug':44} {'notices':8} {'alarm':6} {'place':6} {'cause':6} {'seconds':>7}")
    for bug in bugs:
        rows.append(row := judged(bug))
        print(line(row), flush=True)
    for check in CHECKS:
        print(f"{check:16} {counted(rows, check)}")
    if asked.json:
        write_rows(asked.json, "crosscheck.field/1", "bug", rows, BUGS)
    worse = [row["bug"] for row in rows if is_worse(row["crosscheck"], kept.get(row["bug"]))]
    if worse:
        print(f"worse than kept: {', '.join(worse)}")
    return 1 if worse else 0


def is_worse(now: Row, kept: Row | None) -> bool:
    """Whether crosscheck complains of the right version, or misses what it found before; a new bug must be noticed."""
    found = [one for one in ("notices", "place", "cause") if kept[one]] if kept else ["notices"]
    return now["alarm"] or not all(now[one] for one in found)


def line(row: Row) -> str:
    """A row, and beneath it what crosscheck says, where it does not name the place and the cause."""
    own = row["crosscheck"]
    marks = " ".join(f"{'yes' if own[one] else 'no':{len(one) + 1 if one == 'notices' else 6}}" for one in COLUMNS)
    more = "".join(
        f"\n    {own[one]}"
        for one, shown in (
            ("said", not (own["place"] and own["cause"])),
            ("said of the right one", own["alarm"]),
        )
        if shown
    )
    return f"{row['bug']:44} {marks} {row['seconds']:7.1f}{more}"


def counted(rows: list[Row], check: str) -> str:
    """How many bugs a check notices, and so on, of those that it can be asked of."""
    asked = [row[check] for row in rows if row[check] is not None]
    sums = {one: sum(row[one] for row in asked) for one in COLUMNS}
    return (
        f"asked of {len(asked)}: notices {sums['notices']}, complains of {sums['alarm']} right ones, "
        f"names {sums['place']} places and {sums['cause']} causes"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
