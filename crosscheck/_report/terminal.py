"""What is printed for people: whatever a name or an exception holds is shown, and moves no cursor."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Iterable

import rich.table
from rich.console import Console, ConsoleRenderable, Group, RenderableType, RenderHook
from rich.segment import Segment, Segments
from rich.text import Text

from crosscheck._report.document import Code, Document, Drawing, Heading, Lines, Paragraph, Table
from crosscheck._report.shown import shown

WIDTH = 110
MOST_LINES = 12
STYLES = {"DISAGREE": "bold red", "new": "bold yellow", "as declared": "yellow", "agree": "green"}
"""What cells of a table that are a verdict look like."""
NUMBER = re.compile(r"[-+]?[\d,.]*(e[-+]\d+)?%?|-?(inf|nan)|-")


def layout(document: Document) -> RenderableType:
    """A document as something rich prints, in colour on a terminal; figures are left out."""
    parts: list[RenderableType] = [Text(document.title, style="bold green" if document.passed else "bold red")]
    for block in document.blocks:
        if not isinstance(block, Paragraph | Drawing):
            parts.append(Text())
        match block:
            case Heading(text):
                parts.append(Text(text, style="bold"))
            case Paragraph(text) | Code(text):
                parts.append(Text(text))
            case Lines(title, lines):
                parts += [Text(f"{title}:", style="bold"), *(Text(f"  {line}") for line in lines[:MOST_LINES])]
                if len(lines) > MOST_LINES:
                    parts.append(Text(f"  and {len(lines) - MOST_LINES} more; --json has them all"))
            case Table():
                parts.append(_table(block))
    return Group(*parts)


def _table(block: Table) -> rich.table.Table:
    head, *rows = block.rows
    table = rich.table.Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        cells = [row[number] for row in rows]
        table.add_column(name, justify="right" if any(cells) and all(map(NUMBER.fullmatch, cells)) else "left")
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return table


class _Shown(RenderHook):
    """Control characters of what is rendered, shown."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Segments(self._segments(one)) for one in renderables]

    def _segments(self, renderable: RenderableType) -> Iterable[Segment]:
        for segment in self._console.render(renderable):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))  # rich would end the command, and with 1


def print_rich(renderable: RenderableType) -> None:
    """In colour and as wide as a terminal; plain and of one width in a pipe."""
    console = _Console() if sys.stdout.isatty() else _Console(width=WIDTH, color_system=None)
    console.push_render_hook(_Shown(console))
    console.print(renderable)


def as_text(renderable: RenderableType) -> str:
    """What rich would print, as plain text of one width."""
    buffer = io.StringIO()
    Console(file=buffer, width=WIDTH, color_system=None).print(renderable)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())
