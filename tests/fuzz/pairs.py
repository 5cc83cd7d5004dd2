"""Pairs of paths: what a command reads and what it writes, which may be one file by two names."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from fuzz import content
from fuzz.around import KEPT
from fuzz.base import ATLAS
from fuzz.running import Line

ARRAY = content.array_bytes()
FILES = {
    "a.npy": ARRAY,
    "b.npy": ARRAY,
    "c.npy": ARRAY,
    "mine.py": content.GOOD_RECORD,
    "theirs.py": content.port("x"),
    "old.json": json.dumps(ATLAS).encode(),
    "new.json": json.dumps(ATLAS).encode(),
    "notes.txt": b"what nobody may lose\n",
    "drawn.svg": b"<svg>drawn by hand</svg>\n",
    "there.json": KEPT,
    "empty.json": b"",
}
NEW = ("out.json", "out.html", "out.svg")
FOLDERS = {"inner/up": ".."}
"""A link to the folder itself."""
SPELLINGS = ("{}", "./{}", "inner/../{}", "inner/up/{}", "/proc/self/cwd/{}", "link-{}", "linked-{}", "twin-{}", ".//{}")
"""Of a file that is there. ``link-`` is a symbolic link to it, ``linked-`` one to that, ``twin-`` a hard link."""


@dataclass(frozen=True)
class Reader:
    """A command that reads files, ``{}`` in its arguments, and the options of what it writes."""

    arguments: tuple[str, ...]
    reads: tuple[str, ...]
    options: tuple[str, ...]


REPORT = ("--json", "--html", "--markdown")
TINY = ("--shape", "2", "--order", "0", "--mode", "eager")
SWEPT = ("--dtype", "bfloat16", "--range", "1", "1.01", "--implementation", "torch", "--order", "0", "--processes", "1")
NAMED_OF_MODELS = ("--inputs", "theirs:inputs", "--params", "theirs:params")
NAMED_OF_TRAININGS = (
    *("--batches", "theirs:batches", "--torch-state", "theirs:torch_state", "--jax-state", "theirs:jax_state"),
    *("--controls", "0"),
)
READERS = (
    Reader(("diff", "{}", "{}"), ("a.npy", "b.npy"), REPORT),
    Reader(("diff", "{}", "{}", "--truth", "{}"), ("a.npy", "b.npy", "c.npy"), REPORT),
    Reader(("list", "--file", "{}"), ("mine.py",), ("--json",)),
    Reader(("atlas", "--diff", "{}", "{}"), ("old.json", "new.json"), ("--json", "--markdown")),
    Reader(("compare", "theirs:half", "theirs:half", *TINY), (), REPORT),
    Reader(("plot", "mine", "--file", "{}", "--range", "0", "1"), ("mine.py",), ("--figure",)),
    Reader(("sweep", "linear", *SWEPT, "--out", "inner"), (), ("--json", "--figure")),
    Reader(("list",), (), ("--json",)),
    Reader(("translate", "l1_loss"), (), REPORT),
    Reader(("models", "theirs:torch_model", "theirs:jax_model", *NAMED_OF_MODELS), (), (*REPORT, "--figure")),
    Reader(("training", "theirs:torch_step", "theirs:jax_step", *NAMED_OF_TRAININGS), (), (*REPORT, "--figure")),
)
JOURNAL = "inner/linear-bfloat16.journal"


@st.composite
def pairs(draw: st.DrawFn) -> Line:
    """Lines of commands that read and write, each path by one of its names."""
    reader = draw(st.sampled_from(READERS))
    spelt = iter([draw(st.sampled_from(SPELLINGS)).format(name) for name in reader.reads])
    arguments = [next(spelt) if word == "{}" else word for word in reader.arguments]
    for option in reader.options:
        if draw(st.integers(0, 2)):
            arguments += [option, draw(_target(reader))]
    if draw(st.booleans()):
        arguments.append("--force")
    links = {f"link-{name}": name for name in FILES} | {f"linked-{name}": f"link-{name}" for name in FILES}
    return Line(tuple(arguments), FILES, (), links | FOLDERS, {f"twin-{name}": name for name in FILES})


def _target(reader: Reader) -> st.SearchStrategy[str]:
    """A file to write: one that is read, as often as not; another that is there; or a new one."""
    read = (*reader.reads, *(("theirs.py",) if reader.arguments[0] in ("compare", "models", "training") else ()))
    there = st.sampled_from(read or tuple(FILES)) | st.sampled_from(tuple(FILES))
    named = st.builds(str.format, st.sampled_from(SPELLINGS), there)
    return named | st.sampled_from((*NEW, *(f"inner/up/{name}" for name in NEW), JOURNAL))
