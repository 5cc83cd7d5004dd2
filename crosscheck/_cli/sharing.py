"""The number of processes that share a command's work."""

from __future__ import annotations

import os
from collections.abc import Callable

import click

FEW_ACTIVATIONS = 2
"""For this many activations or fewer, starting another process takes longer than it saves."""
MOST_PROCESSES = 4
"""Each process takes some 700 MB."""


def per_core() -> int:
    """One process for each core, but not so many that memory runs out."""
    return min(os.cpu_count() or 1, MOST_PROCESSES)


def among(activations: int) -> int:
    """The number of processes that share this many activations."""
    return 1 if activations <= FEW_ACTIVATIONS else per_core()


def option(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option for the number of processes; ``what`` is what they share."""
    text = f"The number of processes that share {what}; by default one per core, at most {MOST_PROCESSES}."
    return click.option("--processes", type=click.IntRange(1), metavar="N", help=text)
