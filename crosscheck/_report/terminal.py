"""What is printed for people: whatever a name or an exception holds is shown, and moves no cursor."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment, Segments

from crosscheck._report.shown import shown

WIDTH = 110


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
