"""The pages of the dictionary: one for each family, with the code of each library, and one that says how to read them."""

import json
import re
from collections.abc import Iterator
from itertools import groupby

import examples
import products
from kept import newest
from pieces import fenced, indented, table
from products import Content, Maker

import crosscheck
from crosscheck import TranslatedPair, Translation, TranslationReport
from crosscheck._dictionary.entries import families
from crosscheck._dictionary.names import called
from crosscheck._translate.draws import DRAWS
from crosscheck._translate.on_record import on_record
from crosscheck._translate.report import LABELS, NAMES, difference, edges, judged_with, said

FOLDER = "dictionary"
CALLS = products.ROOT / "results" / "dictionary" / "calls.json"
IMPORTS = """import math
import torch, torch.nn.functional as F; from torch import nn
import jax, jax.numpy as jnp; from jax import lax
import optax; from flax import nnx; import equinox as eqx
from numpy import array, inf, nan"""
HOW = f"""| an entry says | which means |
|---|---|
| the same | with the arguments that are shown, values and gradients differ only by rounding |
| the same distribution | the call draws random numbers, and {DRAWS:,} seeded numbers of each side pass the test of \
Kolmogorov and Smirnov. By chance, one in a million such tests fails |
| no counterpart: write this | no library has a function for this call. The code that is shown was judged too |
| but where ... | at these inputs the two sides differ. The entry has an input, and what both sides gave there when they \
were run. A derivative is that of the sum of the result |
| the defaults differ | the call with its default arguments differs. The entry has the code of both sides, and an input \
that shows the difference |
| a similar call differs | a call that looks like the counterpart is another function. The entry has both, with an input |"""
WIDE = "hide: [toc] # the table of defaults is wide"
NO_ANCHOR = re.compile(r"[^a-z0-9]+")


def make(maker: Maker) -> None:
    """The pages, from the verdicts that are kept."""
    report = crosscheck.translate()
    kept = products.PACKAGE / "_dictionary" / "verdicts.json"
    key = products.key(families(), files=[kept, CALLS, *products.package()])
    maker.make("dictionary", key, lambda: files(report), made_with=judged_with(report.environment) + newest([kept]))


def files(report: TranslationReport) -> dict[str, Content]:
    made: dict[str, Content] = {f"site/{FOLDER}/index.md": "\n\n".join(overview(report))}
    for family, title in families().items():
        entries = [entry for entry in report.entries if entry.family == family]
        made[f"site/{FOLDER}/{family}.md"] = "\n\n".join(page(title, entries))
    return made


def overview(report: TranslationReport) -> Iterator[str]:
    """How to read the dictionary, what is in it, and the defaults that differ."""
    yield front(
        "What a call of PyTorch is in JAX, optax, flax and equinox: code for both sides that was run and compared.", WIDE
    )
    yield "# Dictionary"
    yield (
        "The dictionary says how to write a call of PyTorch in JAX, optax, flax nnx and equinox, and the reverse. Both "
        "sides of each entry were run at the same inputs, and [`crosscheck.compare`](../compare.md) judged their values and "
        "gradients, in float32 and float64."
    )
    yield "## Find a call"
    rows = [["family", "calls, and the number of uses where there are several"]]
    for family, title in families().items():
        names = dict.fromkeys(entry.name for entry in report.entries if entry.family == family)
        links = ", ".join(f"[{known_as(report, name)}]({family}.md#{anchor(name)}){uses(report, name)}" for name in names)
        rows.append([f"[{title}]({family}.md)", links])
    yield table(rows)
    yield f"{report.headline} Judged with {judged_with(report.environment)}."
    yield (
        "On the command line, give a name of PyTorch or of a library of JAX, or the last part of the name. With `--run`, "
        "both sides are run and judged again on your machine:"
    )
    line = "$ crosscheck translate nn.RMSNorm\n"
    yield f"```console\n{line}{examples.command(line)}```"
    yield (
        "To port a file, begin with `crosscheck translate --file my_model.py`. It reads the file without running it, and "
        "lists every call of PyTorch in it, in order: what it is in JAX, and what differs for the written arguments. "
        "`crosscheck.translate_file` gives the same in Python."
    )
    yield "These are the numbers of calls in public models, read in this way:"
    yield table([*public_models()])
    yield "## How to read it"
    yield HOW
    yield f"The code uses these names:\n\n{fenced(IMPORTS)}"
    yield "Neither framework documents some of the differences: see [undocumented disagreements](../undocumented.md)."
    yield "## Defaults and similar calls that differ"
    rows = [["call", "what differs", "in PyTorch and in JAX", "example"]]
    for entry in report.entries:
        for pair in entry.contrasts:
            code = "<br>".join(f"`{in_a_cell(text)}`" for text in (pair.torch, pair.code))
            link = f"[{short(entry.name)}]({entry.family}.md#{anchor(entry.title)})"
            rows.append([link, cell(pair.says), code, cell(difference(pair))])
    yield table(rows)


