"""What reports share: each is a document, so that it can be written and shown in a notebook; some can be drawn too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from crosscheck._report.json_file import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crosscheck._arithmetic.profile import Profile
    from crosscheck._report.document import Document

NOTHING = "nothing was compared that could be drawn"


class Documented(ABC):
    """A report that can be written down."""

    @abstractmethod
    def document(self) -> Document:
        """What the report says.

        Returns:
            The document.
        """

    @abstractmethod
    def data(self) -> Mapping[str, object]:
        """What the report says as plain data.

        Returns:
            What ``to_json`` writes.
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

    def to_json(self, path: str | Path) -> None:
        """Write the report's data as JSON, whole or not at all.

        Args:
            path: The file, compressed if it ends in ``.gz``.

        Raises:
            OSError: If the file cannot be written.
        """
        write_json(path, self.data())

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
    """A report that can be drawn too."""

    @abstractmethod
    def panels(self) -> Mapping[str, Mapping[str, Profile]]:
        """What the figure of the report shows.

        Returns:
            The profiles of errors by panel and label.
        """

    def plot(self) -> Figure:
        """Draw the errors over the input, and how many there are of which size.

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
