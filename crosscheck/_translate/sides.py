"""What both sides give at inputs, from a run of both: values, derivatives, or the exception that one of them raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from crosscheck._compare.inputs import gather
from crosscheck._compare.judge.comparisons import first_line
from crosscheck._dictionary.records import TranslatedPair
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Array, Directions, Inputs, Outputs, Program, Result
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._translate.code import SEED, as_run_alone, function

LONGEST = 16
"""The most elements of an array that are shown."""
FEW = 6
"""The most elements of a result that are shown whole; of a larger one, the element that differs most."""
ALIKE = 16
"""How many epsilons of the dtype, relative to the larger number, two numbers may be apart and count as the same."""


def literals(arrays: Mapping[str, Any]) -> dict[str, str] | None:
    """Inputs as lists of Python, with the digits that their dtype has; None if one is too long to be shown."""
    converted = {name: np.asarray(value) for name, value in arrays.items()}
    if any(array.size > LONGEST for array in converted.values()):
        return None
    return {name: literal(array) for name, array in converted.items()}


def literal(array: Array) -> str:
    """An array as a list of Python; it can be typed with the names ``nan`` and ``inf``."""
    if array.dtype.kind != "f":
        return repr(array.tolist())
    return repr(np.array([*map(_number, array.ravel())], object).reshape(array.shape).tolist())


def _number(number: Any) -> float:
    """A number with the digits that its dtype has; zero without a sign where it has none."""
    return float(str(number))


def both(pair: TranslatedPair, given: Sequence[Any], wrt: Sequence[int], dtype: str, order: int) -> str:
    """What both sides give at these inputs, in words; empty if they give the same."""
    inputs = gather(list(given), dtype, list(wrt) or None, order if wrt else 0, SEED)
    names = list(pair.inputs)
    programs: dict[str, Program] = {
        "PyTorch": TorchProgram(as_run_alone(function(pair.torch, "torch", names)), inputs, "cpu"),
        "JAX": JaxProgram(function(pair.code, pair.library, names), inputs, "cpu", ("eager",)),
    }
    runs: dict[str, tuple[Outputs, list[Array], list[str]]] = {}
    raised: dict[str, str] = {}
    for side, program in programs.items():
        try:
            runs[side] = program.outputs()
        except Exception as error:  # code may raise anything at an edge
            raised[side] = f"raises {type(error).__name__}: {first_line(error)}"
    if raised:
        said = {side: raised.get(side) or f"gives {_whole(runs[side][1])}" for side in programs}
        return "; ".join(f"{side} {what}" for side, what in said.items())
    outputs, values, _ = runs["PyTorch"]
    if order == 0 or not wrt:
        labels = ["" if len(values) == 1 else f"{name}: " for name in outputs.names]
        return _different(values, runs["JAX"][1], labels, dtype)
    return next(_derivatives(programs, inputs, outputs, names, dtype), "")


def _derivatives(
    programs: Mapping[str, Program], inputs: Inputs, outputs: Outputs, names: Sequence[str], dtype: str
) -> Iterator[str]:
    """What differs in the derivatives of the sum of the result; else in those of one of its elements."""
    ones = [np.ones(outputs.shapes[k], inputs.fmt.dtype) for k in outputs.floats]
    directions = [("", ones)]
    for k, cotangent in enumerate(ones):
        for at in np.ndindex(cotangent.shape):
            single = [np.zeros_like(other) for other in ones]
            single[k][at] = 1
            directions.append((f" of element {list(at)}", single))
    for what, cotangents in directions:
        gradients = [_gradients(program, outputs, cotangents) for program in programs.values()]
        by = [f"the derivative{what} by {names[i]}: " for _ in outputs.floats for i in inputs.wrt]
        if said := _different(gradients[0], gradients[1], by, dtype):
            yield said


def _gradients(program: Program, outputs: Outputs, cotangents: list[Array]) -> list[Result]:
    return program.results(1, Directions(cotangents), "eager")[len(outputs.names) :]


def _whole(values: Sequence[Array]) -> str:
    return " and ".join(literal(value) if value.size <= LONGEST else f"an array of shape {value.shape}" for value in values)


def _different(torches: Sequence[Result], jaxes: Sequence[Result], labels: Sequence[str], dtype: str) -> str:
    """The results of both sides where they differ most; empty where none differs."""
    worst: tuple[float, str] = (0.0, "")
    for a, b, label in zip(torches, jaxes, labels, strict=False):
        if a is None or b is None:
            if (a is None) != (b is None) and np.any(b if a is None else a):
                return f"{label}{_said(a)} in PyTorch, {_said(b)} in JAX"
            continue
        if a.shape != b.shape:
            return f"{label}the shape {a.shape} in PyTorch, {b.shape} in JAX"
        if a.dtype.kind != b.dtype.kind:
            return f"{label}{a.dtype} in PyTorch, {b.dtype} in JAX"
        if not a.size:
            continue
        apart = _apart(a.astype(np.float64), b.astype(np.float64), dtype)
        if apart.max() > worst[0]:
            at = np.unravel_index(apart.argmax(), apart.shape)
            element = "" if a.size <= FEW else f"element {[int(i) for i in at]}: "
            shown = (a, b) if a.size <= FEW else (a[at], b[at])
            worst = float(apart.max()), f"{label}{element}{_said(shown[0])} in PyTorch, {_said(shown[1])} in JAX"
    return worst[1]


def _said(value: Any) -> str:
    if value is None:
        return "none"
    array = np.asarray(value)
    return literal(array.ravel()[0] if array.size == 1 else array)


def _apart(a: Array, b: Array, dtype: str) -> Array:
    """How far numbers are from each other, relative to the larger; 0 where rounding explains it."""
    with np.errstate(all="ignore"):
        relative = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    apart = np.where(np.isfinite(relative), relative, 0.0)
    apart[np.isnan(a) != np.isnan(b)] = np.inf
    apart[(np.isinf(a) | np.isinf(b)) & (a != b)] = np.inf
    return np.where(apart > ALIKE * np.finfo(dtype).eps, apart, 0.0)
