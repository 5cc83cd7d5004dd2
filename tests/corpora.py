"""What the commands of two corpora share: which cases are asked for, and a file of rows that keeps those of other cases."""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kept import environment, write_json


class Named(Protocol):
    @property
    def name(self) -> str: ...


Row = dict[str, Any]
here = cache(environment)
"""The environment, asked for once, since rows are written as they come."""
One = TypeVar("One", bound=Named)


def parser_of(prog: str, description: str, what: str) -> argparse.ArgumentParser:
    """A parser of WORD ... and of ``--json``. ``what`` the corpus holds is a noun whose plural ends in s."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=description.partition(":")[0])
    parser.add_argument("words", nargs="*", help=f"the {what}s whose names hold one of these; all if there is none")
    parser.add_argument("--json", type=Path, help=f"write the rows there, in place of older rows of the same {what}s")
    return parser


def chosen(parser: argparse.ArgumentParser, asked: argparse.Namespace, every: Sequence[One], what: str) -> list[One]:
    """Those whose names hold a word; an error if there are none, or if the rows could not be written."""
    some = [one for one in every if not asked.words or any(word in one.name for word in asked.words)]
    if not some:
        words = " or ".join(asked.words)
        parser.error(f"words: no {what}'s name holds {words}; the names are those of `{parser.prog}`'s table")
    if asked.json and not asked.json.absolute().parent.is_dir():
        parser.error(f"--json: the folder {asked.json.parent} does not exist; make it first")
    return some


def write_rows(
    path: Path,
    schema: str,
    what: str,
    rows: Iterable[Row],
    every: Sequence[Named],
    more: Callable[[Sequence[Row]], Mapping[str, Any]] = lambda rows: {},
) -> None:
    """Put rows into a file, in the order of the corpus; the older rows of other cases stay. ``more`` is told of all rows."""
    older = json.loads(path.read_text(encoding="utf-8"))[f"{what}s"] if path.exists() else []
    by_name = {row[what]: row for row in (*older, *rows)}
    kept = [by_name[one.name] for one in every if one.name in by_name]
    write_json(path, {"schema": schema, "environment": here(), f"{what}s": kept, **more(kept)})
