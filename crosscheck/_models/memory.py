"""The memory that a comparison needs, estimated from the traced model before anything is kept; the memory that is free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._models.jax_recording import JaxProgramFlat
from crosscheck._models.uses import DATA
from crosscheck._records.errors import UsageError

GROUPS = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current", ""), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/"))
"""For each version of control groups, 2 and 1: the files with the limit and the usage, and the folder of statistics."""


def check(flat: JaxProgramFlat, order: int) -> None:
    """Refuse a comparison that does not fit into memory.

    Raises:
        UsageError: If it needs more than is free.
    """
    need, there = needed(flat, order), available()
    if there is not None and need > there:
        fewer = " or order=0" if order and needed(flat, 0) <= there else ""
        raise UsageError(
            f"inputs: the comparison needs about {_said(need)} of memory, and {_said(there)} are free; "
            f"give a smaller batch, shorter inputs or a model of fewer layers{fewer}"
        )


def needed(flat: JaxProgramFlat, order: int) -> int:
    """The estimated bytes, if the models agree: measured for transformers of 10 to 116 million parameters, within a fifth.

    Every result of torch is kept in the dtype and in float64, and so is every result of JAX. Weights are kept several times.
    """
    size = FORMATS[flat.dtype].dtype.itemsize
    weights = sum(prod(flat.avals[number].shape) for number in flat.weights)
    results = sum(prod(flat.avals[number].shape) for number, kind in flat.kinds.items() if kind == DATA)
    return weights * (32 + 4 * size + 32 * order) + results * (8 + 2 * size + 4 * order)


def available() -> int | None:
    """The bytes that are free, on the machine and in this process's group; None if this is unknown."""
    return min(_available(), default=None)


def _available() -> Iterator[int]:
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        yield next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    for limit, usage, folder in LIMITS:
        with suppress(OSError, ValueError):  # without a limit, the file holds the word max
            left = int((GROUPS / limit).read_text()) - int((GROUPS / usage).read_text())
            kept = dict(line.split() for line in (GROUPS / folder / "memory.stat").read_text().splitlines())
            yield left + int(kept.get("inactive_file", 0))


def _said(size: int) -> str:
    return f"{size / 1e9:,.{0 if size >= 1e10 else 1}f} GB"
