"""Python code that reproduces a disagreement: both functions, the input, both results and the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crosscheck._arithmetic.formats import Format, is_float, shortest, widen
from crosscheck._compare.diagnose.source import sources
from crosscheck._compare.judge.comparisons import Judged, Request
from crosscheck._compare.judge.results import directions
from crosscheck._frameworks.programs import Array, Inputs, layout
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._report.snippet import snippet as code
from crosscheck._verdict.records import Comparison, Point

MOST_ELEMENTS = 256
"""An input with more elements than this is not written out."""


class _Code(str):
    """Code in a Python structure, printed as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def snippet(request: Request, inputs: Inputs, judged: Judged, point: Point) -> str | None:
    """Code that prints what each framework gives at the element; None if the inputs are too many to be written out.

    A function without source that can be pasted becomes ``...``, with a comment that says so.
    """
    if sum(leaf.size for leaf in inputs.leaves) > MOST_ELEMENTS or request.device != "cpu":
        return None
    record, dtype = judged.record, inputs.fmt.name
    names = ["x"] if len(inputs.leaves) == 1 else [f"x{i}" for i in range(len(inputs.leaves))]
    imports, lines = sources({"torch_fn": request.torch, "jax_fn": request.jax})
    imports += ["import jax", "import jax.numpy as jnp", "import torch"]
    written = [f"{name} = {_written(leaf, inputs.fmt)}" for name, leaf in zip(names, inputs.leaves, strict=True)]
    if any(word in line for line in written for word in ("inf", "nan")):
        imports.append("from math import inf, nan")
    settings = ['jax.config.update("jax_enable_x64", True)'] if dtype == "float64" else []
    lines += ["", *written]
    result = record.output.removeprefix("y")
    for side, got in (("torch", point.got), ("jax", point.expected)):
        compiled = side == "jax" and record.mode == "jit"
        # the compiler does not treat arguments as constants
        by = {i: names[i] for i in (inputs.wrt if record.order else range(len(names)) if compiled else ())}
        made = [_Code(by.get(i) or _made(side, names[i], leaf, dtype)) for i, leaf in enumerate(inputs.leaves)]
        call = f"{side}_fn({', '.join(map(repr, inputs.tree.build(made)))}){result}"
        lines.append("")
        if by:
            grad = ", requires_grad=True" if side == "torch" else ""
            arguments = [_made(side, name, inputs.leaves[i], dtype, grad) for i, name in by.items()]
            lines += [f"def {side}_value({', '.join(by.values())}):", f"    return {call}"]
            lines.append(f"{side}_by = ({', '.join(arguments)},)")
        if record.order:
            along = [_made(side, _written(array, inputs.fmt), array, dtype) for array in _along(request, inputs, judged)]
            lines += [f"cotangent = {along[0]}", *([f"directions = ({', '.join(along[1:])},)"] if along[1:] else [])]
        if side == "torch" and "missing" in record.uncovered and _absent(request, inputs, record):
            lines.append("print(torch_value(*torch_by).requires_grad)  # False: autograd finds no way to the input")
            continue
        lines += _torch(call, record.order) if side == "torch" else _jax(call, record.order, compiled=compiled)
        lines.append(f"print({side}_y{_place(record, inputs, point)}.item())  # prints {got!r}")
    if point.truth is not None and not np.isnan(point.truth):
        lines.append(f"# the truth is {point.truth!r}")
    return code(imports, lines[1:], settings)


def _made(side: str, values: str, leaf: Array, dtype: str, more: str = "") -> str:
    """Code that makes an array of a framework."""
    make, module = ("torch.tensor", "torch") if side == "torch" else ("jnp.array", "jnp")
    kind = dtype if is_float(leaf) else leaf.dtype.name
    if side == "jax" and kind.endswith("int64") and dtype != "float64":
        kind = kind.replace("64", "32")  # JAX has no wider integers then
    return f"{make}({values}, dtype={module}.{kind}{more})"


def _torch(call: str, order: int) -> list[str]:
    if order == 0:
        return [f"torch_y = {call}"]
    graph = ", create_graph=True" if order == 2 else ""
    lines = [f"torch_y = torch.autograd.grad(torch_value(*torch_by), torch_by, cotangent{graph})"]
    return lines if order == 1 else [*lines, "torch_y = torch.autograd.grad(torch_y, torch_by, directions)"]


def _jax(call: str, order: int, *, compiled: bool) -> list[str]:
    if order == 0:
        return ["jax_y = jax.jit(jax_value)(*jax_by)" if compiled else f"jax_y = {call}"]
    program = "lambda *by: jax.vjp(jax_value, *by)[1](cotangent)"
    if order == 2:
        program = f"lambda *by: jax.vjp({program}, *by)[1](directions)"
    return [f"jax_y = {'jax.jit' if compiled else ''}({program})(*jax_by)"]


def _along(request: Request, inputs: Inputs, judged: Judged) -> list[Array]:
    """The cotangent of the output, and the directions of the second derivative; ones for elementwise results."""
    outputs, _, _ = TorchProgram(request.torch, inputs, request.device).outputs()
    k = outputs.floats.index(outputs.names.index(judged.record.output))
    along = directions(outputs, inputs, None, replace(request, order=judged.record.order))
    if judged.x is not None:
        return [np.ones_like(array) for array in (along.cotangents[k], *along.tangents)]
    return [along.cotangents[k], *along.tangents]


def _absent(request: Request, inputs: Inputs, record: Comparison) -> bool:
    """Whether torch finds no gradient of the output at all."""
    side = TorchProgram(request.torch, inputs, request.device)
    outputs, _, _ = side.outputs()
    along = directions(outputs, inputs, None, replace(request, order=record.order))
    results = side.results(record.order, along, "eager")
    return all(
        results[i] is None
        for i, (order, k, _) in enumerate(layout(outputs, inputs, record.order))
        if order == record.order and outputs.names[k] == record.output
    )


def _place(record: Comparison, inputs: Inputs, point: Point) -> str:
    """The index of the element in the evaluated result."""
    element = f"[{', '.join(map(str, point.element))}]" if point.element else ""
    return f"[{[inputs.names[i] for i in inputs.wrt].index(record.wrt)}]{element}" if record.order else element


def _written(array: Array, fmt: Format) -> str:
    """An array as nested lists; each float is the shortest decimal that rounds to it."""
    if not is_float(array):
        return repr(array.tolist())
    numbers = np.array([shortest(x, fmt) for x in widen(array).ravel().tolist()])
    return repr(numbers.reshape(array.shape).tolist())
