"""Words for people, with what they say as data: programs and tests ask for the kind, and nothing parses the words."""

from __future__ import annotations

from collections.abc import Hashable


class Worded(str):
    """A text of a report, of a kind.

    Attributes:
        kind: What it says, as a word of a closed list of the module that makes it.
        about: What it is about, such as a side; two texts of one kind about the same differ only in their numbers.
    """

    kind: str
    about: tuple[Hashable, ...]

    def __new__(cls, words: str, kind: str = "", *about: Hashable) -> Worded:
        """The text; without a kind, its kind is not known."""
        text = super().__new__(cls, words)
        text.kind, text.about = kind, about
        return text


def kind_of(text: str | None) -> str:
    """The kind of a text; empty if it has none."""
    return text.kind if isinstance(text, Worded) else ""
