"""Judge the public ports and print a table: ``python -m public [WORD ...]`` in the tests' folder; exits 1 if one is wrong.

Each WORD keeps the ports whose names hold it.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

from kept import write_json

from public import MODULES, ports_of
from public.judged import Row, alone, apart


def main(arguments: list[str]) -> int:
    """Print a row for each port, then how many verdicts are as expected."""
    parser = argparse.ArgumentParser(prog="python -m public", description=__doc__.partition(":")[0])
    parser.add_argument("words", nargs="*", help="the ports whose names hold one of these; all if there is none")
    parser.add_argument("--json", type=Path, help="write the rows there, in place of older rows of the same ports")
    parser.add_argument("--seconds", type=float, default=900, help="how long one port may take")
    parser.add_argument(
        "--order", type=int, choices=(0, 1), default=1, help="0 leaves out the gradients, and takes half the time"
    )
    parser.add_argument("--alone", help=argparse.SUPPRESS)  # the module of the one port to judge in this process
    asked = parser.parse_args(arguments)
    if asked.alone:
        (port,) = (port for port in ports_of(asked.alone) if [port.name] == asked.words)
        print(json.dumps(alone(port, asked.order)))
        return 0
    print(f"{'port':32} {'package':20} {'layers':>6} {'parameters':>10} {'verdict':24} {'seconds':>8} {'GB':>5}")
    rows = []
    for module in MODULES:
        here = ports_of(module)
        if not here:
            print(f"left out: {module}, whose library is not installed")
        for port in here:
            if not asked.words or any(word in port.name for word in asked.words):
                rows.append(row := apart(port, module, asked.order, asked.seconds))
                print(line(row), flush=True)
                if asked.json:
                    written(asked.json, row)
    wrong = [row for row in rows if not row["as_expected"]]
    print(f"{len(rows) - len(wrong)} of {len(rows)} as expected")
    return 1 if wrong or not rows else 0


def line(row: Row) -> str:
    """A row, and beneath it what was said where it is no certificate."""
    package = f"{row['package']} {row['versions'][row['package']]}"
    sizes = f"{row['layers']:6} {row['parameters'] or 0:10,}"
    cost = f"{row['seconds']:8.1f} {row['gigabytes'] or 0:5.1f}"
    mark = "" if row["as_expected"] else "   WRONG"
    said = "" if row["verdict"] == "certified" else f"\n    {row['said']}"
    return f"{row['port']:32} {package:20} {sizes} {row['verdict']:24} {cost}{mark}{said}"


def written(path: Path, row: Row) -> None:
    """Put a row into a file, in place of the older one of the same port; those of other environments stay."""
    before = json.loads(path.read_text(encoding="utf-8"))["ports"] if path.exists() else []
    rows = [row, *(other for other in before if other["port"] != row["port"])]
    rows.sort(key=lambda row: (row["package"], row["port"]))
    write_json(path, {"schema": "crosscheck.ports/1", "ports": rows})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
