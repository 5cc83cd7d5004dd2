"""What a program printed is not cut: no line of an output is wider than a block of code on a page."""

import re
from html import unescape

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

WIDTH = 85
"""As many columns as docs/_make/columns.py folds to."""
OUTPUT = re.compile(r'<div class="language-(?:text|console) highlight">.*?</div>', re.DOTALL)


def on_page_content(html: str, page: Page, **_: object) -> None:
    for block in OUTPUT.findall(html):
        for line in unescape(re.sub(r"<[^>]+>", "", block)).splitlines():
            if len(line) > WIDTH:
                raise PluginError(
                    f"{page.file.src_uri}: a line of an output has {len(line)} characters, so readers see a part of it; "
                    f"let the example print at most {WIDTH}: {line}"
                )
