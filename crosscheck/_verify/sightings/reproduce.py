"""Python code that reproduces an implementation's result at an input: a snippet to paste into a bug report."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from crosscheck._arithmetic.sampling import GATES, PAIRS, PAIRS_UP_TO, PLAIN, SIZES
from crosscheck._frameworks.base import THREADS
from crosscheck._records.implementations import MATCHED, Implementation
from crosscheck._records.names import ORDER_NAMES
from crosscheck._records.records import Activation
from crosscheck._records.worded import kind_of
from crosscheck._report.snippet import snippet as code
from crosscheck._verify.sightings.sight import Result, SightedRow, Sighting

WIDTH = 110
LONGEST = 132
"""The most characters of a line that names an environment."""
LONG = 32
"""A longer row is not written out in a snippet, but made as ``sampled_rows`` makes it."""

ROWS = (
    "gradient = lambda x, v: jax.vjp({seen}, x)[1](v)[0]",
    "second = lambda x, v, w: jax.vjp(lambda x: gradient(x, v), x)[1](w)[0]",
)
"""The derivatives of rows in JAX. The direction is an argument: XLA compiles a constant to a program with other digits."""

VIEWED = {
    "": ("{n}", "", "f(x)", "0"),
    "with gaps": ("{twice}", "", "f(x[::2])", "0"),
    "that begins later": ("{more}", "", "f(x[1:])", "1"),
    "of one more axis": ("{twice}", ".reshape(2, {n})", "f(x)[0]", "0, 0"),
    "of swapped axes": ("{twice}", ".reshape({n}, 2)", "f(x.swapaxes(0, 1))[0]", "0, 0"),
}
"""For each view: how many numbers the array has, its shape, the code of the view, and the index of the derivative."""


Code = tuple[tuple[str, ...], list[str]]
"""The imports, and the lines after them."""


@dataclass(frozen=True)
class Source:
    """How Python code imports or loads a record: the first lines, and an expression."""

    lines: tuple[str, ...]
    expression: str


@dataclass(frozen=True)
class _Reproduced:
    """A result to reproduce, with everything that it needs."""

    activation: Activation
    source: Source
    sighting: Sighting
    result: Result

    @property
    def along_first(self) -> bool:
        """Whether the rows lie along the first axis; under vmap, each row is passed alone."""
        sighting = self.sighting
        return sighting.row is not None and sighting.parameters["axis"] == 0 and self.result.mode != "vmap"


def snippet(activation: Activation, source: Source, sighting: Sighting, result: Result, where: str) -> str:
    """Python code that prints an implementation's result at an input, beside its result in an environment: ``where``."""
    write = {"torch": _torch, "jax": _jax, "analytic": _analytic}[Implementation.of(result.implementation).side]
    imports, lines = write(_Reproduced(activation, source, sighting, result))
    if result.got is None:
        verb = "" if kind_of(result.message) else "raises "
        lines.append(f"# {verb}{result.message}, with {where}".replace("\n", " "))
    else:
        printed, beside = lines.pop().removesuffix(")"), f'"here; {result.got!r} with {where}")'
        short = len(f"{printed}, {beside}") <= LONGEST
        lines += [f"{printed}, {beside}"] if short else [f"{printed},", " " * (printed.index("(") + 1) + beside]
    if sighting.exact is not None:
        lines.append(
            f"# the exact {ORDER_NAMES[sighting.order]}, correctly rounded to {sighting.dtype}, is {sighting.exact!r}"
        )
    return code(imports, lines)


def _bits(shown: _Reproduced, name: str = "row") -> str:
    """The bits of the input, or of the row with that name, repeated as often as it was run, or as a view needs."""
    n = shown.result.copies
    count = VIEWED[shown.result.view][0].format(n=n, twice=2 * n, more=n + 1)
    return f"[{name if shown.sighting.row else shown.sighting.input_bits}] * {count}"


def _shape(shown: _Reproduced) -> str:
    return VIEWED[shown.result.view][1].format(n=shown.result.copies)


def _unsigned(sighting: Sighting) -> str:
    return f"uint{4 * (len(sighting.input_bits) - 2)}"


def _numpy(sighting: Sighting) -> str:
    return f"{'ml_dtypes' if sighting.dtype == 'bfloat16' else 'numpy'}.{sighting.dtype}"


def _rows(sighting: Sighting) -> tuple[tuple[str, ...], list[str]]:
    """The imports, and the lines that make the row and the direction of the derivative: lists of bits."""
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
        lines = [*(row.made or _made(row, row.number)), f"row = row{bits}  # {len(row.bits)} entries as bits"]
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


