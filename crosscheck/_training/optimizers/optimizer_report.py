"""Reports on optimisers: one pair, or the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crosscheck._explain.facts import Fact, clause
from crosscheck._report.blocks import Block, Paragraph, Table
from crosscheck._report.document import Document
from crosscheck._report.headline import Verdict
from crosscheck._report.two_sided import TwoSidedReport
from crosscheck._report.written import Documented
from crosscheck._training.records import OptimizerRun

SCHEMA = "crosscheck.optimizers/1"
SKIPPED = "missing"
"""The kind of gradients that only PyTorch has: JAX has no None."""
NONE = Fact("no gradients given")


@dataclass(frozen=True)
class OptimizerPair:
    """What was seen of one pair of optimisers."""

    torch: str
    jax: str
    passed: bool
    skips: bool
    cause: str | None
    side: str | None
    explanation: str
    facts: tuple[Fact, ...]
    settings: Mapping[str, object]
    runs: tuple[OptimizerRun, ...]


@dataclass(frozen=True)
class OptimizerReport(TwoSidedReport, schema=SCHEMA, written=("environment", "pairs")):
    """The result of ``compare_optimizers``.

    Attributes:
        torch: The optimiser of PyTorch.
        jax: The transformation of optax.
        runs: One result for each kind of gradients.
        facts: Why they differ, as facts; none if they agree, or if that was not found.
        settings: Steps, dtype and seed.
        environment: Versions, devices and settings on which the results may depend.
    """

    torch: str
    jax: str
    runs: tuple[OptimizerRun, ...]
    facts: tuple[Fact, ...]
    settings: Mapping[str, object]
    environment: Mapping[str, object]

    @property
    def explanation(self) -> str:
        """The facts in words; empty if there are none."""
        return clause(self.facts)

    @property
    def judged(self) -> tuple[OptimizerRun, ...]:
        """The runs that decide the verdict: all but the one in which gradients are None in PyTorch."""
        return tuple(run for run in self.runs if run.gradients != SKIPPED)

    @property
    def passed(self) -> bool:
        """Whether something was compared, and both do the same with every kind of gradients that both can have."""
        return bool(self.judged) and all(run.passed for run in self.judged)

    @property
    def skips(self) -> bool:
        """Whether they differ only where a gradient is None in PyTorch."""
        return self.passed and any(not run.passed for run in self.runs if run.gradients == SKIPPED)

    @property
    def first(self) -> OptimizerRun | None:
        """The first run in which they differ."""
        return next((run for run in self.judged if not run.passed), None)

    @property
    def cause(self) -> str | None:
        """The cause in the first run in which they differ; None if they agree."""
        return self.first.cause if self.first else None

    @property
    def side(self) -> str | None:
        """The side that is inaccurate in that run; None if neither is, or if it is unknown which function is meant."""
        return self.first.side if self.first else None

    @property
    def _verdict(self) -> Verdict:
        name = f"{self.torch} / {self.jax}"
        if not self.judged:
            return Verdict("FAILED", name, "nothing was compared")
        if self.first is None:
            kinds = f"{len(self.judged)} kinds of gradients" if len(self.judged) > 1 else "one function"
            note = f"; {NONE.words()}" if self.skips else ""
            return Verdict("AGREE", name, f"the same after each of {self.judged[0].steps} steps, of {kinds}{note}")
        return Verdict(f"DISAGREE ({self.cause})", name, self.difference)

    @property
    def difference(self) -> str:
        """What differs, and why, as far as that was found."""
        if self.first is None:
            return ""
        at = f"{self.first.apart:.2g} of the way apart"
        if self.first.first is not None:
            at += f", from step {self.first.first} on, in {self.first.parameter} ({self.first.gradients} gradients)"
        return f"{self.explanation}; {at}" if self.explanation else at

    @property
    def pair(self) -> OptimizerPair:
        """The report without its environment, as JSON has it."""
        verdict = self.passed, self.skips, self.cause, self.side
        return OptimizerPair(self.torch, self.jax, *verdict, self.explanation, self.facts, self.settings, self.runs)

    @property
    def pairs(self) -> tuple[OptimizerPair, ...]:
        """This pair, as in the JSON of the table of all."""
        return (self.pair,)

    def document(self) -> Document:
        """The report as a document: the verdict, and a row for each kind of gradients.

        Returns:
            The document.
        """
        head = ["gradients", "verdict", "apart, in float64", "from step", "in", "torch's error", "JAX's error"]
        blocks: list[Block] = [Table([head, *map(_cells, self.runs)])]
        blocks += [Paragraph(f"{run.gradients}: {run.meaning}.") for run in self.runs]
        return self._document(blocks)


@dataclass(frozen=True)
class OptimizersReport(Documented, schema=SCHEMA, written=("environment", "_pairs"), renamed={"_pairs": "pairs"}):
    """The result of ``optimizers``.

    Attributes:
        pairs: One report for each pair.
        environment: Versions, devices and settings on which the results may depend.
        skipped: Pairs that cannot be run here, and why.
    """

    pairs: tuple[OptimizerReport, ...]
    environment: Mapping[str, object]
    skipped: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether every pair could be run. Pairs that differ do not count: the table is there to list them."""
        return bool(self.pairs) and not self.skipped

    @property
    def headline(self) -> str:
        """The number of pairs that agree, in one line."""
        same = sum(pair.passed for pair in self.pairs)
        lost = f"; {len(self.skipped)} cannot be run here" if self.skipped else ""
        return f"{len(self.pairs)} pairs of optimisers: {same} are the same, {len(self.pairs) - same} differ{lost}."

    @property
    def _pairs(self) -> tuple[OptimizerPair, ...]:
        return tuple(pair.pair for pair in self.pairs)

    def document(self) -> Document:
        """The report as a document: the table.

        Returns:
            The document.
        """
        rows = [["PyTorch", "optax", "verdict", "None", "what differs"]]
        rows += [
            [pair.torch, pair.jax, "same" if pair.passed else "differ", "skipped" if pair.skips else "", pair.difference]
            for pair in self.pairs
        ]
        blocks: list[Block] = [Table(rows, keys=2), Paragraph(f"None: {NONE.words()}.")]
        blocks += [Paragraph(f"Not run here: {name}: {why}") for name, why in self.skipped.items()]
        return Document(self.headline, self.passed, blocks, self.environment)


def _cells(run: OptimizerRun) -> list[str]:
    return [
        run.gradients,
        run.cause + (f" ({run.side})" if run.side else ""),
        f"{run.apart:.2g}",
        "" if run.first is None else str(run.first),
        run.parameter or "",
        f"{run.torch_error:.2g}",
        f"{run.jax_error:.2g}",
    ]
