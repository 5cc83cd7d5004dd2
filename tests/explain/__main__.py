"""Judge the planted mistakes and print a table: ``python -m explain [WORD ...]`` in the tests' folder.

Each WORD keeps the cases whose names hold it. It exits with 1 if crosscheck complains of a right version, says something
that is false, or does not name what it named when the kept table was written.
"""

import json
import multiprocessing
import os
import sys
from pathlib import Path

from corpora import chosen, parser_of, write_rows

from explain import CASES
from explain.judged import Row, judged, totals, warm_up

KEPT = Path(__file__).parents[2] / "results" / "explain" / "explain.json"
PER_PROCESS = 60
"""Cases. A process keeps what it compiled for each of them, so another one goes on."""
COLUMNS = ("cases", "named", "proven", "false", "alarms", "median", "95 %")


def main(arguments: list[str]) -> int:
    """Print each case with what is said of it, then the sums."""
    parser = parser_of("explain", __doc__, "case")
    parser.add_argument("--kind", choices=sorted({case.kind for case in CASES}), help="the cases of this kind alone")
    parser.add_argument("--processes", type=int, choices=(1, 2), default=2, help="how many judge at once")
    parser.add_argument("--missing", type=Path, metavar="JSON", help="leave out the cases of which this file has a row")
    asked = parser.parse_args(arguments)
    cases = chosen(parser, asked, [case for case in CASES if asked.kind in (None, case.kind)], "case")
    if asked.missing:
        cases = [case for case in cases if case.name not in names_in(asked.missing)]
    kept = {row["case"]: row for row in json.loads(KEPT.read_text(encoding="utf-8"))["cases"]} if KEPT.exists() else {}
    rows: list[Row] = []
    print(f"{'case':64} {'named':6} {'proven':6} {'false':6} {'seconds':>7}")
    # The threads of several processes wait for each other, which would count as their time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    spawned = multiprocessing.get_context("spawn")
    with spawned.Pool(asked.processes, warm_up, maxtasksperchild=PER_PROCESS) as pool:
        for row in pool.imap(judged, [case.name for case in cases]):
            rows.append(row)
            print(line(row), flush=True)
            if asked.json:
                write_rows(
                    asked.json, "crosscheck.explain/1", "case", [row], CASES, lambda every: {"totals": dict(totals(every))}
                )
    sums = totals(rows)
    print(f"\n{'':12}" + "".join(f"{one:>8}" for one in COLUMNS))
    for name, one in sums:
        print(f"{name:12}" + "".join(f"{one[column]:8}" for column in COLUMNS))
    worse = [row["case"] for row in rows if is_worse(row, kept.get(row["case"]))]
    if worse:
        print(f"worse than kept, false, or an alarm: {', '.join(worse)}")
    return 1 if worse else 0


def names_in(path: Path) -> set[str]:
    return {row["case"] for row in json.loads(path.read_text(encoding="utf-8"))["cases"]} if path.exists() else set()


def is_worse(now: Row, kept: Row | None) -> bool:
    """Whether there is an alarm, a false word that was not there, or less is named than was."""
    before = kept or {"named": False, "false": []}
    return bool(now["alarm"]) or bool(set(now["false"]) - set(before["false"])) or (before["named"] and not now["named"])


def line(row: Row) -> str:
    """A row, beneath it what crosscheck says, what of it is false, and what it says against the right version."""
    proven = {True: "yes", False: "no", None: "-"}[row["proven"]]
    marks = f"{'yes' if row['named'] else 'no':6} {proven:6} {'yes' if row['false'] else 'no':6}"
    more = [*row["said"].splitlines()]
    more += [f"false: {', '.join(row['false'])}"] if row["false"] else []
    more += [f"of the right one: {row['alarm']}"] if row["alarm"] else []
    below = "".join(f"\n    {one}" for one in more)
    return f"{row['case']:64} {marks} {row['seconds'] - row['right_seconds']:7.1f}{below}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
