"""Among how many processes a command shares its work."""

from __future__ import annotations

import os
from collections.abc import Callable

import click

FEW_ACTIVATIONS = 2
"""For so many, another process would take longer to start than it saves."""
MOST_PROCESSES = 4
"""Each takes some 700 MB."""


def per_core() -> int:
    """One per core, but not so many that memory runs out."""
    return min(os.cpu_count() or 1, MOST_PROCESSES)


def among(activations: int) -> int:
    """Among how many processes activations are shared."""
    return 1 if activations <= FEW_ACTIVATIONS else per_core()


def option(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option by which a user says it; ``what`` is shared."""
    text = f"Among how many processes {what} shared; one per core, at most {MOST_PROCESSES}, unless given."
    return click.option("--processes", type=click.IntRange(1), metavar="N", help=text)
