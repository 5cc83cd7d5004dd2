"""Judge a corpus of cases whose verdict is known, and print a table: ``python -m corpora NAME [WORD ...]``.

Each WORD keeps the cases whose names hold it. Exit 1: a row is not as it must be.
"""

import argparse
import importlib
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache, wraps
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kept import environment, write_json

from crosscheck._workers import Workers, none_left

Row = dict[str, Any]
MODULES = {
    "alarms": "detection.alarms",
    "detection": "detection.corpus",
    "explain": "explain.corpus",
    "field": "field.corpus",
    "pairs": "pairs.corpus",
    "ports": "public.corpus",
    "sharded": "sharded.corpus",
    "usual": "detection.noticed",
    "zoo": "zoo.corpus",
}
"""By the name of a corpus, the module that holds it as ``CORPUS``; its table is kept in the package's folder of results."""
PER_PROCESS = 150
"""Cases. A process keeps what it compiled for each of them, so another one goes on."""
RESULTS = Path(__file__).parents[1] / "results"
here = cache(environment)
"""The environment, asked for once, since rows are written as they come."""


class Named(Protocol):
    @property
    def name(self) -> str: ...


Made = TypeVar("Made")


@dataclass(frozen=True)
class Corpus:
    """A corpus of cases.

    Attributes:
        name: Its name, one of ``MODULES``.
        case: What a case is called, a noun whose plural ends in s; a row has the name of its case under it.
        cases: The cases, in the order of the table.
        judged: Gives the row of a case.
        head: The first line of the table.
        line: A row as text.
        sums: The lines after the rows.
        worse: Whether a row is not as it must be; the second row is the one of the same case in the kept table, or None.
        begun: Called when a process starts.
        more: What the file has beside the rows, made of all of them.
        left_out: What is not judged here, in a line each.
        whole: Whether one environment has all cases; if not, a file keeps the rows of other environments.
        variables: What is set in the environment before the frameworks start.
    """

    name: str
    case: str
    cases: Sequence[Any]
    judged: Callable[[Any], Row]
    head: str
    line: Callable[[Row], str]
    sums: Callable[[Sequence[Row]], Iterable[str]]
    worse: Callable[[Row, Row | None], bool]
    begun: Callable[[], None] = lambda: None
    more: Callable[[Sequence[Row]], Mapping[str, Any]] = lambda rows: {}
    left_out: Sequence[str] = ()
    whole: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> Mapping[str, Row]:
        """The rows of the table in ``results``, by case."""
        return rows_in(RESULTS / MODULES[self.name].partition(".")[0] / f"{self.name}.json", self.case)


def rows_in(path: Path, case: str) -> dict[str, Row]:
    """The rows of a file by case; none if there is no file."""
    return {row[case]: row for row in json.loads(path.read_text(encoding="utf-8"))[f"{case}s"]} if path.exists() else {}


def corpus_of(name: str) -> Corpus:
    """The corpus of a name."""
    return importlib.import_module(MODULES[name]).CORPUS


@cache
def begun(name: str) -> Corpus:
    """The corpus of a name, once this process is ready to judge its cases."""
    warnings.simplefilter("ignore")
    corpus = corpus_of(name)
    corpus.begun()
    return corpus


def judged(name: str, case: str) -> Row:
    """The row of a case of a corpus."""
    import torch

    corpus = begun(name)
    torch.manual_seed(0)  # or a row would depend on those that this process judged before
    return corpus.judged(next(candidate for candidate in corpus.cases if candidate.name == case))


def shared(make: Callable[..., Made]) -> Callable[..., Made]:
    """A function that makes something once for several cases: what crosscheck says meanwhile is said of none of them."""

    @cache
    def once(*arguments: Any) -> Made:
        making.append(make)
        try:
            return make(*arguments)
        finally:
            making.pop()

    return wraps(make)(once)


making: list[Callable[..., Any]] = []
"""What is being made for several cases."""


