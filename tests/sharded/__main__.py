"""Judge what devices share and print tables: ``python -m sharded [TABLE ...]`` in the tests' folder.

The tables are ``exchanges``, ``forms``, ``mistakes`` and ``memory``; without one, all of them. The devices are virtual ones
of the CPU. It exits with 1 if a right program is not certified, or a mistake is not found, named and placed.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

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
    """Print the tables, each number of devices in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m sharded", description=__doc__.partition(":")[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--devices", type=int, choices=(2, 4, 8), help="only this number of devices")
    parser.add_argument("--words", nargs="+", help="only rows whose names hold one of these")
    asked = parser.parse_args(arguments)
    if unknown := [one for one in asked.tables if one not in TABLES]:
        parser.error(f"TABLE: got {unknown[0]!r}, expected one of {', '.join(TABLES)}")
    wanted = [(name, count) for name in asked.tables or TABLES for count in TABLES[name][1]]
    wanted = [(name, count) for name, count in wanted if asked.devices in (None, count)]
    if len(wanted) == 1:
        return table(*wanted[0], asked.words)
    words = ["--words", *asked.words] if asked.words else []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [
            pool.submit(
                subprocess.run, [sys.executable, "-m", "sharded", name, "--devices", str(count), *words], check=False
            )
            for name, count in wanted
        ]
        return max(run.result().returncode for run in runs)


def table(name: str, devices: int, words: list[str] | None) -> int:
    """Print the rows of one table; return 1 if one is not as it must be."""
    wrong = count = 0
    begun = time.process_time()
    warnings.simplefilter("ignore", FutureWarning)
    for row, right, said in TABLES[name][0](devices, words):
        lap, begun = time.process_time() - begun, time.process_time()
        print(
            f"{name:9} {devices} devices  {row:60} {'as it must be' if right else 'WRONG':13} {lap:6.1f} CPU s  {said}",
            flush=True,
        )
        wrong, count = wrong + (not right), count + 1
    print(f"{name}, {devices} devices: {count - wrong} of {count} as they must be, {begun:.0f} CPU s in all", flush=True)
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
