"""A page for each activation of the catalogue, made from its record, and a gallery of all of them."""

import inspect
import json
from collections.abc import Iterator, Sequence
from functools import cache, partial
from math import isinf, isnan
from pathlib import Path
from typing import Any

import disagreements
import examples
import figures
import formulas
import issues
import others
import products
import tolerances
import upstream
import verdict
from headings import NAMES, heading
from pieces import fenced, indented, table
from products import Content, Maker
from tolerances import Tolerance

import crosscheck
from crosscheck import Activation, Deviation
from crosscheck._frameworks.environment import environment
from crosscheck._records.implementations import Implementation, on_screen
from crosscheck._records.names import ORDER_NAMES
from crosscheck._report.report import Report
from crosscheck._verdict.environments import Environment, of_here, on_record, seen_here
from crosscheck._verify.curves import drawn
from crosscheck._verify.explain import explained
from crosscheck._verify.sightings.explanation import SENTENCES, Disagreement, Explanation
from crosscheck._verify.sightings.sight import Sighting

FOLDER = "activations"
ROWS = "rows.html"
"""The rows of the page with every disagreement, beside what is on the site."""
TOLERANCES = "tolerances.json"
"""How far apart two right results are, for the table of all functions."""

described = cache(environment)


def make(maker: Maker) -> None:
    """The page and the pictures of each activation, the gallery, and the page with every disagreement."""
    for record in crosscheck.activations.values():
        source = Path(inspect.getfile(record.definition))
        maker.make(f"activation-{record.name}", products.key(files=products.record(source)), partial(files, record))
    maker.forget("activation-")
    rows = {name: (maker.folder / f"activation-{name}" / ROWS).read_text("utf-8") for name in crosscheck.activations}
    by_function = {name: json.loads((maker.folder / f"activation-{name}" / TOLERANCES).read_text("utf-8")) for name in rows}
    more = others.rows(maker, upstream.with_releases_of(described()))
    pages = {
        f"site/{FOLDER}/index.md": gallery() + verdict.all_tolerances(by_function, described_here()),
        f"site/{disagreements.PAGE}": disagreements.page("".join(rows.values()) + more),
    }
    maker.make("catalogue", products.key(*pages.values()), lambda: pages)


def files(record: Activation) -> dict[str, Content]:
    made = explanation(record.name)
    limits = tolerances.measured(record)
    return {
        f"site/{FOLDER}/{record.name}.md": "\n\n".join(page(made, limits)),
        ROWS: "".join(disagreements.rows(record, made)),
        TOLERANCES: json.dumps([[tolerance.dtype, tolerance.order, str(tolerance)] for tolerance in limits]),
        **{f"site/{FOLDER}/{name}": content for name, content in figures.pictures(record)},
    }


def described_here() -> str:
    return str(Environment.of(described()))


def explanation(name: str) -> Explanation:
    """Every declared disagreement about an activation at one input, with the results of now."""
    return explained(crosscheck.activations[name], Report((), described()))


def gallery() -> str:
    """All activations as small pictures."""
    cards = [
        f"-   [{picture(record, 'small')}<br>**{record.name}**]({record.name}.md)\n\n    {summary(record)}"
        for record in crosscheck.activations.values()
    ]
    return "\n".join(
        (
            "---\nhide: [toc]\n---\n\n# Activations\n",
            "Each of these functions exists in both frameworks and is judged against the proven value of its formula. In "
            "the pictures, the function is orange and its gradient is blue, for inputs from "
            f"{figures.LOW:g} to {figures.HIGH:g}.\n",
            '<div class="grid cards gallery" markdown>\n',
            "\n\n".join(cards),
            "\n</div>",
        )
    )


def summary(record: Activation) -> str:
    """What makes the function useful, in one paragraph: the text at the head of its file."""
    module = inspect.getmodule(record.definition)
    return " ".join((inspect.getdoc(module) or "").partition("\n\n")[0].split())


