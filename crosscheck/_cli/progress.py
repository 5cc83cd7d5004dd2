"""The progress of a long command: a bar on a terminal, a line on standard error from time to time in a pipe."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Task

FIRST, EVERY = 2.0, 30.0
"""Seconds until the first line in a pipe, and between lines."""


@contextmanager
def _bar(description: str, total: int | None, first: float | None = None) -> Iterator[Callable[..., Any]]:
    """Show a bar, and give the function that moves it, ``rich.progress.Progress.update``.

    Without a total, a pipe gets lines with the time alone.
    """
    from rich.console import Console
    from rich.progress import Progress

    terminal = sys.stderr.isatty()
    bar = Progress(console=Console(stderr=True), transient=True, disable=not terminal)
    task = bar.add_task(description, total=total)
    with bar, nullcontext() if terminal else _lines(bar.tasks[0], FIRST if first is None else first):
        yield partial(bar.update, task)


@contextmanager
def _lines(task: Task, first: float) -> Iterator[None]:
    ended = Event()

    def tell() -> None:
        wait = first
        while not ended.wait(wait):
            done = "running" if task.total is None else f"{task.percentage:.0f}%"
            click.echo(f"{task.description}: {done} after {task.elapsed or 0:.0f} s", err=True)
            wait = EVERY

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


@contextmanager
def working(on: str) -> Iterator[None]:
    """Tell that work is going on of which nobody knows how long it takes."""
    with _bar(on, None, EVERY):
        yield


@contextmanager
def running(on: str) -> Iterator[Callable[[str], None]]:
    """A function of the part of the work that is running."""
    with _bar(on, None, EVERY) as move:
        yield lambda what: move(description=f"{on}, {what}")


@contextmanager
def steps_done() -> Iterator[Callable[[str, int], None]]:
    """A function of what is compared and the number of its steps done since the last call."""
    with _bar("comparing the trainings", None, EVERY) as move:
        done: Counter[str] = Counter()

        def advance(what: str, steps: int) -> None:
            done[what] += steps
            move(description=f"comparing the trainings, {done[what]} {what}")

        yield advance


@contextmanager
def activations_done(total: int) -> Iterator[Callable[[str, str, float], None]]:
    """A function of the activation, the part that is running, and the share of the activation that is done."""
    with _bar("starting", total) as move:
        begun: dict[str, None] = {}

        def advance(name: str, what: str, share: float) -> None:
            begun.setdefault(name)
            move(completed=len(begun) - 1 + share, description=f"{name} {what}".rstrip())

        yield advance


@contextmanager
def epochs_done(total: int) -> Iterator[Callable[[str, int], None]]:
    """A function of what is running and the number of epochs done since the last call."""
    with _bar("training", total) as move:
        shown: set[str] = set()

        def advance(name: str, epochs: int) -> None:
            # so that a framework that trains faster than the bar is redrawn is shown, too
            move(advance=epochs, description=f"training in {name}", refresh=name not in shown)
            shown.add(name)

        yield advance


@contextmanager
def inputs_done() -> Iterator[Callable[[int, int], None]]:
    """A function of the number of inputs done and the number of all inputs."""
    with _bar("sweeping", None) as move:
        yield lambda done, total: move(completed=done, total=total)


@contextmanager
def entries_done() -> Iterator[Callable[[int, int], None]]:
    """A function of the number of entries of the dictionary judged and the number of all entries."""
    with _bar("judging", None) as move:
        yield lambda done, total: move(completed=done, total=total)
