"""The width of what a page shows: what a program prints is folded, as a terminal of that width would fold it."""

from crosscheck._report.terminal import Filled, as_text

WIDTH = 85
"""The columns of a block of code at the usual width of a page; docs/_hooks/outputs.py refuses wider outputs."""


def folded(text: str) -> str:
    """The text, with the lines that are too long broken between words."""
    end = "\n" if text.endswith("\n") else ""
    return "\n".join(line if len(line) <= WIDTH else as_text(Filled(line), WIDTH) for line in text.splitlines()) + end
