"""Many comparisons in one process: pairs of functions, each another one, and the memory and the time that they take."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import psutil
import torch

Function = Callable[[Any], Any]
SMOOTH = ("tanh", "sin", "cos", "exp", "square", "sinh", "arctan", "log1p", "sqrt", "expm1")
ONE_IN = 20
"""Of so many pairs one does not agree."""
WARM_UP = 0.2
"""The share of comparisons that is left out: in it compilers are loaded and caches filled."""


@dataclass(frozen=True)
class Curve:
    """What was measured every few comparisons.

    Attributes:
        comparisons: How many were made.
        memory: The MiB that the process then held.
        seconds: The processor time of one comparison since the measurement before, on average.
    """

    comparisons: tuple[int, ...]
    memory: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def growth(self) -> float:
        """KiB per comparison, the slope of a line through the memory after the warm-up."""
        warm = self._warm()
        slope, _ = np.polyfit(self.comparisons[warm:], self.memory[warm:], 1)
        return float(slope) * 1024

    @property
    def slower(self) -> float:
        """The time of a comparison in the last fifth of the measurements, of that in the first fifth after the warm-up."""
        warm = self._warm()
        fifth = max(1, (len(self.seconds) - warm) // 5)
        return statistics.mean(self.seconds[-fifth:]) / statistics.mean(self.seconds[warm : warm + fifth])

    def _warm(self) -> int:
        return int(len(self.comparisons) * WARM_UP)


def measured(comparisons: Iterator[object], every: int) -> Curve:
    """Make comparisons one after another, and measure after every so many."""
    process = psutil.Process()
    counts, memory, seconds = [], [], []
    count, start = 0, time.process_time()
    for count, _ in enumerate(comparisons, 1):
        if count % every == 0:
            seconds.append((time.process_time() - start) / every)
            gc.collect()  # so that what nothing holds does not count
            counts.append(count)
            memory.append(process.memory_info().rss / 2**20)
            start = time.process_time()
    return Curve(tuple(counts), tuple(memory), tuple(seconds))


def distinct(count: int) -> Iterator[tuple[Function, Function]]:
    """Pairs, each of other operations or constants; in one of ``ONE_IN`` a constant is another one in JAX."""
    for number in range(count):
        names = [SMOOTH[(number // 10**k) % 10] for k in range(3)]
        constants = [0.5 + ((number * (k + 3)) % 64) / 128 for k in range(4)]
        off = 1.125 if number % ONE_IN == ONE_IN - 1 else 1.0
        yield _composed(torch, names, constants), _composed(jnp, names, [*constants[:3], off * constants[3]])


def _composed(m: Any, names: Sequence[str], constants: Sequence[float]) -> Function:
    a, b, c, d = constants
    outer, inner, other = (getattr(m, name) for name in names)
    return lambda x: a * outer(b * inner(c * x) ** 2 + d) + other(x * x + d)
