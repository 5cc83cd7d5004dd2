"""Put into words what was found: each fault with its module, its place in JAX and an explanation."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from math import isfinite

import numpy as np

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Array
from crosscheck._models.crossings import is_in
from crosscheck._models.engine import Found
from crosscheck._models.extra_weights import extra_weight
from crosscheck._models.forcing import Fault as LocatedFault
from crosscheck._models.masks import other_mask
from crosscheck._models.other_functions import other_function
from crosscheck._models.other_numbers import OtherNumbers
from crosscheck._models.other_settings import OtherSettings
from crosscheck._models.other_tables import other_table
from crosscheck._models.other_weights import with_other_weights
from crosscheck._models.report import Fault, Layer
from crosscheck._models.segment import draws_random_numbers, explanation_by_compare
from crosscheck._models.uses import DATA, WEIGHT, Operation, Use
from crosscheck._models.windows import other_groups, other_window
from crosscheck._records.errors import said

EXACT = 2.0**-48
"""Relative errors up to this do not count in float64."""
SAME_RATIO = 1e-6
"""Ratios that differ by less than this, relatively, count as equal."""
UNEXPLAINED = 16.0
"""Errors add up to at most this many times the effect of rounding every operation; a larger sum shows a missed fault."""
MOVES = frozenset(
    ["cat", "clone", "contiguous", "_reshape_alias", "_unsafe_view", "permute", "stack", "_to_copy", "roll", "flip"]
)
"""Operations whose results are the numbers that they are given."""
SAID = {
    "misplaced": "JAX has the same numbers there, in another order",
    "changed": "JAX has this result, and changes it before it is used",
}


def faults(found: Found) -> list[Fault]:
    """Everything that goes wrong by itself: in float64, only in the dtype, in gradients."""
    known: dict[object, str] = {}
    numbers, settings = OtherNumbers(found), OtherSettings(found)
    wrong = [_located(found, one, known, settings, numbers) for one in found.located.faults]
    wrong = with_other_weights(found, _merged(found, wrong, numbers.corrected))
    wrong += _inaccurate(found)
    wrong += _gradients(found)
    wrong += _raised(found)
    return wrong or ([] if found.open else list(_unseen(found)))


def layers(found: Found, wrong: Sequence[Fault]) -> list[Layer]:
    """A record of every landmark."""
    shows = {number: k for k, fault in enumerate(wrong) for number in fault.layers}
    return [_layer(found, number, shows.get(number), wrong) for number in range(len(found.landmarks))]


def _layer(found: Found, number: int, fault: int | None, wrong: Sequence[Fault]) -> Layer:
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


def _merged(found: Found, wrong: list[Fault], corrected: Container[int]) -> list[Fault]:
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


def _located(
    found: Found, fault: LocatedFault, known: dict[object, str], settings: OtherSettings, numbers: OtherNumbers
) -> Fault:
    landmark = found.landmarks[fault.landmark]
    operation = found.torch.operations[fault.operation] if fault.operation >= 0 else None
    path = fault.path or (_path(found, operation, fault.how) if operation is not None else "")
    if not path and (operation is None or (fault.how and fault.operation == landmark.operation)):
        path = landmark.path
    step = found.flat.steps[landmark.step]
    error = found.located.errors[fault.landmark]
    explanation = fault.relation if fault.how == "moved" else extra_weight(found, fault) if fault.how == "changed" else ""
    explanation = explanation or SAID.get(fault.how, "")
    if not explanation and operation is not None and not fault.relation:
        explanation = settings.explanation(fault) or numbers.explanation(fault) or other_table(found, fault)
    explanation = explanation or _explanation(found, fault.landmark, fault.operation)
    if not explanation and operation is not None:
        explanation = extra_weight(found, fault) or other_mask(found, landmark, operation.index)
        explanation = explanation or other_window(found, landmark, operation)
        explanation = explanation or numbers.integer(fault)
        explanation = explanation or explanation_by_compare(found, landmark, fault, known)
        explanation = explanation or other_function(found, fault) or fault.relation
    if (not explanation or fault.how) and draws_random_numbers(found, landmark):
        explanation = "JAX draws random numbers there, as dropout does"
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
    )


def _path(found: Found, operation: Operation, how: str) -> str:
    """The module of an operation, or of a value, such as positions, that torch computes from weights and JAX lacks."""
    operations = found.torch.operations
    if how == "changed":  # by a module of torch that does nothing here, such as dropout
        idle = [name for name, following, _ in found.torch.calls if following == operation.index + 1]
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
    if repeated := _repeated(found, uses):
        return repeated[0]
    if any((use.index, slot) not in held for use in uses for slot in range(len(use.names))):
        made = [operations[one] for one in operation.inputs]
        return next((one.path for one in made if one.kind == WEIGHT and one.path), operation.path)
    return operation.path


def _repeated(found: Found, uses: Sequence[Use]) -> tuple[str, str] | None:
    """The module whose weights one side applies more often than the other, and the explanation."""
    mine = Counter(name for use in found.torch.uses for name in use.names)
    rows: Counter[str] = Counter()  # torch may apply a weight to all steps at once, and JAX to each
    for use in found.torch.uses:
        rows.update(dict.fromkeys(use.names, use.result.size[0]))
    often = Counter(key for keys in found.applied for key in keys)
    there: Counter[tuple[str, tuple[str, int, int]]] = Counter()
    named: Counter[str] = Counter()
    for keys, (_, use, _) in zip(found.applied, found.uses, strict=True):
        there.update(dict.fromkeys(keys, use.result.size[0]))
        named.update(name for name, _ in keys)
    partner = {
        found.torch.uses[one.torch[0]].names[one.torch[1]]: found.applied[one.jax[0]][one.jax[1]]
        for one in found.pairs
        if one.how == "values" and one.part == (0, 1)
    }
    other = {name: (count, often[partner[name]]) for name, count in mine.items() if name in partner}
    # JAX may also apply numbers that it computes from the weight, as torch does
    wrong = {
        name: counts
        for name, counts in other.items()
        if counts[0] not in (counts[1], named[partner[name][0]]) and min(counts) > 0 and max(counts) > 1
        if rows[name] != there[partner[name]]
    }
    names = [name for use in uses for name in use.names if name in wrong]
    if not names:
        return None
    module = functools.reduce(_common, [name.rpartition(".")[0] for name in wrong])
    times = wrong[names[0]]
    return module, f"PyTorch applies {names[0]} {times[0]} time{'s' * (times[0] > 1)}, JAX {times[1]}"


def _plainly(error: float) -> str:
    if not isfinite(error):
        return "one side gives NaN or infinity where the other does not"
    return f"JAX computes something else; {error:.2g} apart in float64"


def _hidden(found: Found, error: float) -> str:
    """The remark on a difference that the dtype rounds away."""
    dtype = found.flat.dtype
    return f"; at these inputs too little for {dtype} to show" if error < 2.0 ** -FORMATS[dtype].precision else ""


def _explanation(found: Found, number: int, operation: int) -> str:
    """What is known without further runs: weights that differ, that one side lacks, statistics that move differently."""
    if operation < 0:
        return _statistics(found, number)
    uses = [use for use in found.torch.uses if use.operation.index == operation]
    pairs = {pair.torch: pair for pair in found.pairs}
    if repeated := _repeated(found, uses):
        return repeated[1]
    for use in uses:
        for slot, name in enumerate(use.names):
            pair = pairs.get((use.index, slot))
            if pair is None and (_is_joined(found, name) or name in found.torch.buffers):
                continue  # the operation changes these statistics and does not apply them
            if pair is None and _is_mask(found, name):
                continue  # JAX may compute it
            if (pair is None or pair.how == "order") and _has_all(found, name):
                if use.kind == "gather" or not np.isin(found.torch.weights[name], use.matrices[slot]).all():
                    # torch may have added a mask to it
                    if mask := other_mask(found, found.landmarks[number], operation):
                        return mask
                    return f"JAX applies other numbers of {name}" + ", as of other rows" * (
                        found.torch.weights[name].ndim > 1
                    )
                continue  # it applies all of them, so that something else is wrong
            if pair is None:
                return _misfit(found, use, slot) or f"JAX does not apply {name}, or another weight in its place"
            if pair.how == "transposed":
                return f"JAX has {name} transposed"
            if pair.how == "order":
                other = found.uses[pair.jax[0]][1]
                there = other.names[min(pair.jax[1], len(other.names) - 1)]
                if tied := _tied(found, there, name):
                    return tied
                return f"{name} holds other numbers than {there} in JAX"
    return ""


def _tied(found: Found, there: str, name: str) -> str:
    """That JAX applies the weight of another layer in place of one of PyTorch's, and in that layer too."""
    owners = {match.torch for match in found.weights.matches if match.jax == there and match.torch not in (None, name)}
    for pair in found.pairs:
        owner = found.torch.uses[pair.torch[0]].names[pair.torch[1]]
        if pair.how == "values" and owner in owners and there in found.uses[pair.jax[0]][1].names:
            return f"JAX applies {there} there too, as if {name} were tied to {owner}; in PyTorch it is a weight of its own"
    return ""


