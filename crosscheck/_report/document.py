"""A report as a document: printed, or written as Markdown or as one HTML file that loads nothing from elsewhere.

A report contains names, exceptions and arrays of the user: all of these are written as text, never as markup.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crosscheck._records.plain import plain
from crosscheck._report.files import GENERATOR, write_whole
from crosscheck._report.headline import Parts, parted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")
ADDRESS = re.compile(r"https?://[\w./?=%#:+-]+", re.ASCII)
MOST_LINES = 100
LONGEST_FENCE = re.compile(r"`+")

STYLE = """
.crosscheck { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
.crosscheck .title { font-size: 1.35rem; line-height: 1.3; font-weight: 700; padding-left: .7rem; }
.crosscheck .passed { border-left: .4rem solid #1a9850; }
.crosscheck .failed { border-left: .4rem solid #d73027; }
.crosscheck .section { font-size: 1.1rem; font-weight: 700; margin-top: 2rem; }
.crosscheck .wide { overflow-x: auto; }
.crosscheck pre { white-space: pre-wrap; padding: .8rem; background: #8882; font-size: .85rem; }
.crosscheck table { border-collapse: collapse; font-size: .85rem; overflow-wrap: normal; }
.crosscheck th, .crosscheck td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #8884; }
.crosscheck figure { margin: 1rem 0; overflow-x: auto; }
.crosscheck svg { width: 100%; min-width: 30rem; height: auto; }
.crosscheck details, .crosscheck summary { all: revert; }
.crosscheck summary { cursor: pointer; }
.crosscheck summary::before, .crosscheck summary::after { content: none; }
.crosscheck .tree { font-size: .85rem; }
.crosscheck .tree .row { display: grid; grid: auto / minmax(0, 1fr); grid-auto-flow: column; grid-auto-columns: 7.7em; }
.crosscheck .tree .row { gap: .3em; padding: .1em .2em; border-bottom: 1px solid #8884; }
.crosscheck .tree details { margin-block: 0; }
.crosscheck .tree details > :not(summary) { margin-left: 1em; }
.crosscheck .tree summary > :first-child::before { content: "\\25b8\\a0"; }
.crosscheck .tree details[open] > summary > :first-child::before { content: "\\25be\\a0"; }
.crosscheck .tree .head, .crosscheck .tree .wrong { font-weight: 700; }
.crosscheck .tree .wrong { box-shadow: inset .2em 0 #d73027; padding-left: .4em; }
.crosscheck { container-type: inline-size; }
@container (max-width: 40rem) {
  .crosscheck table, .crosscheck tbody, .crosscheck tr, .crosscheck td { display: block; }
  .crosscheck tr:first-child, .crosscheck td:empty { display: none; }
  .crosscheck tr { padding: .5rem 0; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }
  .crosscheck td { border: 0; padding: 0 0 0 1rem; }
  .crosscheck td.key { display: inline; padding: 0 .4rem 0 0; font-weight: 700; }
  .crosscheck td::before { content: attr(data-head) " "; opacity: .7; }
  .crosscheck td.key::before { content: none; }
  .crosscheck svg { width: auto; }
  .crosscheck .tree .row { display: block; }
  .crosscheck .tree .head, .crosscheck .tree span:empty { display: none; }
  .crosscheck .tree span { display: inline-block; padding-right: .6rem; }
  .crosscheck .tree span[data-head]::before { content: attr(data-head) " "; opacity: .7; font-weight: 400; }
}
"""
"""On a narrow page, each cell of a table is a line that begins with its column's head; ARIA roles keep it a table."""
PAGE = "body { margin: 0 auto; padding: 1rem; max-width: 60rem; } :root { color-scheme: light dark; }"


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Code:
    """Text with its spaces; ``language`` is for highlighting."""

    text: str
    language: str = "text"


@dataclass(frozen=True)
class Lines:
    """Lines of evidence under a title; if there are very many, the first ones and their number."""

    title: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of text, the first of them the head; the first ``keys`` cells of another row name its subject."""

    rows: Sequence[Sequence[str]]
    keys: int = 1


@dataclass(frozen=True)
class Branch:
    """A row of a tree, and the rows inside; ``wrong`` if these must be visible."""

    cells: Sequence[str]
    branches: Sequence[Branch] = ()
    wrong: bool = False


@dataclass(frozen=True)
class Tree:
    """Rows within rows, below a head. The inside of a row where nothing is wrong is folded; a text omits it."""

    head: Sequence[str]
    branches: Sequence[Branch]

    @property
    def unfolded(self) -> Iterator[tuple[int, Branch]]:
        """The rows that a text has, each with its depth: of inner rows only those that lead to something wrong."""
        yield from _unfolded(self.branches, 0)

    @property
    def table(self) -> Table:
        """The same rows, indented, as a table."""
        return Table(
            [self.head, *([f"{'  ' * depth}{branch.cells[0]}", *branch.cells[1:]] for depth, branch in self.unfolded)]
        )


def _unfolded(branches: Sequence[Branch], depth: int) -> Iterator[tuple[int, Branch]]:
    for branch in branches:
        if branch.branches or not depth:
            yield depth, branch
            if branch.wrong:
                yield from _unfolded(branch.branches, depth + 1)


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn when it is written, and its description; Markdown has no figures, and omits it."""

    draw: Callable[[], Figure]
    caption: str


@dataclass(frozen=True)
class Folded:
    """A long table that a page shows when a reader opens it, and a terminal does not show."""

    title: str
    table: Table


Simple = Heading | Paragraph | Code | Table | Tree | Folded | Drawing
Block = Simple | Lines


@dataclass(frozen=True)
class Document:
    """``title`` is the verdict; ``environment`` is what the results may depend on: written, not printed.

    Of a long verdict, the headline is the title, and the rest of it stands below.
    """

    title: str
    passed: bool
    blocks: Sequence[Block]
    environment: Mapping[str, object] = field(default_factory=dict)
    rest: str = ""

    @property
    def parts(self) -> Parts:
        """The headline of the verdict, and the rest of it."""
        return (self.title, self.rest) if self.rest else parted(self.title)

    @property
    def _written(self) -> Iterator[Simple]:
        for block in self.blocks:
            yield from _in_parts(block) if isinstance(block, Lines) else (block,)
        if self.environment:
            lines = [f"{name}: {json.dumps(plain(value))}" for name, value in self.environment.items()]
            yield from (Heading("Environment"), Code("\n".join(lines)))

    def markdown(self) -> str:
        """The document as Markdown, for example for an issue."""
        head, rest = self.parts
        parts = [f"**{_plain(head)}**", *filter(None, [_plain(rest), *map(_markdown, self._written)])]
        return "\n\n".join(parts) + "\n"

    def fragment(self) -> str:
        """The HTML of the document alone, for a notebook, without headings for its outline."""
        return self._html("p", "p")

    def _html(self, title_tag: str, section_tag: str) -> str:
        verdict = "passed" if self.passed else "failed"
        inner = "\n".join(_html(block, section_tag) for block in self._written)
        head, rest = map(html.escape, self.parts)
        title = f'<{title_tag} class="title {verdict}">{head}</{title_tag}>' + (f"\n<p>{rest}</p>" if rest else "")
        return f'<div class="crosscheck">\n<style>{STYLE}</style>\n{title}\n{inner}\n</div>'

    def page(self) -> str:
        """The document as a whole HTML page."""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="generator" content="{GENERATOR}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{html.escape(self.parts[0])}</title>\n<style>{PAGE}</style>\n</head>\n"
            f"<body>\n<main>\n{self._html('h1', 'h2')}\n</main>\n</body>\n</html>\n"
        )

    def write_markdown(self, path: str | Path) -> None:
        """Write the document as Markdown, whole or not at all; raises ``OSError``."""
        write_whole(path, f"{self.markdown()}\n<!-- {GENERATOR} -->\n".encode())

    def write_html(self, path: str | Path) -> None:
        """Write the document as HTML, whole or not at all; raises ``OSError``."""
        write_whole(path, self.page().encode())


def _in_parts(block: Lines) -> Iterator[Simple]:
    yield from (Heading(block.title), Code("\n".join(block.lines[:MOST_LINES])))
    if len(block.lines) > MOST_LINES:
        yield Paragraph(f"and {len(block.lines) - MOST_LINES} more; the JSON report has them all")


def _plain(text: str) -> str:
    """Text in which Markdown finds no markup."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _cell(text: str) -> str:
    """Text, or a link if all of it is an address, which escaping would change."""
    return f"<{text}>" if ADDRESS.fullmatch(text) else _plain(text) or " "


def _markdown(block: Simple) -> str:
    if isinstance(block, Heading):
        return f"### {_plain(block.text)}"
    if isinstance(block, Paragraph):
        return _plain(block.text)
    if isinstance(block, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in LONGEST_FENCE.findall(block.text)), default=0))
        return f"{fence}{block.language}\n{block.text}\n{fence}"
    if isinstance(block, Table):
        head, *rows = (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in block.rows)
        return "\n".join([head, "|---" * len(block.rows[0]) + "|", *rows])
    if isinstance(block, Folded):
        return f"{_markdown(Heading(block.title))}\n\n{_markdown(block.table)}"
    if isinstance(block, Tree):
        return "\n".join(_item(depth, branch, block.head) for depth, branch in block.unfolded)
    return ""


def _item(depth: int, branch: Branch, head: Sequence[str]) -> str:
    """A branch as an item of a nested list."""
    name, *said = branch.cells
    texts = (f"{what} {cell}" for what, cell in zip(head[1:], said, strict=True) if cell)
    return f"{'  ' * depth}- **{_plain(name)}**: {_plain(', '.join(texts))}"


def _html(block: Simple, section_tag: str) -> str:
    if isinstance(block, Heading):
        return f'<{section_tag} class="section">{html.escape(block.text)}</{section_tag}>'
    if isinstance(block, Paragraph):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Code):
        return f'<pre tabindex="0"><code>{html.escape(block.text)}</code></pre>'
    if isinstance(block, Table):
        return f'<div class="wide" tabindex="0"><table role="table">{"".join(_rows(block))}</table></div>'
    if isinstance(block, Folded):
        inside = _html(block.table, section_tag)
        return f'<details><summary class="section">{html.escape(block.title)}</summary>{inside}</details>'
    if isinstance(block, Tree):
        head = "".join(f"<span>{html.escape(cell)}</span>" for cell in block.head)
        return f'<div class="tree"><div class="row head">{head}</div>{_branches(block.branches, block.head)}</div>'
    drawn, text = _svg(block.draw(), block.caption), html.escape(block.caption)
    return f'<figure tabindex="0">{drawn}<figcaption>{text}</figcaption></figure>'


def _rows(table: Table) -> Iterator[str]:
    head, *rows = ([html.escape(cell, quote=True) for cell in row] for row in table.rows)
    yield '<tr role="row">' + "".join(f'<th role="columnheader" scope="col">{cell}</th>' for cell in head) + "</tr>"
    of = ['class="key"' if number < table.keys else f'data-head="{name}"' for number, name in enumerate(head)]
    for row in rows:
        cells = (f'<td role="cell" {which}>{cell}</td>' for which, cell in zip(of, row, strict=True))
        yield f'<tr role="row">{"".join(cells)}</tr>'


def _branches(branches: Sequence[Branch], head: Sequence[str]) -> str:
    return "".join(_branch(branch, head) for branch in branches)


def _branch(branch: Branch, head: Sequence[str]) -> str:
    name, *said = map(html.escape, branch.cells)
    texts = (f'<span data-head="{html.escape(what)}">{cell}</span>' for what, cell in zip(head[1:], said, strict=True))
    row = f"<span>{name}</span>{''.join(texts)}"
    of = 'class="row wrong"' if branch.wrong else 'class="row"'
    if not branch.branches:
        return f"<div {of}>{row}</div>"
    inside = _branches(branch.branches, head)
    return f"<details{' open' * branch.wrong}><summary {of}>{row}</summary>{inside}</details>"


def _svg(figure: Figure, caption: str) -> str:
    """The figure as an element of the page, without a background, the date, and the program that made it."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.hashsalt": "crosscheck", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(caption, quote=True)}"', 1)
