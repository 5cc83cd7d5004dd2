"""The examples on pages, run: what each printed, by its key."""

import contextlib
import io
import itertools
import json
import linecache
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blocks import Block, blocks

NUMBERS = itertools.count()


class ExampleError(Exception):
    """An example that raised."""


def outputs(page: str, where: str) -> dict[str, str]:
    """A file with what the examples of a page print, as JSON by their keys."""
    printed = {block.key: text for block, text in run(page, where)}
    return {"outputs.json": json.dumps(printed, indent=2, ensure_ascii=False)}


def run(page: str, where: str) -> Iterator[tuple[Block, str]]:
    """Run a page's examples one after the other; those of a session share their names."""
    sessions: dict[str, dict[str, Any]] = {}
    for block in blocks(page):
        try:
            if block.language == "console":
                yield block, command(block.code)
            else:
                yield block, python(block.code, sessions.setdefault(block.session, {"__name__": "__main__"}), where)
        except Exception as error:
            raise ExampleError(f"{where}: an example raised {type(error).__name__}: {error}\n{block.code}") from error


def python(code: str, names: dict[str, Any], where: str = "example") -> str:
    """What a piece of Python prints."""
    printed = io.StringIO()
    name = f"<{where} {next(NUMBERS)}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)  # its functions have a source to show
    with contextlib.redirect_stdout(printed):
        exec(compile(code, name, "exec"), names)
    return printed.getvalue()


def command(code: str) -> str:
    """What a command such as ``$ crosscheck list`` prints."""
    from click.testing import CliRunner

    from crosscheck._cli.main import main

    first, *rest = code.splitlines()
    prompt, program, *words = shlex.split(first)
    if rest or (prompt, program) != ("$", "crosscheck"):
        raise ValueError(f"expected one line, '$ crosscheck ...', got {code!r}")
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    if done.exit_code not in (0, 1):  # 1 is a verdict
        raise ValueError(f"the command ended with {done.exit_code}: {done.output}")
    return done.stdout


def pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Each page with examples, by its place in the documentation."""
    for path in sorted(docs.rglob("*.md")):
        text = path.read_text("utf-8")
        if next(blocks(text), None):
            yield path.relative_to(docs).as_posix(), text
