"""Formulas as MathML, made in the build: a browser draws them without a script, a font or a network."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

MARKED = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
"""As pymdownx.arithmatex marks a formula: inline ``\\(...\\)`` or a block ``\\[...\\]``."""

NAME = re.compile(r"<mo>([A-Za-z]{2,})</mo>")
"""A function's name, such as max; as an identifier it is not spaced like a plus."""


def on_page_content(content: str, page: Page, **_: Any) -> str:
    return MARKED.sub(lambda found: mathml(html.unescape(found[3]), found[2] == "[", page.file.src_uri), content)


def mathml(latex: str, block: bool, where: str) -> str:
    made = convert(latex, display="block" if block else "inline")
    if "\\" in html.unescape(made):  # an unknown command comes out as it went in
        raise PluginError(f"{where}: latex2mathml does not know a command of {latex!r}: {made}")
    made = NAME.sub(r"<mi>\1</mi>", made)
    return f'<div class="formula">{made}</div>' if block else made
