"""How far a long command is: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def _bar(description: str, total: int | None) -> Iterator[Callable[..., Any] | None]:
    """What moves a bar, as ``rich.progress.Progress.update`` does; None where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        yield partial(bar.update, bar.add_task(description, total=total))


@contextmanager
def activations_done(total: int) -> Iterator[Callable[[str, str], None] | None]:
    """Takes the activation and the dtype that are begun."""
    with _bar("starting", total) as move:
        begun: dict[str, None] = {}

        def advance(name: str, dtype: str) -> None:
            begun.setdefault(name)
            if move is not None:
                move(completed=len(begun) - 1, description=f"{name} {dtype}")

        yield move and advance


@contextmanager
def epochs_done(total: int) -> Iterator[Callable[[str, int], None] | None]:
    """Takes the framework and the epochs that it has just done."""
    with _bar("training", total) as move:
        shown: set[str] = set()

        def advance(name: str, epochs: int) -> None:
            if move is not None:  # a framework that trains faster than the bar is redrawn is shown too
                move(advance=epochs, description=f"training in {name}", refresh=name not in shown)
            shown.add(name)

        yield move and advance


@contextmanager
def inputs_done() -> Iterator[Callable[[int, int], None] | None]:
    """Takes the inputs that are done and those that there are."""
    with _bar("sweeping", None) as move:
        yield move and (lambda done, total: move(completed=done, total=total))
