"""The glossary's words, explained where they stand: the theme shows a word's meaning as a tooltip, once on a page."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

GLOSSARY = "glossary.md"
ENTRY = re.compile(r"^\*\*(?P<words>.+?)\*\*.*\n:   (?P<meaning>.+(?:\n    .+)*)", re.MULTILINE)
"""An entry: its words in bold, with commas between them, and below them the meaning, whose first sentence is shown."""
MARKED = re.compile(r'<abbr title="[^"]*">(.*?)</abbr>', re.DOTALL)


def words(glossary: str) -> dict[str, str]:
    """What each word means, in a sentence without marks."""
    found: dict[str, str] = {}
    for entry in ENTRY.finditer(glossary):
        meaning = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", " ".join(entry["meaning"].split()))
        sentence = re.split(r"(?<=\.) (?=[A-Z])", meaning)[0]
        found |= dict.fromkeys(entry["words"].split(", "), sentence)
    return found


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Append, as Markdown has it, the abbreviations that the page uses."""
    path = Path(config.docs_dir, GLOSSARY)
    if page.file.src_uri == GLOSSARY or not path.is_file():
        return markdown
    known = words(path.read_text("utf-8"))
    used = [word for word in known if re.search(rf"\b{re.escape(word)}\b", markdown)]
    return "\n".join([markdown, "", *(f"*[{word}]: {known[word]}" for word in used)])


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Explain a word where it stands first in the text: in a heading it would be in the way, and twice it is noise."""
    seen: set[str] = set()

    def once(found: re.Match[str]) -> str:
        if found[1] in seen or in_heading(html, found.start()):
            return found[1]
        seen.add(found[1])
        return found[0]

    return MARKED.sub(once, html)


def in_heading(html: str, at: int) -> bool:
    opened = max(html.rfind(f"<h{level}", 0, at) for level in range(1, 7))
    return opened > max(html.rfind(f"</h{level}>", 0, at) for level in range(1, 7))
