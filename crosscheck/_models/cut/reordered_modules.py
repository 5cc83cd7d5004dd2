"""Modules in another order: a norm that JAX applies before attention and torch after it, or whole layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosscheck._models.cut.landmarks import Landmark
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.record.torch_recording import TorchRecord


@dataclass(frozen=True)
class Crossing:
    """Modules in another order.

    Attributes:
        operation: The first operation of the module that is at another place, or of these modules.
        path: That module, or the one that contains these modules.
        inside: The names of these modules.
        said: What is said of it.
    """

    operation: int
    path: str
    inside: tuple[str, ...]
    said: str


def crossings(torch: TorchRecord, flat: JaxProgramFlat, landmarks: Sequence[Landmark]) -> dict[int, Crossing]:
    """For each landmark of such modules, how they are ordered.

    Two modules cross if torch computes a result of one from a result of the other, and JAX the other way round.
    """
    crossed = _crossed(torch, flat, landmarks)
    found = _exchanged(torch, landmarks, crossed)
    edges: dict[str, dict[tuple[str, str], set[int]]] = defaultdict(lambda: defaultdict(set))
    for early, late in crossed:
        parent, *pair = _apart(*(torch.operations[_of(landmarks[one])].path for one in (early, late)))
        if (early in found and late in found) or pair[0] == pair[1]:  # what one module applies has no names
            continue
        edges[parent][min(pair), max(pair)] |= {early, late}
    for parent, pairs in edges.items():
        crossing = _said(torch, landmarks, parent, pairs)
        names = {landmarks[one].name for some in pairs.values() for one in some}
        found |= {number: crossing for number, one in enumerate(landmarks) if one.name in names and number not in found}
    return found


def _exchanged(torch: TorchRecord, landmarks: Sequence[Landmark], crossed: Sequence[tuple[int, int]]) -> dict[int, Crossing]:
    """Two layers in each other's place: they cross each other, and all that is between them."""
    partners: dict[int, set[int]] = defaultdict(set)
    for one, other in crossed:
        partners[one].add(other)
        partners[other].add(one)
    found: dict[int, Crossing] = {}
    for one, other in crossed:
        between = partners[one] - {other}
        if not between or between != partners[other] - {one} or any(partners[k] != {one, other} for k in between):
            continue
        names = {landmarks[k].name for k in (one, other, *between)}
        first, second = sorted((torch.operations[_of(landmarks[k])] for k in (one, other)), key=lambda made: made.index)
        _, own, where = _apart(first.path, second.path)
        if own == where:
            continue
        said = f"JAX applies it and {second.path.removeprefix(where.rpartition('.')[0] + '.')} in each other's place"
        crossing = Crossing(first.index, first.path, (first.path, second.path), said)
        found |= {number: crossing for number, mark in enumerate(landmarks) if mark.name in names}
    return found


def _crossed(torch: TorchRecord, flat: JaxProgramFlat, landmarks: Sequence[Landmark]) -> list[tuple[int, int]]:
    """Pairs of results of layers of which JAX has the first before the second, and torch the second before the first."""
    results = [(number, one) for number, one in enumerate(landmarks) if one.place < 0 and one.strong and not one.fixed]
    before: list[int] = []  # the operations that each one depends on, as bits
    for operation in torch.operations:
        bits = 0
        for one in operation.inputs:
            bits |= before[one] | 1 << one
        before.append(bits)
    found = []
    for late, there in results:
        earlier = [(n, one) for n, one in results if one.step < there.step and before[_of(one)] >> _of(there) & 1]
        needed = flat.ancestors(flat.steps[there.step].outputs[:1]) if earlier else set()
        found += [(number, late) for number, one in earlier if flat.steps[one.step].outputs[0] in needed]
    return found


def is_in(path: str, module: str) -> bool:
    """Whether a module is another one, or inside it."""
    return path == module or path.startswith(f"{module}.")


def _of(landmark: Landmark) -> int:
    assert landmark.operation is not None
    return landmark.operation


def _apart(one: str, other: str) -> tuple[str, str, str]:
    """The innermost module that contains both, and the modules in it that contain one and the other."""
    mine, theirs = one.split("."), other.split(".")
    same = 0
    while same < min(len(mine), len(theirs)) - 1 and mine[same] == theirs[same]:
        same += 1
    return ".".join(mine[:same]), ".".join(mine[: same + 1]), ".".join(theirs[: same + 1])


def _said(
    torch: TorchRecord, landmarks: Sequence[Landmark], parent: str, pairs: Mapping[tuple[str, str], set[int]]
) -> Crossing:
    modules = {one for pair in pairs for one in pair}
    members = {
        module: [one for some in pairs.values() for one in some if is_in(torch.operations[_of(landmarks[one])].path, module)]
        for module in modules
    }
    first = {module: min(_of(landmarks[one]) for one in some) for module, some in members.items()}
    steps = {module: min(landmarks[one].step for one in some) for module, some in members.items()}
    sizes = {module: sum(torch.weights[name].size for name in torch.weights if is_in(name, module)) for module in modules}
    alone = [one for one in modules if all(one in pair for pair in pairs)]
    if not alone or len(set(sizes.values())) == 1:  # no one of them is moved, as where layers are alike
        order = sorted(modules, key=steps.__getitem__)
        how = "in reverse order" if order == sorted(modules, key=first.__getitem__, reverse=True) else "in this order"
        said = f"JAX applies {', '.join(map(_short, order))} {how}"
        return Crossing(min(first.values()), parent, tuple(modules), said)
    moved = min(alone, key=lambda one: (sizes[one], first[one]))
    others = sorted(modules - {moved}, key=first.__getitem__)
    early = steps[moved] < steps[others[0]]
    sides = ("before", "after") if early else ("after", "before")
    nearest = _short(others[0] if early else others[-1])
    return Crossing(first[moved], moved, (moved,), f"JAX applies it {sides[0]} {nearest}, PyTorch {sides[1]}")


def _short(path: str) -> str:
    """The last name in a path, with the one before it if that is a number."""
    names = path.split(".")
    return ".".join(names[-2:] if names[-1].isdigit() else names[-1:])
