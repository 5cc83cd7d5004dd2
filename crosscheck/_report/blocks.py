"""What a document consists of: headings, texts, tables, trees of rows, and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
