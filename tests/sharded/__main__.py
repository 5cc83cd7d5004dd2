"""Judge what devices share and print tables: ``python -m sharded [TABLE ...]`` in the tests' folder.

The tables are ``exchanges``, ``forms``, ``mistakes`` and ``memory``; without one, all of them. The devices are virtual ones
of the CPU. It exits with 1 if a right program is not certified, or a mistake is not found, named and placed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from kept import environment, write_json

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"  # before JAX starts

from sharded import exchanges, forms, memory

Row = tuple[str, bool, str]
TABLES: dict[str, tuple[Callable[..., Iterator[Row]], tuple[int, ...]]] = {
    "exchanges": (exchanges.rows, (2, 4, 8)),
    "forms": (forms.rows, (2, 4, 8)),
    "mistakes": (forms.mistakes, (4,)),
    "memory": (memory.rows, (8,)),
}
"""What makes the rows of each table, and for which numbers of devices."""
AT_ONCE = 2


def main(arguments: list[str]) -> int:
    """Print the tables, each number of devices in a process of its own, and the sums."""
    parser = argparse.ArgumentParser(prog="python -m sharded", description=__doc__.partition(":")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--devices", type=int, choices=(2, 4, 8), help="only this number of devices")
    parser.add_argument("--words", nargs="+", help="only rows whose names hold one of these")
    parser.add_argument("--json", type=Path, help="write the rows there, in place of those of the same tables and devices")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)  # one table, as this program calls itself
    asked = parser.parse_args(arguments)
    if unknown := [one for one in asked.tables if one not in TABLES]:
        parser.error(f"TABLE: got {unknown[0]!r}, expected one of {', '.join(TABLES)}")
    if asked.json and not asked.json.absolute().parent.is_dir():
        parser.error(f"--json: the folder {asked.json.parent} does not exist; make it first")
    wanted = [(name, count) for name in asked.tables or TABLES for count in TABLES[name][1]]
    wanted = [(name, count) for name, count in wanted if asked.devices in (None, count)]
    if asked.alone:
        return table(*wanted[0], asked.words, asked.json)
    words = ["--words", *asked.words] if asked.words else []
    begun = time.perf_counter()
    with TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        files = [Path(folder, f"{name}-{count}.json") for name, count in wanted]
        commands = [
            [sys.executable, "-m", "sharded", name, "--alone", "--devices", str(count), "--json", str(file), *words]
            for (name, count), file in zip(wanted, files, strict=True)
        ]
        codes = [run.returncode for run in pool.map(lambda one: subprocess.run(one, check=False), commands)]
        made = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    print(f"\n{'table':9} {'devices':>7} {'as they must be':>15} {'CPU s':>6}")
    for one in made:
        right = f"{sum(row['right'] for row in one['rows'])} of {len(one['rows'])}"
        print(f"{one['table']:9} {one['devices']:7} {right:>15} {one['seconds']:6.0f}")
    print(f"{sum(one['seconds'] for one in made):.0f} CPU s in all, in {time.perf_counter() - begun:.0f} s")
    if asked.json:
        older = json.loads(asked.json.read_text(encoding="utf-8"))["tables"] if asked.json.exists() else []
        tables = {(one["table"], one["devices"]): one for one in (*older, *made)}
        kept = [tables[name, count] for name in TABLES for count in TABLES[name][1] if (name, count) in tables]
        write_json(asked.json, {"schema": "crosscheck.sharded/1", "environment": environment(), "tables": kept})
    return max(codes)


def table(name: str, devices: int, words: list[str] | None, path: Path | None) -> int:
    """Print the rows of one table, and write them to a file; return 1 if one is not as it must be."""
    rows = []
    last = time.process_time()
    warnings.simplefilter("ignore", FutureWarning)
    for row, right, said in TABLES[name][0](devices, words):
        lap, last = time.process_time() - last, time.process_time()
        judged = "as it must be" if right else "WRONG"
        print(f"{name:9} {devices} devices  {row:60} {judged:13} {lap:6.1f} CPU s  {said}", flush=True)
        rows.append({"row": row, "right": right, "said": said})
    of_others = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = round(time.process_time() + of_others.ru_utime + of_others.ru_stime)
    if path:
        write_json(path, {"table": name, "devices": devices, "seconds": seconds, "rows": rows})
    return 0 if rows and all(row["right"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
