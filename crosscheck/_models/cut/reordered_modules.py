"""Modules in another order: a norm that JAX applies before attention and torch after it, or whole layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosscheck._explain.facts import Fact
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
        fact: What is so of it.
    """

    operation: int
    path: str
    inside: tuple[str, ...]
    fact: Fact


def crossings(torch: TorchRecord, flat: JaxProgramFlat, landmarks: Sequence[Landmark]) -> dict[int, Crossing]:
    """For each landmark of such modules, how they are ordered.

    Two modules cross if torch computes a result of one from a result of the other, and JAX the other way round.
    """
    crossed = _crossed(torch, flat, landmarks)
    crossing_of = _exchanged(torch, landmarks, crossed)
    edges: dict[str, dict[tuple[str, str], set[int]]] = defaultdict(lambda: defaultdict(set))
    for early, late in crossed:
        parent, *pair = _apart(*(torch.operations[_of(landmarks[number])].path for number in (early, late)))
        if (early in crossing_of and late in crossing_of) or pair[0] == pair[1]:  # what one module applies has no names
            continue
        edges[parent][min(pair), max(pair)] |= {early, late}
    for parent, pairs in edges.items():
        crossing = _said(torch, landmarks, parent, pairs)
        names = {landmarks[number].name for some in pairs.values() for number in some}
        crossing_of |= {
            number: crossing for number, mark in enumerate(landmarks) if mark.name in names and number not in crossing_of
        }
    return crossing_of


def _exchanged(torch: TorchRecord, landmarks: Sequence[Landmark], crossed: Sequence[tuple[int, int]]) -> dict[int, Crossing]:
    """Two layers in each other's place: they cross each other, and all that is between them."""
    partners: dict[int, set[int]] = defaultdict(set)
    for early, late in crossed:
        partners[early].add(late)
        partners[late].add(early)
    crossing_of: dict[int, Crossing] = {}
    for early, late in crossed:
        between = partners[early] - {late}
        if not between or between != partners[late] - {early} or any(partners[k] != {early, late} for k in between):
            continue
        names = {landmarks[k].name for k in (early, late, *between)}
        first, second = sorted((torch.operations[_of(landmarks[k])] for k in (early, late)), key=lambda made: made.index)
        _, own, where = _apart(first.path, second.path)
        if own == where:
            continue
        fact = Fact("crossed", second.path.removeprefix(where.rpartition(".")[0] + "."))
        crossing = Crossing(first.index, first.path, (first.path, second.path), fact)
        crossing_of |= {number: crossing for number, mark in enumerate(landmarks) if mark.name in names}
    return crossing_of


def _crossed(torch: TorchRecord, flat: JaxProgramFlat, landmarks: Sequence[Landmark]) -> list[tuple[int, int]]:
    """Pairs of results of layers of which JAX has the first before the second, and torch the second before the first."""
    results = [(number, mark) for number, mark in enumerate(landmarks) if mark.place < 0 and mark.strong and not mark.fixed]
    before: list[int] = []  # the operations that each one depends on, as bits
    for operation in torch.operations:
        bits = 0
        for index in operation.inputs:
            bits |= before[index] | 1 << index
        before.append(bits)
    pairs = []
    for late, there in results:
        earlier = [(n, mark) for n, mark in results if mark.step < there.step and before[_of(mark)] >> _of(there) & 1]
        needed = flat.ancestors(flat.steps[there.step].outputs[:1]) if earlier else set()
        pairs += [(number, late) for number, mark in earlier if flat.steps[mark.step].outputs[0] in needed]
    return pairs


def is_in(path: str, module: str) -> bool:
    """Whether a module is another one, or inside it."""
    return path == module or path.startswith(f"{module}.")


def _of(landmark: Landmark) -> int:
    assert landmark.operation is not None
    return landmark.operation


def _apart(first: str, second: str) -> tuple[str, str, str]:
    """The innermost module that contains both, and the modules in it that contain one and the other."""
    first_names, second_names = first.split("."), second.split(".")
    same = 0
    while same < min(len(first_names), len(second_names)) - 1 and first_names[same] == second_names[same]:
        same += 1
    return ".".join(first_names[:same]), ".".join(first_names[: same + 1]), ".".join(second_names[: same + 1])


def _said(
    torch: TorchRecord, landmarks: Sequence[Landmark], parent: str, pairs: Mapping[tuple[str, str], set[int]]
) -> Crossing:
    modules = {module for pair in pairs for module in pair}
    members = {
        module: [
            number
            for some in pairs.values()
            for number in some
            if is_in(torch.operations[_of(landmarks[number])].path, module)
        ]
        for module in modules
    }
    first = {module: min(_of(landmarks[number]) for number in some) for module, some in members.items()}
    steps = {module: min(landmarks[number].step for number in some) for module, some in members.items()}
    sizes = {module: sum(torch.weights[name].size for name in torch.weights if is_in(name, module)) for module in modules}
    alone = [module for module in modules if all(module in pair for pair in pairs)]
    if not alone or len(set(sizes.values())) == 1:  # no one of them is moved, as where layers are alike
        order = sorted(modules, key=steps.__getitem__)
        how = "in reverse order" if order == sorted(modules, key=first.__getitem__, reverse=True) else "in this order"
        fact = Fact("sequence", ", ".join(map(_short, order)), jax=how)
        return Crossing(min(first.values()), parent, tuple(modules), fact)
    moved = min(alone, key=lambda module: (sizes[module], first[module]))
    others = sorted(modules - {moved}, key=first.__getitem__)
    early = steps[moved] < steps[others[0]]
    sides = ("before", "after") if early else ("after", "before")
    nearest = _short(others[0] if early else others[-1])
    return Crossing(first[moved], moved, (moved,), Fact("moved", "it", torch=sides[1], jax=f"{sides[0]} {nearest}"))


def _short(path: str) -> str:
    """The last name in a path, with the one before it if that is a number."""
    names = path.split(".")
    return ".".join(names[-2:] if names[-1].isdigit() else names[-1:])