def _made(row: SightedRow, number: int) -> list[str]:
    """A sampled row in numpy, in float64."""
    length, half = len(row.bits), len(row.bits) // 2
    gated = row.known_by == "gate"
    special = (len(PAIRS) + 1) * (length <= PAIRS_UP_TO) if gated else len(PLAIN)
    drawn = (row.sampled - special) // 2
    mirrored = ["row = -row"] if row.known_by == "smallest" else []
    if not gated and number >= 2 * drawn:
        return [f"row = numpy.zeros({length})", *PLAIN[number - 2 * drawn], *mirrored]
    which, i = divmod(number, drawn)
    generator = f"rng = numpy.random.default_rng({(2**32 + length, 0)[which]})"
    if gated:
        return [
            generator,
            f"numbers = rng.choice({SIZES}, ({drawn}, {half})) * rng.standard_normal(({drawn}, {half}))",
            f"gates = rng.choice({GATES}, ({drawn}, {half})) * rng.uniform(-1, 1, ({drawn}, {half}))",
            f"row = numpy.concatenate([numbers, gates], axis=1)[{i}]",
        ]
    return [
        generator,
        f"spread = rng.choice([1.0, 10.0, 50.0], ({drawn}, 1))",
        f"level = rng.choice([0.0, 0.0, 100.0, -950.0, 950.0], ({drawn}, 1))",
        f"row = (level + rng.uniform(-1, 1, ({drawn}, {length})) * spread)[{i}]",
        *mirrored,
    ]


def _element(shown: _Reproduced) -> str:
    row = shown.sighting.row
    if shown.result.view and row is None and shown.sighting.order:
        return VIEWED[shown.result.view][3]
    if row is None or row.position is None:
        return "0"
    return f"{row.position}, 0" if shown.along_first else f"0, {row.position}"


def _said(sighting: Sighting) -> str:
    if sighting.row is None:
        return f"  # {sighting.input!r}"
    if sighting.row.position is None:
        return f"  # the {sighting.row.known_by} entry is {sighting.row.entry!r}"
    return f"  # entry {sighting.row.position} is {sighting.row.entry!r}"


def _torch(shown: _Reproduced) -> Code:
    sighting, mode = shown.sighting, shown.result.mode
    imports, call = _call(shown)
    needed, rows = _rows(sighting)
    turned = ".T.contiguous()" if shown.along_first else ""

    def tensor(bits: str) -> str:
        return f"torch.tensor({bits}, dtype=torch.{_unsigned(sighting)}).view(torch.{sighting.dtype}){turned}{_shape(shown)}"

    functional = mode in ("vmap", "forward")
    grad = ".requires_grad_()" if sighting.order and not functional else ""
    imports, lines = ("import torch", *needed, *imports), rows
    if shown.along_first:  # the last rows of each thread are computed by other code
        lines.append(f"torch.set_num_threads({THREADS})")
    lines += [f"x = {tensor(_bits(shown))}{grad}{_said(sighting)}"]
    along = "torch.ones_like(x)" if functional else "torch.ones_like(y)"
    if sighting.row and sighting.order:
        along = "v"
        lines.append(f"v = {tensor(_bits(shown, 'direction'))}")
    last = f"print(y[{_element(shown)}].item())"
    if functional:
        return imports, [*lines, *_transformed(shown, "torch.func", call, along), last]
    if mode == "compile":
        lines += [f"f = torch.compile(lambda x: {call}, fullgraph=True)", "y = f(x)"]
    elif shown.result.view:
        lines += [f"f = lambda x: {call}", f"y = {VIEWED[shown.result.view][2]}"]
    else:
        lines.append(f"y = {call}")
    for k in range(sighting.order):
        again = ", create_graph=True" if k + 1 < sighting.order else ""
        part = _part(shown) if k == 0 else ""
        lines.append(f"(y,) = torch.autograd.grad(y, x, {along}{part}{again})")
    return imports, [*lines, last]


def _transformed(shown: _Reproduced, module: str, call: str, along: str) -> list[str]:
    """The lines that compute y by transformations that both frameworks have: one entry of x at a time, in reverse mode, or
    along a direction in forward mode."""
    order, vmap = shown.sighting.order, shown.result.mode == "vmap"
    lines = [f"f = lambda x: {call}", "gradient = lambda x, v: ", "second = lambda x, v: "][: order + 1]
    for k in range(order):
        function = "f" if k == 0 else "lambda x: gradient(x, v)"
        if vmap:
            cotangent = f"v{_part(shown)}" if k == 0 else "v"
            lines[k + 1] += f"{module}.vjp({function}, x)[1]({cotangent})[0]"
        else:
            lines[k + 1] += f"{module}.jvp({function}, (x,), (v,))[1]"
    name = ("f", "gradient", "second")[order]
    name = f"{module}.vmap({name})" if vmap else name
    name = f"jax.jit({name})" if module == "jax" else name
    return [*lines, f"y = {name}({f'x, {along}' if order else 'x'})"]


