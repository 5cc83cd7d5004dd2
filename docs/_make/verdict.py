"""The head of an activation's page: the verdict, what to write, and how far apart two right results lie."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import tolerances
import upstream
from headings import NAMES, heading, orders, who
from pieces import fenced, table
from tolerances import HIGH, LOW, Tolerance

from crosscheck import Activation, Deviation
from crosscheck._records.implementations import MATCHED, Implementation
from crosscheck._records.names import CAUSES, DTYPES, ORDER_NAMES
from crosscheck._verify.curves import drawn
from crosscheck._verify.sightings.explanation import Explanation

KINDS = {
    "error": "an error",
    "missing": "no derivative",
    "special": "a wrong NaN, infinity or zero",
    "definition": "another function",
    "inaccurate": "lost digits",
    "layout": "results that depend on the place in the array",
    "convention": "another choice, where nobody is wrong",
}


def verdict(made: Explanation, limits: list[Tolerance]) -> Iterator[str]:
    """Two lines: whether the two are the same function, and how large a difference is normal."""
    record = made.activation
    yield '!!! abstract "The verdict"'
    lines = (f"{same(record)} {known(record)}", usual(record, limits))
    yield "\n\n".join(f"    {line}" for line in lines if line)


def same(record: Activation) -> str:
    if lacking := [NAMES[side] for side in NAMES if side not in record.natives]:
        return f"**{' and '.join(lacking)} has no such function.** crosscheck has one for both frameworks."
    others = [deviation for deviation in record.deviations if deviation.cause == "definition"]
    by_default = [
        deviation
        for deviation in others
        if any(Implementation.of(name).kind != MATCHED for name in deviation.implementations)
    ]
    if not by_default:
        return "**PyTorch and JAX compute the same function.**"
    what = " and ".join(another(record, deviation) for deviation in by_default)
    mends = [f"`{call(record, side)}`" for side, native in record.natives.items() if native.matched]
    write = f" Write {' and '.join(mends)}." if mends else ""
    return f"**PyTorch and JAX compute different functions by default.** {what}.{write}"


def another(record: Activation, deviation: Deviation) -> str:
    """Who computes another function, which leads to what is known of it."""
    name = who(record, deviation.implementations)
    verb = "compute" if " and " in name else "computes"
    return f"[{name} {verb} another function than this page's](#{deviation.id}), in the {orders(deviation)}"


def known(record: Activation) -> str:
    count, bugs = len(record.deviations), sum(deviation.bug for deviation in record.deviations)
    if not count:
        return "No disagreement is known."
    ones = "disagreements](#known-disagreements) are" if count > 1 else "disagreement](#known-disagreements) is"
    look = "it looks like a bug" if count == 1 else f"{bugs} of them {'looks like a bug' if bugs == 1 else 'look like bugs'}"
    return f"[{count} {ones} known" + (f"; {look}." if bugs else ".")


def usual(record: Activation, limits: list[Tolerance]) -> str:
    """The tolerance of float32."""
    cells = {tolerance.order: str(tolerance) for tolerance in limits if tolerance.dtype == "float32"}
    if set(cells) != {0, 1}:
        return ""
    value, gradient = ("none" if text == "equal" else f"up to {text}" for _, text in sorted(cells.items()))
    return (
        f"**A normal difference**, in float32 and for x from {LOW:g} to {HIGH:g}, is {value} in the value and {gradient} in "
        "the gradient. A larger difference is a mistake in the port."
    )


def call(record: Activation, side: str) -> str:
    """The call that computes this function."""
    native = record.natives[side]
    if native.call:
        values = {**record.parameters, **({"axis": -1} if record.rows else {})}
        for name, value in values.items():
            text = f"{value:g}" if value == int(value) else repr(value)
            written = re.sub(rf"(?<![.\w]){name}(?![\w(=])", text, native.call) if name in native.call else native.call
            native = replace(native, call=written)
        return native.call
    arguments = dict(native.matched)
    if record.rows:
        arguments = {native.parameters.get("axis", "axis"): record.parameters.get("axis", -1), **arguments}
    named = "".join(f", {key}={value!r}" for key, value in arguments.items())
    return f"{native.path}()(x)" if native.path.rpartition(".")[2][0].isupper() else f"{native.path}(x{named})"


def what_to_write(record: Activation, side: str) -> str:
    """What the framework ships, and crosscheck's own."""
    shipped = f"y = {call(record, side)}  # shipped\n" if side in record.natives else ""
    own = f"y = crosscheck.activations.{record.name}.{side}(x)  # crosscheck's own"
    return fenced(f"{shipped}{own}")


def how_far(record: Activation, built: str) -> Iterator[str]:
    """What the table of tolerances says."""
    yield "## How much two right results differ"
    yield (
        "The table shows the largest difference between the calls above. If a framework ships no such function, "
        f"crosscheck's own is taken. The difference was measured at {tolerances.COUNT:,} inputs from {LOW:g} to {HIGH:g}, "
        f"without kinks, and at fewer inputs in 16 bits, with {built}. `rtol` and `atol` are those of "
        "`numpy.testing.assert_allclose`. One of them is enough. If only `atol` is given, results near 0 share no digit, so "
        "no `rtol` would be large enough." + (f" Here x is {drawn(record)[2]}." if record.rows else "")
    )


def all_tolerances(by_function: Mapping[str, Sequence[tuple[str, int, str]]], built: str) -> str:
    """The tolerances of every function, by dtype."""
    lines = [
        "\n\n## Tolerances",
        "The table shows how much PyTorch and JAX differ although both are right. It has the largest difference between the "
        f"calls on each function's page, for x from {LOW:g} to {HIGH:g}, measured with {built}. `rtol` and `atol` are "
        "those of `numpy.testing.assert_allclose`. One of them is enough.",
    ]
    rows = [["function", "derivative", *DTYPES]]
    for name, cells in by_function.items():
        said = {(dtype, order): text for dtype, order, text in cells}
        for order in sorted({order for _, order in said}):
            texts = (said.get((dtype, order), "").replace(" or ", "<br>") for dtype in DTYPES)
            rows.append([f"[{name}]({name}.md)", ORDER_NAMES[order], *texts])
    return "\n\n".join([*lines, table(rows)])


def severest_first(deviation: Deviation) -> tuple[int, bool]:
    """By cause, worst first, and of one cause what looks like a bug."""
    return CAUSES.index(deviation.cause), not deviation.bug


def listed(made: Explanation) -> list[list[str]]:
    """The disagreements as rows of a table, each leading to what is known of it."""
    seen = {disagreement.id: disagreement for disagreement in made.disagreements}
    rows = [["disagreement, severest first", "kind"]]
    for deviation in sorted(made.activation.deviations, key=severest_first):
        said = heading(made.activation, deviation, seen[deviation.id])
        gone = upstream.fixed_in(seen[deviation.id])
        kind = "**looks like a bug**" if deviation.bug else KINDS[deviation.cause]
        rows.append([f"[{said}](#{deviation.id})", kind + (f", gone in {gone}" if gone else "")])
    return rows
