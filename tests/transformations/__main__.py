"""Try the transformations and print a table: ``python -m transformations [NAME ...] [--json PATH]`` in the tests' folder.

Exit 1: under one of them a function of the catalogue, or of those named, is another. Exit 2: nothing was tried.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from kept import write_json

FOUR = "--xla_force_host_platform_device_count=4"
SCHEMA = "crosscheck.transformations/1"


def main(arguments: Sequence[str]) -> int:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FOUR}".strip()  # before JAX starts
    import crosscheck
    from transformations.trying import lines, tried

    parser = argparse.ArgumentParser(prog="python -m transformations")
    parser.add_argument("names", nargs="*", metavar="NAME", help="functions of the catalogue; all unless given")
    parser.add_argument("--json", type=Path, metavar="PATH")
    given = parser.parse_args(arguments)
    if wrong := [name for name in given.names if name not in crosscheck.activations]:
        parser.error(f"NAME: got {', '.join(wrong)}, expected names that `crosscheck list` prints")
    outcomes = tried(given.names or list(crosscheck.activations))
    for line in lines(outcomes):
        print(line)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        said = outcome.message or f"{outcome.ulp:.3g} ULP from the plain call"
        print(f"{outcome.function}, {outcome.framework}, {outcome.way}: {said}")
    if given.json:
        versions = {name: version(name) for name in ("torch", "jax", "numpy")}
        write_json(given.json, {"schema": SCHEMA, "versions": versions, "outcomes": [vars(outcome) for outcome in outcomes]})
    return 2 if not outcomes else 1 if failed else 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
