"""Put into words what was found: each fault with its module, its place in JAX and an explanation."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from math import isfinite

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._models.cut.reordered_modules import is_in
from crosscheck._models.engine import ROUNDINGS, ModelResults
from crosscheck._models.explain.edits import EditSearch, casts
from crosscheck._models.explain.fills import other_fill
from crosscheck._models.explain.masks import other_mask
from crosscheck._models.explain.moved_modules import moved_module
from crosscheck._models.explain.other_exchanges import other_exchange
from crosscheck._models.explain.precision import in_fewer_digits
from crosscheck._models.explain.reruns import draws_random_numbers
from crosscheck._models.explain.rounded import rounded
from crosscheck._models.explain.weight_reasons import of_weights, repeated_weights
from crosscheck._models.judge.forcing import LocatedFault
from crosscheck._models.report.report import Fault, Layer
from crosscheck._models.values.uses import DATA, WEIGHT, Operation, Use
from crosscheck._records.errors import said

EXACT = 2.0**-48
"""Relative errors up to this do not count in float64."""
UNEXPLAINED = 16.0
"""Errors add up to at most this many times the effect of rounding every operation; a larger sum shows a missed fault."""
MOVES = frozenset(
    ["cat", "clone", "contiguous", "_reshape_alias", "_unsafe_view", "permute", "stack", "_to_copy", "roll", "flip"]
)
"""Operations whose results are the numbers that they are given."""
OF_NUMBERS = frozenset(["extra", "operand"])
"""The kinds of mistakes in operations that look like other numbers in a weight."""
SAID = {
    "misplaced": "JAX has the same numbers there, in another order",
    "changed": "JAX has this result, and changes it before it is used",
}


def faults(found: ModelResults) -> list[Fault]:
    """Everything that goes wrong by itself: in float64, only in the dtype, in gradients."""
    if (exchange := other_exchange(found)) is not None:
        return [exchange]
    edits = EditSearch(found)
    wrong = [_located(found, one, edits) for one in found.located.faults]
    alike = edits.alike(found.located.faults) | edits.moved(found.located.faults)
    wrong = [
        replace(one, explanation=alike[at.landmark] or _plainly(one.error), facts=edits.facts(at))
        if at.landmark in alike
        else one
        for at, one in zip(found.located.faults, wrong, strict=True)
    ]
    wrong = _merged(found, wrong, edits.corrected)
    wrong += _inaccurate(found)
    wrong += rounded(found, {number for one in wrong for number in one.layers})
    wrong += _gradients(found)
    wrong += _raised(found)
    return wrong or ([] if found.open else list(_unseen(found)))


def layers(found: ModelResults, wrong: Sequence[Fault]) -> list[Layer]:
    """A record of every landmark."""
    shows = {number: k for k, fault in enumerate(wrong) for number in fault.layers}
    return [_layer(found, number, shows.get(number), wrong) for number in range(len(found.landmarks))]


def _layer(found: ModelResults, number: int, fault: int | None, wrong: Sequence[Fault]) -> Layer:
    landmark = found.landmarks[number]
    step = found.flat.steps[landmark.step]
    error = found.located.errors[number]
    accuracy = found.accuracy.get(number)
    cause = "exact" if error <= EXACT else "rounding"
    if fault is not None:
        cause = wrong[fault].cause
    return Layer(
        name=landmark.name,
        place="result" if landmark.place < 0 else "operand",
        torch=landmark.path,
        operation="" if landmark.operation is None else found.torch.operations[landmark.operation].name,
        jax=step.operation.path,
        source=step.operation.source,
        error=error,
        tolerance=found.tolerances[number],
        accumulated=accuracy.accumulated if accuracy else None,
        drift=accuracy.drift if accuracy else None,
        torch_error=accuracy.torch if accuracy else None,
        jax_error=accuracy.jax if accuracy else None,
        rounding=accuracy.rounding if accuracy else None,
        cause=cause,
        side=None if fault is None else wrong[fault].side,
        fault=fault,
    )


def _merged(found: ModelResults, wrong: list[Fault], corrected: Container[int]) -> list[Fault]:
    """The faults, without those of a module that contains another one whose number corrects the same landmark."""
    located = found.located.faults
    kept = [
        number
        for number, (at, one) in enumerate(zip(located, wrong, strict=True))
        if at.landmark not in corrected
        or not any(
            other.landmark == at.landmark and inner.torch != one.torch and is_in(inner.torch, one.torch)
            for other, inner in zip(located, wrong, strict=True)
        )
    ]
    found.located.faults = [located[number] for number in kept]
    return [wrong[number] for number in kept]


def _located(found: ModelResults, fault: LocatedFault, edits: EditSearch) -> Fault:
    landmark = found.landmarks[fault.landmark]
    operation = found.torch.operations[fault.operation] if fault.operation >= 0 else None
    path = fault.path or (_path(found, operation, fault.how) if operation is not None else "")
    if not path and (operation is None or (fault.how and fault.operation == landmark.operation)):
        path = landmark.path
    step = found.flat.steps[landmark.step]
    error = found.located.errors[fault.landmark]
    explanation = _explanation(found, fault, edits)
    return Fault(
        torch=path,
        kind=type(found.torch.modules[path]).__name__ if path in found.torch.modules else "",
        operation=operation.name if operation else landmark.name.removeprefix(f"{landmark.path}."),
        jax=step.operation.path,
        source=step.operation.source,
        cause="definition" if isfinite(error) else "special",
        side=None,
        error=error,
        explanation=(explanation or _plainly(error)) + _hidden(found, error),
        layers=tuple(fault.shown),
        facts=edits.facts(fault),
    )


def _explanation(found: ModelResults, fault: LocatedFault, edits: EditSearch) -> str:
    """What JAX does otherwise, as a clause; empty if nothing shows it."""
    if fault.how == "moved" or fault.later:
        return fault.relation
    landmark, operation = found.landmarks[fault.landmark], fault.operation
    explanation = edits.explanation(fault)
    if explanation and all(one.kind in OF_NUMBERS for one in edits.facts(fault)):
        other = of_weights(found, fault.landmark, operation)
        if other:
            edits.forget(fault)
            return other
    if explanation and edits.of_mask and operation >= 0:
        mask = other_mask(found, landmark, operation)
        explanation += f"; {mask}" * bool(mask)
    if fault.how and operation >= 0:
        explanation = explanation or edits.explanation(fault, late=True)
    explanation = explanation or SAID.get(fault.how, "") or of_weights(found, fault.landmark, operation)
    if not explanation and operation >= 0:
        explanation = other_mask(found, landmark, operation) or edits.explanation(fault, late=True)
    explanation = explanation or moved_module(found, fault.landmark) or other_fill(found, fault.landmark)
    if (not explanation or fault.how) and draws_random_numbers(found, fault.landmark):
        return "JAX draws random numbers there, as dropout does"
    return explanation


def _path(found: ModelResults, operation: Operation, how: str) -> str:
    """The module of an operation, or of a value, such as positions, that torch computes from weights and JAX lacks."""
    operations = found.torch.operations
    if how == "changed":  # by a module of torch that does nothing here, such as dropout
        idle = [name for name, following in found.torch.calls if following == operation.index + 1]
        empty = [name for name in idle if not any(one.path.startswith(name) for one in operations[operation.index + 1 :])]
        while not empty and operation.name in MOVES and operation.inputs:
            operation = operations[operation.inputs[-1]]
        return empty[0] if empty else operation.path
    if how == "misplaced":
        # Numbers are moved: by the first operation that does nothing else, or by views, which are not recorded.
        moving = []
        while operation.name in MOVES and operation.inputs:
            moving.append(operation.path)
            operation = operations[operation.inputs[-1]]
        return next(filter(None, reversed(moving)), "")
    held = {pair.torch for pair in found.pairs if pair.how != "order"}
    uses = [use for use in found.torch.uses if use.operation.index == operation.index]
    if repeated := repeated_weights(found, uses):
        return repeated[0]
    if any((use.index, slot) not in held for use in uses for slot in range(len(use.names))):
        made = [operations[one] for one in operation.inputs]
        return next((one.path for one in made if one.kind == WEIGHT and one.path), operation.path)
    return operation.path


def _plainly(error: float) -> str:
    if not isfinite(error):
        return "one side gives NaN or infinity where the other does not"
    return f"JAX computes something else; {error:.2g} apart in float64"


def _hidden(found: ModelResults, error: float) -> str:
    """The remark on a difference that the dtype rounds away."""
    dtype = found.flat.dtype
    return f"; at these inputs too little for {dtype} to show" if error < 2.0 ** -FORMATS[dtype].precision else ""


def _inaccurate(found: ModelResults) -> Iterator[Fault]:
    for number, accuracy in found.accuracy.items():
        if accuracy.side is None:
            continue
        landmark = found.landmarks[number]
        step = found.flat.steps[landmark.step]
        error = accuracy.torch if accuracy.side == "torch" else accuracy.jax
        who, beside = ("PyTorch", "JAX") if accuracy.side == "torch" else ("JAX", "PyTorch")
        makes = f"where rounding every operation makes {accuracy.rounding:.2g}"
        if ROUNDINGS * accuracy.rounding >= error:  # its own program in so few digits explains it
            other = accuracy.jax if accuracy.side == "torch" else accuracy.torch
            makes = f"{beside} by {other:.2g}: {who} computes a part there in fewer digits"
        why = in_fewer_digits(found, number, accuracy.side) or casts(found, number) * (accuracy.side == "jax")
        yield Fault(
            torch=landmark.path,
            kind=type(found.torch.modules[landmark.path]).__name__ if landmark.path in found.torch.modules else "",
            operation="" if landmark.operation is None else found.torch.operations[landmark.operation].name,
            jax=step.operation.path,
            source=step.operation.source,
            cause="inaccurate",
            side=accuracy.side,
            error=error,
            explanation=f"{why}; " * bool(why) + f"{who} errs by {error:.2g}, {makes}",
            layers=(number,),
        )


def _gradients(found: ModelResults) -> Iterator[Fault]:
    """Where gradients begin to go wrong: backward, after the last parameter whose gradient is wrong."""
    differ = [one for one in found.gradients if one.cause]
    if not differ:
        return
    wrong = [one for one in differ if not one.explanation] or differ
    order = {name: use.index for use in found.torch.uses for name in use.names}
    last = max(wrong, key=lambda one: order.get(one.parameter, -1))
    begins = order.get(last.parameter, -1)
    right = {one.parameter for one in found.gradients if not one.cause}
    after = next((use for use in found.torch.uses if use.index > begins and set(use.names) & right), None)
    where = _stopped(found, begins, after) or last.parameter.rpartition(".")[0]
    causes = {one.cause for one in wrong}
    cause = "missing" if causes == {"missing"} else "definition"
    what = "no gradient flows" if cause == "missing" else "the gradient is another one"
    until = f" and before {after.names[0]}" if after is not None else ""
    why = last.explanation or f"in the backward pass {what} after {last.parameter}{until}"
    yield Fault(
        torch=where,
        kind=type(found.torch.modules[where]).__name__ if where in found.torch.modules else "",
        operation="gradient",
        jax=", ".join(last.jax[:2]),
        source="",
        cause=cause,
        side=None,
        error=max(one.error for one in wrong),
        explanation=f"values agree, but {why}; {len(differ)} of {len(found.gradients)} gradients differ",
        layers=(),
    )


def _raised(found: ModelResults) -> Iterator[Fault]:
    """A backward pass that raised: one model has a gradient, and the other has none."""
    if found.raised is not None:
        who = {"torch": "PyTorch", "jax": "JAX"}[found.raised.side]
        what = said(found.raised.__cause__ or found.raised)
        side, text = found.raised.side, f"the backward pass of {who} raises {what}"
        yield Fault("", "", "gradient", "", "", "error", side, float("inf"), text, ())


def _stopped(found: ModelResults, begins: int, after: Use | None) -> str:
    """The module between the last wrong gradient and the next right one; only the input of a norm may be wrong."""
    first = found.torch.uses[begins].operation.index if begins >= 0 else -1
    last = after.operation.index if after is not None else len(found.torch.operations)
    inside = [one for one in found.torch.operations[first + 1 : last + 1] if one.kind == DATA]
    if after is not None and after.kind != "norm":
        inside = [one for one in inside if one.index != last]
    computing = [one.path for one in inside if one.name not in MOVES | {"add"} and one.path]
    return computing[-1] if computing else ""


def _unseen(found: ModelResults) -> Iterator[Fault]:
    """An output whose difference is larger than rounding explains, although no stretch is wrong."""
    for name, number in found.outputs.items():
        accuracy = found.accuracy.get(number)
        if accuracy is None or accuracy.accumulated <= UNEXPLAINED * max(accuracy.drift, accuracy.rounding):
            continue
        step = found.flat.steps[found.landmarks[number].step]
        yield Fault(
            torch="",
            kind="",
            operation=name,
            jax=step.operation.path,
            source=step.operation.source,
            cause="inaccurate",
            side=None,
            error=accuracy.accumulated,
            explanation=f"the {name} is {accuracy.accumulated:.2g} apart where rounding makes {accuracy.drift:.2g}: "
            f"the landmarks do not show why",
            layers=(number,),
        )
