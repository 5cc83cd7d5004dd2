"""What the referee finds: ``python -m detection faults|alarms|usual [WORD ...] [--json PATH]`` in the tests' folder.

faults: every planted fault, and whether it was found with its side, cause and input. alarms: right functions, and whether
one was complained of. usual: what the checks that people use say of the same. Each WORD keeps the rows whose names or
classes hold it. With --json the rows are written into a file, in the place of those of their names; where the file of
``usual`` has crosscheck's verdicts already, they are taken from it. Exit 1: a fault was missed, or there was an alarm.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from kept import environment, write_json

from detection import FAULTS, RIGHT
from detection.records import Fault, Right
from detection.tables import Row, alarm_lines, alarm_row, fault_lines, fault_row, usual_lines, usual_row

SCHEMA = "crosscheck.detection/1"
AT_ONCE = 25
"""After so many rows JAX lets go of what it has compiled."""


def main(arguments: Sequence[str]) -> int:
    """Run one table and print it."""
    parser = argparse.ArgumentParser(prog="python -m detection", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("table", choices=("faults", "alarms", "usual"))
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--json", type=Path, metavar="PATH")
    given = parser.parse_args(arguments)
    faults, right = (chosen(rows, given.words) for rows in (FAULTS, RIGHT))
    if not (right if given.table == "alarms" else faults or right):
        parser.error(f"no row holds {' or '.join(given.words)}")
    kept: list[Row] = []
    if given.table == "faults":
        show(fault_lines(each(faults, fault_row, kept)))
        wrong = not all(row["as_expected"] for row in kept)
        tables: dict[str, Any] = {"faults": kept}
    elif given.table == "alarms":
        show(alarm_lines(each(right, alarm_row, kept)))
        wrong = any(row["alarms"] for row in kept)
        tables = {"alarms": kept}
    else:
        there = read(given.json)
        tables = usual(faults, right, there)
        found = {row["name"]: row["as_expected"] for row in tables["faults"]}
        alarms = {row["name"]: bool(row["alarms"]) for row in tables["alarms"]}
        show(usual_lines(tables["usual"]["faults"], tables["usual"]["right"], found, alarms))
        wrong = not all(found.values()) or any(alarms.values())
    if given.json:
        write(given.json, tables)
    return 1 if wrong else 0


def chosen(rows: Sequence[Any], words: Sequence[str]) -> list[Any]:
    """The rows whose names or classes hold one of the words; all of them without words."""
    return [row for row in rows if not words or any(word in row.name or word == row.kind for word in words)]


def each(rows: Sequence[Any], judge: Callable[[Any], Row], kept: list[Row]) -> Iterator[Row]:
    """Judge row after row, which are kept."""
    for number, row in enumerate(rows, 1):
        kept.append(judge(row))
        yield kept[-1]
        if number % AT_ONCE == 0:
            jax.clear_caches()
            gc.collect()


def usual(faults: Sequence[Fault], right: Sequence[Right], there: dict[str, Any]) -> dict[str, Any]:
    """The same rows given to the usual checks and to crosscheck, unless its verdicts are there already."""
    tables: dict[str, Any] = {"faults": [], "alarms": [], "usual": {"faults": [], "right": []}}
    for rows, judge, name, kind in ((faults, fault_row, "faults", "faults"), (right, alarm_row, "alarms", "right")):
        judged = {row["name"]: row for row in there.get(name, [])}

        def both(row: Any, judge: Callable[[Any], Row] = judge, judged: dict[str, Row] = judged) -> Row:
            return {**(judged.get(row.name) or judge(row)), "usual": usual_row(row)}

        for _ in each(rows, both, tables[name]):
            pass
        tables["usual"][kind] = [row.pop("usual") for row in tables[name]]
    return tables


def show(lines: Iterator[str]) -> None:
    """Print lines as they are made."""
    for line in lines:
        print(line, flush=True)


def read(path: Path | None) -> dict[str, Any]:
    """The tables that a file has."""
    return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else {}


def write(path: Path, tables: dict[str, Any]) -> None:
    """Put rows in the place of those of their names in the file, whole or not at all; rows that are no more are left out."""
    there = read(path)
    data: dict[str, Any] = {"schema": SCHEMA, "environment": environment()}
    for name, rows in (("faults", FAULTS), ("alarms", RIGHT)):
        if name in there or name in tables:
            data[name] = merged(rows, there.get(name, []), tables.get(name, []))
    if "usual" in there or "usual" in tables:
        data["usual"] = {
            name: merged(rows, *(one.get("usual", {}).get(name, []) for one in (there, tables)))
            for name, rows in (("faults", FAULTS), ("right", RIGHT))
        }
    write_json(path, data)
    print(f"written: {path}")


def merged(rows: Sequence[Any], there: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """The rows by name, in the order of ``rows``."""
    found = {row["name"]: row for row in (*there, *new)}
    return [found[row.name] for row in rows if row.name in found]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
