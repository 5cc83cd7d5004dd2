"""The report on calls that were looked up: what each is in JAX, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from crosscheck._dictionary.records import NOT_JUDGED, SAME, TranslatedPair, Translation
from crosscheck._records.plain import plain
from crosscheck._report.document import Block, Code, Document, Heading, Paragraph, Table
from crosscheck._report.written import Documented

SCHEMA = "crosscheck.dictionary/1"
NAMES = {"jax": "JAX", "optax": "optax", "flax": "flax", "equinox": "equinox"}

FEW = 6
"""The most uses of several calls that are shown in full."""


@dataclass(frozen=True)
class TranslationReport(Documented):
    """The result of ``translate``.

    Attributes:
        asked: The name that was looked up; empty for the whole dictionary.
        entries: The entries of the dictionary that match the name.
        environment: The versions with which they were judged, and what the CPU is capable of.
        note: The differences between these versions and the installed ones.
    """

    asked: str
    entries: tuple[Translation, ...]
    environment: Mapping[str, object]
    note: str = ""

    @property
    def compared(self) -> int:
        """The number of pairs that were judged."""
        return sum(pair.verdict != NOT_JUDGED for entry in self.entries for pair in entry.pairs)

    @property
    def passed(self) -> bool:
        """Whether a pair was judged, each offered code agrees with PyTorch, and each pair of defaults differs as listed."""
        return self.compared > 0 and all(pair.expected for entry in self.entries for pair in entry.pairs)

    @property
    def meanings(self) -> tuple[str, ...]:
        """The full names of the calls of PyTorch that match the name."""
        return tuple(dict.fromkeys(entry.name for entry in self.entries))

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        if not self.asked:
            differ = sum(bool(entry.defaults) for entry in self.entries)
            own = sum(any(pair.kind == "counterpart" for pair in entry.offered) for entry in self.entries)
            uses = len(self.entries)
            return (
                f"{uses} uses of {len(self.meanings)} calls of PyTorch: {own} have a counterpart in JAX, {uses - own} have "
                f"none and say what to write; the defaults of {differ} differ."
            )
        if len(self.meanings) > 1:
            return f"{self.asked} has {len(self.meanings)} meanings: {', '.join(self.meanings)}."
        first = self.entries[0]
        if len(self.entries) > 1:
            return f"{first.name}: {len(self.entries)} uses."
        return f"{first.title}: {first.summary}."

    def data(self) -> dict[str, object]:
        """The report as plain data (schema ``crosscheck.dictionary/1``).

        Returns:
            What ``to_json`` writes.
        """
        return {
            "schema": SCHEMA,
            "environment": plain(self.environment),
            "entries": [plain(asdict(entry)) for entry in self.entries],
        }

    def document(self) -> Document:
        """The report as a document: each use with its code and its verdict; for several calls, a table.

        Returns:
            The document.
        """
        several = len(self.meanings) > 1 or not self.asked
        blocks: list[Block] = [_table(self.entries)] if several else []
        if self.asked and (not several or len(self.entries) <= FEW):
            blocks += _blocks(self.entries)
        elif self.asked:
            blocks.append(Paragraph(f"Ask for one by its full name, such as {self.meanings[0]}."))
        blocks.append(Paragraph(f"Judged with {judged_with(self.environment)}.{self.note and ' '}{self.note}"))
        return Document(self.headline, self.passed, blocks)


def judged_with(environment: Mapping[str, Any]) -> str:
    """The versions and the CPU, in words."""
    versions = [f"{name} {version}" for name, version in environment["packages"].items() if version]
    return ", ".join([*versions, *([f"cpu, {environment['cpu']}"] if environment.get("cpu") else [])])


def _table(entries: tuple[Translation, ...]) -> Table:
    rows = [["PyTorch", "JAX", "verdict"]]
    for entry in entries:
        own = [name for name in entry.names if not name.startswith("torch.")]
        rows.append([entry.title, ", ".join(own) or "-", entry.summary])
    return Table(rows)


def _blocks(entries: tuple[Translation, ...]) -> Iterator[Block]:
    for entry in entries:
        if len(entries) > 1:
            yield Heading(f"{entry.title}: {entry.summary}")
        yield Code(f"# PyTorch\n{entry.torch}", "python")
        for pair in entry.offered:
            own = NAMES[pair.library] if pair.kind == "counterpart" else "JAX, written out"
            yield Code(f"# {own}: {said(pair)}\n{pair.code}", "python")
        if entry.maps:
            yield Code(entry.maps)
        for edge in edges(entry):
            yield Code(f"But {edge.at}, {edge.libraries}: {edge.difference}")
        for pair in entry.defaults:
            yield Code(f"The defaults: {pair.says}: {said(pair)}")
            yield Code(f"{pair.torch}\n{pair.code}", "python")
            if pair.shown:
                yield Code(shown(pair))


@dataclass(frozen=True)
class Edge:
    """Inputs at which the offered code differs: the inputs, the libraries, and the results there."""

    at: str
    libraries: str
    difference: str


def edges(entry: Translation) -> list[Edge]:
    """The edges of an entry; those with the same difference are joined."""
    alike: dict[tuple[str, str], list[str]] = {}
    for pair in entry.edges:
        difference = ": ".join(filter(None, (said(pair), shown(pair))))
        alike.setdefault((pair.at, difference), []).append(NAMES[pair.library])
    return [Edge(at, ", ".join(names), difference) for (at, difference), names in alike.items()]


def said(pair: TranslatedPair) -> str:
    """The verdict on a pair, in words."""
    text = pair.told.removesuffix(".")
    if pair.verdict == NOT_JUDGED:
        return f"not judged: {text}"
    if pair.verdict == SAME:
        return "the same but for rounding" if pair.cause == "rounding" else text
    return f"{text} ({pair.cause})"


def shown(pair: TranslatedPair) -> str:
    """The input that shows a difference, and the results of both sides there."""
    at = "; ".join(f"{name} = {value}" for name, value in pair.shown.items())
    return ": ".join(filter(None, (at and f"at {at}", pair.got)))