def picture(record: Activation, kind: str = "") -> str:
    """The picture in both inks; the theme shows the one that suits."""
    kind, text, suffix = {
        "": ("", f"{record.name} and its gradient", "svg"),
        "small": ("-small", "", "svg"),
        "errors": ("-errors", f"{record.name}: the error of each implementation in ULP", "png"),
    }[kind]
    plot = " .plot .narrow" if suffix == "png" else ""
    return "".join(
        f"![{text}]({record.name}{kind}-{scheme}.{suffix}#only-{scheme}){{ loading=lazy{plot} }}" for scheme in figures.INKS
    )


def page(made: Explanation, limits: list[Tolerance]) -> Iterator[str]:
    """The verdict first, then what to write, then what a reader may want to know."""
    record = made.activation
    here = Environment.of(described())
    yield f"---\ndescription: {json.dumps(summary(record))}\nsearch:\n  boost: {boost(record.name)}\n---"
    yield f"# {record.name}"
    yield summary(record)
    yield from verdict.verdict(made, limits)
    yield "## What to write"
    yield tabs({side: verdict.what_to_write(record, side) for side in NAMES})
    yield from verdict.how_far(record, described_here())
    yield table(tolerances.table(limits))
    yield "## Known disagreements"
    if made.disagreements:
        yield "Here the functions that the frameworks ship deviate from the exact result, or from each other:"
        yield table(verdict.listed(made))
    else:
        yield "No disagreement is known. At every input that was tried, both frameworks are within the budget and agree."
    yield f"## Formula and derivative\n\n{picture(record)}"
    if record.rows:
        yield f"The picture shows {drawn(record)[2]} and its derivative by x."
    yield f"$$\n{record.latex}\n$$"
    formula = formulas.derivative(record)
    if formula:
        yield f"Its derivative:\n\n$$\nf'(x) = {formula}\n$$"
    yield "These forms of the first and the second derivative keep their digits in floating point:"
    yield f"- {doc(record.derivative)}\n- {doc(record.second_derivative)}"
    yield facts(record)
    yield "## How accurate they are"
    yield (
        "The figure shows errors in [ULP](../method.md#the-error-in-ulp), in float32. `own torch` and `own jax` are "
        "crosscheck's implementations. `torch` and `jax` are the functions that the frameworks ship."
        f"\n\n{picture(record, 'errors')}"
    )
    yield "## crosscheck's own implementations { data-search-exclude }"
    yield instead(record)
    yield tabs({side: usage(record, side) for side in NAMES})
    yield "This is their code. In it, `m` has the framework's functions under numpy's names:"
    yield tabs({side: implementation(record, side) for side in NAMES})
    yield "These are the functions that PyTorch and JAX ship:"
    yield tabs({side: shipped(record, side) for side in NAMES})
    if made.disagreements:
        yield "## The disagreements one by one"
        yield (
            "Every run of `crosscheck verify` [checks each of them](../method.md#deviations). The results below were "
            "computed when this page was built."
        )
        seen = {str(evidence.id): evidence for evidence in made.disagreements}
        for deviation in sorted(of_here(record, here).deviations, key=verdict.severest_first):
            yield from disagreement(made, seen[deviation.id], deviation)


def boost(name: str) -> int:
    """How much a search prefers a page: softmax before log_softmax, and both before those that mention it."""
    return 4 if any(name in other.split("_") and name != other for other in crosscheck.activations) else 2