def _is_mask(found: Found, name: str) -> bool:
    """Whether a buffer of torch holds two numbers, such as 0 and minus infinity."""
    module, _, last = name.rpartition(".")
    buffers = dict(found.torch.modules[module].named_buffers(recurse=False)) if module in found.torch.modules else {}
    return last in buffers and len(np.unique(found.torch.weights.get(name, np.empty(0)))) <= 2


def _misfit(found: Found, use: Use, slot: int) -> str:
    """Say in which shapes the two sides hold a weight, if JAX has an array of another shape in its place.

    JAX uses that array in the same kind of operation, between the same neighbouring weights. The text is empty if there is
    no such array.
    """
    places: dict[int, list[int]] = defaultdict(list)
    for pair in found.pairs:
        if pair.how != "order":
            places[pair.torch[0]].append(pair.jax[0])
    before = max((one for one in places if one < use.index), default=None)
    after = min((one for one in places if one > use.index), default=None)
    begin = 0 if before is None else max(places[before]) + 1
    between = range(begin, len(found.uses) if after is None else min(places[after]))
    paired = {pair.jax for pair in found.pairs}
    others = [found.uses[k] for k in between if (k, slot) not in paired and found.uses[k][1].kind == use.kind]
    sizes = dict(zip(found.model.names, found.model.weights, strict=True))
    if len(others) != 1 or slot > 0 or others[0][1].names[0] not in sizes or use.names[0] not in found.torch.weights:
        return ""
    (step, other, _), mine = others[0], found.torch.weights[use.names[0]]
    theirs = sizes[other.names[0]]
    if theirs.size == mine.size:
        return ""
    groups = other_groups(found, step, use.operation)  # no names, so that layers that are wrong alike are one kind of fault
    mine_has, theirs_have = (f"{one} group{'s' * (one > 1)} and " for one in groups) if groups else ("", "")
    return f"PyTorch has {mine_has}a weight of shape {mine.shape}, JAX {theirs_have}one of shape {theirs.shape} in its place"


