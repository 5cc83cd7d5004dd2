"""What reports share: each is a document, so that it can be written and shown in a notebook; some can be drawn too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crosscheck._arithmetic.profile import Profile
    from crosscheck._report.document import Document

NOTHING = "nothing was compared that could be drawn"


class Documented(ABC):
    """A report that can be written down."""

    @abstractmethod
    def document(self) -> Document:
        """What the report says."""

    def markdown(self) -> str:
        """The report as Markdown, to be pasted into an issue."""
        return self.document().markdown()

    def to_markdown(self, path: str | Path) -> None:
        """Write the report as Markdown, whole or not at all; raises ``OSError``."""
        self.document().write_markdown(path)

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML file that needs no other, whole or not at all; raises ``OSError``."""
        self.document().write_html(path)

    def _repr_html_(self) -> str:
        return self.document().fragment()


class Written(Documented):
    """A report that can be drawn too."""

    @abstractmethod
    def panels(self) -> Mapping[str, Mapping[str, Profile]]:
        """What its figure shows: in a panel each, by title, the profiles by label."""

    def plot(self) -> Figure:
        """The errors over the input, and how many there are of which size: a figure that belongs to no window.

        Raises ``ValueError`` where nothing was compared.
        """
        from crosscheck._report.profile_plot import draw

        panels = self.panels()
        if not panels:
            raise ValueError(NOTHING)
        return draw(panels)
