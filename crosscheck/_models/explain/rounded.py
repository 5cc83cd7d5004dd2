"""The faults of numbers that one side rounds to the 16 bits of the models, and the other side does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from jax.extend.core import Literal

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._explain.facts import Fact, digits
from crosscheck._explain.names import listed
from crosscheck._frameworks.programs import Array
from crosscheck._graph.graph import Call, Leaf, Ref
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.reruns import steps_before
from crosscheck._models.judge.roundings import ARITHMETIC, Rounding, roundings
from crosscheck._models.record.jax_recording import Step
from crosscheck._models.report.report import Fault

SAME = 1e-6
"""Two numbers are the same if their relative difference is smaller."""


def rounded(results: ModelResults, others: Collection[int]) -> Iterator[Fault]:
    """A fault for each landmark that shows such a number, but for those ``others``, at which something else is wrong."""
    for rounding in roundings(results.forcing, results.located):
        if rounding.landmark in others:
            continue
        landmark = results.landmarks[rounding.landmark]
        candidates = [pair for pair in _candidates(results, rounding) if _is_along_one_axis(pair[2])]
        step, operand, value = max(
            candidates,
            key=lambda given: _apart(given[2], results.flat.dtype),
            default=(results.flat.steps[landmark.step], None, np.zeros(0)),
        )
        call = _operation(results, rounding.landmark, value)
        if call is None:  # a kernel of torch has no such number
            continue
        path = call.path
        who = "PyTorch" if rounding.side == "torch" else "JAX"
        fact = Fact("rounds", _said(results, operand, value, results.flat.dtype), who)
        yield Fault(
            torch=path,
            kind=type(results.torch.modules[path]).__name__ if path in results.torch.modules else "",
            operation=call.name,
            jax=step.operation.path,
            source=step.operation.source,
            cause="inaccurate",
            side=rounding.side,
            error=rounding.error,
            explanation=fact.words(),
            layers=(rounding.landmark,),
            facts=(fact,),
        )


def _candidates(results: ModelResults, rounding: Rounding) -> Iterator[tuple[Step, Any, Array]]:
    """The numbers between the landmarks before and this one that may be those, in float64, with the steps that use them."""
    fixed = results.forcing.fixed.values(wide=True, every=True)
    for step in steps_before(results, rounding.landmark):
        for place in rounding.sites.get(step.operation.index, ()):
            operand = step.inputs[place]
            if isinstance(operand, Literal):
                yield step, operand, np.asarray(results.flat.exact.get(id(operand), operand.val), np.float64)
            elif operand in fixed:
                yield step, operand, np.asarray(fixed[operand], np.float64)


def _is_one_number(value: Array) -> bool:
    return bool(value.size) and bool((value == value.flat[0]).all())


def _is_along_one_axis(value: Array) -> bool:
    return sum((value != value.take([0], axis)).any() for axis in range(value.ndim)) <= 1


def _apart(value: Array, dtype: str) -> float:
    """How far the rounding moves numbers, relative to them."""
    held = value.astype(FORMATS[dtype].dtype).astype(np.float64)
    size = float(np.sqrt(np.mean(value**2)))
    return float(np.sqrt(np.mean((held - value) ** 2))) / size if size else 0.0


def _said(results: ModelResults, operand: Any, value: Array, dtype: str) -> str:
    """Which numbers are rounded to a dtype, in words."""
    if _is_one_number(value):
        held = float(value.flat[0].astype(FORMATS[dtype].dtype))
        return f"{digits(float(value.flat[0]), held)} to {held:.6g} in {dtype}"
    names = results.flat.origins.get(operand, frozenset()) if isinstance(operand, int) else frozenset()
    torch_names = [match.torch or str(match.jax) for match in results.weights.matches if match.jax in names]
    return f"{f'what it computes of {listed(torch_names)}' if torch_names else f'{value.size} constants'} to {dtype}"


def _operation(results: ModelResults, at: int, value: Array) -> Call | None:
    """The arithmetic of torch with this number on the way to a landmark, or with these numbers at the landmark itself."""
    graph, nodes = results.torch.graph.graph, results.torch.nodes
    made = results.landmarks[at].operation
    target = None if made is None else nodes.get(made)
    if target is None:
        return None
    if not _is_one_number(value):
        call = graph.call(target)
        return call if call is not None and call.name in ARITHMETIC else None
    stop = {nodes[landmark.operation] for landmark in results.landmarks if landmark.operation in nodes} - {target}
    calls = (graph.call(node) for node in sorted(graph.ancestors([target], stop)))
    number = float(value.flat[0])
    return next(
        (call for call in calls if call is not None and call.name in ARITHMETIC and _has(results, call, number)), None
    )


def _has(results: ModelResults, call: Call, number: float) -> bool:
    """Whether an operation has a number, or its inverse, as an argument: exactly, or in a tensor of few digits."""
    unit = 2.0 ** -FORMATS[results.flat.dtype].precision
    for argument in call.args:
        leaf = results.torch.graph.graph.nodes[argument.node] if isinstance(argument, Ref) else None
        held = leaf.value if isinstance(leaf, Leaf) else None
        given, near = (argument, SAME) if type(argument) in (int, float) else (0.0, SAME)
        if held is not None and held.numel() == 1:
            given, near = float(held), unit
        if given and min(abs(given / number - 1), abs(given * number - 1)) <= near:
            return True
    return False
