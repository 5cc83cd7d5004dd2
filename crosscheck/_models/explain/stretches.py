"""The segment of each fault: the operations of both sides from known values to the landmark that shows the fault."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import ModelResults
from crosscheck._models.judge.held_results import FOUND
from crosscheck._models.record.jax_code import Form, NoCodeError, code, result
from crosscheck._models.record.jax_recording import Step
from crosscheck._models.record.torch_code import FunctionCode, TorchCode, identifier, unused
from crosscheck._models.report.report import Fault
from crosscheck._models.report.script import Segment, file_name
from crosscheck._models.run.interpreter import ModelRun
from crosscheck._models.values.distances import distance
from crosscheck._models.values.uses import DATA
from crosscheck._records.worded import Worded
from crosscheck._report.snippet import snippet

SAME = 1e-3
"""A segment alone shows the error of the report, up to this relative difference."""
APART = '''def apart(one, other):
    """The largest difference of an element, relative to the root mean square of the other."""
    return np.abs(one - other).max() / np.sqrt(np.mean(other**2))'''
LOADED = 'arrays = load_file(Path(__file__).with_suffix(".safetensors"))'
PRINTED = """print("{}:", format(apart({}, {}), ".2g"), "apart from {}")"""
WIDTH = 120
WIDE = 'arrays = {name: x.astype(np.float64) if x.dtype.kind == "f" else x for name, x in arrays.items()}'


def segments(results: ModelResults, faults: Sequence[Fault]) -> tuple[list[Segment], list[str]]:
    """The segments of faults that can be run alone, and remarks on the others."""
    if not results.located.faults:
        return [], []
    graph = TorchCode(results.torch, results.inputs)
    made, notes, forms = [], list[str](), dict[object, Form]()
    for number, fault in enumerate(faults[: len(results.located.faults)]):
        try:
            made.append(_segment(results, number, fault, results.kept, graph, forms))
        except NoCodeError as error:
            words = Fact("no code", str(error), where=fault.where).words()
            notes.append(Worded(words, "segment not saved", fault.where, str(error)))
    return made, notes


def _segment(
    results: ModelResults, number: int, fault: Fault, run: ModelRun, graph: TorchCode, forms: dict[object, Form]
) -> Segment:
    at = results.located.faults[number].landmark
    landmark, order = results.landmarks[at], results.forcing.orders[at]
    jax_side, got = _jax(results, at, run, forms)
    expected = landmark.expected.wide
    error = results.located.errors[at]
    shown = distance(landmark.compared(landmark.view.matrix(got, order)), landmark.compared(expected))
    if not (shown == error or abs(shown - error) <= SAME * error):
        raise NoCodeError(f"alone, its error is {shown:.2g}, not {error:.2g}")
    whole = expected if landmark.known is None else np.where(landmark.known, expected, np.nan)
    arrays = {"expected": landmark.view.array(np.asarray(whole, np.float64), order)}
    torch_side = _torch(results, at, graph, whole)
    sides = [jax_side] if torch_side is None else [torch_side, jax_side]
    calls = {side: _call(side, [_kept(arrays, name, value) for name, value in side.given.items()]) for side in sides}
    again = "" if torch_side is None else _kept(arrays, "result", np.asarray(torch_side.result))
    return Segment(
        number, file_name(number, fault.where), _script(fault, error, calls, again, landmark.known is None), arrays
    )


def _kept(arrays: dict[str, Array], name: str, value: Array) -> str:
    """The name under which an array is saved; an array of both sides is saved once."""
    for other, held in arrays.items():
        if held.shape == value.shape and held.dtype == value.dtype and np.array_equal(held, value, equal_nan=True):
            return other
    name = unused(name, arrays)
    arrays[name] = value
    return name


def _call(side: FunctionCode, names: Sequence[str]) -> str:
    """Code that runs a side on the arrays of these names."""
    make, end = ("torch.tensor({})", ".numpy()") if side.name == "torch_segment" else ("{}", "")
    given = [make.format(f'arrays["{name}"]') for name in names]
    call = f"{side.name}({', '.join(given)}){end}"
    if len(call) > WIDTH:
        call = side.name + "(\n    " + ",\n    ".join(given) + f",\n){end}"
    return call if end else f"np.asarray({call})"


def _settled(results: ModelResults, at: int) -> Iterator[int]:
    """The earlier landmarks at which JAX got torch's values."""
    return (number for number in range(at) if number not in results.located.left)


def _value(results: ModelResults, number: int) -> Any:
    """The value of JAX at a landmark."""
    landmark = results.landmarks[number]
    step = results.flat.steps[landmark.step]
    return step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]


