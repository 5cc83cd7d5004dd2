"""Wrong weights in JAX: exchanged, in another order, or of other numbers; with the right ones, its outputs are torch's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, islice

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.crossings import is_in
from crosscheck._models.distances import distance
from crosscheck._models.engine import Found
from crosscheck._models.index_maps import layout
from crosscheck._models.names import best
from crosscheck._models.places import shaped
from crosscheck._models.records import WeightMatch
from crosscheck._models.report import Fault
from crosscheck._models.running import Run

MOST_TRIED = 32
"""JAX's model is run with at most so many other weights."""
AGREE = 1e-5
"""The largest difference that is left with the right weights: JAX's tables may be rounded."""
CLEARLY = 1e3
"""The right weights make every difference smaller by this factor."""
OF_OPERATIONS = frozenset(["setting", "form", "padding", "other", "binary", "missing"])
"""The kinds of facts on operations."""
ODD = ("flipped along", "in the order", "permuted")
"""Words of layouts that a right port has seldom."""

Weights = Mapping[str, Array]
"""Arrays of JAX by name."""


@dataclass(frozen=True)
class Hypothesis:
    """The arrays that JAX should hold; and for each module whose weights are wrong, what is wrong, as a clause.

    ``modules`` are all modules whose weights change.
    """

    arrays: Weights
    said: Mapping[str, str]
    modules: frozenset[str]


def with_other_weights(found: Found, wrong: list[Fault]) -> list[Fault]:
    """The faults; those of wrong weights alone if other weights in JAX mend all of them."""
    located = found.located.faults
    if not located or [one.how for one in located] == ["moved"] or _are_no_weights(wrong):
        return wrong
    start, _ = _errors(found, {})
    for one in islice(_hypotheses(found, wrong), MOST_TRIED):
        outputs, at = _errors(found, one.arrays)
        # at the modules themselves, what is expected of JAX has the order of the weights that it has
        elsewhere = [k for k in at if found.landmarks[k].name.rpartition(".")[0] not in one.modules]
        mended = all(at[k] <= min(AGREE, found.located.errors[k] / CLEARLY) for k in elsewhere)
        if mended and outputs <= min(AGREE, start / CLEARLY):
            return _faults(found, wrong, one)
    return wrong


def _are_no_weights(wrong: list[Fault]) -> bool:
    """Whether runs have proven mistakes that no other weights can stand for, as another order of numbers can."""
    return all(fault.facts and all(fact.kind in OF_OPERATIONS for fact in fault.facts) for fault in wrong)


def _faults(found: Found, wrong: list[Fault], right: Hypothesis) -> list[Fault]:
    """A fault for each module whose weights are wrong; the first shows at all landmarks."""
    first = wrong[0]
    shown = tuple(sorted({number for fault in wrong for number in fault.layers}))
    modules = found.torch.modules
    made = [
        replace(
            first,
            torch=path,
            kind=type(modules[path]).__name__ if path in modules else "",
            operation="weights",
            explanation=said,
            layers=() if k else shown,
        )
        for k, (path, said) in enumerate(right.said.items())
    ]
    found.located.faults = [found.located.faults[0]] * len(made)
    return made


def _errors(found: Found, arrays: Weights) -> tuple[float, dict[int, float]]:
    """How far JAX is from torch with some other weights, in float64: in its outputs, and at the landmarks of faults."""
    model, flat = found.model, found.flat
    weights = [arrays.get(name, value) for name, value in zip(model.names, model.weights, strict=True)]
    shown = {fault.landmark: found.landmarks[fault.landmark] for fault in found.located.faults}
    steps = {number: flat.steps[one.step] for number, one in shown.items()}
    where = {k: steps[k].outputs[0] if one.place < 0 else steps[k].inputs[one.place] for k, one in shown.items()}
    run = Run(flat, wide=True, keep=set(where.values()))
    try:
        results = run(weights, found.forcing.inputs)
    except Exception:  # what an operation refuses is no explanation
        return float("inf"), {}
    at = {}
    for number, landmark in shown.items():
        matrix = landmark.view.matrix(np.asarray(run.values[where[number]]), found.forcing.orders[number])
        at[number] = distance(landmark.compared(matrix), landmark.compared(landmark.expected.wide))
    pairs = zip(results, found.torch.results, strict=False)
    return max((_apart(np.asarray(one), mine.wide) for one, mine in pairs), default=float("inf")), at


def _apart(theirs: Array, mine: Array) -> float:
    if theirs.size != mine.size:
        return float("inf")
    axes = None if theirs.shape == mine.shape else (0, *range(2, mine.ndim), 1)
    moved = mine if axes is None or mine.ndim < 3 else mine.transpose(axes)
    return distance(theirs.reshape(1, -1), moved.reshape(1, -1))


def _hypotheses(found: Found, wrong: list[Fault]) -> Iterator[Hypothesis]:
    yield from _in_another_order(found)
    yield from _other_numbers(found)
    yield from _exchanged(found, wrong)


