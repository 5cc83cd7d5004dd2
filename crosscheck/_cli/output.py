"""What every command does alike: one message for an error, files checked before and written after, what is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from crosscheck._cli.ending import refuse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crosscheck._arrays.report import ArraysReport
    from crosscheck._report.report import Report


FIGURES = (".png", ".svg", ".pdf")


@contextmanager
def one_message() -> Iterator[None]:
    """Turn the errors that a user can mend into one line on standard error and exit code 2."""
    from crosscheck._catalogue import UnknownActivationError
    from crosscheck._frameworks.base import NoDeviceError
    from crosscheck._records.errors import SpecError
    from crosscheck._records.interface import MissingFrameworkError

    try:
        yield
    except (UnknownActivationError, MissingFrameworkError, NoDeviceError, SpecError, ValueError) as error:
        refuse(str(error))


def check_writable(path: str | None, option: str = "--json") -> None:
    """Refuse a file that cannot be written, before minutes are spent on what it would hold."""
    if path is None:
        return
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


def check_figure(path: str, option: str) -> None:
    """Refuse a figure of another format, or one that cannot be written."""
    suffix = Path(path).suffix
    if suffix.lower() not in FIGURES:
        refuse(f"{option}: got {path!r} with the suffix {suffix!r}, expected one of {', '.join(FIGURES)}")
    check_writable(path, option)


def save(path: str | None, write: Callable[[str], None], option: str = "--json") -> None:
    if path is not None:
        try:
            write(path)
        except OSError as error:
            refuse(f"{option}: {path} could not be written: {error.strerror or error}")


def save_figure(path: str, figure: Figure, option: str) -> None:
    """Write a figure, and print where it is."""
    from crosscheck._report import figures

    save(path, lambda path: figures.save(figure, path), option)
    echo(path)


def check_all_writable(json_path: str | None, html_path: str | None, markdown_path: str | None) -> None:
    named = {"--json": json_path, "--html": html_path, "--markdown": markdown_path}
    for option, path in named.items():
        check_writable(path, option)
    check_different(named)


def check_different(named: Mapping[str, str | None]) -> None:
    """Refuse one file for two options, of which the later would replace what the earlier wrote."""
    seen: dict[str, str] = {}
    for option, path in named.items():
        if path is not None and (first := seen.setdefault(os.path.realpath(path), option)) != option:
            refuse(f"{first}, {option}: got the same file {path}; give each its own")


def save_all(report: Report | ArraysReport, json_path: str | None, html_path: str | None, markdown_path: str | None) -> None:
    save(json_path, report.to_json)
    save(html_path, report.to_html, "--html")
    save(markdown_path, report.to_markdown, "--markdown")


def written(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command whose report can be read elsewhere."""
    markdown = click.option("--markdown", "markdown_path", metavar="PATH", help="Write the report as Markdown.")
    page = click.option("--html", "html_path", metavar="PATH", help="Write the report as one HTML file, with figures.")
    return page(markdown(command))


def show(renderable: Any) -> None:
    """In colour and as wide as a terminal; plain and of one width in a pipe."""
    from crosscheck._report.terminal import print_rich

    print_rich(renderable)


def echo(text: str) -> None:
    """Text that may hold anything, such as names out of a file."""
    from crosscheck._report.shown import shown

    click.echo(shown(text))


def finish(passed: bool, *, compared: int = 1) -> NoReturn:
    """Leave with the exit code of a verdict; to have compared nothing is wrong usage."""
    sys.exit(2 if not compared else 0 if passed else 1)