def cpu_seconds() -> float:
    """Of this process and of those that it has started."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def rows_of(
    corpus: Corpus, cases: Sequence[Named], processes: int, judge: Callable[[str, str], Row] = judged
) -> Iterator[Row]:
    """The rows of cases, judged by several processes at once."""
    # the threads of several processes wait for each other, which would count as their time
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.update(corpus.variables)
    size = PER_PROCESS * processes
    for start in range(0, len(cases), size):
        with none_left(), Workers(processes) as pool:
            for case in [pool.submit(judge, corpus.name, case.name) for case in cases[start : start + size]]:
                yield case.result()


def main(arguments: Sequence[str], rows: Callable[..., Iterator[Row]] = rows_of) -> int:
    """Judge cases and print the table; ``rows`` judges them."""
    parser = argparse.ArgumentParser(prog="python -m corpora", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("name", choices=MODULES, help="the corpus")
    parser.add_argument("words", nargs="*", help="the cases whose names hold one of these; all if there is none")
    parser.add_argument("--json", type=Path, help="write the rows there, in place of older rows of the same cases")
    parser.add_argument("--processes", type=int, choices=(1, 2), default=2, help="how many judge at once")
    parser.add_argument("--missing", type=Path, metavar="JSON", help="leave out the cases of which this file has a row")
    asked = parser.parse_args(arguments)
    corpus = corpus_of(asked.name)
    cases = chosen(parser, corpus, asked.words)
    if asked.json and not asked.json.absolute().parent.is_dir():
        parser.error(f"--json: the folder {asked.json.parent} does not exist; make it first")
    there = rows_in(asked.missing, corpus.case) if asked.missing else {}
    left = [case for case in cases if case.name not in there]
    if not left:
        print(f"nothing is left to judge: {asked.missing} has all of these {corpus.case}s")
        return 0
    results: list[Row] = []
    print(corpus.head)
    try:
        for row in rows(corpus, left, asked.processes):
            results.append(row)
            print(corpus.line(row), flush=True)
            if asked.json:
                write_rows(corpus, asked.json, row)
    except BrokenProcessPool:
        first = left[len(results)].name
        print(f"a process died, of a crash or for lack of memory; the first {corpus.case} without a row is {first}")
        return 1
    for line in (*corpus.left_out, *corpus.sums(results)):
        print(line)
    kept = corpus.kept
    if worse := [row[corpus.case] for row in results if corpus.worse(row, kept.get(row[corpus.case]))]:
        print(f"not as they must be: {', '.join(worse)}")
    return 1 if worse else 0


def chosen(parser: argparse.ArgumentParser, corpus: Corpus, words: Sequence[str]) -> list[Any]:
    """The cases whose names hold one of the words, all without words; an error if there are none."""
    if not corpus.cases:
        parser.error("; ".join(corpus.left_out))
    some = [candidate for candidate in corpus.cases if not words or any(word in candidate.name for word in words)]
    if not some:
        every = f"the names are those of the table of `{parser.prog} {corpus.name}`"
        parser.error(f"words: no {corpus.case}'s name holds {' or '.join(words)}; {every}")
    return some


def write_rows(corpus: Corpus, path: Path, row: Row) -> None:
    """Put a row into a file, in the order of the corpus; the older rows of other cases stay."""
    rows = {**rows_in(path, corpus.case), row[corpus.case]: row}
    about: Row = {"schema": f"crosscheck.{corpus.name}/1"}
    if corpus.whole:
        rows = {case.name: rows[case.name] for case in corpus.cases if case.name in rows}
        about["environment"] = here()
    kept = list(rows.values())
    write_json(path, {**about, f"{corpus.case}s": kept, **corpus.more(kept)})


if __name__ == "__main__":
    # not as __main__, whose functions no other process could import
    sys.exit(importlib.import_module("corpora").main(sys.argv[1:]))
