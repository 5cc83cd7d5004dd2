"""The fault of a model in which JAX holds weights in each other's place: with them exchanged, its results are PyTorch's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from crosscheck._explain.facts import Fact
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.reruns import CLOSE, with_weights
from crosscheck._models.judge.forcing import FLOOR
from crosscheck._models.report.report import Fault
from crosscheck._models.values.uses import Use

MOST_TRIED = 16
NEAR = 1e-4
"""Results are right only up to this: so much the rounding of constants may make."""

Cycle = Mapping[str, str]
"""For some of JAX's arrays, the one whose numbers it must hold instead."""


def exchanged_weights(results: ModelResults) -> Fault | None:
    """The fault in place of all, if JAX's results are right once some weights of one shape are exchanged; None otherwise."""
    shown = {number for fault in results.located.faults for number in fault.shown}
    wrong = {results.landmarks[number].path for number in shown}
    # each is tried by a run, so at least one of the weights must be where something is wrong
    cycles = [cycle for cycle in _cycles(results) if wrong & {owner.rpartition(".")[0] for owner in _owners(results, cycle)}]
    cycles = cycles[:MOST_TRIED]
    before = _apart(results, {}) if cycles else []
    right = (cycle for cycle in cycles if _right(_apart(results, cycle), before))
    return next((_fault(results, cycle) for cycle in right), None)


def _cycles(results: ModelResults) -> Iterator[Cycle]:
    """JAX's arrays of one shape that hold torch's weights in another order than that in which it applies them."""
    if not results.located.faults:
        return
    torch_order = _first_uses(results.torch.uses)
    jax_order = _first_uses(use for _, use, _ in results.uses)
    holders: dict[str, list[str]] = defaultdict(list)
    for name, wholes in results.weights.whole.items():
        if len(wholes) == 1 and wholes[0].part is None and name in jax_order and wholes[0].torch in torch_order:
            holders[wholes[0].torch].append(name)
    shapes = dict(zip(results.model.names, (weight.shape for weight in results.model.weights), strict=True))
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for owner in sorted((owner for owner, names in holders.items() if len(names) == 1), key=torch_order.__getitem__):
        alike[shapes[holders[owner][0]]].append(holders[owner][0])
    for sources in alike.values():  # in torch's order
        must = dict(zip(sorted(sources, key=jax_order.__getitem__), sources, strict=True))
        while must:
            place, source = must.popitem()
            cycle = {place: source}
            while source in must:
                cycle[source] = source = must.pop(source)
            if len(cycle) > 1:
                yield cycle


def _first_uses(uses: Iterable[Use]) -> dict[str, int]:
    """For each weight, the number of its first use."""
    order: dict[str, int] = {}
    for number, use in enumerate(uses):
        for name in use.names:
            order.setdefault(name, len(order) + number)
    return order


def _apart(results: ModelResults, cycle: Cycle) -> list[float]:
    """How far JAX's results are from torch's, in float64, with some of its arrays exchanged."""
    held = dict(zip(results.model.names, results.model.weights, strict=True))
    weights = {place: held[source] for place, source in cycle.items()}
    whole = with_weights(results, weights, [mark for mark in results.landmarks if mark.fixed])
    return list(whole.free(wide=True).errors.values())


def _right(apart: Sequence[float], before: Sequence[float]) -> bool:
    """Whether results that were so far apart before are right now."""
    return all(own <= max(FLOOR, min(NEAR, CLOSE * max(before))) for own in apart)


def _owners(results: ModelResults, cycle: Cycle) -> list[str]:
    """torch's weights that these arrays hold, in the order in which torch applies them."""
    order = _first_uses(results.torch.uses)
    return sorted((results.weights.whole[name][0].torch for name in cycle), key=order.__getitem__)


def _fault(results: ModelResults, cycle: Cycle) -> Fault:
    *names, last = _owners(results, cycle)
    path = names[0].rpartition(".")[0]
    first = results.located.faults[0]
    step = results.flat.steps[results.landmarks[first.landmark].step]
    fact = Fact("exchange", torch=last, jax=", ".join(names))
    return Fault(
        torch=path,
        kind=type(results.torch.modules[path]).__name__ if path in results.torch.modules else "",
        operation=names[0].removeprefix(f"{path}."),
        jax=step.operation.path,
        source=step.operation.source,
        cause="definition",
        side=None,
        error=results.located.errors[first.landmark],
        explanation=fact.words(),
        layers=tuple(dict.fromkeys(number for fault in results.located.faults for number in fault.shown)),
        facts=(fact,),
    )
