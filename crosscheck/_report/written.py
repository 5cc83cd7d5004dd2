"""The base of all reports: each is a document, to be written and to be shown in a notebook; some can be drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from crosscheck._report.json_file import InJson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crosscheck._arithmetic.profile import Profile
    from crosscheck._report.document import Document

NOTHING = "nothing was compared, so there is nothing to draw"


class Documented(InJson, ABC):
    """A report that can be written to a file."""

    @abstractmethod
    def document(self) -> Document:
        """The content of the report as a document.

        Returns:
            The document.
        """

    def __str__(self) -> str:
        from crosscheck._report.terminal import as_text, layout

        return as_text(layout(self.document()))

    def markdown(self) -> str:
        """The report as Markdown, for example for an issue.

        Returns:
            The text.
        """
        return self.document().markdown()

    def to_markdown(self, path: str | Path) -> None:
        """Write the report as Markdown, whole or not at all.

        Args:
            path: The file.

        Raises:
            OSError: If the file cannot be written.
        """
        self.document().write_markdown(path)

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML file that needs no other, whole or not at all.

        Args:
            path: The file.

        Raises:
            OSError: If the file cannot be written.
        """
        self.document().write_html(path)

    def _repr_html_(self) -> str:
        return self.document().fragment()


class Written(Documented):
    """A report that can also be drawn."""

    @abstractmethod
    def panels(self) -> Mapping[str, Mapping[str, Profile]]:
        """The data of the report's figure.

        Returns:
            The profiles of errors by panel and label.
        """

    def plot(self) -> Figure:
        """Draw the errors over the input, and the number of errors of each size.

        Returns:
            A figure that belongs to no window.

        Raises:
            ValueError: If nothing was compared.
        """
        from crosscheck._report.profile_plot import draw

        panels = self.panels()
        if not panels:
            raise ValueError(NOTHING)
        return draw(panels)
