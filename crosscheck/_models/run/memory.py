"""The memory that a comparison needs, estimated from the traced model before anything is kept; the memory that is free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.run.constant_folding import moved, needed_by
from crosscheck._models.values.spilled import IN_MEMORY
from crosscheck._models.values.uses import DATA, WEIGHT
from crosscheck._records.errors import UsageError

GROUPS = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current", ""), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/"))
"""For each version of control groups, 2 and 1: the files with the limit and the usage, and the folder of statistics."""
WIDE = 8
"""The bytes of a number in float64."""
START = 10_000_000
"""Measured: what the first comparison of a process imports, and the programs that every comparison compiles."""
PROGRAM = (1_000_000, 2_400_000)
"""Measured, by order: what JAX keeps of the programs that it compiles for one operation on arrays of some shapes."""
PRODUCTS = frozenset(["conv_general_dilated", "dot_general", "gather"])
"""Operations of JAX with weights whose operands and results are landmarks."""
IN_PARTS = frozenset(["dot_general", "gather"])
"""Those that cast a large weight to float64 a block at a time, or only the rows that they pick."""
SMALLER = "a smaller batch, shorter inputs or a model of fewer layers"


@dataclass(frozen=True)
class Sizes:
    """How many numbers there are of each kind, in the models and in what a comparison keeps.

    Attributes:
        weights: The weights.
        largest: The largest weight.
        whole: The largest weight that an operation on data takes as a whole: neither in blocks nor a few rows of it.
        fixed: What JAX computes from weights alone, and uses with data, without what it only moves.
        made: The results of torch's operations.
        steps: The results of JAX's operations.
        widest: The largest of them.
        landmarks: The values at landmarks.
        programs: How many operations on arrays of different shapes JAX compiles.
    """

    weights: int
    largest: int
    whole: int
    fixed: int
    made: int
    steps: int
    widest: int
    landmarks: int
    programs: int

    @classmethod
    def of(cls, flat: JaxProgramFlat, made: int) -> Sizes:
        """The sizes in JAX's program, with those of the results of torch."""
        sizes = {number: prod(aval.shape) for number, aval in flat.avals.items()}
        weights = [sizes[number] for number in flat.weights]
        results = [sizes[number] for number, kind in flat.kinds.items() if kind == DATA]
        whole = landmarks = 0
        programs = set()
        for step in flat.steps:
            given = [number for number in step.inputs if isinstance(number, int)]
            kinds = {flat.kinds[number] for number in given}
            # each slice of what a scan goes over is a program of its own
            place = step.operation.index if step.function is not None else None
            programs.add((step.operation.name, place, *(str(flat.avals[number]) for number in (*given, *step.outputs))))
            if kinds >= {DATA, WEIGHT} and step.operation.name not in IN_PARTS:
                whole = max(whole, *(sizes[number] for number in given if flat.kinds[number] == WEIGHT))
            if kinds >= {DATA, WEIGHT} and step.operation.name in PRODUCTS:
                # the result is a landmark again after its bias, its norm or a sum
                landmarks += (
                    sum(sizes[number] for number in given if flat.kinds[number] == DATA) + 2 * sizes[step.outputs[0]]
                )
        return cls(
            weights=sum(weights),
            largest=max(weights, default=0),
            whole=whole,
            fixed=sum(sizes[number] for number in needed_by(flat) - moved(flat) if flat.kinds[number] == WEIGHT),
            made=made,
            steps=sum(results),
            widest=max(results, default=0),
            landmarks=landmarks,
            programs=len(programs),
        )


def check(flat: JaxProgramFlat, order: int, made: int = 0) -> None:
    """Refuse a comparison that does not fit into memory.

    Args:
        flat: JAX's program.
        order: Whether gradients are compared too.
        made: How many numbers torch computes. 0 before it has run: the weights alone may be too large, and are then refused
            before anything is copied.

    Raises:
        UsageError: If it needs more than is free.
    """
    there = available()
    need = needed(flat, order, made)
    if there is None or need <= there:
        return
    alone = replace(Sizes.of(flat, 0), steps=0, widest=0, landmarks=0)
    smaller = "a model of fewer layers, or compare its parts" if _total(alone, flat.dtype, order) > there else SMALLER
    fewer = ", or order=0" if order and needed(flat, 0, made) <= there else ""
    raise UsageError(
        f"inputs: the comparison needs about {_said(need)} of memory, and {_said(there)} are free; give {smaller}{fewer}"
    )


def needed(flat: JaxProgramFlat, order: int, made: int = 0) -> int:
    """The estimated bytes that the process takes beyond what it holds now, if the models agree.

    Each part of a comparison keeps what those before it made. So the need is what is kept, and the largest need of a part
    beside it. ``benchmarks/memory.py`` measures both.
    """
    return _total(Sizes.of(flat, made), flat.dtype, order)


def _total(sizes: Sizes, dtype: str, order: int) -> int:
    size = FORMATS[dtype].dtype.itemsize
    always = START + sizes.programs * PROGRAM[order]
    # what NumPy does not compute with is held once more by each side, in float32
    held = 2 * sizes.weights * FORMATS["float32"].dtype.itemsize if size < FORMATS["float32"].dtype.itemsize else 0
    record = min(sizes.made * (size + WIDE), IN_MEMORY * WIDE)
    landmarks = min(sizes.landmarks * (size + WIDE + WIDE), 3 * IN_MEMORY * WIDE)  # torch's values, JAX's, and the dtype's
    return always + held + record + landmarks + max(_runs(sizes, size), _gradients(sizes, size) if order else 0)


def _runs(sizes: Sizes, size: int) -> int:
    """The runs of JAX: what is computed from weights in float64 and in the dtype, a run's own values, and noise.

    What takes a weight as a whole gets it in float64, under noise in three copies more.
    """
    # Models that do not agree to float64's precision are searched with every value kept, and run once more without torch's
    # values. Whether these do is not known: half of what is computed from data counts. Much of it waits in a file then,
    # but its parts are in memory while they are compared, and freed memory does not all go back.
    searched = (sizes.steps + sizes.landmarks) * WIDE // 2
    return sizes.fixed * (WIDE + size) + searched + (sizes.widest * 3 + sizes.whole * 4) * WIDE


def _gradients(sizes: Sizes, size: int) -> int:
    """The gradients: computed by torch and by JAX together; if some differ, again by torch, then by JAX."""
    waiting, largest = min(sizes.weights, IN_MEMORY), sizes.largest
    # torch keeps many results for the backward pass
    torch = waiting * WIDE + largest * 2 * WIDE + sizes.made * (WIDE + size) // 2
    # where the gradients are not equal, two runs of JAX go on together, and each needs half of its results later
    jax = waiting * WIDE + largest * 4 * WIDE + sizes.steps * WIDE
    return max(torch + largest * 2 * WIDE + sizes.steps * WIDE // 2, jax)


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
