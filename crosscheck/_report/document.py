"""A report as a document: printed, or written as Markdown or as one HTML file that loads nothing from elsewhere.

A report contains names, exceptions and arrays of the user: all of these are written as text, never as markup. The templates
of the HTML escape them by themselves. Markdown has no such rule for all places, so it is written here.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from crosscheck._records.plain import plain
from crosscheck._report.blocks import Block, Branch, Code, Folded, Heading, Lines, Paragraph, Simple, Table, Tree
from crosscheck._report.files import GENERATOR, write_whole
from crosscheck._report.headline import Parts, parted

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")
ADDRESS = re.compile(r"https?://[\w./?=%#:+-]+", re.ASCII)
MOST_LINES = 100
LONGEST_FENCE = re.compile(r"`+")


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
        return self._html("fragment.html.j2", title_tag="p", section_tag="p")

    def page(self) -> str:
        """The document as a whole HTML page."""
        return self._html("page.html.j2", title_tag="h1", section_tag="h2") + "\n"

    def _html(self, name: str, **tags: str) -> str:
        template = _templates().get_template(name)
        head, rest = self.parts
        return template.render(tags, head=head, rest=rest, passed=self.passed, blocks=self._written)

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


@cache
def _templates() -> Environment:
    """The templates of the HTML, where a block is asked for its kind as in ``block is a Table``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def escaped(value: object) -> Markup:
        """As Python's own library escapes it; Jinja2 would write other entities for quotes."""
        return value if isinstance(value, Markup) else Markup(html.escape(str(value)))

    templates = Environment(
        loader=PackageLoader("crosscheck._report"),
        autoescape=True,
        finalize=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {"generator": GENERATOR, **{kind.__name__: kind for kind in get_args(Simple)}}
    templates.tests["a"] = isinstance
    templates.filters["svg"] = _svg
    return templates


def _svg(figure: Figure) -> str:
    """The figure as SVG after ``<svg``, without a background, the date, and the program that made it."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.hashsalt": "crosscheck", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return file.getvalue().partition("<svg")[2]
