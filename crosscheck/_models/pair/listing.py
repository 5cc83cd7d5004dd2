"""The list of all weights of two models: the partner of each, or why it has none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.pair.pairing import SAME
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.report.records import IN_JAX, INTEGERS, UNMATCHED, UNUSED, WeightMatch
from crosscheck._models.run.places import float_arrays, of_constants
from crosscheck._models.values.names import likeness
from crosscheck._records.worded import Worded


def listing(
    torch: TorchRecord,
    model: JaxModel,
    flat: JaxProgramFlat,
    matches: Iterable[WeightMatch],
    reasons: Mapping[str, Worded],
) -> tuple[WeightMatch, ...]:
    """Every weight of both models, torch's first: its partner, or why it has none."""
    matches_of: dict[str, list[WeightMatch]] = defaultdict(list)
    for match in matches:
        assert match.torch is not None
        matches_of[match.torch].append(match)
    lonely = [name for name in torch.weights if name not in matches_of]
    computed = _computed_in_jax(torch, model, flat, [name for name in lonely if name not in reasons])
    used, used_there = used_in_torch(torch), used_in_jax(model, flat)
    for name in lonely:
        without = UNUSED if name not in used else IN_JAX if name in computed else UNMATCHED
        matches_of[name] = [WeightMatch(name, None, reason=reasons.get(name, without))]
    sizes = dict(zip(model.names, (value.size for value in model.weights), strict=True))
    listed: list[WeightMatch] = []
    for name, array in torch.weights.items():
        own = matches_of[name]
        tied = [other for other, kept in torch.tied.items() if kept == name]
        copies = [k for k, match in enumerate(own) if match.jax is not None and sizes[match.jax] >= array.size]
        # JAX may have a weight of its own for each name: those whose names are alike
        copies = sorted(copies, key=lambda k: -likeness(name, str(own[k].jax)))[1:]
        tied_to = Worded(f"tied to {name}", "tied", name)
        for other in tied:
            if copies:
                k = max(copies, key=lambda k: likeness(other, str(own[k].jax)))
                copies.remove(k)
                own[k] = replace(own[k], torch=other, how=tied_to)
            else:
                own.append(replace(own[0], torch=other, how=tied_to))
        listed += own
    state = torch.modules[""].state_dict()
    listed += [WeightMatch(name, None, reason=INTEGERS) for name, value in state.items() if not value.is_floating_point()]
    partners = {match.jax for match in listed}
    floats = float_arrays(model)
    for name in model.names:
        without = INTEGERS if name not in floats else UNMATCHED if name in used_there else UNUSED
        if name not in partners or name in reasons:
            listed.append(WeightMatch(None, name, reason=reasons.get(name, without)))
    return tuple(listed)


def _computed_in_jax(torch: TorchRecord, model: JaxModel, flat: JaxProgramFlat, names: list[str]) -> set[str]:
    """The weights of torch whose numbers JAX computes from constants."""
    if not names:
        return set()
    computed = set()
    for value in of_constants(flat, model.weights).values():
        array = np.asarray(value)
        for name in names:
            weight = torch.weights[name]
            if array.size == weight.size and array.dtype.kind in "fib" and _nearly(weight, array):
                computed.add(name)
    return computed


def _nearly(torch: Array, jax: Array) -> bool:
    torch_numbers, jax_numbers = np.sort(torch, axis=None), np.sort(jax.astype(np.float64), axis=None)
    finite = np.isfinite(torch_numbers) & np.isfinite(jax_numbers)  # a mask may have minus infinity
    if not np.array_equal(torch_numbers[~finite], jax_numbers[~finite]):
        return False
    torch_numbers, jax_numbers = torch_numbers[finite], jax_numbers[finite]
    return bool(
        np.all(np.abs(torch_numbers - jax_numbers) <= SAME * max(1.0, float(np.abs(torch_numbers).max(initial=0.0))))
    )


def used_in_jax(model: JaxModel, flat: JaxProgramFlat) -> set[str]:
    """The arrays of JAX on which results depend."""
    read = {number for step in flat.steps for number in step.inputs if isinstance(number, int)} | {
        number for number in flat.results if isinstance(number, int)
    }
    return {name for name, number in zip(model.names, flat.weights, strict=True) if number in read}


def used_in_torch(torch: TorchRecord) -> set[str]:
    """The weights of torch on which results depend."""
    needed: set[int] = set()
    left = [index for index in torch.outputs if index is not None]
    while left:
        index = left.pop()
        if index not in needed:
            needed.add(index)
            left += torch.operations[index].inputs
    return {name for use in torch.uses if use.operation.index in needed for names in use.names for name in names.split("+")}
