"""Judge the bugs of the field and print a table: ``python -m field [WORD ...]`` in the tests' folder.

Each WORD keeps the bugs whose names hold it. It exits with 1 if crosscheck complains of a right version, or does not notice,
place or name what it did when the kept table was written.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

from kept import environment, write_json

from field import BUGS
from field.judged import Row, judged

CHECKS = ("project's own", "assert_close", "assert_allclose", "layer by layer", "crosscheck")
COLUMNS = ("notices", "alarm", "place", "cause")
KEPT = Path(__file__).parents[2] / "results" / "field" / "field.json"


def main(arguments: list[str]) -> int:
    """Print a row for each bug, then what each check found."""
    parser = argparse.ArgumentParser(prog="python -m field", description=__doc__.partition(":")[0])
    parser.add_argument("words", nargs="*", help="the bugs whose names hold one of these; all if there is none")
    parser.add_argument("--json", type=Path, help="write the rows there, in place of older rows of the same bugs")
    asked = parser.parse_args(arguments)
    chosen = [bug for bug in BUGS if not asked.words or any(word in bug.name for word in asked.words)]
    if not chosen:
        parser.error(
            f"words: no bug's name holds {' or '.join(asked.words)}; the names are those of `python -m field`'s table"
        )
    if asked.json and not asked.json.absolute().parent.is_dir():
        parser.error(f"--json: the folder {asked.json.parent} does not exist; make it first")
    kept = {row["bug"]: row["crosscheck"] for row in json.loads(KEPT.read_text(encoding="utf-8"))["bugs"]}
    rows: list[Row] = []
    print(f"{'bug':44} {'notices':8} {'alarm':6} {'place':6} {'cause':6} {'seconds':>7}")
    for bug in chosen:
        rows.append(row := judged(bug))
        print(line(row), flush=True)
    for check in CHECKS:
        print(f"{check:16} {counted(rows, check)}")
    if asked.json:
        older = json.loads(asked.json.read_text(encoding="utf-8"))["bugs"] if asked.json.exists() else []
        by_name = {row["bug"]: row for row in (*older, *rows)}
        every = [by_name[bug.name] for bug in BUGS if bug.name in by_name]
        write_json(asked.json, {"schema": "crosscheck.field/1", "environment": environment(), "bugs": every})
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