def _is_joined(found: Found, name: str) -> bool:
    """Whether a larger array of JAX holds the numbers of a weight."""
    mine = found.torch.weights[name] if name in found.torch.weights else np.empty(0)
    return any(mine.size < one.size and np.isin(mine, one.astype(np.float64)).all() for one in found.model.weights)


def _has_all(found: Found, name: str) -> bool:
    """Whether JAX uses an array that holds the numbers of a weight of torch."""
    mine = found.torch.weights.get(name)
    used = {one for _, use, _ in found.uses for names in use.names for one in names.split("+")}
    return mine is not None and any(
        other in used and value.size == mine.size and np.array_equal(np.sort(value, None), np.sort(mine, None))
        for other, value in zip(found.model.names, found.model.weights, strict=True)
    )


def _statistics(found: Found, number: int) -> str:
    """How JAX updates running statistics: with another momentum, or with another variance."""
    landmark = found.landmarks[number]
    before = found.torch.weights.get(landmark.name)
    if before is None or before.size != np.size(landmark.expected.wide):
        return ""
    old, mine = before.ravel(), np.ravel(landmark.expected.wide)
    theirs = np.ravel(found.located.values[number])
    name = landmark.name.rpartition(".")[2]  # without the layer, so that layers that are wrong alike are one kind of fault
    if steps := _ratio(theirs - old, mine - old):
        return f"JAX moves {name} {steps:.6g} times as far as PyTorch does: its momentum is another one"
    momentum = getattr(found.torch.modules.get(landmark.path), "momentum", None)
    kept = (1 - momentum) * old if isinstance(momentum, float) else old
    if times := _ratio(theirs - kept, mine - kept):
        count = 1 / (1 - times) if times < 1 else 0.0
        biased = count > 0 and abs(count - round(count)) <= SAME_RATIO * count
        why = "the variance divided by n, PyTorch by n - 1" if biased else "another multiple of what PyTorch does"
        return f"JAX updates {name} with {why}; {times:.6g} times as much"
    return f"JAX updates {name} in another way"


