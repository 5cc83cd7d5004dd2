"""The faults of numbers that one side rounds to the 16 bits of the models, and the other side does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from jax.extend.core import Literal

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._explain.facts import digits
from crosscheck._explain.names import listed
from crosscheck._frameworks.programs import Array
from crosscheck._graph.graph import Call
from crosscheck._models.engine import Found
from crosscheck._models.explain.reruns import steps_before
from crosscheck._models.judge.roundings import Rounding, roundings
from crosscheck._models.record.jax_recording import Step
from crosscheck._models.report.report import Fault

SAME = 1e-6
"""Two numbers are the same if their relative difference is smaller."""


def rounded(found: Found, others: Collection[int]) -> Iterator[Fault]:
    """A fault for each landmark that shows such a number, but for those ``others``, at which something else is wrong."""
    for one in roundings(found.forcing, found.located):
        if one.landmark in others:
            continue
        landmark = found.landmarks[one.landmark]
        candidates = [pair for pair in _candidates(found, one) if _is_along_one_axis(pair[2])]
        step, operand, value = max(
            candidates,
            key=lambda given: _apart(given[2], found.flat.dtype),
            default=(found.flat.steps[landmark.step], None, np.zeros(0)),
        )
        call = _product(found, one.landmark, float(value.flat[0])) if _is_one_number(value) else None
        path = landmark.path if call is None else call.path
        name = "" if landmark.operation is None else found.torch.operations[landmark.operation].name
        who, other = ("PyTorch", "JAX") if one.side == "torch" else ("JAX", "PyTorch")
        dtype = found.flat.dtype
        yield Fault(
            torch=path,
            kind=type(found.torch.modules[path]).__name__ if path in found.torch.modules else "",
            operation=name if call is None else call.name,
            jax=step.operation.path,
            source=step.operation.source,
            cause="inaccurate",
            side=one.side,
            error=one.error,
            explanation=f"{who} rounds {_said(found, operand, value, dtype)}, {other} does not",
            layers=(one.landmark,),
        )


def _candidates(found: Found, one: Rounding) -> Iterator[tuple[Step, Any, Array]]:
    """The numbers between the landmarks before and this one that may be those, in float64, with the steps that use them."""
    fixed = found.forcing.fixed.values(wide=True, every=True)
    for step in steps_before(found, one.landmark):
        for place in one.sites.get(step.operation.index, ()):
            operand = step.inputs[place]
            if isinstance(operand, Literal):
                yield step, operand, np.asarray(found.flat.exact.get(id(operand), operand.val), np.float64)
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


def _said(found: Found, operand: Any, value: Array, dtype: str) -> str:
    """Which numbers are rounded to a dtype, in words."""
    if _is_one_number(value):
        held = float(value.flat[0].astype(FORMATS[dtype].dtype))
        return f"{digits(float(value.flat[0]), held)} to {held:.6g} in {dtype}"
    names = found.flat.origins.get(operand, frozenset()) if isinstance(operand, int) else frozenset()
    mine = [match.torch or str(match.jax) for match in found.weights.matches if match.jax in names]
    return f"{f'what it computes of {listed(mine)}' if mine else f'{value.size} constants'} to {dtype}"


def _product(found: Found, at: int, number: float) -> Call | None:
    """The operation of torch that multiplies with this number or divides by it, on the way to a landmark."""
    graph, nodes = found.torch.graph.graph, found.torch.nodes
    target = nodes.get(found.landmarks[at].operation if found.landmarks[at].operation is not None else -1)
    stop = {nodes[one.operation] for one in found.landmarks if one.operation in nodes} - {target}
    calls = (graph.call(one) for one in sorted(graph.ancestors([target], stop))) if target is not None else ()
    for call in calls:
        given = [one for one in call.args if type(one) in (int, float) and one] if call is not None else []
        if any(abs(one / number - 1) <= SAME or abs(one * number - 1) <= SAME for one in given if number):
            return call
    return None
