"""The guard: ``python -m guard [CORPUS ...] [--changed [REVISION]] [--accept CORPUS ...]`` in the tests' folder.

Judges the cases of the corpora and compares what crosscheck says of each with the row on record, in results/guard. Prints
the rows that differ, before and after, the CPU seconds and the lines of code beside those on record. A run that was stopped
goes on where it was, as long as no file has changed. --changed judges the cases that a change since a revision of git, by
default the last commit, can reach. --accept judges nothing: it puts the rows that were last seen on record. Exit 1: a row
differs from the one on record.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from corpora import MODULES, Corpus, Row, corpus_of, here, rows_of
from kept import write_json

from guard import compared, heard, reach

CORPORA = ("explain", "field", "sharded", "zoo", "pairs", "detection", "alarms")
RECORD = reach.ROOT / "results" / "guard"
SEEN = reach.ROOT / ".nox" / "seen-by-guard"
"""The rows of the last run of each corpus, a line each; the first line is the digest of the code that made them."""
SCHEMA = "crosscheck.guard/1"
EVERY_SECONDS = 30


def main(arguments: Sequence[str]) -> int:
    """Judge the cases that are asked for, or accept the rows that were seen."""
    parser = argparse.ArgumentParser(prog="python -m guard", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help=f"of {', '.join(CORPORA)}; all if there is none")
    parser.add_argument("--changed", nargs="?", const="HEAD", metavar="REVISION", help="only what a change can reach")
    parser.add_argument("--accept", nargs="+", default=(), metavar="CORPUS", help="record the rows that were last seen")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in (*asked.corpora, *asked.accept) if name not in CORPORA]:
        parser.error(f"CORPUS: got {', '.join(unknown)}, expected some of {', '.join(CORPORA)}")
    if asked.accept:
        return accepted(parser, asked.accept)
    names = [name for name in CORPORA if not asked.corpora or name in asked.corpora]
    changed = None if asked.changed is None else reach.changed_since(asked.changed)
    judged = [judge(corpus_of(name), changed) for name in names]
    print(f"\n{sum(counts[0] for counts in judged)} cases, {sum(counts[1] for counts in judged)} differ from the record")
    for line in sizes():
        print(line)
    return 1 if any(counts[1] for counts in judged) else 0


def judge(corpus: Corpus, changed: Sequence[Path] | None) -> tuple[int, int]:
    """Judge the cases of a corpus, print the rows that differ, and count both."""
    record = on_record(corpus.name)
    rows: Mapping[str, Row] = record.get("rows", {})
    names = [case.name for case in corpus.cases]
    gone = [] if changed is not None else [name for name in rows if name not in names]
    if changed is not None:
        names = [name for name in names if can_reach(changed, corpus.name, rows.get(name))]
    words_alone = bool(rows) and not compared.same_width(record["environment"], here())
    differing, seconds, told = len(gone), 0.0, time.monotonic()
    for name in gone:
        print("\n".join(compared.shown(name, ["on record, and no case any more"])))
    try:
        for number, (name, row, cost) in enumerate(seen(corpus, names), 1):
            seconds += cost
            if lines := compared.differences(rows.get(name), row, words_alone=words_alone):
                differing += 1
                print("\n".join(compared.shown(name, lines)), flush=True)
            if time.monotonic() - told > EVERY_SECONDS:
                told = time.monotonic()
                print(f"{corpus.name}: {number} of {len(names)}", file=sys.stderr, flush=True)
    except BrokenProcessPool:
        print(f"{corpus.name}: a process died, of a crash or for lack of memory; run it again, and it goes on from there")
        return len(names), differing + 1
    before = f"; {record['seconds']:.0f} on record" if "seconds" in record else "; nothing is on record"
    some = "" if len(names) == len(corpus.cases) else f" of {len(corpus.cases)}"
    width = f" ({compared.WIDTH})" if words_alone else ""
    print(
        f"{corpus.name:10}{len(names):5}{some} cases,{differing:4} differ, {seconds:6.0f} CPU s{before}{width}", flush=True
    )
    return len(names), differing


def can_reach(changed: Sequence[Path], corpus: str, row: Row | None) -> bool:
    """Whether a change reaches the corpus, or what a case called when it was recorded; a new case is always judged."""
    calls = () if row is None else {heard["call"] for heard in row["heard"]}
    return row is None or reach.reached(changed, MODULES[corpus], calls)


def seen(corpus: Corpus, names: Sequence[str]) -> Iterator[tuple[str, Row, float]]:
    """The rows of cases, with their CPU seconds; those that a stopped run of the same code has seen are not judged again."""
    path = SEEN / f"{corpus.name}.jsonl"
    there = {} if len(made := rows_seen(path)) >= len(names) else made
    yield from ((name, *there[name]) for name in names if name in there)
    if not there:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(digest() + "\n", encoding="utf-8")
    costs = {name: row.get("seconds", 0.0) for name, row in corpus.kept.items()}
    # the longest first, so that all processes end together
    cases = sorted(
        (case for case in corpus.cases if case.name in {*names} - {*there}), key=lambda case: -costs.get(case.name, 0)
    )
    for case, (row, cost) in zip(cases, rows_of(corpus, cases, 2, heard.row_of), strict=True):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([case.name, row, round(cost, 2)]) + "\n")
        yield case.name, json.loads(json.dumps(row)), cost


def rows_seen(path: Path) -> dict[str, tuple[Row, float]]:
    """The rows of the last run, by case, with their CPU seconds; none if the code is another one now."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    first, *lines = text.splitlines(keepends=True) or [""]
    whole = [json.loads(line) for line in lines if line.endswith("\n")] if first.strip() == digest() else []
    return {name: (row, cost) for name, row, cost in whole}


def digest() -> str:
    """Of the code and of the tests."""
    made = hashlib.sha256()
    for folder in ("crosscheck", "tests"):
        for path in sorted((reach.ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                made.update(path.relative_to(reach.ROOT).as_posix().encode() + path.read_bytes())
    return made.hexdigest()


def accepted(parser: argparse.ArgumentParser, names: Sequence[str]) -> int:
    """Put the rows that the last run saw on record, in place of older ones; the others stay."""
    for name in names:
        corpus, new = corpus_of(name), rows_seen(SEEN / f"{name}.jsonl")
        if not new:
            parser.error(f"--accept {name}: this code was not judged yet; run `nox -s guard -- {name}` first")
        record = on_record(name)
        rows = {**record.get("rows", {}), **{case: row for case, (row, _) in new.items()}}
        every = [case.name for case in corpus.cases]
        costs = sum(cost for _, cost in new.values())
        RECORD.mkdir(parents=True, exist_ok=True)
        write_json(
            RECORD / f"{name}.json",
            {
                "schema": SCHEMA,
                "environment": here(),
                "seconds": round(costs if len(new) == len(every) else record["seconds"]),
                "rows": {case: rows[case] for case in every if case in rows},
            },
        )
        print(f"{name}: {len(new)} rows are on record")
    write_json(RECORD / "lines.json", {"schema": SCHEMA, **lines_of_code()})
    return 0


def on_record(name: str) -> Any:
    path = RECORD / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def sizes() -> Iterator[str]:
    """The lines of code, beside those on record."""
    before = on_record("lines")
    for folder, now in lines_of_code().items():
        yield f"{folder}/ has {now:,} lines of Python" + (f"; {before[folder]:,} on record" if folder in before else "")


def lines_of_code() -> dict[str, int]:
    return {
        folder: sum(path.read_text(encoding="utf-8").count("\n") for path in (reach.ROOT / folder).rglob("*.py"))
        for folder in ("crosscheck", "tests")
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
