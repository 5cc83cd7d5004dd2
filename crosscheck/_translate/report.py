"""The report on calls that were looked up: what each is in JAX, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crosscheck._dictionary.names import full
from crosscheck._dictionary.records import CONTRASTS, NOT_JUDGED, SAME, TranslatedPair, Translation
from crosscheck._report.blocks import Block, Code, Heading, Lines, Paragraph, Table
from crosscheck._report.document import Document
from crosscheck._report.written import Documented
from crosscheck._translate.on_record import on_record

SCHEMA = "crosscheck.dictionary/1"
NAMES = {"jax": "JAX", "optax": "optax", "flax": "flax", "equinox": "equinox"}

LABELS = {"default": "The defaults", "similar": "A similar call"}
FEW = 6
"""The most uses of several calls that are shown in full."""


@dataclass(frozen=True)
class TranslationReport(Documented, schema=SCHEMA, written=("environment", "entries")):
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
        """Whether a pair was judged, each offered code agrees with PyTorch, and calls that must differ do."""
        return self.compared > 0 and all(pair.expected for entry in self.entries for pair in entry.pairs)

    @property
    def meanings(self) -> tuple[str, ...]:
        """The full names of the calls of PyTorch that match the name."""
        return tuple(dict.fromkeys(entry.name for entry in self.entries))

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        if not self.asked:
            default, similar = map(self._differing, CONTRASTS)
            own = sum(any(pair.kind == "counterpart" for pair in entry.offered) for entry in self.entries)
            uses = len(self.entries)
            return (
                f"{uses} uses of {len(self.meanings)} calls of PyTorch: {own} have a counterpart in JAX, {uses - own} have "
                f"none and say what to write; the defaults of {default} differ, {similar} show a similar call that differs."
            )
        if len(self.meanings) > 1 and not self._exact:
            return f"{self.asked} has {len(self.meanings)} meanings: {', '.join(self.meanings)}."
        first = self.entries[0]
        if len(self.entries) == 1:
            return f"{first.title}: {first.summary}."
        differ = "".join(f"; {said} in {self._differing(kind)}" for kind, said in CONTRASTS.items() if self._differing(kind))
        others = f", of {', '.join(self.meanings)}" if len(self.meanings) > 1 else ""
        return f"{full(self.asked) if others else first.name}: {len(self.entries)} uses{others}{differ}."

    def _differing(self, kind: str) -> int:
        """The number of uses with a pair of a kind that must differ."""
        return sum(any(pair.kind == kind for pair in entry.contrasts) for entry in self.entries)

    @property
    def _exact(self) -> bool:
        """Whether what was asked is the full name of something, not only its last part."""
        return any(full(self.asked) in entry.names for entry in self.entries)

    def document(self) -> Document:
        """The report as a document: each use with its code and its verdict; for several calls, a table.

        Returns:
            The document.
        """
        several = not self.asked or (len(self.meanings) > 1 and not self._exact)
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
    told = set[str]()
    for entry in entries:
        if len(entries) > 1:
            yield Heading(f"{entry.title}: {entry.summary}")
        if (known := on_record(entry)) and known.activation not in told:
            told.add(known.activation)
            title = f"The catalogue knows {known.all} deviations of {known.activation}; crosscheck explain shows all of them"
            yield Lines(title, known.reasons)
        yield Code(f"# PyTorch\n{entry.torch}", "python")
        for pair in entry.offered:
            own = NAMES[pair.library] if pair.kind == "counterpart" else "JAX, written out"
            yield Code(f"# {own}: {'the same distribution' if entry.draws else said(pair)}\n{pair.code}", "python")
        if entry.draws:
            yield Paragraph(f"{entry.offered[0].told[:1].upper()}{entry.offered[0].told[1:]}.")
        if entry.maps:
            yield Code(entry.maps)
        for edge in edges(entry):
            yield Code(f"But {edge.at}, {edge.libraries}: {edge.difference}")
        for pair in entry.contrasts:
            yield Code(f"{LABELS[pair.kind]}: {pair.says}")
            yield Code(f"{pair.torch}\n{pair.code}", "python")
            yield Code(difference(pair))


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
        alike.setdefault((pair.at, difference(pair)), []).append(NAMES[pair.library])
    return [Edge(at, ", ".join(dict.fromkeys(names)), said) for (at, said), names in alike.items()]


def said(pair: TranslatedPair) -> str:
    """The verdict on a pair, in words."""
    text = pair.told.removesuffix(".")
    if pair.verdict == NOT_JUDGED:
        return f"not judged: {text}"
    if pair.verdict == SAME:
        return "the same but for rounding" if pair.cause == "rounding" else text
    return f"{text} ({pair.cause})"


FAULTS = {
    "special": "{} is wrong there",
    "inaccurate": "{} loses digits that rounding does not explain",
    "convention": "both choices are valid",
}
"""What the cause of a difference says beyond the results of both sides."""


def difference(pair: TranslatedPair) -> str:
    """The input that shows a difference, what both sides give there, and whose fault it is, as far as that is known."""
    if not pair.got:
        return said(pair)
    at = "; ".join(f"{name} = {value}" for name, value in pair.shown.items())
    side = {"torch": "PyTorch", "jax": "JAX"}.get(pair.side or "", "")
    text = FAULTS.get(pair.cause or "", "")
    fault = text.format(side) if side or "{}" not in text else ""
    return f"{at and f'at {at}: '}{pair.got}{fault and f' ({fault})'}"
