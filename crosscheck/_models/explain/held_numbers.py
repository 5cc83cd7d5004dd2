"""Weights of which JAX holds other numbers: with torch's in their place, its program is right at a landmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.reruns import CLOSE, steps_before, with_weights
from crosscheck._models.judge.forced import LocatedFault
from crosscheck._models.judge.forcing import ForcedRun
from crosscheck._models.run.places import TorchPlaces, shaped
from crosscheck._models.values.names import likeness
from crosscheck._models.values.uses import WEIGHT

MOST_TRIED = 8
MOST_EACH = 4
"""So many of torch's weights, in one layout each, are tried for one array."""

Numbers = tuple[str, Array]
"""The name of a weight of torch, and its numbers as JAX would hold them."""


def held_numbers(results: ModelResults, fault: LocatedFault) -> tuple[Fact, ...]:
    """The weights whose numbers differ, if these are all that is wrong at a landmark; none otherwise."""
    accounted, held = results.weights, dict(zip(results.model.names, results.model.weights, strict=True))
    # most arrays hold a weight of torch, or a sum of two
    unclear = _applied(results, fault) & accounted.places.keys() - accounted.whole.keys() - accounted.sums.keys()
    others = {name: list(islice(_others(results, name, np.asarray(held[name], np.float64)), MOST_EACH)) for name in unclear}
    others = {name: forms for name, forms in sorted(others.items()) if forms}
    for chosen in islice(product(*others.values()), MOST_TRIED) if others else ():
        names = dict(zip(others, chosen, strict=True))
        if _right(results, fault.landmark, {name: numbers for name, (_, numbers) in names.items()}):
            uses = sorted(results.torch.uses, key=lambda use: (use.operation.index != fault.operation, use.index))
            order = list(dict.fromkeys(name for use in uses for name in use.names))
            facts = [Fact("values", owner, jax=name) for name, (owner, _) in names.items()]
            first, *behind = sorted(facts, key=lambda fact: order.index(fact.what) if fact.what in order else len(order))
            module = first.what.rpartition(".")[0]  # those of other modules show at landmarks of their own
            return (first, *(fact for fact in behind if module and fact.what.rpartition(".")[0] == module))
    return ()


def _applied(results: ModelResults, fault: LocatedFault) -> set[str]:
    """The arrays that JAX applies on the way to a landmark."""
    flat = results.flat
    given = {number for step in steps_before(results, fault.landmark) for number in step.inputs if isinstance(number, int)}
    return {name for number in given if flat.kinds[number] == WEIGHT for name in flat.origins[number]}


def _others(results: ModelResults, name: str, array: Array) -> Iterator[Numbers]:
    """What an array of JAX may have to hold, likeliest first; nothing if it holds numbers of torch, each once."""
    weights, accounted = results.torch.weights, results.weights
    places, sources = TorchPlaces(weights), accounted.places[name]
    owners = {match.torch: None for match in accounted.matches if match.jax == name and match.torch in weights}
    if sources.size and (sources >= 0).all():
        numbers = places.numbers(sources)
        if not np.array_equal(numbers, array):
            yield next(filter(None, owners), name), numbers
            return
        if len(np.unique(sources)) == sources.size:
            return
    held = {match.torch for match in accounted.matches if match.matched}
    lonely = [owner for owner in weights if owner not in held or owner in owners]
    forms = [
        (owner, form)
        for owner in lonely
        if weights[owner].size == array.size
        for form in shaped(weights[owner], array.shape)
    ]
    equal = {k: int((form == array).sum()) for k, (_, form) in enumerate(forms)}
    for k in sorted(equal, key=lambda k: (-equal[k], -likeness(forms[k][0], name), k)):
        if equal[k] < array.size:
            yield forms[k]


def _right(results: ModelResults, at: int, numbers: Mapping[str, Array]) -> bool:
    """Whether JAX has torch's values at a landmark if it holds these numbers."""
    own, held = results.forcing, dict(zip(results.model.names, results.model.weights, strict=True))
    weights = {name: np.asarray(array).astype(held[name].dtype) for name, array in numbers.items()}
    forcing = with_weights(results, weights, own.landmarks)
    forcing.orders, forcing.mends, forcing.local = dict(own.orders), own.mends, own.local
    error = forcing.replaced(results.located.left, ForcedRun(wide=True, only={at})).errors[at]
    return error <= max(results.tolerances[at], CLOSE * results.located.errors[at])
