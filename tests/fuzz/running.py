"""A command line run in this process, in a folder of its own: what it said, its exit code and what it left."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import click
from cli import main

OUTPUTS = ("--json", "--html", "--markdown", "--figure")
"""The options that name a file to write."""
LONGEST = 120
"""Seconds after which a command is taken to hang: hundreds of times what the longest one takes."""


@dataclass(frozen=True)
class Line:
    """A command line, the files in the folder where it runs, and the names in them that try to be more than text.

    ``links`` and ``twins`` are symbolic and hard links in the folder, by name, with what they lead to. ``hidden`` are the
    frameworks that are not installed where it runs.
    """

    arguments: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    hostile: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    twins: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What it is counted as."""
        first = self.arguments[0] if self.arguments else ""
        return f"{first} --diff" if first == "atlas" and "--diff" in self.arguments else first

    @property
    def outputs(self) -> Mapping[str, str]:
        """The files that it names to be written, by option."""
        return {option: value for option, value in self._pairs() if option in OUTPUTS}

    @property
    def journals(self) -> list[str]:
        """The folders that it names to keep a journal, or segments, in."""
        return [os.path.normpath(value) for option, value in self._pairs() if option in ("--out", "--segments")]

    @property
    def inputs(self) -> list[str]:
        """What it names that is no output: whatever of it is a file is read; of ``MODULE:FN`` that is the module's."""
        named = [
            value for option, value in zip(("", *self.arguments), self.arguments, strict=False) if option not in OUTPUTS
        ]
        return [*named, *(f"{value.partition(':')[0]}.py" for value in named if ":" in value)]

    def _pairs(self) -> Iterator[tuple[str, str]]:
        return zip(self.arguments, self.arguments[1:], strict=False)


@dataclass(frozen=True)
class Outcome:
    """What a command did. ``raised`` is what came out of it, but for ``SystemExit``; the files are all in its folder.

    ``read`` are the files there that the line names as inputs, by whatever name; ``written`` those that it names as outputs,
    by the option, through whatever link.
    """

    code: int | None
    stdout: str
    stderr: str
    raised: BaseException | None
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    read: frozenset[str] = frozenset()
    written: Mapping[str, str] = field(default_factory=dict)


class Hang(BaseException):
    """A command has taken too long; no ``Exception``, or the command might catch it."""


class _Terminal(io.TextIOWrapper):
    """Output that a command takes for a terminal: there colours, and whatever else moves the cursor, would be written."""

    def isatty(self) -> bool:
        return True


def run(line: Line, command: click.Command = main) -> Outcome:
    """Run a line in an empty folder with its files."""
    with tempfile.TemporaryDirectory() as name, _in_folder(Path(name)):
        for path, content in line.files.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content)
        for path, target in line.links.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).symlink_to(target)
        for path, target in line.twins.items():
            os.link(target, path)
        importlib.invalidate_caches()
        before = _files()
        read = frozenset(path for path in before if any(_same(path, given) for given in line.inputs))
        to_write = {os.path.realpath(path): option for option, path in line.outputs.items()}
        written = {os.path.relpath(path): option for path, option in to_write.items()}
        written |= {path: to_write[real] for path in before if (real := os.path.realpath(path)) in to_write}
        stdout, stderr = _Terminal(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
        code, raised = None, None
        with (
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
            time_limit(),
            warnings.catch_warnings(),
            _hidden(line.hidden),
        ):
            warnings.simplefilter("ignore")  # users' functions warn
            try:
                command.main(list(line.arguments), prog_name="crosscheck")
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
            except BaseException as error:
                raised = error
        return Outcome(code, _text(stdout), _text(stderr), raised, before, _files(), read, written)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer: Any = stream.buffer
    return str(buffer.getvalue().decode("utf-8", "backslashreplace"))


def _same(left: str, right: str) -> bool:
    try:
        return os.path.samefile(left, right)
    except (OSError, ValueError):
        return False


def _files() -> dict[str, bytes]:
    paths = (Path(folder, name) for folder, _, names in os.walk(".") for name in names)
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


@contextlib.contextmanager
def _hidden(frameworks: tuple[str, ...]) -> Iterator[None]:
    """Python refuses to import what is None."""
    before = {name: sys.modules[name] for name in frameworks if name in sys.modules}
    sys.modules.update(dict.fromkeys(frameworks))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in frameworks:
            del sys.modules[name]
        sys.modules.update(before)


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Modules that are imported there are forgotten, and none is written as bytecode."""
    modules, path, bytecode, here = set(sys.modules), list(sys.path), sys.dont_write_bytecode, os.getcwd()
    sys.dont_write_bytecode = True
    os.chdir(folder)
    inside = str(Path.cwd())
    try:
        yield
    finally:
        os.chdir(here)
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(inside):
                del sys.modules[name]


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang(f"it took more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