def _ratio(theirs: Array, mine: Array) -> float | None:
    """The ratio of one to the other, if it is the same everywhere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = theirs / mine
    ratios = ratios[np.isfinite(ratios)]
    return float(ratios.mean()) if ratios.size and np.ptp(ratios) <= SAME_RATIO * abs(ratios).max() else None


def _inaccurate(found: Found) -> Iterator[Fault]:
    for number, accuracy in found.accuracy.items():
        if accuracy.side is None:
            continue
        landmark = found.landmarks[number]
        step = found.flat.steps[landmark.step]
        error = accuracy.torch if accuracy.side == "torch" else accuracy.jax
        who = "PyTorch" if accuracy.side == "torch" else "JAX"
        yield Fault(
            torch=landmark.path,
            kind=type(found.torch.modules[landmark.path]).__name__ if landmark.path in found.torch.modules else "",
            operation="" if landmark.operation is None else found.torch.operations[landmark.operation].name,
            jax=step.operation.path,
            source=step.operation.source,
            cause="inaccurate",
            side=accuracy.side,
            error=error,
            explanation=f"{who} errs by {error:.2g}, where rounding every operation makes {accuracy.rounding:.2g}",
            layers=(number,),
        )


def _gradients(found: Found) -> Iterator[Fault]:
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
    where = ("" if last.explanation else _stopped(found, begins, after)) or last.parameter.rpartition(".")[0]
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


def _raised(found: Found) -> Iterator[Fault]:
    """A backward pass that raised: one model has a gradient, and the other has none."""
    if found.raised is not None:
        who = {"torch": "PyTorch", "jax": "JAX"}[found.raised.side]
        what = said(found.raised.__cause__ or found.raised)
        side, text = found.raised.side, f"the backward pass of {who} raises {what}"
        yield Fault("", "", "gradient", "", "", "error", side, float("inf"), text, ())


def _stopped(found: Found, begins: int, after: Use | None) -> str:
    """The module between the last wrong gradient and the next right one; only the input of a norm may be wrong."""
    first = found.torch.uses[begins].operation.index if begins >= 0 else -1
    last = after.operation.index if after is not None else len(found.torch.operations)
    inside = [one for one in found.torch.operations[first + 1 : last + 1] if one.kind == DATA]
    if after is not None and after.kind != "norm":
        inside = [one for one in inside if one.index != last]
    computing = [one.path for one in inside if one.name not in MOVES | {"add"} and one.path]
    return computing[-1] if computing else ""


def _common(one: str, other: str) -> str:
    """The innermost module that contains both."""
    parts = []
    for a, b in zip(one.split("."), other.split("."), strict=False):
        if a != b:
            break
        parts.append(a)
    return ".".join(parts)


def _unseen(found: Found) -> Iterator[Fault]:
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
