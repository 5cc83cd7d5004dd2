"""The output that all commands share: one message for an error, what is printed, and what is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from crosscheck._cli.ending import Ended, refuse
from crosscheck._cli.options import in_options
from crosscheck._cli.paths import output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crosscheck._report.written import Documented


@contextmanager
def one_message() -> Iterator[None]:
    """Turn errors that a user can correct into one line on standard error and exit code 2."""
    from crosscheck._catalogue import UnknownActivationError
    from crosscheck._frameworks.base import NoDeviceError
    from crosscheck._records.errors import SpecError
    from crosscheck._records.interface import MissingFrameworkError

    try:
        yield
    except (UnknownActivationError, MissingFrameworkError, NoDeviceError, SpecError, ValueError) as error:
        refuse(in_options(str(error)))
    except Ended:
        raise
    except SystemExit as error:  # with its exit code, a comparison that never ended would look like one that agrees
        refuse(f"a function of yours called sys.exit({error.code}), expected it to return or to raise an error")


def save(path: str | None, write: Callable[[str], object], option: str = "--json") -> None:
    if path is not None:
        try:
            write(path)
        except OSError as error:
            refuse(f"{option}: {path} could not be written: {error.strerror or error}")


def save_figure(path: str, figure: Figure) -> None:
    """Write a figure, and print its path."""
    from crosscheck._report import figures

    save(path, lambda path: figures.save(figure, path), "--figure")
    echo(path)


def save_all(report: Documented, json_path: str | None, html_path: str | None, markdown_path: str | None) -> None:
    save(json_path, report.to_json)
    save(html_path, report.to_html, "--html")
    save(markdown_path, report.to_markdown, "--markdown")


def written(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that can write its report to files."""
    page = output("--html", "Write the report as one HTML file, with figures.")
    markdown = output("--markdown", "Write the report as Markdown.")
    return output("--json", "Write the report as JSON.")(page(markdown(command)))


def show(renderable: Any) -> None:
    """Print in colour at a terminal's width; in a pipe plain, at a fixed width."""
    from crosscheck._report.terminal import print_rich

    print_rich(renderable)


def echo(text: str) -> None:
    """Print a text with any content, such as names from a file."""
    from crosscheck._report.shown import shown

    click.echo(shown(text))


def finish(passed: bool, *, compared: int = 1) -> NoReturn:
    """End with the exit code of a verdict; if nothing was compared, with that of wrong usage."""
    raise Ended(2 if not compared else 0 if passed else 1)
