"""Tables of three columns or more as cards on a phone: each cell knows its column's head, which a style sheet can show."""

import re
from html import escape, unescape

from mkdocs.structure.pages import Page

TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
CELL = re.compile(r"<td\b")
FEWEST = 3
"""Two columns fit on a phone."""


def on_page_content(html: str, page: Page, **_: object) -> str:
    return TABLE.sub(lambda found: labelled(found[0]), html)


def labelled(table: str) -> str:
    """The table with the head of its column on each cell."""
    heads = [escape(unescape(re.sub(r"<[^>]+>", "", head)).strip()) for head in HEAD.findall(table)]
    if len(heads) < FEWEST:
        return table

    def row(found: re.Match[str]) -> str:
        columns = iter(heads)
        return CELL.sub(lambda _: f'<td data-label="{next(columns, "")}"', found[0])

    return ROW.sub(row, table.replace("<table>", "<table data-cards>", 1))
