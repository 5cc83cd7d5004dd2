"""What weights tell of a fault without further runs: one differs, one side lacks it, or statistics move differently."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.masks import other_mask
from crosscheck._models.record.jax_recording import Step
from crosscheck._models.record.jax_uses import uses
from crosscheck._models.values.uses import Operation, Use

SAME_RATIO = 1e-6
"""Ratios that differ by less than this, relatively, count as equal."""


def of_weights(results: ModelResults, number: int, operation: int) -> tuple[Fact, ...]:
    """What is known without further runs: weights that differ, that one side lacks, statistics that move differently."""
    if operation < 0:
        return _statistics(results, number)
    uses = [use for use in results.torch.uses if use.operation.index == operation]
    pairs = {pair.torch: pair for pair in results.pairs}
    if repeated := repeated_weights(results, uses):
        return (repeated[1],)
    for use in uses:
        for slot, name in enumerate(use.names):
            pair = pairs.get((use.index, slot))
            if pair is None and (_is_joined(results, name) or name in results.torch.buffers):
                continue  # the operation changes these statistics and does not apply them
            if pair is None and _is_mask(results, name):
                continue  # JAX may compute it
            if (pair is None or pair.how == "order") and _has_all(results, name):
                if use.kind == "gather" or not np.isin(results.torch.weights[name], use.matrices[slot]).all():
                    # torch may have added a mask to it
                    if mask := other_mask(results, results.landmarks[number], operation):
                        return mask
                    return _of_rows(results, name, use.matrices[slot])
                continue  # it applies all of them, so that something else is wrong
            if pair is None:
                return (_misfit(results, use, slot) or Fact("unapplied", name),)
            if pair.how == "transposed":
                return (Fact("transposed", name),)
            if pair.how == "order":
                other = results.uses[pair.jax[0]][1]
                there = other.names[min(pair.jax[1], len(other.names) - 1)]
                if tied := _tied(results, there, name):
                    return tied
                return (Fact("values", name, jax=there),)
    return ()


def _of_rows(results: ModelResults, name: str, torch_matrix: Array) -> tuple[Fact, ...]:
    """What JAX applies of a weight instead of some of its rows, or of its numbers; nothing if it applies none of them."""
    weight = results.torch.weights[name]
    paired = {pair.jax[0] for pair in results.pairs if pair.how != "order"}
    others = [
        matrix
        for k, (_, use, _) in enumerate(uses(results.flat, results.forcing.fixed.numbers))
        for matrix in use.matrices
        if k not in paired and matrix.size == torch_matrix.size and np.isin(matrix, weight).all()
    ]
    if not others or weight.ndim < 2:
        return (Fact("part", name),) if others else ()
    own = _rows(weight, torch_matrix)
    if own and (other := next(filter(None, (_rows(weight, matrix) for matrix in others)), None)):
        return (Fact("rows", name, torch=f"{own[0]} to {own[-1]}", jax=f"{other[0]} to {other[-1]}"),)
    return (Fact("part", name, where=", as of other rows"),)


def _rows(weight: Array, matrix: Array) -> list[int] | None:
    """Which consecutive rows of a weight a matrix holds; None if it holds others."""
    width = weight.shape[-1]
    if matrix.size % width or not matrix.size:
        return None
    wanted = np.asarray(matrix, np.float64).reshape(-1, width)
    rows = np.asarray(weight, np.float64).reshape(-1, width)
    first = np.flatnonzero((rows == wanted[0]).all(1))[:1]
    if not first.size or not np.array_equal(rows[first[0] : first[0] + len(wanted)], wanted):
        return None
    return [int(first[0]) + k for k in range(len(wanted))]


def repeated_weights(results: ModelResults, uses: Sequence[Use]) -> tuple[str, Fact] | None:
    """The module whose weights one side applies more often than the other, and how often both do."""
    torch_counts = Counter(name for use in results.torch.uses for name in use.names)
    rows: Counter[str] = Counter()  # torch may apply a weight to all steps at once, and JAX to each
    for use in results.torch.uses:
        rows.update(dict.fromkeys(use.names, use.result.size[0]))
    often = Counter(key for keys in results.applied for key in keys)
    there: Counter[tuple[str, tuple[str, int, int]]] = Counter()
    named: Counter[str] = Counter()
    for keys, (_, use, _) in zip(results.applied, results.uses, strict=True):
        there.update(dict.fromkeys(keys, use.result.size[0]))
        named.update(name for name, _ in keys)
    partner = {
        results.torch.uses[pair.torch[0]].names[pair.torch[1]]: results.applied[pair.jax[0]][pair.jax[1]]
        for pair in results.pairs
        if pair.how == "values" and pair.part == (0, 1)
    }
    other = {name: (count, often[partner[name]]) for name, count in torch_counts.items() if name in partner}
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
    module = common([name.rpartition(".")[0] for name in wrong])
    times = wrong[names[0]]
    return module, Fact("applied", names[0], torch=f"{times[0]} time{'s' * (times[0] > 1)}", jax=str(times[1]))


def _tied(results: ModelResults, there: str, name: str) -> tuple[Fact, ...]:
    """That JAX applies the weight of another layer in place of one of PyTorch's, and in that layer too."""
    owners = {match.torch for match in results.weights.matches if match.jax == there and match.torch not in (None, name)}
    for pair in results.pairs:
        owner = results.torch.uses[pair.torch[0]].names[pair.torch[1]]
        if pair.how == "values" and owner in owners and there in results.uses[pair.jax[0]][1].names:
            return Fact("tied", name, torch=owner, jax=there), Fact("not tied")
    return ()


