"""What pages consist of: tables of Markdown, rows of HTML, code, and the inside of a tab or a note."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first of them the head, without the columns that say nothing."""
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    lines = ["| " + " | ".join(row[i] for i in kept) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(kept) + "|", *lines[1:]])


def html_row(data: Mapping[str, str], cells: Iterable[str], anchor: str = "") -> str:
    """A row of a table that a script filters by the data."""
    place = f' id="{anchor}"' if anchor else ""
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    return f"<tr{place}{attributes}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def fenced(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}\n```"


def indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
