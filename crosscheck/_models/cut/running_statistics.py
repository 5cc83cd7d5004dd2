"""Running statistics: which of JAX's new arrays belongs to which buffer of torch, and which steps update them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.pair.pairing import WeightPair
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.values.names import layer_of, resemblance
from crosscheck._models.values.uses import DATA, Use

Keys = tuple[str, ...]

FOUND = 1e-5
"""An array is a mixture of two others up to this, relative to its largest number."""
FEWEST = 4
"""Two shares explain any smaller array, or nearly so."""


def _keys(path: str) -> Keys:
    return tuple(re.findall(r"\[[^\]]*\]|\.[^.\[]+", path.removesuffix(".value")))


def origins(given: Iterable[str], returned: Iterable[str]) -> dict[str, str]:
    """For each returned path, the path of the array that it is the new value of.

    A function may return a part of what it was given, or put other keys around it. These keys are the same for all arrays,
    so that a layer is never taken for another one of the same name inside another block.
    """
    by_last: dict[str, list[Keys]] = defaultdict(list)
    paths = {_keys(name): name for name in given}
    for keys in paths:
        by_last[keys[-1] if keys else ""].append(keys)
    votes: Counter[tuple[Keys, Keys]] = Counter()
    wanted = {name: _keys(name) for name in returned}
    for keys in wanted.values():
        for other in by_last[keys[-1]] if keys else ():
            more = len(keys) - len(other)
            if keys[max(more, 0) :] == other[max(-more, 0) :]:
                votes[keys[: max(more, 0)], other[: max(-more, 0)]] += 1
    if not votes:
        return {}
    added, left = max(votes, key=lambda prefixes: (votes[prefixes], -len(prefixes[0]) - len(prefixes[1])))
    moved = {name: left + keys[len(added) :] for name, keys in wanted.items() if keys[: len(added)] == added}
    return {name: paths[keys] for name, keys in moved.items() if keys in paths}


class Owners:
    """Finds the buffer of torch that an array of JAX is the new value of."""

    def __init__(
        self,
        torch: TorchRecord,
        model: JaxModel,
        flat: JaxProgramFlat,
        uses: Sequence[tuple[Step, Use, int]],
        pairs: Iterable[WeightPair],
    ) -> None:
        """``uses`` are those of JAX, and ``pairs`` are their weights that have partners in torch."""
        self._torch, self._flat = torch, flat
        self._old = dict(zip(model.names, model.weights, strict=True))
        self._called: dict[str, int] = {}
        for name, index in torch.calls:
            self._called.setdefault(name, index)
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        self._uses: list[tuple[Step, set[str], int]] = []
        """Each paired use: its step, its weights, and the operation of torch."""
        for pair in pairs:
            step, use, _ = uses[pair.jax[0]]
            partner, name = torch.uses[pair.torch[0]], use.names[pair.jax[1]]
            votes[layer_of(name)][partner.names[pair.torch[1]].rpartition(".")[0]] += 1
            self._uses.append((step, set(name.split("+")), partner.operation.index))
        self._modules = {layer: counts.most_common(1)[0][0] for layer, counts in votes.items()}
        """For each layer of JAX, the module with the same weights: most of them, if weights of other modules are equal."""

    def buffers(self, before: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, str]:
        """The buffer of each new array; each buffer has the same old values as JAX's array.

        Of several such buffers, it is that of the same layer, as the layer's weights show; then the one that torch updates
        behind the same weights; then the one with the most similar name. ``before`` has the path of the old values of each
        new array, and ``numbers`` its number in the program.
        """
        behind = {name: self._behind(numbers[name], set(before.values())) for name in before}
        fitting = [
            (
                (self._of_one_layer(leaf, buffer), -self._apart(behind[name], buffer), *resemblance(buffer, leaf)),
                name,
                buffer,
            )
            for name, leaf in before.items()
            for buffer in self._torch.buffers
            if _same(self._torch.weights[buffer], self._old[leaf])
        ]
        buffer_of: dict[str, str] = {}
        for _, name, buffer in sorted(fitting, key=lambda fit: fit[0], reverse=True):  # equal ones stay in their order
            if name not in buffer_of and buffer not in buffer_of.values():
                buffer_of[name] = buffer
        return buffer_of

    def _of_one_layer(self, leaf: str, buffer: str) -> int:
        """1 if the weights show that both are of one layer, -1 if they show another layer."""
        module, matched_module = buffer.rpartition(".")[0], self._modules.get(layer_of(leaf))
        if matched_module is None and module not in self._modules.values():
            return 0
        return 1 if matched_module == module else -1

    def _behind(self, number: int, statistics: set[str]) -> int:
        """The last operation of torch on the way to a new array whose weights JAX applies too."""
        before = self._flat.ancestors([number])
        return max(
            (at for step, names, at in self._uses if before & set(step.outputs) and not names & statistics), default=-1
        )

    def _apart(self, behind: int, buffer: str) -> int:
        """The number of torch's uses of weights between an operation and the call that updates a buffer."""
        called = self._called.get(buffer.rpartition(".")[0], 0)
        low, high = sorted((behind, called - 1))
        return sum(low < use.operation.index <= high for use in self._torch.uses)


def _same(torch: Array, jax: Array) -> bool:
    """Whether two arrays hold the same numbers, in any order."""
    if torch.size != jax.size:
        return False
    torch_numbers, jax_numbers = (np.sort(np.asarray(array, np.float64), axis=None) for array in (torch, jax))
    return np.array_equal(torch_numbers, jax_numbers)


def updates(flat: JaxProgramFlat, outputs: int) -> frozenset[int]:
    """The steps of JAX on data that make a new state alone: its first ``outputs`` results do not depend on them."""
    needed = flat.ancestors(flat.results[:outputs])
    return frozenset(
        step.operation.index for step in flat.steps if step.operation.kind == DATA and needed.isdisjoint(step.outputs)
    )


def is_updated(value: Array, torch: TorchRecord, names: Collection[str]) -> bool:
    """Whether an array mixes the old and the new numbers of one of these statistics, as with another momentum."""
    for name in torch.buffers.keys() & torch.weights.keys() & set(names):
        old, new = (arrays[name].reshape(-1) for arrays in (torch.weights, torch.buffers))
        if not value.size == old.size == new.size >= FEWEST:
            continue
        sources, numbers = np.stack([old, new], axis=1), value.reshape(-1)
        shares, *_ = np.linalg.lstsq(sources, numbers, rcond=None)
        if shares[1] and np.abs(sources @ shares - numbers).max() <= FOUND * np.abs(numbers).max():
            return True
    return False