def public_models() -> Iterator[list[str]]:
    """The table that `nox -s calls` wrote."""
    yield ["library", "file or folder", "calls of PyTorch", "in the dictionary", "with a difference that matters"]
    for row in json.loads(CALLS.read_text("utf-8"))["rows"]:
        place = "all files" if row["place"] == "." else f"`{row['place']}`"
        numbers = (f"{row[name]:,}" for name in ("calls", "found", "differences"))
        yield [f"{row['library']} {row['version']}", place, *numbers]


def page(title: str, entries: list[Translation]) -> Iterator[str]:
    """A family: its calls, and the uses of each."""
    calls = ", ".join(dict.fromkeys(short(entry.name) for entry in entries))
    yield front(f"{title}, from PyTorch to JAX: {calls}."[:280])
    yield f"# {title}"
    yield "See [how to read an entry](index.md#how-to-read-it). The code was run as it is shown."
    for name, uses in groupby(sorted(entries, key=lambda entry: order(entries, entry)), lambda entry: entry.name):
        several = list(uses)
        yield heading(2, name, name, short(name))
        for entry in several:
            if entry.what:
                yield heading(3, entry.what, entry.title, entry.what)
            yield from described(entry)


def order(entries: list[Translation], entry: Translation) -> tuple[int, int]:
    """The uses of a call stand together, where its first one does."""
    return next(i for i, other in enumerate(entries) if other.name == entry.name), entries.index(entry)


def described(entry: Translation) -> Iterator[str]:
    names = [f"`{name}`" for name in entry.names if name != entry.name]
    yield f"{entry.summary[0].upper()}{entry.summary[1:]}." + (f" Other names: {', '.join(names)}." if names else "")
    if known := on_record(entry):
        reasons = "\n".join(f"- {prose(reason)}" for reason in known.reasons)
        page = f"[{known.activation}](../activations/{known.activation}.md)"
        yield f"The catalogue knows {known.all} deviations of {page}; its page has them all. Those of values and gradients:"
        yield reasons
    yield labelled("PyTorch", entry.torch, at(entry.offered[0]))
    yield from (offered(pair) for pair in entry.offered)
    if entry.maps:
        yield prose(entry.maps)
    for edge in edges(entry):
        yield f"**But {edge.at}** ({edge.libraries}): {prose(edge.difference)}"
    for pair in entry.contrasts:
        yield f'!!! warning "{LABELS[pair.kind]}: {prose(pair.says)}"'
        both = fenced(f"{pair.torch}\n{pair.code}")
        yield indented(f"{both}\n\n{prose(difference(pair))}")


def offered(pair: TranslatedPair) -> str:
    """The code of one library; what is written for JAX, where it has no function, says so."""
    library = NAMES[pair.library] if pair.kind == "counterpart" else "JAX, written out"
    return labelled(library, pair.code, prose(said(pair)))


def labelled(label: str, code: str, what: str) -> str:
    """Code below what it is: all libraries are seen at once."""
    return f"**{label}**: {what}\n{{ .code-label }}\n\n{fenced(code)}"


def at(pair: TranslatedPair) -> str:
    """The inputs it is judged at."""
    inputs = "; ".join(f"{name} = {value}" for name, value in pair.inputs.items())
    return prose(f"judged at {inputs}") if inputs else "drawn with seeds"


def short(name: str) -> str:
    return name.rpartition(".")[2].strip("_")


def known_as(report: TranslationReport, name: str) -> str:
    """A call by its last part, and by that of its module, where it has one: people look for either."""
    names = (
        alias for entry in report.entries if entry.name == name for alias in entry.names if alias.startswith("torch.nn.")
    )
    modules = [short(alias) for alias in names if short(alias)[0].isupper()]
    return " / ".join(dict.fromkeys([short(name), *modules][:2]))


def uses(report: TranslationReport, name: str) -> str:
    """The number of uses of a call that has several."""
    number = sum(entry.name == name for entry in report.entries)
    return f" ({number})" if number > 1 else ""


def heading(level: int, text: str, title: str, label: str) -> str:
    return f'{"#" * level} {prose(text)} {{ #{anchor(title)} data-toc-label="{label}" }}'


def anchor(title: str) -> str:
    return NO_ANCHOR.sub("-", title.lower()).strip("-")


def prose(text: str) -> str:
    """Text that Markdown takes for nothing else, but for code between backticks."""
    parts = text.split("`")
    return "`".join(part if i % 2 else plain(part) for i, part in enumerate(parts))


def plain(text: str) -> str:
    return re.sub(r"([\\*_\[\]>|#])", r"\\\1", text).replace("<", "&lt;")  # which no backslash escapes


def cell(text: str) -> str:
    return prose(" ".join(text.split()))


def in_a_cell(code: str) -> str:
    """The code where it is one line, else what it calls."""
    return (called(code) if "\n" in code else code).replace("|", "\\|")


def front(description: str, *more: str) -> str:
    return "\n".join(["---", f"description: {description!r}", *more, "---"])
