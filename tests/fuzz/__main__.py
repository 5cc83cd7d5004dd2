"""Bad input and faults: ``python -m fuzz lines|calls|faults [WORD ...] [--examples N] [--json PATH]`` in the tests' folder.

lines: generated command lines of every command; how many there were, how they ended, and which broke the invariant. calls:
the same of calls of public functions of Python with wrong arguments. faults: each fault around a command, how the command
ended, what it said and what it left. Each WORD keeps the commands, or the rows of the table, that hold it. With --json the
table is written into a file, in the place of the rows of their names. Exit 1: something is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kept import environment, write_json

from fuzz.calls import FUNCTIONS, call_campaign
from fuzz.campaign import campaign
from fuzz.faults import FAULTS, Fault
from fuzz.lines import COMMANDS

SCHEMA = {"lines": "crosscheck.fuzz/1", "calls": "crosscheck.calls/1", "faults": "crosscheck.faults/1"}
EXAMPLES = 200
Row = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Run one of the two and print its table."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("table", choices=tuple(SCHEMA))
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--examples", type=int, default=EXAMPLES, metavar="N", help="of each command, of lines; %(default)s")
    parser.add_argument("--json", type=Path, metavar="PATH")
    given = parser.parse_args(arguments)
    if given.table == "lines":
        commands = [command for command in COMMANDS if not given.words or command in given.words]
        made = (line_row(command, given.examples) for command in commands)
        names = list(COMMANDS)
    elif given.table == "calls":
        functions = [name for name in FUNCTIONS if not given.words or name in given.words]
        made = (call_row(name, given.examples) for name in functions)
        names = list(FUNCTIONS)
    else:
        faults = [
            fault for fault in FAULTS if not given.words or any(word in f"{fault.kind} {fault.name}" for word in given.words)
        ]
        made = (fault_row(fault) for fault in faults)
        names = [fault.name for fault in FAULTS]
    rows: list[Row] = []
    try:
        for row in made:
            print(told(row), flush=True)
            rows.append(row)
    finally:  # after Ctrl-C too
        if given.json and rows:
            write(given.json, SCHEMA[given.table], names, rows)
    if not rows:
        parser.error(f"nothing holds {' or '.join(given.words)}")
    wrong = [row for row in rows if row["broken"]]
    print(f"{len(rows)} rows, {len(wrong)} of them not as they must be")
    return 1 if wrong else 0


def line_row(command: str, examples: int) -> Row:
    """What came of the lines of one command."""
    tally = campaign(command, examples)
    return {
        "name": command,
        "examples": tally.examples,
        "codes": {str(code): count for code, count in sorted(tally.codes.items(), key=str)},
        "broken": [
            [" ".join([*line.arguments, *(f"(without {name})" for name in line.hidden)]), *rules]
            for line, rules in tally.failures.values()
        ],
    }


def call_row(name: str, examples: int) -> Row:
    """What came of the calls of one function."""
    tally = call_campaign(name, examples)
    ends = dict(sorted(tally.ends.items()))
    return {"name": name, "examples": tally.examples, "ends": ends, "broken": [*tally.failures.values()]}


def fault_row(fault: Fault) -> Row:
    """What came of a fault."""
    seen = fault.happen()
    return {
        "name": fault.name,
        "kind": fault.kind,
        "command": fault.run,
        "fault": fault.what,
        "code": seen.code,
        "said": seen.errors,
        "left": dict(seen.left),
        "orphans": seen.orphans,
        "broken": fault.broken(seen),
    }


def told(row: Row) -> str:
    """A row in a line, and each rule that was broken in one more."""
    if "ends" in row:
        ends = ", ".join(f"{count} x {end}" for end, count in row["ends"].items())
        first = f"{row['name']:14} {row['examples']:6} calls; {ends}"
    elif "examples" in row:
        codes = ", ".join(f"{count} x {code}" for code, count in row["codes"].items())
        first = f"{row['name'] or '(no command)':14} {row['examples']:6} lines; exit codes {codes}"
    else:
        left = ", ".join(f"{file} {state}" for file, state in row["left"].items())
        first = f"{row['name']}: exit code {row['code']}; {left or 'nothing left'}; {' '.join(row['said'])[:100]}"
    return "\n".join([first, *(f"    BROKEN: {rule}" for rule in row["broken"])])


def write(path: Path, schema: str, names: Sequence[str], rows: Sequence[Row]) -> None:
    """Put rows in the place of those of their names in the file; rows that are no more are left out."""
    there = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    by_name = {row["name"]: row for row in (*there, *rows)}
    kept = [by_name[name] for name in names if name in by_name]
    write_json(path, {"schema": schema, "environment": environment(), "rows": kept})
    print(f"written: {path}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
