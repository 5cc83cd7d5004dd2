"""The invariant: what is true of every command line, good or bad."""

from __future__ import annotations

import io
import json
import os
import re
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn

from fuzz.running import Line, Outcome

NOTHING = "nothing was compared"
OWN = b'{"schema": "crosscheck.'
"""How each file of a line begins that may be overwritten."""
ESCAPE = "\x1b]0;"
"""Sets a terminal's title: no colour, so that only a name can have brought it."""
FORGED = "FORGED"
"""What follows the end of a line in a hostile name: no line may begin with it."""

COMPARED: Mapping[str, Callable[[Any], Any]] = {
    "crosscheck.report": lambda data: data["summary"]["points"],
    "crosscheck.arrays": lambda data: data["summary"]["elements"],
    "crosscheck.atlas": lambda data: data["summary"]["points"],
    "crosscheck.atlas-diff": lambda data: min(data["old"]["points"], data["new"]["points"]),
    "crosscheck.sweep": lambda data: min((times["inputs"] for times in data["results"]), default=0),
    "crosscheck.perceptron": lambda data: len(data["frameworks"]),
}
"""How much was compared, by the name of a JSON file's schema."""


def broken(line: Line, outcome: Outcome) -> list[str]:
    """The rules that a command broke, in words; none, as it should be."""
    if outcome.raised is not None:
        last = traceback.extract_tb(outcome.raised.__traceback__)[-1]
        return [f"it raised {type(outcome.raised).__name__}: {outcome.raised} ({Path(last.filename).name}:{last.lineno})"]
    return [*_exit_code(outcome), *_messages(line, outcome), *_files(line, outcome), *_markup(line, outcome)]


def _exit_code(outcome: Outcome) -> Iterator[str]:
    if outcome.code not in (0, 1, 2):
        yield f"exit code {outcome.code}, expected 0, 1 or 2"
    if "Traceback (most recent call last)" in outcome.stdout + outcome.stderr:
        yield "it printed a traceback"
    if outcome.code != 2 and NOTHING in outcome.stdout:
        yield f"exit code {outcome.code} where nothing was compared"
    if outcome.code == 0 and not outcome.stdout.strip():
        yield "exit code 0 and not a word"


def _messages(line: Line, outcome: Outcome) -> Iterator[str]:
    errors = [said for said in outcome.stderr.splitlines() if said.startswith("Error:")]
    expected = {0, 1} if NOTHING in outcome.stdout else {int(outcome.code == 2)}
    if line.arguments and len(errors) not in expected:  # without any the help is what is said
        yield f"{len(errors)} error messages with exit code {outcome.code}, expected {max(expected)}"
    if any(not said.removeprefix("Error:").strip() for said in errors):
        yield "an error message that says nothing"


def _files(line: Line, outcome: Outcome) -> Iterator[str]:
    named = dict(outcome.written)
    if line.command == "plot" and "--figure" not in line.outputs:
        named |= {path: "--figure" for path in outcome.after if path.endswith(".png")}
    for path in outcome.before.keys() | outcome.after.keys():
        before, after = outcome.before.get(path), outcome.after.get(path)
        if path in outcome.read and before != after:
            yield f"{path!r} is read, and was overwritten"
        elif before != after and before and not before.startswith(OWN) and "--force" not in line.arguments:
            yield f"{path!r} was overwritten without --force, and crosscheck did not write it"
        if before == after or any(path.startswith(f"{journal}/") for journal in line.journals):
            continue
        if path not in named:
            yield f"{path!r} was {'left behind' if before is None else 'changed'}, which no option names"
        elif after is None:
            yield f"{path!r} is gone"
        else:
            yield from (f"{named[path]}: {why}" for why in _not_whole(named[path], path, after, outcome))
    if outcome.code in (0, 1) and not {"--help", "-h"} & set(line.arguments):
        yield from (
            f"{option}: no file, with exit code {outcome.code}"
            for path, option in named.items()
            if path not in outcome.after
        )


def half_written(path: str, content: bytes) -> str | None:
    """Why a file is not what its ending promises, whole; None where it is."""
    ending = Path(path).suffix.lower()
    if ending == ".json":
        try:
            json.loads(content, parse_constant=_no_constant)
        except ValueError as error:
            return f"no whole JSON: {error}"
    elif ending == ".html":
        return None if not _Page(content.decode()).open and content.endswith(b"</html>\n") else "half a page"
    elif ending == ".md":
        return None if content.startswith(b"**") and content.endswith(b"\n") else "half a Markdown file"
    elif ending == ".npz":
        return None if zipfile.is_zipfile(io.BytesIO(content)) else "half an archive"
    elif not content.rstrip().endswith(ENDS[ending]):
        return "half a figure"
    return None


ENDINGS = {"--json": ".json", "--html": ".html", "--markdown": ".md"}


def _not_whole(option: str, path: str, content: bytes, outcome: Outcome) -> Iterator[str]:
    """Why a file that was written is not what its option promises."""
    if why := half_written(f"x{ENDINGS.get(option, Path(path).suffix)}", content):
        yield why
    elif option == "--json" and outcome.code == 0:
        data = json.loads(content)
        schema = str(data.get("schema", "")).partition("/")[0]
        if not COMPARED.get(schema, bool)(data):
            yield "exit code 0 with nothing compared"


ENDS = {".png": b"IEND\xaeB`\x82", ".svg": b"</svg>", ".pdf": b"%%EOF"}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _markup(line: Line, outcome: Outcome) -> Iterator[str]:
    """Whether a hostile name became more than text."""
    for stream, said in (("standard output", outcome.stdout), ("standard error", outcome.stderr)):
        if ESCAPE in said:
            yield f"an escape sequence of a name on {stream}"
        if any(row.strip().startswith(FORGED) for row in said.splitlines()):
            yield f"a name ends a line on {stream}"
    for name in line.hostile:
        inner = re.sub(r"\[/?bold\]", "", name)
        if inner != name and inner in outcome.stdout.replace(name, ""):
            yield f"{name!r} was taken for markup of the terminal"
    for path in line.outputs.values():
        content = outcome.after.get(os.path.normpath(path), b"")
        if content == outcome.before.get(os.path.normpath(path)):
            continue
        text = content.decode(errors="replace")
        if text.startswith("<!DOCTYPE"):
            yield from (
                f"<{tag}> of a name is a tag of the page" for tag in ("b", "script", "img") if tag in _Page(text).tags
            )
        elif text.startswith("**"):
            told = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.M | re.S)
            yield from (f"{name!r} is markup in Markdown" for name in line.hostile if _is_markup(name) and name in told)


def _is_markup(name: str) -> bool:
    return any(sign in name for sign in "<[`|*")


class _Page(HTMLParser):
    """The tags of an HTML page, and those that are still open at its end."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
