"""Mutants of the numerics and causes: ``python -m mutation [WORD ...] [--all] [--json PATH]`` in the tests' folder.

Each WORD keeps the modules whose names hold it. Of more mutants than 600 the same 600 are tried each time, unless --all are
asked for. What was found is kept in the file --session, from which a run that was stopped goes on. --json writes
the score, the numbers and the survivors. Exit 1: a mutant survived that is not explained in explained.toml, one that is
listed there is killed or no more, 5 % survived, or there were none. Exit 2: the tests could not judge.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kept import write_json

from mutation.bench import UnusableTestsError, benches
from mutation.mutants import Made, made
from mutation.records import ROOT, TESTS, Mutant, Outcome, chosen, explained
from mutation.running import Session, tried
from mutation.summary import Summary

SCHEMA = "crosscheck.mutation/1"
MOST = 600
PACKAGES = ("cosmic-ray", "numpy", "ml_dtypes", "hypothesis", "pytest")


def main(arguments: Sequence[str]) -> int:
    """Try the mutants and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="copies to work in at once")
    parser.add_argument("--session", type=Path, default=Path(".nox", "mutation.sqlite"), metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="PATH")
    given = parser.parse_args(arguments)
    modules = [module for module in TESTS if not given.words or any(word in module for word in given.words)]
    if not modules:
        parser.error(f"WORD: got {' '.join(given.words)}, expected a part of one of {', '.join(TESTS)}")
    if given.workers < 1:
        parser.error(f"--workers: got {given.workers}, expected 1 or more")
    if given.json and given.words:
        parser.error("--json: got WORD too, expected all modules; leave one of them out")

    there = made(ROOT, modules)
    mutants = there.mutants if given.all else chosen(there.mutants, MOST)
    try:
        outcomes = run(mutants, modules, given.session, given.workers)
    except UnusableTestsError as error:
        print(error, file=sys.stderr)
        return 2
    known = {mutant.identity for mutant in there.mutants}
    summary = Summary(outcomes, known, explained(), whole=len(modules) == len(TESTS))
    for line in (*summary.lines(), left_out(there, len(mutants))):
        print(line)
    problems = list(summary.problems())
    for problem in problems:
        print(f"FAILED: {problem}")
    if given.json:
        data = {"left_out": numbers(there, len(mutants)), **summary.data()}
        write_json(given.json, {"schema": SCHEMA, "environment": environment(), **data})
        print(f"written: {given.json}")
    return 1 if problems else 0


def run(mutants: Sequence[Mutant], modules: Sequence[str], path: Path, workers: int) -> dict[Mutant, Outcome]:
    """What becomes of the mutants, in their order; what the session has already is taken from it."""
    session = Session(ROOT, path, mutants)
    try:
        outcomes = session.outcomes()
        left = [mutant for mutant in mutants if mutant not in outcomes]
        print(f"{len(mutants)} mutants, {len(left)} of them to be tried", flush=True)
        if left:
            with benches(ROOT, workers, modules) as copies:
                for number, (mutant, outcome) in enumerate(tried(ROOT, left, copies), 1):
                    session.keep(mutant, outcome)
                    progress(number, len(left))
        outcomes = session.outcomes()
        return {mutant: outcomes[mutant] for mutant in mutants}
    finally:
        session.close()


def progress(number: int, total: int) -> None:
    """How far it is, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{number} of {total}", end="\n" if number == total else "", file=sys.stderr, flush=True)


def numbers(there: Made, tried: int) -> dict[str, int]:
    """How many mutants were not tried, and why."""
    return {
        "other_replacements": there.other_replacements,
        "no_other_code": there.no_other_code,
        "beyond_the_most": len(there.mutants) - tried,
    }


def left_out(there: Made, tried: int) -> str:
    """The same as a line."""
    other, none, beyond = numbers(there, tried).values()
    return (
        f"not tried: {other} that replace an operator by one farther off, {none} in annotations or not Python, "
        f"{beyond} beyond {MOST}"
    )


def environment() -> dict[str, Any]:
    """Where it ran."""
    versions = {name: version(name) for name in ("torch-jax-crosscheck", *PACKAGES)}
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": versions}


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
