"""What a page says of itself in a sentence, for search engines and for readers that are programs: ``llms.txt``."""

import re
from html import escape, unescape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

MOST = 200
"""A longer description is cut by those who show it."""
ABOUT: dict[str, tuple[str, str]] = {}
"""By the address of a page: its title and description."""


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The first paragraph, unless the page says more itself; the theme puts it into an attribute as it is."""
    page.meta["description"] = escape(page.meta.get("description") or described(markdown) or config.site_description)
    return markdown


def on_page_context(context: dict[str, object], page: Page, config: MkDocsConfig, nav: object) -> None:
    ABOUT[page.url] = str(page.title), unescape(page.meta["description"])


DIALOG = 'data-md-component="search" role="dialog"'


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The theme's search is a dialog without a name."""
    return output.replace(DIALOG, f'{DIALOG} aria-label="Search"')


def on_post_build(config: MkDocsConfig) -> None:
    """https://llmstxt.org: a title, a summary, and every page with what it is about."""
    address = config.site_url or ""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", "", "## Pages", ""]
    lines += [f"- [{title}]({address}{url or 'index.html'}): {said}" for url, (title, said) in ABOUT.items()]
    Path(config.site_dir, "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def described(markdown: str) -> str:
    """The first paragraph of a page in plain words, whole sentences as far as they fit."""
    text = re.sub(r"```.*?```|~~~.*?~~~|<[^>]+>", "", markdown, flags=re.DOTALL)
    for block in re.split(r"\n\s*\n", text):
        words = " ".join(block.split())
        if not words or words.startswith(("#", "|", "!", "=", "$", "-", "::", "???", "[")):
            continue
        words = re.sub(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", words)
        # An underscore in a name is no emphasis, nor is anything in code.
        parts = re.split(r"`([^`]*)`", words)
        parts[::2] = [re.sub(r"\*{1,2}|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)", "", part) for part in parts[::2]]
        words = "".join(parts)
        return sentences(words)
    return ""


def sentences(words: str) -> str:
    while len(words) > MOST:
        cut = max(words.rfind(mark, 0, MOST - 1) for mark in (". ", ": ", "; "))
        if cut < 0:
            return words[: MOST - 1].rsplit(" ", 1)[0] + "…"
        words = words[: cut + 1]
    return words.rstrip(":;")
