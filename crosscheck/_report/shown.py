"""Names and messages from elsewhere as text: control characters, which could move a cursor or end a line, are shown."""

LINES = "\n\t"
"""Control characters that a text of several lines may contain."""


def shown(text: str, kept: str = LINES) -> str:
    """Text with its control characters as Python writes them, such as ``\\x1b``; line ends are kept."""
    return (
        text
        if text.isprintable()
        else "".join(sign if sign.isprintable() or sign in kept else repr(sign)[1:-1] for sign in text)
    )


def name(text: str) -> str:
    """The same in one line: line ends are shown, too."""
    return shown(text, kept="")


def one_line(text: str) -> str:
    """A message in one line, its lines joined."""
    return shown(" ".join(text.split()))
