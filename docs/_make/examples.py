"""The examples on pages, run: what each printed, by its key."""

import contextlib
import io
import json
import linecache
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blocks import Block, blocks
from columns import WIDTH, folded
from products import ROOT

FILE = "example.py"
"""The file that the examples of a session would be in, one below the other: reports name it and the line."""


READ = ("results", "benchmarks")
"""The folders of the repository that examples read."""


class ExampleError(Exception):
    """An example that raised."""


def outputs(page: str, where: str) -> dict[str, str]:
    """A file with what the examples of a page print, as JSON by their keys."""
    printed = {block.key: text for block, text in run(page, where)}
    return {"outputs.json": json.dumps(printed, indent=2, ensure_ascii=False)}


def run(page: str, where: str) -> Iterator[tuple[Block, str]]:
    """Run a page's examples one after the other; those of a session share their names, and all share a new folder."""
    sessions: dict[str, dict[str, Any]] = {}
    before: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in READ:
            Path(folder, name).symlink_to(ROOT / name)
        for block in blocks(page):
            try:
                with contextlib.chdir(folder):
                    if block.language == "console":
                        printed = command(block.code)
                    else:
                        names = sessions.setdefault(block.session, {"__name__": "__main__"})
                        printed = python(block.code, names, before.get(block.session, ""))
                        before[block.session] = before.get(block.session, "") + block.code
            except Exception as error:
                raise ExampleError(f"{where}: an example raised {type(error).__name__}: {error}\n{block.code}") from error
            yield block, folded(printed) if block.options.get("result") == "text" else printed


def python(code: str, names: dict[str, Any], before: str = "") -> str:
    """What a piece of Python prints; its lines are numbered from the end of what stands before it in its file."""
    printed = io.StringIO()
    whole = before + code
    linecache.cache[FILE] = (len(whole), None, whole.splitlines(keepends=True), FILE)  # its functions have a source to show
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * before.count("\n") + code, FILE, "exec"), names)
    return printed.getvalue()


def command(code: str) -> str:
    """What a command such as ``$ crosscheck list`` prints."""
    from click.testing import CliRunner

    from crosscheck._cli.main import main

    first, *rest = code.splitlines()
    prompt, program, *words = shlex.split(first)
    if rest or (prompt, program) != ("$", "crosscheck"):
        raise ValueError(f"expected one line, '$ crosscheck ...', got {code!r}")
    done = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(main, words, catch_exceptions=False)
    if done.exit_code not in (0, 1):  # 1 is a verdict
        raise ValueError(f"the command ended with {done.exit_code}: {done.output}")
    return folded(done.stdout)


def pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Each page with examples, by its place in the documentation."""
    for path in sorted(docs.rglob("*.md")):
        text = path.read_text("utf-8")
        if next(blocks(text), None):
            yield path.relative_to(docs).as_posix(), text
