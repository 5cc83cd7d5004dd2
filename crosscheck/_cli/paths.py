"""The files of a command: it overwrites no file that it reads, and none that crosscheck did not write."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from crosscheck._cli.ending import refuse
from crosscheck._cli.options import Decorator, called

FIGURES = (".png", ".svg", ".pdf")


class Paths:
    """The files of one command; a file that cannot be used is refused before any work is done."""

    def __init__(self, *, force: bool) -> None:
        self._force = force
        self._read: list[tuple[str, str]] = []
        self._written: list[tuple[str, str]] = []

    def read(self, what: str, path: str) -> None:
        """Refuse an output that is this file; ``what`` is the argument that names it."""
        self._read.append((what, path))
        for option, written in self._written:
            _check_not_read(option, written, what, path)

    def read_modules(self) -> None:
        """Refuse an output that is the source of an imported module: a user's functions may come from it."""
        for name, module in list(sys.modules.items()):
            if isinstance(source := getattr(module, "__dict__", {}).get("__file__"), str):
                self.read(f"the module {name}", source)

    def write(self, option: str, path: str, suffixes: tuple[str, ...] = ()) -> None:
        """Refuse a file that cannot be written, that is also read or written elsewhere, or that crosscheck did not write."""
        suffix = Path(path).suffix
        if suffixes and suffix.lower() not in suffixes:
            refuse(f"{option}: got {path!r} with the suffix {suffix!r}, expected one of {', '.join(suffixes)}")
        _check_writable(option, path)
        for other, written in self._written:
            if _same(path, written):
                refuse(f"{other}, {option}: got the same file {path}; give each its own")
        for what, read in self._read:
            _check_not_read(option, path, what, read)
        if option != "--out":
            from crosscheck._recorded.files import FOLDER

            for record in FOLDER.glob("*.json"):
                _check_not_read(option, path, "a record of crosscheck", str(record))
        self._written.append((option, path))
        from crosscheck._report.files import replaceable

        if not self._force and not replaceable(path):
            refuse(
                f"{option}: {path} exists, and crosscheck did not write it; give another name, or --force to overwrite it"
            )

    def into(self, option: str, folder: str) -> None:
        """Refuse a folder in which nothing can be written."""
        if not os.path.isdir(folder):
            refuse(f"{option}: got {folder!r}, which is not a folder; make it first")
        if not os.access(folder, os.W_OK):
            refuse(f"{option}: the folder {folder} is not writable")


def _check_not_read(option: str, written: str, what: str, read: str) -> None:
    if _same(written, read):
        refuse(f"{option}: {written} is also read, as {what}; give another name")


def _same(path: str, other: str) -> bool:
    """Whether two names are of one file, also by links or another spelling."""
    try:
        return os.path.samefile(path, other)
    except OSError:  # one does not exist yet
        return os.path.realpath(path) == os.path.realpath(other)


def _check_writable(option: str, path: str) -> None:
    try:
        folder = Path(path).absolute().parent
        if not folder.is_dir():
            refuse(f"{option}: the folder {folder} does not exist; make it first")
        if Path(path).is_dir():
            refuse(f"{option}: {path} is a folder; give the name of a file")
    except OSError as error:
        refuse(f"{option}: {path} cannot be written: {error.strerror or error}")
    written = folder if not Path(path).exists() or Path(path).is_file() else Path(path)
    if not os.access(written, os.W_OK):
        refuse(f"{option}: {'the folder ' * (written == folder)}{written} is not writable")


class InputPath(click.Path):
    """The path of a file that a command reads."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value and param is not None:
            refuse(f"{called(param)}: got an empty text, expected a path")
        return value


class Output(InputPath):
    """The path of a file that a command writes; ``suffixes`` are those that it may have, by default any."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__()
        self.suffixes = suffixes


def of_this_command() -> Paths:
    """The files of the running command, to add some that its parameters do not name."""
    paths = click.get_current_context().find_object(Paths)
    assert paths is not None
    return paths


def output(flag: str, text: str, *suffixes: str) -> Decorator:
    """An option that names a file to write."""
    return click.option(flag, f"{flag[2:]}_path", type=Output(*suffixes), metavar="PATH", help=text)


def figure(flag: str, text: str) -> Decorator:
    """An option that names a figure to draw."""
    return output(flag, f"{text}: {', '.join(FIGURES[:-1])} or {FIGURES[-1]}.", *FIGURES)


def activations(text: str = "Add the activations of a Python file.") -> Decorator:
    """The option that names files with records of activations."""
    return click.option("--file", "files", multiple=True, type=InputPath(), metavar="PATH", help=text)
