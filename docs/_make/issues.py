"""The text of an issue about a disagreement, ready to paste, and the button that copies it."""

from html import escape

from headings import NAMES, heading, orders

from crosscheck import Deviation
from crosscheck._records.implementations import Implementation
from crosscheck._records.names import ORDER_NAMES
from crosscheck._verdict.environments import Environment
from crosscheck._verify.explanation import Disagreement, Explanation

MINE = ("convention",)
"""Causes that are nobody's fault, so that there is nothing to report."""


def button(made: Explanation, deviation: Deviation, one: Disagreement) -> str:
    """A button of the theme's: what is in its attribute is copied. One line, so that Markdown leaves it as it is."""
    copied = escape(text(made, deviation, one)).replace("\n", "&#10;")
    attributes = f'type="button" class="md-button" data-clipboard-text="{copied}"'
    return f'<div class="issue"><button {attributes}>Copy as an issue</button></div>'


def text(made: Explanation, deviation: Deviation, one: Disagreement) -> str:
    """What is wrong, a program that shows it, and where it was seen."""
    sighting = one.sighting
    assert sighting is not None
    record = made.activation
    wrong = [result for result in sighting.results if result.implementation in one.implementations]
    paths = dict.fromkeys(record.natives[Implementation.of(result.implementation).side].path for result in wrong)
    blocks = [
        f"# {' and '.join(f'`{path}`' for path in paths)}: {heading(record, deviation, one).partition(': ')[2]}",
        one.reason,
        f"Each program below computes the {ORDER_NAMES[sighting.order]} at one input, in {sighting.dtype}."
        + ("" if sighting.exact is None else f" The exact result, correctly rounded, is {sighting.exact!r}."),
    ]
    for result in wrong:
        got = str(result.message) if result.got is None else repr(result.got)
        name = NAMES[Implementation.of(result.implementation).side]
        blocks.append(f"{name}{result.layout} gives {got}:\n\n```python\n{made.snippet(sighting, result)}\n```")
    blocks.append(
        f"The disagreement affects the {orders(deviation)}. Observed with {versions(made)}. The code is at {one.link}"
    )
    return "\n\n".join(blocks)


def versions(made: Explanation) -> str:
    """What the results depend on, in a line."""
    described = made.report.environment
    return f"{Environment.of(described)}, Python {described['python']}, {described['platform']}"