def _whole(found: Found) -> dict[str, tuple[WeightMatch, Array]]:
    """The weights of torch of which one array of JAX holds all numbers and no others, with that array.

    A weight with several names is left out: which of its modules is wrong is not known.
    """
    arrays = dict(zip(found.model.names, found.model.weights, strict=True))
    each: dict[str, list[WeightMatch]] = defaultdict(list)
    for match in found.weights.matches:
        if match.torch is not None and match.jax is not None:
            each[match.torch].append(match)
    several = set(found.torch.tied.values())
    alone = {name: some[0] for name, some in each.items() if len(some) == 1 and name in set(found.torch.weights) - several}
    held = {name: (match, arrays[match.jax]) for name, match in alone.items() if match.jax is not None}
    return {name: (match, array) for name, (match, array) in held.items() if array.size == found.torch.weights[name].size}


def _in_another_order(found: Found) -> Iterator[Hypothesis]:
    """Weights with a layout that a right port has seldom: each layout in one of the usual ones, then all of them."""
    odd = {
        name: (match, array)
        for name, (match, array) in _whole(found).items()
        if any(word in (match.layout or "") for word in ODD)
    }
    groups: dict[str, list[str]] = defaultdict(list)
    for name, (match, _) in odd.items():
        groups[match.layout or ""].append(name)
    for names in [list(odd), *(groups.values() if len(groups) > 1 else [])]:
        usual = {name: list(_usual(found, name, odd[name][1])) for name in names}
        for k in range(min(map(len, usual.values()), default=0)):
            arrays = {str(odd[name][0].jax): usual[name][k][1] for name in names}
            said: dict[str, str] = {}
            for name in names:
                path, _, what = name.rpartition(".")
                right = f"held {usual[name][k][0]}, JAX gives what PyTorch gives"
                said.setdefault(path, f"JAX holds its {what} as: {odd[name][0].layout}; {right}")
            yield Hypothesis(arrays, said, frozenset(said))


def _usual(found: Found, name: str, like: Array) -> Iterator[tuple[str, Array]]:
    """torch's weight in the usual layouts of JAX's array."""
    mine = found.torch.weights[name]
    for places in shaped(np.arange(mine.size).reshape(mine.shape), like.shape):
        words = layout(places, mine.shape)
        yield "as PyTorch holds it" if words == "the same" else f"as: {words}", mine.ravel()[places].astype(like.dtype)


def _exchanged(found: Found, wrong: list[Fault]) -> Iterator[Hypothesis]:
    """The weights of two modules, beside each other or of the same kind, in each other's place."""
    held = _whole(found)
    modules: dict[str, dict[str, str]] = defaultdict(dict)
    for name in held:
        path, _, last = name.rpartition(".")
        modules[path][last] = name

    def shapes(path: str, last: str) -> object:
        name = modules[path].get(last, "")
        return (found.torch.weights[name].shape, held[name][1].shape) if name else None

    paths = [path for fault in wrong for path in (fault.torch, fault.torch.rpartition(".")[0])]
    for around in dict.fromkeys(paths):
        for one, other in combinations([path for path in modules if around == "" or is_in(path, around)], 2):
            if one.rpartition(".")[0] != other.rpartition(".")[0]:
                continue
            every = [last for last in modules[one] if shapes(one, last) == shapes(other, last)]
            learned = [last for last in every if not last.startswith("running")]
            for some in filter(None, dict.fromkeys(map(tuple, (every, learned, *([last] for last in every))))):
                pairs = [(modules[one][last], modules[other][last]) for last in some]
                arrays = {str(held[a][0].jax): held[b][1] for pair in pairs for a, b in (pair, pair[::-1])}
                mine, theirs = ("weights", "those") if len(some) > 1 else (some[0], "that")
                short = other.rpartition(".")[2]
                said = f"JAX has its {mine} and {theirs} of {short} in each other's place"
                yield Hypothesis(arrays, {one: said}, frozenset((one, other)))


def _other_numbers(found: Found) -> Iterator[Hypothesis]:
    """Weights of which JAX holds other numbers: in the array that their position matches, or one with a similar name."""
    matches, arrays = found.weights.matches, dict(zip(found.model.names, found.model.weights, strict=True))
    lonely = [match.torch for match in matches if match.torch in found.torch.weights and match.jax is None]
    alone = {match.jax for match, _ in _whole(found).values()}  # the others may hold the numbers of another layer
    free = [name for name, value in arrays.items() if name not in alone and value.dtype.kind == "f"]
    near = [(name, str(match.jax)) for name, (match, _) in _whole(found).items() if match.difference]
    for mine, theirs in (*near, *best([one for one in lonely if one is not None], free)):
        for _, array in _usual(found, mine, arrays[theirs]):
            path = mine.rpartition(".")[0]
            yield Hypothesis({theirs: array}, {path: f"{mine} holds other numbers than {theirs} in JAX"}, frozenset([path]))
