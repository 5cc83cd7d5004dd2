"""An activation explained: what it means, and each disagreement with its cause and a snippet that reproduces it."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf, isnan
from typing import Any

from crosscheck._compare.curves import REPEATED, Result, Row, Sighting
from crosscheck._numerics.sampling import GATES, PAIRS, SIZES
from crosscheck._report.json_file import plain
from crosscheck._report.report import Report
from crosscheck._report.text import headline
from crosscheck._spec.records import ORDER_NAMES, Activation

WIDTH = 110
LONG = 32
"""A longer row is not written out in a snippet but made as :func:`sampled_rows` makes it."""
MOST_SETTINGS = 6
SCHEMA = "crosscheck.explain/1"

PLAIN: tuple[tuple[str, ...], ...] = (
    (),
    ("row += numpy.linspace(-1, 1, row.size)", "row[0] += 90"),
    ("row[::2] = -numpy.inf",),
    ("row[:] = -numpy.inf",),
    ("row[-1] = numpy.inf",),
    ("row[:2] = numpy.inf",),
    ("row[0] = numpy.nan",),
)
"""The sampled rows that are not random, made from a row of zeros."""

SENTENCES = {
    "error": "The function raises an exception instead of giving a result.",
    "missing": "The framework finds no path from the result back to the input, so there is no derivative, or one that is "
    "cut off from the input.",
    "special": "One of the results is NaN or infinity where the exact result is not, or the other way round; often an "
    "intermediate step overflowed.",
    "definition": "This is not rounding: another function is computed here, and it stays another one when it is computed "
    "with more digits.",
    "inaccurate": "It is the right function, but digits are lost on the way: the result is further from the exact one than "
    "rounding alone explains, and with more digits the error shrinks.",
    "layout": "The same number gives another result at another place in the array, because vectorised and scalar code "
    "compute it by different steps.",
    "convention": "Mathematics leaves a choice here (the slope at a kink, the sign of a zero, the derivative at NaN), and "
    "another valid choice is made; nobody is wrong.",
    "flush": "Numbers below the smallest normal one (subnormals) are replaced by 0 to be faster.",
    "rounding": "Each step of a computation rounds to the nearest number of the format; the results differ by a few last "
    "digits and no more.",
    "exact": "The result is the exact one, correctly rounded.",
}
"""Each cause in one sentence for someone who meets floating point for the first time."""


@dataclass(frozen=True)
class Source:
    """How Python code gets hold of a record: lines that come first, and an expression."""

    lines: tuple[str, ...]
    expression: str


@dataclass(frozen=True)
class Disagreement:
    """One disagreement. A declared one has the deviation's id, reason and link, and says whether this run showed it.

    ``declared_results`` are those of the anchor; ``elsewhere`` names further dtypes, orders, modes and parameters at
    which an undeclared one shows; ``inputs`` counts the inputs that show it. Where a subject raised whatever the
    input, there is no sighting and ``message`` is what it raised.
    """

    id: str | None
    cause: str
    subjects: tuple[str, ...]
    order: int
    sighting: Sighting | None
    seen: bool = True
    declared_results: Mapping[str, float] = dataclasses.field(default_factory=dict)
    reason: str = ""
    link: str = ""
    bug: bool = False
    elsewhere: tuple[str, ...] = ()
    inputs: int = 0
    message: str | None = None


@dataclass(frozen=True)
class Explanation:
    """An activation with its disagreements, declared and not, and the report of the run that looked for them."""

    activation: Activation
    source: Source
    report: Report
    disagreements: tuple[Disagreement, ...]

    @property
    def passed(self) -> bool:
        """Whether every disagreement is declared and every declaration holds."""
        return self.report.passed

    def __str__(self) -> str:
        return render(self)

    def data(self) -> dict[str, object]:
        """The explanation as plain data."""
        record = self.activation
        limits = record.limits_at(record.parameters)
        return {
            "schema": SCHEMA,
            "environment": plain(self.report.environment),
            "activation": {
                "name": record.name,
                "aliases": plain(record.aliases),
                "latex": record.latex,
                "derivative": _doc(record.derivative),
                "second_derivative": _doc(record.second_derivative),
                "parameters": plain(record.parameters),
                "kinks": [plain(dataclasses.asdict(kink)) for kink in record.kinks_at(record.parameters)],
                "domain": plain(record.domain),
                "limits": plain(dataclasses.asdict(limits)),
            },
            "disagreements": [
                {
                    **{key: plain(value) for key, value in dataclasses.asdict(one).items()},
                    "explanation": SENTENCES[one.cause],
                    "snippets": {r.subject: snippet(self, one.sighting, r) for r in one.sighting.results}
                    if one.sighting
                    else {},
                }
                for one in self.disagreements
            ],
            "summary": {"passed": self.passed, "headline": headline(self.report)},
        }


def render(explanation: Explanation) -> str:
    """The explanation as plain text; the snippets stand at the margin, so that they can be pasted."""
    blocks = [_definition(explanation.activation), _verdict(explanation)]
    blocks += [_disagreement(explanation, i, one) for i, one in enumerate(explanation.disagreements, 1)]
    failed = [finding for finding in explanation.report.findings if finding.failed]
    if failed:
        lines = [_item(f"{finding.deviation}: {finding.message}") for finding in failed]
        blocks.append("\n".join(["Declared disagreements that this run refutes:", *lines]))
    return "\n\n".join(blocks)


def _definition(record: Activation) -> str:
    names = ", ".join(record.aliases)
    module = inspect.getmodule(record.definition)
    about = inspect.getdoc(module) if module is not None and module.__doc__ else None
    lines = [record.name + (f", also called {names}" if names else "")]
    if about:
        lines.append(_fill(about.partition("\n")[0], ""))
    lines += [
        "",
        _field("definition", record.latex or _doc(record.definition)),
        _field("derivative", _doc(record.derivative)),
        _field("second derivative", _doc(record.second_derivative)),
        _field("parameters", ", ".join(f"{name} = {value:g}" for name, value in record.parameters.items()) or "none"),
    ]
    at = " at these parameters" if record.parameters else ""
    kinks = record.kinks_at(record.parameters)
    if not kinks:
        lines.append(_field("kinks", f"none{at}"))
    for kink in kinks:
        lines.append(_field("kink", f"{kink}, as in {kink.source}"))
    limits = record.limits_at(record.parameters)
    of_entry = "of one entry alone: " if record.rows else ""
    of_entry = "of a gate beside 1: " if record.result == "half" else of_entry
    low, high = (_limits(values, end) for values, end in zip((limits.minus, limits.plus), record.domain, strict=True))
    lines.append(_field("limits", f"{of_entry}{low}; {high}"))
    return "\n".join(lines)


def _limits(values: tuple[float, float, float], end: float) -> str:
    said = (
        f"{name} {'has none' if isnan(value) else f'{value:g}'}" for name, value in zip(ORDER_NAMES, values, strict=True)
    )
    where = f"{'+' if end > 0 else '-'}infinity" if isinf(end) else f"{end:g}, the end of its domain,"
    return f"at {where} " + ", ".join(said)


def _verdict(explanation: Explanation) -> str:
    declared = sum(one.id is not None for one in explanation.disagreements)
    undeclared = len(explanation.disagreements) - declared
    if not explanation.disagreements:
        said = "No disagreement: every result of every subject is within its budget, and PyTorch and JAX agree."
        said = said if explanation.passed else "No disagreement is declared."
    else:
        said = f"{_count(declared, 'declared disagreement')}, {_count(undeclared, 'undeclared')}."
    described = explanation.report.environment
    versions = []
    for name in ("torch", "jax"):
        framework: Any = described.get(name, {})
        versions.append(f"{name} {framework.get('version', 'is missing')}")
    return _fill(f"{said} {headline(explanation.report)} ({', '.join(versions)}, {described.get('device')})", "")


def _count(n: int, what: str) -> str:
    return f"{n or 'no'} {what}" + ("s" if n != 1 and not what.startswith("un") else "")


def _disagreement(explanation: Explanation, number: int, one: Disagreement) -> str:
    status = "NOT DECLARED" if one.id is None else "declared" + ("" if one.seen else ", not seen in this run")
    title = one.id or f"{' and '.join(one.subjects)}: {one.cause} in the {ORDER_NAMES[one.order]}"
    lines = [f"{number}. {title} ({one.cause}, {status})" if one.id else f"{number}. {title} ({status})"]
    sighting = one.sighting
    if sighting is not None:
        where = f"{sighting.dtype}, {ORDER_NAMES[sighting.order]}, {sighting.mode}"
        parameters = "".join(f", {name} = {value:g}" for name, value in sighting.parameters.items())
        at = f"x = {sighting.input!r} ({sighting.input_bits})" if sighting.row is None else _place(sighting, sighting.row)
        lines.append(_field("input", f"{at}: {where}{parameters}"))
        lines += [_field(result.subject, _result(result, one)) for result in sighting.results]
        rows = f" and in rows whose {sighting.row.known_by} entry has no limit" if sighting.row else ""
        rows = " and where a pair has no limit" if sighting.row and sighting.row.known_by == "gate" else rows
        nothing = f"none (at NaN{rows} the frameworks' derivatives are compared with each other)"
        lines.append(_field("exact", nothing if sighting.exact is None else f"{sighting.exact!r}, correctly rounded"))
    if one.message is not None:
        lines.append(_field("raised", one.message))
    if one.inputs:
        lines.append(_field("inputs", f"{one.inputs:,} show it"))
    if one.elsewhere:
        more = len(one.elsewhere) - MOST_SETTINGS
        lines.append(
            _field("also in", "; ".join(one.elsewhere[:MOST_SETTINGS]) + (f"; and {more} more" if more > 0 else ""))
        )
    lines.append(_field("cause", f"{one.cause}: {SENTENCES[one.cause]}"))
    if one.reason:
        lines.append(_field("reason", one.reason))
    if one.bug:
        lines.append(_field("bug", "it looks like a bug of the framework; the snippet below is ready for a report"))
    if one.link:
        lines.append(_field("link", one.link))
    for result in sighting.results if sighting else ():
        code = snippet(explanation, sighting, result) if sighting else ""
        lines += ["", f"   To reproduce {result.subject}:", "", "```python", code, "```"]
    return "\n".join(lines)


def _place(sighting: Sighting, row: Row) -> str:
    """An entry of a row in words."""
    length = len(row.bits)
    apart = sighting.input
    if row.known_by == "gate" and row.position is not None:
        half = length // 2
        j = row.position % half
        by = f", by x[{row.position}]," if sighting.order else ""
        gate = f"x[{j + half}] = {row.extreme!r} ({row.bits[j + half]})"
        return f"x[{j}] ({row.bits[j]}) with the gate {gate}{by} in a row of {length}"
    if isnan(apart):
        known = "a row with a NaN"
    elif isinf(row.extreme):
        known = f"a row whose {row.known_by if length > 1 else 'only'} entry is {row.extreme:g}"
    elif isinf(apart):
        known = f"an entry of {apart:g}"
    elif apart == 0:
        known = f"the {row.known_by} entry of its row"
    else:
        known = f"an entry {abs(apart):.4g} {'below' if apart < 0 else 'above'} the {row.known_by} of its row"
    if row.position is None:
        known = f"a row whose {row.known_by} entry is {row.entry:g}" if known.startswith(("an entry", "the")) else known
        return f"{known}, of {length}"
    bits = row.bits[row.position]
    return f"{known}: x[{row.position}] = {row.entry!r} ({bits}) in a row of {length}"


def _result(result: Result, one: Disagreement) -> str:
    if result.got is None:
        return str(result.message)
    measured = one.cause in ("definition", "inaccurate", "layout") and not isnan(result.ulp)
    said = repr(result.got) + (f", error {result.ulp:.4g} ULP" if measured else "")
    declared = one.declared_results.get(result.subject)
    return said if declared is None or repr(declared) == repr(result.got) else f"{said} (declared: {declared!r})"


def snippet(explanation: Explanation, sighting: Sighting, result: Result) -> str:
    """Python code that prints what a subject gives at an input, with the lines to expect as comments."""
    framework = result.subject.partition(".")[0]
    if framework == "torch":
        lines = _torch(explanation, sighting, result.subject)
    elif framework == "jax":
        lines = _jax(explanation, sighting, result.subject)
    else:
        lines = _analytic(explanation, sighting)
    if result.got is None:
        lines.append(f"# {'raises ' if ':' in str(result.message) else ''}{result.message}".replace("\n", " "))
    else:
        lines[-1] += f"  # prints {result.got!r}"
    if sighting.exact is not None:
        lines.append(
            f"# the exact {ORDER_NAMES[sighting.order]}, correctly rounded to {sighting.dtype}, is {sighting.exact!r}"
        )
    return "\n".join(lines)


def _bits(sighting: Sighting, name: str = "row") -> str:
    """The bits of the input, or the row of that name, many times over."""
    return f"[{name}] * {sighting.row.sampled}" if sighting.row else f"[{sighting.input_bits}] * {REPEATED}"


def _unsigned(sighting: Sighting) -> str:
    """The integer type that holds the bits."""
    return f"uint{4 * (len(sighting.input_bits) - 2)}"


def _numpy(sighting: Sighting) -> str:
    """The dtype for numpy."""
    return f"{'ml_dtypes' if sighting.dtype == 'bfloat16' else 'numpy'}.{sighting.dtype}"


def _rows(sighting: Sighting) -> tuple[tuple[str, ...], list[str]]:
    """What to import, and the lines that make the row and the direction of the derivative: lists of bits."""
    row = sighting.row
    if row is None:
        return (), []
    if len(row.bits) <= LONG or row.number is None:
        return (), [*_listed("row", row.bits), *(_listed("direction", row.direction) if sighting.order else ())]
    bits = f".astype({_numpy(sighting)}).view(numpy.{_unsigned(sighting)}).tolist()"
    if row.known_by == "gate" and len(set(row.bits)) <= 2:  # of one pair
        half = len(row.bits) // 2
        lines = [f"row = [{row.bits[0]}] * {half} + [{row.bits[-1]}] * {half}"]
    else:
        lines = [*_made(row, row.number), f"row = row{bits}  # {len(row.bits)} entries as bits"]
    if sighting.order:
        drawn = f"standard_normal(({row.sampled}, {len(row.bits)}))[{row.number}]"
        lines += [f"direction = numpy.random.default_rng({len(row.bits)}).{drawn}", f"direction = direction{bits}"]
    narrow = ["import ml_dtypes"] if sighting.dtype == "bfloat16" else []
    return (*narrow, "import numpy"), lines


def _listed(name: str, bits: tuple[str, ...]) -> list[str]:
    line = f"{name} = [{', '.join(bits)}]"
    if len(line) <= WIDTH:
        return [line]
    return [f"{name} = [", *textwrap.wrap(", ".join(bits), WIDTH, initial_indent="    ", subsequent_indent="    "), "]"]


def _made(row: Row, number: int) -> list[str]:
    """A sampled row in numpy, in float64."""
    if row.known_by == "gate":
        return _made_of_pairs(row, number)
    length, drawn = len(row.bits), (row.sampled - len(PLAIN)) // 2
    mirrored = ["row = -row"] if row.known_by == "smallest" else []
    if number >= 2 * drawn:
        return [f"row = numpy.zeros({length})", *PLAIN[number - 2 * drawn], *mirrored]
    half, i = divmod(number, drawn)
    return [
        f"rng = numpy.random.default_rng({(2**32 + length, 0)[half]})",
        f"spread = rng.choice([1.0, 10.0, 50.0], ({drawn}, 1))",
        f"level = rng.choice([0.0, 0.0, 100.0, -950.0, 950.0], ({drawn}, 1))",
        f"row = (level + rng.uniform(-1, 1, ({drawn}, {length})) * spread)[{i}]",
        *mirrored,
    ]


def _made_of_pairs(row: Row, number: int) -> list[str]:
    half = len(row.bits) // 2
    drawn = (row.sampled - len(PAIRS) - 1) // 2
    which, i = divmod(number, drawn)
    return [
        f"rng = numpy.random.default_rng({(2**32 + 2 * half, 0)[which]})",
        f"numbers = rng.choice({SIZES}, ({drawn}, {half})) * rng.standard_normal(({drawn}, {half}))",
        f"gates = rng.choice({GATES}, ({drawn}, {half})) * rng.uniform(-1, 1, ({drawn}, {half}))",
        f"row = numpy.concatenate([numbers, gates], axis=1)[{i}]",
    ]


def _along_first(sighting: Sighting) -> bool:
    """Whether the rows lie along the first axis."""
    return sighting.row is not None and sighting.parameters["axis"] == 0


def _element(sighting: Sighting) -> str:
    """Where the result is."""
    if sighting.row is None or sighting.row.position is None:
        return "0"
    return f"{sighting.row.position}, 0" if _along_first(sighting) else f"0, {sighting.row.position}"


def _said(sighting: Sighting) -> str:
    if sighting.row is None:
        return f"  # {sighting.input!r}"
    if sighting.row.position is None:
        return f"  # the {sighting.row.known_by} entry is {sighting.row.entry!r}"
    return f"  # entry {sighting.row.position} is {sighting.row.entry!r}"


def _torch(explanation: Explanation, sighting: Sighting, subject: str) -> list[str]:
    imports, call = _call(explanation, sighting, subject)
    needed, rows = _rows(sighting)
    turned = ".T.contiguous()" if _along_first(sighting) else ""

    def tensor(bits: str) -> str:
        return f"torch.tensor({bits}, dtype=torch.{_unsigned(sighting)}).view(torch.{sighting.dtype}){turned}"

    grad = ".requires_grad_()" if sighting.order else ""
    lines = [*_imports("import torch", *needed, *imports), "", *rows]
    lines += [f"x = {tensor(_bits(sighting))}{grad}{_said(sighting)}"]
    along = "torch.ones_like(y)"
    if sighting.row and sighting.order:
        along = "v"
        lines.append(f"v = {tensor(_bits(sighting, 'direction'))}")
    lines.append(f"y = {call}")
    for k in range(sighting.order):
        again = ", create_graph=True" if k + 1 < sighting.order else ""
        part = _part(explanation, sighting) if k == 0 else ""
        lines.append(f"(y,) = torch.autograd.grad(y, x, {along}{part}{again})")
    return [*lines, f"print(y[{_element(sighting)}].item())"]


def _jax(explanation: Explanation, sighting: Sighting, subject: str) -> list[str]:
    imports, call = _call(explanation, sighting, subject)
    needed, rows = _rows(sighting)
    narrow = ["import ml_dtypes"] if sighting.dtype == "bfloat16" else []
    turned = ".T" if _along_first(sighting) else ""

    def array(bits: str) -> str:
        return f"numpy.array({bits}, numpy.{_unsigned(sighting)}).view({_numpy(sighting)}){turned}"

    lines = [*_imports("import jax", *narrow, "import numpy", *needed, *imports), "", *rows]
    lines.append(f"x = {array(_bits(sighting))}{_said(sighting)}")
    along = ""
    if sighting.row and sighting.order:
        along = " * v"
        lines.append(f"v = {array(_bits(sighting, 'direction'))}")
    lines.append(f"f = lambda x: {call}")
    function = "f"
    for k in range(sighting.order):
        name = ("gradient", "second")[k]
        part = _part(explanation, sighting) if k == 0 else ""
        summed = f"({function}(x){along}{part}).sum()" if along else f"{function}(x).sum()"
        lines.append(f"{name} = jax.grad(lambda x: {summed})")
        function = name
    if sighting.mode == "jit":
        lines.append(f"{function} = jax.jit({function})")
    last = f"print(float({function}(jax.numpy.asarray(x))[{_element(sighting)}]))"
    return [*lines, "with jax.enable_x64(True):", f"    {last}"] if sighting.dtype == "float64" else [*lines, last]


def _analytic(explanation: Explanation, sighting: Sighting) -> list[str]:
    source = explanation.source
    needed, rows = _rows(sighting)
    formula = ("definition", "derivative", "second_derivative")[sighting.order]
    view = f"view(numpy.{sighting.dtype})"
    summing = ("import math", "import types") if sighting.row else ()
    lines = [*_imports("import numpy", *summing, *needed, *source.lines), "", *rows]
    lines.append(f"x = numpy.array({_bits(sighting)}, numpy.{_unsigned(sighting)}).{view}{_said(sighting)}")
    m, arguments, element = "numpy", _arguments(sighting.parameters), "0"
    if sighting.row:  # judged with the rows along the last axis, whatever the parameter, and with exact sums
        lines.append(f"v = numpy.array({_bits(sighting, 'direction')}, numpy.{_unsigned(sighting)}).{view}")
        total = "math.fsum(row) if numpy.isfinite(row).all() else row.sum()"
        lines += ["m = types.SimpleNamespace(**vars(numpy))  # numpy, but that a sum is rounded once"]
        lines += [f"m.sum = lambda a, axis, keepdims: numpy.array([[{total}] for row in a])"]
        along = _arguments({**sighting.parameters, "axis": -1})
        half = len(sighting.row.bits) // 2
        first = {"row": ", v", "half": f", v[:, :{half}]", "one": ", v[:, :1]"}[explanation.activation.result]
        m, arguments, element = "m", first + ", v" * (sighting.order - 1) + along, f"0, {sighting.row.position}"
    call = f"{source.expression}.{formula}({m}, x{arguments})"
    return [*lines, f"print(float(numpy.broadcast_to({call}, x.shape)[{element}]))"]


def _part(explanation: Explanation, sighting: Sighting) -> str:
    """Of the direction, what the first differentiation starts from: an entry for each result of a row."""
    if sighting.row is None or explanation.activation.result == "row":
        return ""
    if explanation.activation.result == "half":
        half = len(sighting.row.bits) // 2
        return f"[:{half}]" if _along_first(sighting) else f"[:, :{half}]"
    return "[0]" if _along_first(sighting) else "[:, 0]"


def _call(explanation: Explanation, sighting: Sighting, subject: str) -> tuple[tuple[str, ...], str]:
    """What to import for a subject, and the call that computes it."""
    framework, _, kind = subject.partition(".")
    parameters: Mapping[str, object] = sighting.parameters
    if not kind:
        return explanation.source.lines, f"{explanation.source.expression}.{framework}(x{_arguments(parameters)})"
    native = explanation.activation.natives[framework]
    matched = kind == "native.matched"
    arguments = explanation.activation.native_arguments(framework, sighting.parameters, matched=matched) or {}
    if native.call:
        values = {name: repr(value) for name, value in arguments.items()}
        return (), re.sub(r"(?<!\.)\b[a-z_]+\b(?!=)", lambda found: values.get(found[0], found[0]), native.call)
    module, _, name = native.path.rpartition(".")
    imports = () if module.partition(".")[0] == framework else (f"import {module}",)
    made = "()" if name[:1].isupper() else ""  # a class, made without arguments
    return imports, f"{native.path}{made}(x{_arguments(arguments)})"


def _arguments(parameters: Mapping[str, object]) -> str:
    return "".join(f", {name}={value!r}" for name, value in parameters.items())


def _imports(*lines: str) -> list[str]:
    return sorted(dict.fromkeys(lines))


def _doc(formula: object) -> str:
    return " ".join((inspect.getdoc(formula) or "not described").split())


def _field(name: str, text: str) -> str:
    return _fill(text, f"   {name:22} ")


def _item(text: str) -> str:
    return _fill(text, "   ")


def _fill(text: str, lead: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False, break_on_hyphens=False
    )
