"""Judge one piece: run the frameworks, prove the truth, judge the results and count them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan
from time import process_time
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, FloatArray
from crosscheck._frameworks import backend
from crosscheck._records.implementations import Implementation
from crosscheck._records.names import budget
from crosscheck._records.records import Activation
from crosscheck._sweep.forms import OutsideDomain, parts
from crosscheck._sweep.positions import PIECE, Span, floats
from crosscheck._sweep.tally import SubnormalTreatment, Tally, differing
from crosscheck._sweep.truths import Truths
from crosscheck._verify.run.implementations import function_of, implementations_of

CHUNK = 2**17
"""The number of floats in one call of the frameworks: what they compute of these stays in the caches."""
Key = tuple[str, int]
"""An implementation and an order."""
Run = Callable[[FloatArray], Mapping[int, FloatArray]]


@dataclass(frozen=True)
class SweepSetup:
    """The checked options of a sweep. Other processes get them, so a record of the catalogue is given by its name."""

    function: str
    dtype: str
    implementations: tuple[str, ...]
    orders: tuple[int, ...]
    device: str


def swept(activation: Activation) -> tuple[Implementation, ...]:
    """The implementations that a sweep judges: those that run in a framework."""
    return tuple(s for s in implementations_of(activation, activation.parameters) if s.side != "analytic")


def pairs(implementations: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The pairs that are compared bit by bit: the own implementations; the frameworks', matched if that differs."""
    for a, b in (
        ("torch", "jax"),
        ("torch.native", "jax.native"),
        ("torch.native", "jax.native.matched"),
        ("torch.native.matched", "jax.native"),
    ):
        if a in implementations and b in implementations:
            yield a, b


@dataclass
class Shares:
    """Seconds of CPU time: for the frameworks, for proving and evaluating the truth, for comparing with it."""

    torch: float = 0.0
    jax: float = 0.0
    truth: float = 0.0
    comparison: float = 0.0


@dataclass
class Judge:
    """What a process needs to judge one piece after the other; programs are compiled once."""

    activation: Activation
    setup: SweepSetup
    replace: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        self.fmt = FORMATS[self.setup.dtype]
        self.truths = Truths(self.activation, self.fmt)
        self.implementations = [s for s in swept(self.activation) if s.name in self.setup.implementations]
        self.runs = {s.name: self._run(s) for s in self.implementations}
        self._arrays = {
            (s.name, k): np.empty(PIECE, self.fmt.dtype) for s in self.implementations for k in self.setup.orders
        }
        self.flushing = {(s.name, k): self._flushing(s, k) for s in self.implementations for k in self.setup.orders}

    def _run(self, implementation: Implementation) -> Run:
        """A function from an array of floats to arrays by order; in float32, all come from one run. JAX compiles it."""
        framework = backend(implementation.side)
        framework.check_device(self.setup.device)
        mode = "jit" if "jit" in framework.modes else "eager"
        replacement = self.replace.get(implementation.name)
        function = function_of(self.activation, implementation, self.activation.parameters, replacement)
        runs = [self.setup.orders] if self.fmt.bits == 32 else [(k,) for k in self.setup.orders]

        def run(x: FloatArray) -> dict[int, FloatArray]:
            parts = [framework.derivatives(function, x, orders, mode, self.setup.device) for orders in runs]
            return {
                k: np.zeros_like(x) if derivative is None else derivative for part in parts for k, derivative in part.items()
            }

        return run

    def results(self, x: FloatArray) -> dict[Key, FloatArray]:
        """The results of every implementation, in arrays that the next call overwrites."""
        results = {key: array[: x.size] for key, array in self._arrays.items()}
        for implementation in self.implementations:
            start = process_time()
            with backend(implementation.side).threads(1):  # others would take the time of a sweep's other processes
                for first in range(0, x.size, CHUNK):
                    here = x[first : first + CHUNK]
                    # always the same number: JAX compiles for a shape, and might compute a rest differently
                    whole = here if here.size == CHUNK else np.resize(here, CHUNK)
                    for k, result in self.runs[implementation.name](whole).items():
                        results[implementation.name, k][first : first + CHUNK] = result[: here.size]
            spent = process_time() - start
            if implementation.side == "torch":
                self.shares.torch += spent
            else:
                self.shares.jax += spent
        return results

    def _flushing(self, implementation: Implementation, order: int) -> SubnormalTreatment:
        mode = "jit" if implementation.side == "jax" else "eager"
        probed = backend(implementation.side).flush(self.setup.dtype, mode, self.setup.device)
        allowed = budget(self.fmt.name, order)
        # a truth just above the subnormals may have been one before it was rounded
        below = self.fmt.smallest_normal + allowed * self.fmt.smallest_subnormal if probed.outputs else 0.0
        at_zero: tuple[float, ...] = ()
        if probed.inputs:
            zero = self.truths.decided(np.zeros(1, self.fmt.dtype), order)
            values = (float(zero.rounded[0]), float(zero.left[0]), float(zero.right[0]))
            at_zero = tuple(dict.fromkeys(value for value in values if not isnan(value)))
        return SubnormalTreatment(below, at_zero, allowed)

    def judge(self, span: Span) -> dict[str, Any]:
        """The results of one piece as plain data: positions, and for each implementation and order those of a ``Tally``."""
        x = floats(span, self.fmt)
        results = self.results(x)
        tallies = {key: Tally(self.fmt) for key in results}
        differ = {(a, b, k): 0 for a, b in pairs(self.setup.implementations) for k in self.setup.orders}
        start = process_time()
        judging = 0.0
        for part in parts(self.activation, span, self.fmt, self.setup.orders):
            for blocks in self.truths.blocks(part, span.first, x):
                began = process_time()
                right: set[Key] = set()
                for (name, k), got in results.items():
                    block = blocks[k]
                    if k and isinstance(part.forms[k], OutsideDomain):
                        tallies[name, k].skip(got[block.at].size)
                    elif tallies[name, k].judge(got[block.at], block, span.first, self.flushing[name, k]):
                        right.add((name, k))
                for a, b, k in differ:
                    if not {(a, k), (b, k)} <= right:
                        differ[a, b, k] += differing(results[a, k][blocks[k].at], results[b, k][blocks[k].at])
                judging += process_time() - began
        self.shares.truth += process_time() - start - judging
        self.shares.comparison += judging
        return {
            "first": span.first,
            "last": span.last,
            "results": {f"{name} {k}": tally.data() for (name, k), tally in tallies.items()},
            "differ": {f"{a} {b} {k}": count for (a, b, k), count in differ.items()},
        }
