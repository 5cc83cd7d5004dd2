"""Examples on a page that are run: where they are, and what says that two of them are the same."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r'^```(python|console) exec="true"(?P<options>[^\n]*)\n(?P<code>.*?)^```$', re.MULTILINE | re.DOTALL)
OPTION = re.compile(r'(\w+)="([^"]*)"')
HIDDEN = re.compile(r"^.*# hide$\n", re.MULTILINE)
"""Lines that are run and not shown."""


@dataclass(frozen=True)
class Block:
    """An example, ``python`` or ``console``, a command after ``$``; ``key`` knows its code and what runs before it."""

    language: str
    code: str
    options: dict[str, str]
    key: str
    span: tuple[int, int]

    @property
    def session(self) -> str:
        """Blocks of one session share their names; without one, a block is alone."""
        return self.options.get("session", self.key)

    def shown(self, output: str) -> str:
        """What the page shows instead of the block, as Markdown: its code, if it asks for that, and what it printed."""
        if self.language == "console":
            return f"<div data-search-exclude markdown>\n\n```console\n{self.code}{output}```\n\n</div>"
        source = f"```python\n{HIDDEN.sub('', self.code)}```\n\n" if self.options.get("source") == "above" else ""
        return source + (f"```text\n{output}```" if self.options.get("result") == "text" else output)


def blocks(page: str) -> Iterator[Block]:
    """The examples of a page, in their order."""
    before: dict[str, str] = {}
    for found in FENCE.finditer(page):
        options = dict(OPTION.findall(found["options"]))
        session = options.get("session", "")
        code = before.get(session, "") + found["code"]
        if session:
            before[session] = code
        key = hashlib.sha256(f"{found[1]}\n{code}".encode()).hexdigest()[:16]
        yield Block(found[1], found["code"], options, key, found.span())
