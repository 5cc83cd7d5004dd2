"""Put into words what was found: each fault with its module, its place in JAX and an explanation."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from math import isfinite

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._explain.facts import Fact, clause
from crosscheck._models.cut.reordered_modules import is_in
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.edits import EditSearch, casts, forms
from crosscheck._models.explain.exchanged_weights import exchanged_weights
from crosscheck._models.explain.fills import other_fill
from crosscheck._models.explain.held_numbers import held_numbers
from crosscheck._models.explain.masks import other_mask
from crosscheck._models.explain.moved_modules import moved_module
from crosscheck._models.explain.other_exchanges import other_exchange
from crosscheck._models.explain.precision import in_fewer_digits
from crosscheck._models.explain.reruns import depends_on_random_numbers
from crosscheck._models.explain.rounded import rounded
from crosscheck._models.explain.weight_reasons import common, of_weights, repeated_weights
from crosscheck._models.judge.accuracy import ROUNDINGS
from crosscheck._models.judge.forced import LocatedFault
from crosscheck._models.report.report import Fault, Layer
from crosscheck._models.values.distances import same_numbers
from crosscheck._models.values.uses import DATA, WEIGHT, Operation, Use
from crosscheck._records.errors import said
from crosscheck._records.worded import Worded

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
KINDS = {"misplaced": "misplaced", "changed": "rewritten"}
"""The kind of the fact for how a fault was located."""


def faults(results: ModelResults) -> list[Fault]:
    """Everything that goes wrong by itself: in float64, only in the dtype, in gradients."""
    if (exchange := other_exchange(results) or exchanged_weights(results)) is not None:
        return [exchange]
    edits = EditSearch(results)
    wrong = [_located(results, fault, edits) for fault in results.located.faults]
    alike = edits.alike(results.located.faults) | edits.moved(results.located.faults)
    wrong = [
        replace(fault, explanation=clause(alike[at.landmark]) or _plainly(fault.error), facts=alike[at.landmark])
        if at.landmark in alike
        else fault
        for at, fault in zip(results.located.faults, wrong, strict=True)
    ]
    wrong = _merged(results, wrong, edits.corrected)
    wrong += _inaccurate(results)
    wrong += rounded(results, {number for fault in wrong for number in fault.layers})
    wrong += _gradients(results)
    wrong += _raised(results)
    return wrong or ([] if results.open else list(_unseen(results)))


def layers(results: ModelResults, wrong: Sequence[Fault]) -> list[Layer]:
    """A record of every landmark."""
    shows = {number: k for k, fault in enumerate(wrong) for number in fault.layers}
    return [_layer(results, number, shows.get(number), wrong) for number in range(len(results.landmarks))]


def _layer(results: ModelResults, number: int, fault: int | None, wrong: Sequence[Fault]) -> Layer:
    landmark = results.landmarks[number]
    step = results.flat.steps[landmark.step]
    error = results.located.errors[number]
    accuracy = results.accuracy.get(number)
    cause = "exact" if error <= EXACT else "rounding"
    if fault is not None:
        cause = wrong[fault].cause
    return Layer(
        name=landmark.name,
        place="result" if landmark.place < 0 else "operand",
        torch=landmark.path,
        operation="" if landmark.operation is None else results.torch.operations[landmark.operation].name,
        jax=step.operation.path,
        source=step.operation.source,
        error=error,
        tolerance=results.tolerances[number],
        accumulated=accuracy.accumulated if accuracy else None,
        drift=accuracy.drift if accuracy else None,
        torch_error=accuracy.torch if accuracy else None,
        jax_error=accuracy.jax if accuracy else None,
        rounding=accuracy.rounding if accuracy else None,
        cause=cause,
        side=None if fault is None else wrong[fault].side,
        fault=fault,
    )


def _merged(results: ModelResults, wrong: list[Fault], corrected: Container[int]) -> list[Fault]:
    """The faults, without those of a module that contains another one whose number corrects the same landmark."""
    located = results.located.faults
    kept = [
        number
        for number, (at, fault) in enumerate(zip(located, wrong, strict=True))
        if at.landmark not in corrected
        or not any(
            other.landmark == at.landmark and inner.torch != fault.torch and is_in(inner.torch, fault.torch)
            for other, inner in zip(located, wrong, strict=True)
        )
    ]
    results.located.faults = [located[number] for number in kept]
    return [wrong[number] for number in kept]


def _located(results: ModelResults, fault: LocatedFault, edits: EditSearch) -> Fault:
    landmark = results.landmarks[fault.landmark]
    facts = () if fault.how == "moved" or fault.later else held_numbers(results, fault)
    if facts:
        first = (use.operation.index for use in results.torch.uses if facts[0].what in use.names)
        fault.operation = next(first, fault.operation)
    facts = facts or _facts(results, fault, edits)
    operation = results.torch.operations[fault.operation] if fault.operation >= 0 else None
    reader = _reader(results, fault)
    if reader is not None:
        path, operation = reader
    else:
        path = fault.path or (_path(results, operation, fault.how) if operation is not None else "")
    if not path and (operation is None or (fault.how and fault.operation == landmark.operation)):
        path = landmark.path
    step = results.flat.steps[landmark.step]
    error = results.located.errors[fault.landmark]
    return Fault(
        torch=path,
        kind=type(results.torch.modules[path]).__name__ if path in results.torch.modules else "",
        operation=operation.name if operation else landmark.name.removeprefix(f"{landmark.path}."),
        jax=step.operation.path,
        source=step.operation.source,
        cause="definition" if isfinite(error) else "special",
        side=None,
        error=error,
        explanation=(clause(facts) or _plainly(error)) + _hidden(results, error),
        layers=tuple(fault.shown),
        facts=facts,
    )


def _reader(results: ModelResults, fault: LocatedFault) -> tuple[str, Operation] | None:
    """The module that reads another value than PyTorch's, and its operation, where JAX has PyTorch's value elsewhere."""
    landmarks = results.landmarks
    own = landmarks[fault.landmark].operation
    if fault.how or own is None or own != fault.operation or any(landmarks[number].place < 0 for number in fault.shown):
        return None
    wrong = {number for shown in fault.shown for number in forms(results.flat, landmarks[shown])}
    numbers = landmarks[fault.landmark].expected.wide
    right = (
        mark.operation == own
        and mark.place >= 0
        and results.located.errors[number] <= results.tolerances[number]
        # what is read where it is wrong was replaced, and is right from then on
        and wrong.isdisjoint(forms(results.flat, mark))
        # another step of a recurrence reads another part
        and mark.expected.wide.size == numbers.size
        and same_numbers(mark.expected.wide, numbers, EXACT)
        for number, mark in enumerate(landmarks)
    )
    if not any(right):
        return None
    names = [landmarks[number].name for number in fault.shown]
    use = next((use for use in results.torch.uses if use.origin == own and use.names[0] == names[0]), None)
    return None if use is None else (common([name.rpartition(".")[0] for name in names]), use.operation)


def _facts(results: ModelResults, fault: LocatedFault, edits: EditSearch) -> tuple[Fact, ...]:
    """What JAX does otherwise; nothing if nothing shows it."""
    if fault.how == "moved" or fault.later:
        return () if fault.relation is None else (fault.relation,)
    landmark, operation = results.landmarks[fault.landmark], fault.operation
    facts = edits.explanation(fault)
    if facts and all(fact.kind in OF_NUMBERS for fact in facts):
        other = of_weights(results, fault.landmark, operation)
        if other:
            edits.forget(fault)
            return other
    if facts and edits.of_mask and operation >= 0:
        facts += other_mask(results, landmark, operation)
    if fault.how and operation >= 0:
        facts = facts or edits.explanation(fault, late=True)
    if not facts and fault.how in KINDS:
        facts = (Fact(KINDS[fault.how]),)
    facts = facts or of_weights(results, fault.landmark, operation)
    if not facts and operation >= 0:
        facts = other_mask(results, landmark, operation) or edits.explanation(fault, late=True)
    facts = facts or moved_module(results, fault.landmark) or other_fill(results, fault.landmark)
    if (not facts or fault.how) and depends_on_random_numbers(results, fault.landmark):
        return (Fact("drawn", source=facts[0].source if facts else ""),)
    return facts


def _path(results: ModelResults, operation: Operation, how: str) -> str:
    """The module of an operation, or of a value, such as positions, that torch computes from weights and JAX lacks."""
    operations = results.torch.operations
    if how == "changed":  # by a module of torch that does nothing here, such as dropout
        idle = [name for name, following in results.torch.calls if following == operation.index + 1]
        empty = [
            name
            for name in idle
            if not any(successor.path.startswith(name) for successor in operations[operation.index + 1 :])
        ]
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
    held = {pair.torch for pair in results.pairs if pair.how != "order"}
    uses = [use for use in results.torch.uses if use.operation.index == operation.index]
    if repeated := repeated_weights(results, uses):
        return repeated[0]
    if any((use.index, slot) not in held for use in uses for slot in range(len(use.names))):
        made = [operations[index] for index in operation.inputs]
        return next((maker.path for maker in made if maker.kind == WEIGHT and maker.path), operation.path)
    return operation.path


def _plainly(error: float) -> str:
    if not isfinite(error):
        return "one side gives NaN or infinity where the other does not"
    return f"JAX computes something else; {error:.2g} apart in float64"


def _hidden(results: ModelResults, error: float) -> str:
    """The remark on a difference that the dtype rounds away."""
    dtype = results.flat.dtype
    return f"; at these inputs too little for {dtype} to show" if error < 2.0 ** -FORMATS[dtype].precision else ""


def _inaccurate(results: ModelResults) -> Iterator[Fault]:
    for number, accuracy in results.accuracy.items():
        if accuracy.side is None:
            continue
        landmark = results.landmarks[number]
        step = results.flat.steps[landmark.step]
        error = accuracy.torch if accuracy.side == "torch" else accuracy.jax
        who, beside = ("PyTorch", "JAX") if accuracy.side == "torch" else ("JAX", "PyTorch")
        makes = f"where rounding every operation makes {accuracy.rounding:.2g}"
        if ROUNDINGS * accuracy.rounding >= error:  # its own program in so few digits explains it
            other = accuracy.jax if accuracy.side == "torch" else accuracy.torch
            makes = f"{beside} by {other:.2g}: {who} computes a part there in fewer digits"
        facts = in_fewer_digits(results, number, accuracy.side) or casts(results, number) * (accuracy.side == "jax")
        facts += (Fact("errs", f"{error:.2g}", who, where=makes),)
        yield Fault(
            torch=landmark.path,
            kind=type(results.torch.modules[landmark.path]).__name__ if landmark.path in results.torch.modules else "",
            operation="" if landmark.operation is None else results.torch.operations[landmark.operation].name,
            jax=step.operation.path,
            source=step.operation.source,
            cause="inaccurate",
            side=accuracy.side,
            error=error,
            explanation=clause(facts),
            layers=(number,),
            facts=facts,
        )


def _gradients(results: ModelResults) -> Iterator[Fault]:
    """Where gradients begin to go wrong: backward, after the last parameter whose gradient is wrong."""
    differ = [gradient for gradient in results.gradients if gradient.cause]
    if not differ:
        return
    wrong = [gradient for gradient in differ if not gradient.explanation] or differ
    # by its first use: what is wrong behind that one already changes the gradient
    order = {name: use.index for use in reversed(results.torch.uses) for name in use.names}
    last = max(wrong, key=lambda gradient: order.get(gradient.parameter, -1))
    begins = order.get(last.parameter, -1)
    right = {gradient.parameter for gradient in results.gradients if not gradient.cause}
    after = next((use for use in results.torch.uses if use.index > begins and set(use.names) & right), None)
    where = _stopped(results, begins, after) or last.parameter.rpartition(".")[0]
    causes = {gradient.cause for gradient in wrong}
    cause = "missing" if causes == {"missing"} else "definition"
    what = "no gradient flows" if cause == "missing" else "the gradient is another one"
    until = f" and before {after.names[0]}" if after is not None else ""
    why = last.explanation or f"in the backward pass {what} after {last.parameter}{until}"
    words = f"values agree, but {why}; {len(differ)} of {len(results.gradients)} gradients differ"
    known = why if isinstance(why, Worded) else Worded(why, "gradient")
    yield Fault(
        torch=where,
        kind=type(results.torch.modules[where]).__name__ if where in results.torch.modules else "",
        operation="gradient",
        jax=", ".join(last.jax[:2]),
        source="",
        cause=cause,
        side=None,
        error=max(gradient.error for gradient in wrong),
        explanation=Worded(words, known.kind, *known.about),
        layers=(),
    )


def _raised(results: ModelResults) -> Iterator[Fault]:
    """A backward pass that raised: one model has a gradient, and the other has none."""
    if results.raised is not None:
        who = {"torch": "PyTorch", "jax": "JAX"}[results.raised.side]
        what = said(results.raised.__cause__ or results.raised)
        fact, side = Fact("raises", what, who), results.raised.side
        yield Fault("", "", "gradient", "", "", "error", side, float("inf"), fact.words(), (), facts=(fact,))


def _stopped(results: ModelResults, begins: int, after: Use | None) -> str:
    """The module between the last wrong gradient and the next right one; only the input of a norm may be wrong."""
    first = results.torch.uses[begins].operation.index if begins >= 0 else -1
    last = after.operation.index if after is not None else len(results.torch.operations)
    inside = [operation for operation in results.torch.operations[first + 1 : last + 1] if operation.kind == DATA]
    if after is not None and after.kind != "norm":
        inside = [operation for operation in inside if operation.index != last]
    computing = [operation.path for operation in inside if operation.name not in MOVES | {"add"} and operation.path]
    return computing[-1] if computing else ""


def _unseen(results: ModelResults) -> Iterator[Fault]:
    """An output whose difference is larger than rounding explains, although no stretch is wrong."""
    for name, number in results.outputs.items():
        accuracy = results.accuracy.get(number)
        if accuracy is None or accuracy.accumulated <= UNEXPLAINED * max(accuracy.drift, accuracy.rounding):
            continue
        step = results.flat.steps[results.landmarks[number].step]
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