def facts(record: Activation) -> str:
    """Parameters, kinks and limits as a table."""
    rows = [("names", ", ".join(f"`{name}`" for name in (record.name, *record.aliases)))]
    if record.parameters:
        rows.append(("parameters", ", ".join(f"`{name}={value:g}`" for name, value in record.parameters.items())))
    kinks = record.kinks_at(record.parameters)
    rows += [("kink", f"{kink}, as [here]({kink.source})") for kink in kinks]
    if not kinks:
        rows.append(("kinks", "none"))
    limits = record.limits_at(record.parameters)
    for sign, values, end in zip("−+", (limits.minus, limits.plus), record.domain, strict=True):
        said = (f"{name} {number(value)}" for name, value in zip(ORDER_NAMES, values, strict=True))
        alone = "of a row of one entry: " if record.rows else ""
        alone = "of the gate of an entry 1: " if record.result == "half" else alone
        where = f"{sign}∞" if isinf(end) else f"{end:g}, the end of the domain"
        rows.append((f"limits at {where}", alone + ", ".join(said)))
    return "### Kinks and limits\n\n" + table([["", ""], *map(list, rows)])


def number(value: float) -> str:
    return "has none" if isnan(value) else f"{value:.6g}".replace("inf", "∞").replace("-", "−")


def tabs(texts: dict[str, str]) -> str:
    """One tab for each framework; tabs of the same name are switched together all over the site."""
    return "\n\n".join(f'=== "{NAMES[side]}"\n\n{indented(text)}' for side, text in texts.items())


def usage(record: Activation, side: str) -> str:
    """A snippet, with what it prints."""
    x, of = ("[[1.0, 2.0, 4.0]]", "[0, 2]") if record.rows else ("[-2.0, -0.5, 0.5, 2.0]", ".sum()")
    x, of = {"row": (x, of), "half": ("[[1.0, 2.0, 4.0, -1.0]]", "[0, 1]"), "one": (x, "[0]")}[record.result]
    imports = {"torch": "import torch", "jax": "import jax"}[side]
    calls = {
        "torch": f"x = torch.tensor({x}, requires_grad=True)\ny = {record.name}.torch(x)\ny{of}.backward()\n"
        "print(y.detach())\nprint(x.grad)",
        "jax": f"x = jax.numpy.array({x})\nprint({record.name}.jax(x))\n"
        f"print(jax.grad(lambda x: {record.name}.jax(x){of})(x))",
    }[side]
    code = f"import crosscheck\n{imports}\n\n{record.name} = crosscheck.activations[{record.name!r}]\n{calls}"
    return f"{fenced(code)}\n\n{fenced(examples.python(code, {}).rstrip(), 'text')}"


def shipped(record: Activation, side: str) -> str:
    native = record.natives.get(side)
    if native is None:
        return f"{NAMES[side]} ships no such function."
    said = f"`{native.path}`" + (f", called as `{native.call}`" if native.call else "")
    if native.parameters:
        said += ", where " + ", ".join(
            f"`{name}` is called `{native_name}`" for name, native_name in native.parameters.items()
        )
    if native.lacks:
        said += f", without {' and '.join(f'`{name}`' for name in native.lacks)}"
    if native.matched:
        arguments = ", ".join(f"{key}={value!r}" for key, value in native.matched.items())
        said += f". It computes the function of this page if you give it `{arguments}`"
    return f"{said}."


def disagreement(made: Explanation, evidence: Disagreement, deviation: Deviation) -> Iterator[str]:
    """What happens, why, where, and a program that shows it; its id is small, below a heading that people understand."""
    said = heading(made.activation, deviation, evidence)
    yield f"### {said} {{ #{deviation.id} }}"
    bug = "It looks like a bug of the framework. " if evidence.bug else ""
    gone = f" It is gone in {upstream.fixed_in(evidence)}." if upstream.fixed_in(evidence) else ""
    who = on_screen(evidence.implementations)
    issue = upstream.known(evidence.link)
    yield f"{bug}{evidence.reason}{gone} " + (f"See {issue}." if issue else f"[Source]({evidence.link})")
    cause = f"[{evidence.cause}](../method.md#causes){{ title={SENTENCES[evidence.cause]!r} }}"
    yield (
        " ".join([f"`{deviation.id}`, {who}: {cause}.", *(environments(evidence, deviation) if evidence.seen_in else ())])
        + "\n{ .small }"
    )
    sighting = evidence.sighting
    if sighting is None:
        return
    yield "<div data-search-exclude markdown>"
    yield sighted(sighting, evidence.cause)
    code = {result: fenced(made.snippet(sighting, result)) for result in sighting.results}
    if evidence.cause == "layout":  # results of one framework
        shown = "\n\n".join(f"{result.label}:\n\n{text}" for result, text in code.items())
    else:
        shown = tabs({Implementation.of(result.implementation).side: text for result, text in code.items()})
    if issues.reportable(deviation, evidence):
        yield issues.button(made, deviation, evidence)
    yield f'???{"+" * evidence.bug} example "Reproduce it"\n\n{indented(shown)}'
    yield f'??? abstract "Where"\n\n{indented(regions(deviation))}'
    yield "</div>"