def _jax(shown: _Reproduced) -> Code:
    sighting, mode = shown.sighting, shown.result.mode
    imports, call = _call(shown)
    needed, rows = _rows(sighting)
    narrow = ["import ml_dtypes"] if sighting.dtype == "bfloat16" else []
    turned = ".T" if shown.along_first else ""

    def array(bits: str) -> str:
        return f"numpy.array({bits}, numpy.{_unsigned(sighting)}).view({_numpy(sighting)}){turned}{_shape(shown)}"

    imports, lines = ("import jax", *narrow, "import numpy", *needed, *imports), rows
    lines.append(f"x = {array(_bits(shown))}{_said(sighting)}")
    along = ""
    if sighting.row and sighting.order:
        along = " * v"
        lines.append(f"v = {array(_bits(shown, 'direction'))}")
    if mode in ("vmap", "forward"):
        last = _transformed(shown, "jax", call, "v" if along else "numpy.ones_like(x)")
        last.append(f"print(float(y[{_element(shown)}]))")
    elif along and mode == "jit":
        seen = "lambda x: f(x[::2])" if shown.result.view else "f"
        lines += [f"f = lambda x: {call}", *(line.format(seen=seen) for line in ROWS[: sighting.order])]
        function, more = (("gradient", ""), ("second", ", v"))[sighting.order - 1]
        last = [f"print(float(jax.jit({function})(x, v{_part(shown)}{more})[{_element(shown)}]))"]
    else:
        lines.append(f"f = lambda x: {call}")
        function = "f"
        if shown.result.view:
            lines.append(f"view = lambda x: {VIEWED[shown.result.view][2]}")
            function = "view"
        for k in range(sighting.order):
            name = ("gradient", "second")[k]
            part = _part(shown) if k == 0 else ""
            summed = f"({function}(x){along}{part}).sum()" if along else f"{function}(x).sum()"
            lines.append(f"{name} = jax.grad(lambda x: {summed})")
            function = name
        if mode == "jit":
            lines.append(f"{function} = jax.jit({function})")
        last = [f"print(float({function}(jax.numpy.asarray(x))[{_element(shown)}]))"]
    if sighting.dtype == "float64":
        last = ["with jax.enable_x64(True):", *(f"    {line}" for line in last)]
    return imports, [*lines, *last]


def _analytic(shown: _Reproduced) -> Code:
    source, sighting = shown.source, shown.sighting
    needed, rows = _rows(sighting)
    formula = ("definition", "derivative", "second_derivative")[sighting.order]
    view = f"view(numpy.{sighting.dtype})"
    summing = ("import math", "import types") if sighting.row else ()
    imports, lines = ("import numpy", *summing, *needed, *source.lines), rows
    lines.append(f"x = numpy.array({_bits(shown)}, numpy.{_unsigned(sighting)}).{view}{_said(sighting)}")
    m, arguments, element = "numpy", _arguments(sighting.parameters), "0"
    if sighting.row:  # judged with the rows along the last axis, for any parameter, and with exact sums
        lines.append(f"v = numpy.array({_bits(shown, 'direction')}, numpy.{_unsigned(sighting)}).{view}")
        total = "math.fsum(row) if numpy.isfinite(row).all() else row.sum()"
        lines += ["m = types.SimpleNamespace(**vars(numpy))  # numpy, but that a sum is rounded once"]
        lines += [f"m.sum = lambda a, axis, keepdims: numpy.array([[{total}] for row in a])"]
        along = _arguments({**sighting.parameters, "axis": -1})
        half = len(sighting.row.bits) // 2
        first = {"row": ", v", "half": f", v[:, :{half}]", "one": ", v[:, :1]"}[shown.activation.result]
        m, arguments, element = "m", first + ", v" * (sighting.order - 1) + along, f"0, {sighting.row.position}"
    call = f"{source.expression}.{formula}({m}, x{arguments})"
    return imports, [*lines, f"print(float(numpy.broadcast_to({call}, x.shape)[{element}]))"]


def _part(shown: _Reproduced) -> str:
    """The part of the direction with which the first differentiation starts: an entry for each result of a row."""
    row, result = shown.sighting.row, shown.activation.result
    gaps = "[::2]" if row and shown.result.view else ""
    if row is None or result == "row":
        return gaps
    part = f":{len(row.bits) // 2}" if result == "half" else "0"
    return gaps + (f"[{part}]" if shown.along_first or shown.result.mode == "vmap" else f"[:, {part}]")


def _call(shown: _Reproduced) -> tuple[tuple[str, ...], str]:
    """The imports of an implementation, and the call that computes it."""
    implementation = Implementation.of(shown.result.implementation)
    framework = implementation.side
    parameters = shown.sighting.parameters
    if implementation.own:
        return shown.source.lines, f"{shown.source.expression}.{framework}(x{_arguments(parameters)})"
    native = shown.activation.natives[framework]
    arguments = shown.activation.native_arguments(framework, parameters, matched=implementation.kind == MATCHED) or {}
    if native.call:
        values = {name: repr(value) for name, value in arguments.items()}
        return (), re.sub(r"(?<!\.)\b[a-z_]+\b(?!=)", lambda match: values.get(match[0], match[0]), native.call)
    module, _, name = native.path.rpartition(".")
    imports = () if module.partition(".")[0] == framework else (f"import {module}",)
    made = "()" if name[:1].isupper() else ""  # a class, made without arguments
    return imports, f"{native.path}{made}(x{_arguments(arguments)})"


def _arguments(parameters: Mapping[str, object]) -> str:
    return "".join(f", {name}={value!r}" for name, value in parameters.items())
