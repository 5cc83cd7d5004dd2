"""The page with every disagreement: one table, complete without a script, that a small script sorts and filters."""

from collections.abc import Iterable, Iterator
from html import escape

import upstream
from headings import culprit, heading, right, wrong
from pieces import html_row

import crosscheck
from crosscheck import Activation, Deviation
from crosscheck._recorded.files import by_name
from crosscheck._records.implementations import MODES, MODES_OF, USUAL_MODES, Implementation
from crosscheck._records.names import CAUSES, DTYPES, ORDER_NAMES
from crosscheck._verify.sightings.explanation import SENTENCES, Disagreement, Explanation

PAGE = "disagreements.md"
SCRIPT = "assets/disagreements.js"

HEAD = f"""---
description: Every declared disagreement of PyTorch and JAX about activation functions, with inputs and results.
hide: [toc]
search:
  exclude: true
---

# Every disagreement

This page lists what is known to be wrong, or chosen differently, in the activation functions that the frameworks ship, and
what [the dictionary](undocumented.md) found in other functions. Each row links to the reason and to a program that
reproduces it. What looks like a bug, is in the newest releases on record and has no issue yet also has the text of one. The
last column shows the results at one input, computed when this page was built, and the exact result, correctly rounded. The
causes are explained on [the page on the method](method.md#causes). [`crosscheck atlas`](atlas.md)
prints the list for your environment.

<script defer src="../{SCRIPT}"></script>
"""


def page(rows: str) -> str:
    """The page, from the rows of all activations."""
    return "\n".join([HEAD, form(), *table(rows)])


def rows(record: Activation, made: Explanation) -> Iterator[str]:
    """A row for each deviation of an activation, with what was seen of it at one input."""
    seen = {disagreement.id: disagreement for disagreement in made.disagreements}
    for deviation in record.deviations:
        yield row(record, deviation, seen[deviation.id])


def form() -> str:
    """What can be asked for; without a script it stays hidden, and the table is whole."""
    choices = {
        "bug": {"yes": "looks like a bug", "no": "does not"},
        "newest": {"yes": "still in the newest release", "no": "gone there", "unknown": "not looked for there"},
        "framework": {"torch": "PyTorch", "jax": "JAX"},
        "function": named(record.name for record in crosscheck.activations.values() if record.deviations),
        "cause": named(CAUSES[:7]),
        "order": named(ORDER_NAMES),
        "dtype": named(DTYPES),
        "mode": named(MODES),
        "version": {name: name.replace("-", " ") for name in by_name()},
    }
    fields = "".join(
        f'<label>{name}<select name="{name}"><option value="">all</option>'
        + "".join(f'<option value="{escape(value)}">{escape(label)}</option>' for value, label in options.items())
        + "</select></label>"
        for name, options in choices.items()
    )
    return (
        f'<form class="atlas-form" hidden aria-label="Which disagreements">{fields}'
        '<label>text, such as layer_norm or jax.nn.gelu<input name="text" type="search"></label>'
        '<button type="reset">reset</button><output aria-live="polite"></output></form>'
    )


def named(values: Iterable[str]) -> dict[str, str]:
    """Choices that are called what they are."""
    return {value: value for value in values}


def table(rows: str) -> Iterator[str]:
    heads = ("disagreement", "function", "cause", "derivative", "dtypes", "modes", "example")
    yield '<div class="atlas-scroll" tabindex="0" role="region" aria-label="Disagreements"><table class="atlas"><thead><tr>'
    yield "".join(f'<th scope="col">{head}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    yield rows
    yield "</tbody></table></div>\n"


def row(record: Activation, deviation: Deviation, disagreement: Disagreement) -> str:
    orders = [ORDER_NAMES[order] for order in sorted({region.order for region in deviation.regions})]
    dtypes = [dtype for dtype in DTYPES if any(dtype in region.dtypes for region in deviation.regions)]
    sides = sorted({Implementation.of(implementation).side for implementation in deviation.implementations})
    modes = [mode for mode in deviation.modes if any(mode in MODES_OF[side] for side in sides)]
    usual = [mode for mode in modes if mode in USUAL_MODES]
    data = {
        "function": record.name,
        "cause": deviation.cause,
        "order": "|".join(orders),
        "dtype": "|".join(dtypes),
        "mode": "|".join(modes),
        "framework": "|".join(sides),
        "version": "|".join(disagreement.seen_in),
        "bug": "yes" if deviation.bug else "no",
        "newest": "no" if upstream.fixed_in(disagreement) else "yes",
    }
    issue = upstream.known(deviation.link)
    natives = (f"<code>{record.natives[side].path}</code>" for side in sides)
    page = f"../activations/{record.name}/#{deviation.id}"
    cells = (
        f'<a href="{page}">{escape(heading(record, deviation, disagreement))}</a>'
        + (" <strong>looks like a bug</strong>" if deviation.bug else "")
        + (f" <em>gone in {upstream.fixed_in(disagreement)}</em>" if upstream.fixed_in(disagreement) else "")
        + (f' <a href="{issue.link}">{issue.name}</a>' if issue and deviation.bug else "")
        + f'<br><small><a href="#row-{deviation.id}" aria-label="link to this row">#</a> {deviation.id}</small>',
        f'<a href="../activations/{record.name}/">{record.name}</a> <br><small>{" <br>".join(natives)}</small>',
        f'<span title="{escape(SENTENCES[deviation.cause])}">{deviation.cause}</span>',
        ", ".join(orders),
        ", ".join(dtypes),
        "layouts" if deviation.cause == "layout" else ("all" if usual and len(modes) > 2 else ", ".join(modes)),
        example(disagreement) if disagreement.sighting else escape(str(disagreement.message)),
    )
    return html_row(data, cells, f"row-{deviation.id}")


def example(disagreement: Disagreement) -> str:
    """An input and what was got there, in a line each; if it does not show here, also what is on record."""
    sighting = disagreement.sighting
    assert sighting is not None
    place = "" if sighting.row is None else f" in a row of {len(sighting.row.bits)}"
    lines = [f"{ORDER_NAMES[sighting.order]} at {sighting.input!r}{place}, {sighting.dtype}"]
    for result in sighting.results:
        got = str(result.message).partition(":")[0] if result.got is None else repr(result.got)
        lines.append(f"{result.label}: <code>{escape(got)}</code>")
    if sighting.exact is not None:
        lines.append(f"exact: <code>{sighting.exact!r}</code>")
    if disagreement.cause == "special" and right(culprit(disagreement), disagreement):
        lines.append(f"on record, on another machine than this page's: <code>{wrong(disagreement)!r}</code>")
    return " <br>".join(lines)