def environments(evidence: Disagreement, deviation: Deviation) -> Iterator[str]:
    """Where it was seen, where it was looked for in vain, and what a reader can expect of the results on this page."""
    yield f"Observed in {listed(evidence.seen_in)}."
    if evidence.not_seen_in:
        yield f"Tried but not observed in {listed(evidence.not_seen_in)}."
    here = Environment.of(described())
    if on_record(here) and not any(seen_here(deviation, here, region) for region in deviation.regions):
        yield f"The results below are from the machine that built this page ({here}), where it was not observed."


def listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def sighted(sighting: Sighting, cause: str) -> str:
    """What was computed at one input, as a table."""
    row = sighting.row
    at = f"x = {sighting.input!r}" if row is None else f"entry {row.position} of a row of {len(row.bits)}"
    at = f"a row of {len(row.bits)}" if row and row.position is None else at
    at = f"the gate {sighting.input!r} in a row of {len(row.bits)}" if row and row.known_by == "gate" else at
    parameters = "".join(f", {name} = {value:g}" for name, value in sighting.parameters.items())
    rows = [[f"{ORDER_NAMES[sighting.order]} at {at}, {sighting.dtype}{parameters}", "result", "error"]]
    if sighting.exact is not None:
        rows.append(["exact, correctly rounded", repr(sighting.exact), ""])
    for result in sighting.results:
        measured = cause in ("definition", "inaccurate", "layout") and not isnan(result.ulp)
        got = str(result.message) if result.got is None else repr(result.got)
        rows.append([result.label, got, f"{result.ulp:.3g} ULP" if measured else ""])
    return table(rows)


def regions(deviation: Deviation) -> str:
    """A deviation's regions as a table; dtypes that share one stand together."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for region in deviation.regions:
        inputs = ", ".join(interval(low, high) for low, high in region.intervals)
        lengths = ", ".join(map(str, region.lengths))
        values = ", ".join(f"{name} {value:g}" for name, value in region.parameters.items())
        key = (
            ORDER_NAMES[region.order],
            inputs,
            lengths,
            values,
            "" if isinf(region.bound()) else f"{region.bound():.3g} ULP",
        )
        rows.setdefault(key, []).extend(region.dtypes)
    head = ["", "inputs", "length of the row", "parameters", "error at most", "dtypes"]
    return table([head, *([*key, ", ".join(dtypes)] for key, dtypes in rows.items())])


def interval(low: float, high: float) -> str:
    said = number(low) if low == high or isnan(low) else f"{number(low)} to {number(high)}"
    return said.replace("has none", "NaN")


def instead(record: Activation) -> str:
    return (
        f"In both frameworks, `crosscheck.activations[{record.name!r}]` is within the budget at every input that was tried. "
        "You can differentiate it twice."
    )


def implementation(record: Activation, side: str) -> str:
    """The source of the value and of its derivative rules."""
    rules = (getattr(record, f"{side}_{part}") for part in ("value", "gradient", "second"))
    sources = dict.fromkeys(inspect.getsource(rule).rstrip() for rule in rules if rule is not None)
    return fenced("\n\n\n".join(sources))


def doc(formula: Any) -> str:
    return " ".join((inspect.getdoc(formula) or "not described").split()).replace("*", r"\*")
