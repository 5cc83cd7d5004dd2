"""What a program printed is not cut, and is no dump: its lines fit into a block of code, and many lines are folded away."""

import re
from html import unescape

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

WIDTH = 85
"""As many columns as docs/_make/columns.py folds to."""
MOST_LINES = 100
OUTPUT = re.compile(r'<div class="language-(?:text|console) highlight">.*?</div>', re.DOTALL)


def on_page_content(html: str, page: Page, **_: object) -> None:
    for found in OUTPUT.finditer(html):
        lines = unescape(re.sub(r"<[^>]+>", "", found[0])).splitlines()
        folded = html.count("<details", 0, found.start()) > html.count("</details", 0, found.start())
        if len(lines) > MOST_LINES and not folded:
            raise PluginError(
                f"{page.file.src_uri}: an output has {len(lines)} lines; print at most {MOST_LINES}, or fold it away with "
                f"<details>. It begins with: {lines[0]}"
            )
        for line in lines:
            if len(line) > WIDTH:
                raise PluginError(
                    f"{page.file.src_uri}: a line of an output has {len(line)} characters, so readers see a part of it; "
                    f"let the example print at most {WIDTH}: {line}"
                )