def _jax(results: ModelResults, at: int, run: ModelRun, forms: dict[object, Form]) -> tuple[FunctionCode, Array]:
    """JAX's steps from the known landmarks to this one, and their result."""
    flat, mends = results.flat, results.forcing.mends
    target = _value(results, at)
    ends = {_value(results, number): f"the {_place(results, number)}" for number in _settled(results, at)}
    ends |= {
        mends[number].value: f"after {results.landmarks[number].name}" for number in _settled(results, at) if number in mends
    }
    ends |= {number: f"JAX's {name}" for number, name in zip(flat.weights, flat.names, strict=True)}
    ends |= {number: f"input {k}" for k, number in enumerate(flat.inputs)}
    if target in flat.maker:  # an input of the model is its own result
        ends.pop(target, None)
    inside, starts = _between(results, target, ends)

    def function(*values: Any) -> Any:
        here = dict(zip(starts, values, strict=True))
        for step in inside:
            given = [
                here[operand] if isinstance(operand, int) and operand in here else run.read(operand)
                for operand in step.inputs
            ]
            here.update(zip(step.outputs, run.results(step, given), strict=True))
        return here[target]

    own = mends[at].value if at in mends else None  # what the fault changes may be what its segment begins with
    values = [np.asarray((run.unmended if number == own else run.values)[number]) for number in starts]
    names = _names(results, starts)
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        given = dict(zip(names, values, strict=True))
        said = {name: ends[number] for name, number in zip(names, starts, strict=True)}
        made = code("jax_segment", jax.make_jaxpr(function)(*values), given, said, forms)
        return made, result(made)


def _between(results: ModelResults, target: int, ends: Mapping[int, str]) -> tuple[list[Step], list[int]]:
    """The steps from the ends to a value, in order, and the ends at which they begin."""
    flat = results.flat
    steps, starts, left, seen = set[int](), set[int](), [target], set[int]()
    while left:
        number = left.pop()
        if not isinstance(number, int) or number in seen:
            continue
        seen.add(number)
        if number in ends:
            starts.add(number)
        elif number in flat.maker:
            steps.add(flat.maker[number])
            left += flat.steps[flat.maker[number]].inputs
    return [flat.steps[index] for index in sorted(steps)], sorted(starts)


def _names(results: ModelResults, starts: Sequence[int]) -> list[str]:
    """The names of JAX's arguments: weights keep theirs, others are called x."""
    weights = dict(zip(results.flat.weights, results.flat.names, strict=True))
    names: list[str] = []
    for number in starts:
        names.append(unused(identifier(weights.get(number, "x")), names))
    return names


def _place(results: ModelResults, number: int) -> str:
    landmark = results.landmarks[number]
    return f"{'result' if landmark.place < 0 else 'operand'} at {landmark.name}"


def _torch(results: ModelResults, at: int, graph: TorchCode, whole: Array) -> FunctionCode | None:
    """torch's operations there; None if torch.fx gives another result than the record."""
    operations, mends = results.torch.operations, results.forcing.mends
    last = results.landmarks[at].operation
    if last is None or operations[last].kind != DATA:
        return None
    settled = {results.landmarks[number].operation for number in _settled(results, at)}
    settled |= {mends[number].operation for number in _settled(results, at) if number in mends}
    ends = {
        operation
        for operation in settled
        if operation is not None and operation != last and operations[operation].kind == DATA
    }
    try:
        made = graph.segment(
            last, {operation: (_where(results, operation), results.torch.values[operation].wide) for operation in ends}
        )
    except Exception:  # an operation may raise in float64, or after an in-place change
        return None
    assert made.result is not None
    both = (
        array.view(np.float64) if array.dtype.kind == "c" else array.astype(np.float64) for array in (made.result, whole)
    )
    got, expected = (np.sort(array, axis=None)[:, None] for array in both)
    if results.landmarks[at].known is None and (got.shape != expected.shape or not distance(got, expected) <= FOUND):
        return None
    return made


def _where(results: ModelResults, index: int) -> str:
    operation = results.torch.operations[index]
    return f"what {operation.name} gives in {operation.path or 'the model'}"


def _script(fault: Fault, error: float, calls: Mapping[FunctionCode, str], again: str, whole: bool) -> str:
    """The script, which does not need the models; ``whole`` is whether torch has all of the features."""
    where = " ".join(filter(None, (fault.jax, fault.source)))
    said = f"The report: {fault.explanation}; an error of {error:.2g}."
    head = [
        f'"""{fault.where}{f" ({fault.kind})" * bool(fault.kind)}, by itself and in float64. Written by crosscheck.',
        "",
        *textwrap.wrap(said.replace("\\", "/").replace('"', "'"), WIDTH),
        *([f"In JAX: {where}"] if where else []),
        '"""',
        "",
    ]
    lines = [LOADED, WIDE, "", "", *APART.split("\n"), "", ""]
    for side in calls:
        lines += [*(f"# {name}: {what}" for name, what in side.said.items()), *side.lines, "", ""]
    for side, call in calls.items():
        lines.append(f"{side.name.partition('_')[0]}_result = {call}")
    if again:
        lines.append(PRINTED.format("PyTorch", "torch_result", f'arrays["{again}"]', "what it gave in its model"))
    values, expected = "jax_result", 'arrays["expected"]'
    if not whole:
        lines.append(f"known = ~np.isnan({expected})  # PyTorch has no others here")
        values, expected = f"{values}[known]", f"{expected}[known]"
    lines.append(PRINTED.format("JAX", values, expected, f"PyTorch; the report says {error:.2g}"))
    needed = ["import jax", "import numpy as np", "from pathlib import Path", "from safetensors.numpy import load_file"]
    needed += [line for side in calls for line in side.imports]
    return "\n".join(head) + snippet(needed, lines, ['jax.config.update("jax_enable_x64", True)']) + "\n"
