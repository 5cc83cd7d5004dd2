"""Printing for people: control characters in names and exceptions are shown, and move no cursor."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import rich.table
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, ConsoleRenderable, Group, RenderableType, RenderHook
from rich.segment import Segment, Segments
from rich.text import Text

from crosscheck._report.blocks import Code, Drawing, Folded, Heading, Lines, Paragraph, Table, Tree
from crosscheck._report.document import Document
from crosscheck._report.headline import lines
from crosscheck._report.shown import shown

WIDTH = 110
"""The width of a line if neither a terminal nor ``COLUMNS`` gives one."""
MOST_LINES = 12
STYLES = {"DISAGREE": "bold red", "new": "bold yellow", "declared": "yellow", "agree": "green"}
"""The styles of table cells with a verdict, by their last word."""
NUMBER = re.compile(r"[-+]?[\d,.]*(e[-+]\d+)?%?|-?(inf|nan)|-")
FIELD = re.compile(r" *(\S+ ){1,3} +(?=\S)")
"""The start of a line that is a name, with spaces before the text about it."""
TEXT = 30
"""A column of longer cells with spaces may be wrapped, down to this width."""
GAPS = (2, 1)
"""Spaces between columns: one if two do not fit."""


def layout(document: Document) -> RenderableType:
    """A document as an object that rich prints, in colour on a terminal; figures are omitted."""
    head, *rest = lines(document.parts)
    parts: list[RenderableType] = [Filled(head, style="bold green" if document.passed else "bold red"), *map(Filled, rest)]
    for block in document.blocks:
        if not isinstance(block, Paragraph | Drawing):
            parts.append(Text())
        match block:
            case Heading(text):
                parts.append(Filled(text, style="bold"))
            case Code(text, "python"):
                parts.append(Text(text, no_wrap=True, overflow="ignore"))
            case Paragraph(text) | Code(text):
                parts.append(Filled(text))
            case Lines(title, evidence):
                parts += [Text(f"{title}:", style="bold"), *(Filled(f"  {line}") for line in evidence[:MOST_LINES])]
                if len(evidence) > MOST_LINES:
                    parts.append(Filled(f"  and {len(evidence) - MOST_LINES} more; --json has them all"))
            case Table():
                parts.append(Fitted(block))
            case Tree():
                parts.append(Fitted(block.table))
            case Folded(title):
                parts.append(Filled(f"{title}: --html, --markdown and --json have the table"))
    return Group(*parts)


class Filled:
    """Lines of text, each wrapped to the width; the rest of a line is indented, in a named line to the start of its text.

    An address is not wrapped, and code between fences is not either: a broken line cannot be pasted.
    """

    def __init__(self, text: str, style: str = "") -> None:
        self.text, self.style = text, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        code = False
        for line in self.text.split("\n"):
            code ^= line.startswith("```")
            named = FIELD.match(line)
            margin = len(line) - len(line.lstrip(" "))
            if code or cell_len(line) <= options.max_width:
                yield Text(line, self.style, no_wrap=True, overflow="ignore")
                continue
            lead = named[0] if named and named.end() <= options.max_width // 2 else line[:margin]
            rest = " " * (len(lead) if named and lead == named[0] else margin + 2 * bool(margin))
            broken = textwrap.wrap(
                line[len(lead) :],
                max(1, options.max_width - len(rest)),
                expand_tabs=False,
                replace_whitespace=False,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for number, part in enumerate(broken):
                yield Text((rest if number else lead) + part, self.style, no_wrap=True, overflow="ignore")


class Fitted:
    """A table whose head and texts are wrapped until it fits; if that is not enough, each cell gets its own line."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for gap in GAPS:
            if widths := _fitted(self.table.rows, options.max_width - gap * (len(self.table.rows[0]) - 1)):
                yield _beside(self.table, widths, gap)
                return
        yield _stacked(self.table, options.max_width)


def _fitted(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """The widths of the columns of a table, whose first row is the head, so that it fits; None if it cannot."""
    most, least = [], []
    for head, *cells in zip(*rows, strict=True):
        longest = max(map(cell_len, cells), default=0)
        text = longest > TEXT and any(" " in cell for cell in cells)
        words = max((cell_len(word) for cell in ([head, *cells] if text else [head]) for word in cell.split()), default=0)
        most.append(max(cell_len(head), longest))
        least.append(max(words, min(longest, TEXT) if text else longest))
    if sum(least) > room:
        return None
    widths = dict[int, int]()
    # first the columns that can shrink least, so that the others share the rest
    for left, column in enumerate(sorted(range(len(most)), key=lambda i: most[i] - least[i]), 1):
        share = room - sum(widths.values()) - sum(least[i] for i in range(len(most)) if i not in widths and i != column)
        widths[column] = min(most[column], least[column] + (share - least[column]) // (len(most) - left + 1))
    return [widths[column] for column in range(len(most))]


def _beside(block: Table, widths: Sequence[int], gap: int) -> rich.table.Table:
    head, *rows = block.rows
    table = rich.table.Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for number, (name, width) in enumerate(zip(head, widths, strict=True)):
        cells = [row[number] for row in rows]
        numbers = any(cells) and all(map(NUMBER.fullmatch, cells))
        table.add_column(Text(name), justify="right" if numbers else "left", width=width, overflow="fold", vertical="top")
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    return table


def _stacked(block: Table, width: int) -> Group:
    """Each row as its first cells, with the other cells below, as many in a line as fit."""
    head, *rows = block.rows
    parts: list[RenderableType] = []
    for row in rows:
        keys = " ".join(filter(None, row[: block.keys]))
        margin = " " * (len(keys) - len(keys.lstrip(" ")) + 2)
        parts.append(Filled(keys, style="bold"))
        line = ""
        for name, cell in zip(head[block.keys :], row[block.keys :], strict=True):
            if cell in ("", "-"):
                continue
            said = f"{name} {cell}".strip()
            joined = f"{line} | {said}" if line else margin + said
            if line and cell_len(joined) > width:
                parts.append(Filled(line))
                joined = margin + said
            line = joined
        parts.append(Filled(line))
    return Group(*parts)


def _style(cell: str) -> str:
    return STYLES.get(cell.rpartition(" ")[2], "")


class _Shown(RenderHook):
    """Shows the control characters of what is rendered."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Segments(self._segments(renderable)) for renderable in renderables]

    def _segments(self, renderable: RenderableType) -> Iterable[Segment]:
        for segment in self._console.render(renderable):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))  # rich would end the command with exit code 1


def print_rich(renderable: RenderableType) -> None:
    """Print in colour at a terminal's width; in a pipe plain, at the width of ``COLUMNS``."""
    console = _Console() if sys.stdout.isatty() else _Console(width=columns(), color_system=None)
    console.push_render_hook(_Shown(console))
    console.print(renderable, crop=False)


def columns() -> int:
    """The width of a line where there is no terminal: that of ``COLUMNS``, or the usual one."""
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdecimal() and int(said) else WIDTH


def as_text(renderable: RenderableType, width: int | None = None) -> str:
    """The text that rich would print, plain and of one width: unless given, that of ``COLUMNS``, or the usual one."""
    buffer = io.StringIO()
    Console(file=buffer, width=width or columns(), color_system=None).print(renderable, crop=False)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())
