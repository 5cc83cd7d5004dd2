"""Names and messages of other people's, as text: what would move a cursor or end a line is shown instead."""

LINES = "\n\t"
"""Control characters that a text of several lines may have."""


def shown(text: str, kept: str = LINES) -> str:
    """Text with its control characters as Python writes them, ``\\x1b`` for instance; lines stay lines."""
    return (
        text
        if text.isprintable()
        else "".join(sign if sign.isprintable() or sign in kept else repr(sign)[1:-1] for sign in text)
    )


def name(text: str) -> str:
    """The same in one line: the end of a line is shown too."""
    return shown(text, kept="")


def one_line(text: str) -> str:
    """A message in one line, its lines one after the other."""
    return shown(" ".join(text.split()))
