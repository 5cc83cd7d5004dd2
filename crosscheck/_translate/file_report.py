"""The report on a file: each call of PyTorch, its counterpart, and the differences that matter for its arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosscheck._dictionary.records import CONTRASTS, TranslatedPair, Translation
from crosscheck._report.blocks import Block, Code, Heading, Paragraph, Table
from crosscheck._report.document import Document
from crosscheck._report.written import Documented
from crosscheck._translate.report import NAMES, difference, judged_with, said

SCHEMA = "crosscheck.translated-file/1"
NONE = "not in the dictionary"
MOST = 6
"""The most names of counterparts that are looked at for one call."""


@dataclass(frozen=True)
class TranslatedCall:
    """A call of PyTorch in a file, and what it is in JAX.

    Attributes:
        line: The number of its line.
        code: The call as it is written, shortened if it is long.
        name: The full name of what is called.
        counterpart: What it is in JAX: the names; where it has none, that it is written out.
        entry: The entry of the dictionary that fits its arguments best; None if the dictionary has none.
        differences: The differences that matter for these arguments, in words.
    """

    line: int
    code: str
    name: str
    counterpart: str
    entry: Translation | None
    differences: tuple[str, ...]


@dataclass(frozen=True)
class WrittenCall:
    """A call in the JSON of the report: ``entry`` is the title of its entry in the dictionary, null where there is none."""

    line: int
    code: str
    name: str
    counterpart: str
    entry: str | None
    differences: tuple[str, ...]


@dataclass(frozen=True)
class FileTranslation(Documented, schema=SCHEMA, written=("environment", "path", "_calls"), renamed={"_calls": "calls"}):
    """The result of ``translate_file``.

    Attributes:
        path: The file.
        calls: The calls of PyTorch in it, in order.
        environment: The versions with which the entries of the dictionary were judged, and what the CPU is capable of.
        note: The differences between these versions and the installed ones.
    """

    path: str
    calls: tuple[TranslatedCall, ...]
    environment: Mapping[str, Any]
    note: str = ""

    @property
    def found(self) -> int:
        """The number of calls that are in the dictionary."""
        return sum(call.entry is not None for call in self.calls)

    @property
    def passed(self) -> bool:
        """Whether the file has calls of PyTorch, and the dictionary has all of them."""
        return 0 < self.found == len(self.calls)

    @property
    def headline(self) -> str:
        """The result in one line."""
        if not self.calls:
            return f"{self.path}: no call of PyTorch."
        names = dict.fromkeys(call.name for call in self.calls)
        missing = list(dict.fromkeys(call.name for call in self.calls if call.entry is None))
        without = f"; not in it: {', '.join(missing)}" if missing else ""
        of = f"{len(self.calls)} calls of {len(names)} names of PyTorch"
        return f"{self.path}: {of}, {self.found} in the dictionary{without}."

    @property
    def _calls(self) -> tuple[WrittenCall, ...]:
        titles = (call.entry.title if call.entry else None for call in self.calls)
        return tuple(WrittenCall(**vars(call) | {"entry": title}) for call, title in zip(self.calls, titles, strict=True))

    def document(self) -> Document:
        """The report as a document: a table of the calls in order, then what to know of each name.

        Returns:
            The document.
        """
        rows = [["line", "PyTorch", "JAX"]]
        rows += [[str(call.line), call.code, call.counterpart] for call in self.calls]
        blocks: list[Block] = [Table(rows)] if self.calls else []
        blocks += _blocks(self.calls)
        blocks.append(Paragraph("The file was read, not run. `crosscheck translate NAME` shows every use of a name."))
        blocks.append(Paragraph(f"Judged with {judged_with(self.environment)}.{self.note and ' '}{self.note}"))
        return Document(self.headline, self.passed, blocks)


def counterpart(entry: Translation, uses: Sequence[Translation]) -> str:
    """What a call is in JAX: the names of this entry, then of its plain use.

    The code of an entry has the arguments of its own example, so it is no counterpart of this call.
    """
    plain = [use for use in uses if use.name == entry.name and not use.what]
    names = [name for use in (entry, *plain) for name in _own(use)]
    return ", ".join(dict.fromkeys(names[:MOST])) or "written out: see the example below"


def _own(entry: Translation) -> list[str]:
    """The names of the libraries of JAX whose own code an entry offers."""
    return [pair.calls for pair in entry.offered if pair.calls]


def in_words(pair: TranslatedPair) -> str:
    """What differs, in words: by its default, or at which inputs."""
    if pair.kind in CONTRASTS:
        return f"{pair.says}: {difference(pair)}" if pair.got else pair.says
    return f"{pair.at}, {NAMES[pair.library]}: {difference(pair)}"


def _blocks(calls: tuple[TranslatedCall, ...]) -> Iterator[Block]:
    """What to know of each call: those of one name and one entry that differ alike stand together."""
    alike: dict[tuple[str, str, tuple[str, ...]], list[TranslatedCall]] = {}
    for call in calls:
        if call.entry is not None:
            alike.setdefault((call.name, call.entry.title, call.differences), []).append(call)
    for (name, _, different), same in alike.items():
        lines = dict.fromkeys(call.line for call in same)
        yield Heading(f"{name}, line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}")
        yield from _counterparts(same[0])
        for text in different:
            yield Paragraph(f"Differs: {text}")


def _counterparts(call: TranslatedCall) -> Iterator[Block]:
    assert call.entry is not None
    yield Code(f"# for example, PyTorch\n{call.entry.torch}", "python")
    for pair in call.entry.offered:
        own = NAMES[pair.library] if pair.kind == "counterpart" else "JAX, written out"
        verdict = "the same distribution" if call.entry.draws else said(pair)
        yield Code(f"# {own}: {verdict}\n{pair.code}", "python")
    if call.entry.maps:
        yield Paragraph(call.entry.maps)
