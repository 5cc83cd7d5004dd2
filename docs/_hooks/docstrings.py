"""The package's docstrings as Markdown: a term with an indented text below it is a definition, a role is code."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|data):(`[^`]+`)")
TERM = re.compile(r"^(?P<term>\w[\w, ]*)\n    (?=\S)", re.MULTILINE)


class Prose(griffe.Extension):
    """Rewrites each docstring once it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """The same text for Python-Markdown."""
    text = ROLE.sub(r"\1", text)
    return TERM.sub(lambda found: f"\n{_code(found['term'])}\n:   ", text)


def _code(term: str) -> str:
    return ", ".join(f"`{name}`" for name in term.split(", "))