def _is_mask(results: ModelResults, name: str) -> bool:
    """Whether a buffer of torch holds two numbers, such as 0 and minus infinity."""
    module, _, last = name.rpartition(".")
    buffers = dict(results.torch.modules[module].named_buffers(recurse=False)) if module in results.torch.modules else {}
    return last in buffers and len(np.unique(results.torch.weights.get(name, np.empty(0)))) <= 2


def _misfit(results: ModelResults, use: Use, slot: int) -> Fact | None:
    """In which shapes the two sides hold a weight, if JAX has an array of another shape in its place.

    JAX uses that array in the same kind of operation, between the same neighbouring weights. None if there is no such array.
    """
    places: dict[int, list[int]] = defaultdict(list)
    for pair in results.pairs:
        if pair.how != "order":
            places[pair.torch[0]].append(pair.jax[0])
    before = max((index for index in places if index < use.index), default=None)
    after = min((index for index in places if index > use.index), default=None)
    begin = 0 if before is None else max(places[before]) + 1
    between = range(begin, len(results.uses) if after is None else min(places[after]))
    paired = {pair.jax for pair in results.pairs}
    others = [results.uses[k] for k in between if (k, slot) not in paired and results.uses[k][1].kind == use.kind]
    sizes = dict(zip(results.model.names, results.model.weights, strict=True))
    if len(others) != 1 or slot > 0 or others[0][1].names[0] not in sizes or use.names[0] not in results.torch.weights:
        return None
    (step, other, _), torch_weight = others[0], results.torch.weights[use.names[0]]
    jax_weight = sizes[other.names[0]]
    if jax_weight.size == torch_weight.size:
        return None
    # no names, so that layers that are wrong alike are one kind of fault
    groups = _other_groups(results, step, use.operation)
    torch_groups, jax_groups = (f"{count} group{'s' * (count > 1)} and " for count in groups) if groups else ("", "")
    own = f"{torch_groups}a weight of shape {torch_weight.shape}"
    return Fact("shape", torch=own, jax=f"{jax_groups}one of shape {jax_weight.shape}")


def _other_groups(results: ModelResults, step: Step, operation: Operation) -> tuple[int, int] | None:
    """The numbers of groups in which torch and JAX convolve, if they differ."""
    torch_groups = getattr(results.torch.modules.get(operation.path), "groups", None)
    jax_groups = step.equation.params.get("feature_group_count") if step.equation is not None else None
    return None if torch_groups is None or jax_groups is None or torch_groups == jax_groups else (torch_groups, jax_groups)


def _is_joined(results: ModelResults, name: str) -> bool:
    """Whether a larger array of JAX holds the numbers of a weight."""
    weight = results.torch.weights[name] if name in results.torch.weights else np.empty(0)
    return any(
        weight.size < array.size and np.isin(weight, array.astype(np.float64)).all() for array in results.model.weights
    )


def _has_all(results: ModelResults, name: str) -> bool:
    """Whether JAX uses an array that holds the numbers of a weight of torch."""
    weight = results.torch.weights.get(name)
    used = {part for _, use, _ in results.uses for names in use.names for part in names.split("+")}
    return weight is not None and any(
        other in used and value.size == weight.size and np.array_equal(np.sort(value, None), np.sort(weight, None))
        for other, value in zip(results.model.names, results.model.weights, strict=True)
    )


def _statistics(results: ModelResults, number: int) -> tuple[Fact, ...]:
    """How JAX updates running statistics: with another momentum, or with another variance."""
    landmark = results.landmarks[number]
    before = results.torch.weights.get(landmark.name)
    if before is None or before.size != np.size(landmark.expected.wide):
        return ()
    old, torch_values = before.ravel(), np.ravel(landmark.expected.wide)
    jax_values = np.ravel(results.located.values[number])
    name = landmark.name.rpartition(".")[2]  # without the layer, so that layers that are wrong alike are one kind of fault
    if steps := _ratio(jax_values - old, torch_values - old):
        return (Fact("momentum", name, jax=f"{steps:.6g}"),)
    momentum = getattr(results.torch.modules.get(landmark.path), "momentum", None)
    kept = (1 - momentum) * old if isinstance(momentum, float) else old
    if times := _ratio(jax_values - kept, torch_values - kept):
        count = 1 / (1 - times) if times < 1 else 0.0
        biased = count > 0 and abs(count - round(count)) <= SAME_RATIO * count
        how = "the variance divided by n, PyTorch by n - 1" if biased else "another multiple of what PyTorch does"
        return Fact("updated", name, jax=f"with {how}"), Fact("as much", jax=f"{times:.6g}")
    return (Fact("updated", name, jax="in another way"),)


def _ratio(numerator: Array, denominator: Array) -> float | None:
    """The ratio of one to the other, if it is the same everywhere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = numerator / denominator
    ratios = ratios[np.isfinite(ratios)]
    return float(ratios.mean()) if ratios.size and np.ptp(ratios) <= SAME_RATIO * abs(ratios).max() else None


def common(modules: Sequence[str]) -> str:
    """The innermost module that contains all of these."""
    parts = itertools.takewhile(
        lambda some: len(set(some)) == 1, zip(*(module.split(".") for module in modules), strict=False)
    )
    return ".".join(some[0] for some in parts)
