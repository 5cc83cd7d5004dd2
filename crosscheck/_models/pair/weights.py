"""Match the weights of a model of torch with those of a model of JAX: their layout there, and why some have no partner."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from math import prod

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.pair.listing import listing
from crosscheck._models.pair.neighbours import neighbours
from crosscheck._models.pair.pairing import WeightPair
from crosscheck._models.pair.prints import Prints, groups
from crosscheck._models.pair.sums import Sum, summed
from crosscheck._models.pair.whole_weights import Sources, Wholes, beside_others, is_plain, whole_weights
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.report.records import UNIDENTIFIABLE, WeightMatch, unmatched
from crosscheck._models.run.index_maps import USED_TRANSPOSED, in_words
from crosscheck._models.run.places import JaxPlaces, Places, TorchPlaces, float_arrays, regions, shaped
from crosscheck._models.values.names import best, layer_of
from crosscheck._models.values.uses import Use, digest
from crosscheck._records.worded import Worded

BY_VALUES = Worded("both hold the same values", "values")
BY_POSITION = Worded("position between its neighbours", "position")
BY_NAME = Worded("its name, among those that hold the same values", "name")
BESIDE = Worded("the weights beside it, among those that hold the same values", "beside")


@dataclass(frozen=True)
class Accounted:
    """The matches of the weights of two models.

    Attributes:
        matches: Those of every parameter and buffer of torch and of every array of JAX, torch's first, in its order.
        whole: The arrays of JAX that are arrays of torch in other layouts, one or one in each slice, by name.
        places: For each array of JAX, the place of each of its numbers in ``TorchPlaces`` of torch's weights; -1 if torch
            has no such number. For arrays that only their position matches, the numbers differ.
        sums: The arrays of JAX that are sums of two weights.
    """

    matches: tuple[WeightMatch, ...]
    whole: Mapping[str, Wholes]
    places: Mapping[str, Array]
    sums: Mapping[str, Sum]


def account(
    torch: TorchRecord,
    jax_model: JaxModel,
    flat: JaxProgramFlat,
    uses: Sequence[tuple[Step, Use, int]],
    pairs: Sequence[WeightPair],
) -> Accounted:
    """Match the weights of two models."""
    accounting = _Account(torch, jax_model, flat, uses, pairs)
    matches = accounting.matches()
    return Accounted(
        matches, accounting.whole, Sources(accounting.whole, accounting.same, accounting.places), accounting.sums
    )


class _Account:
    def __init__(
        self,
        torch: TorchRecord,
        model: JaxModel,
        flat: JaxProgramFlat,
        uses: Sequence[tuple[Step, Use, int]],
        pairs: Sequence[WeightPair],
    ) -> None:
        self.torch, self.model, self.flat = torch, model, flat
        self.uses, self.pairs = [use for _, use, _ in uses], pairs
        self.torch_weights, self.jax_weights = torch.weights, float_arrays(model)
        self.prints = Prints(self.torch_weights), Prints(self.jax_weights)
        self.places = TorchPlaces(self.torch_weights)
        self.whole = whole_weights(self.torch_weights, self.prints[0], self.jax_weights, self.prints[1])
        self.jax = Places({name: value.shape for name, value in self.jax_weights.items() if name not in self.whole})
        self.sources = np.full(self.jax.total, -1, self.places.dtype)
        self.known = {form.torch for forms in self.whole.values() for form in forms}, set(self.whole)
        """The arrays of torch and of JAX that have a match."""
        self.how = {(form.torch, name): BY_VALUES for name, forms in self.whole.items() for form in forms}
        self.transposed: set[tuple[str, str]] = set()
        self.extra: list[WeightMatch] = []
        self.sums: dict[str, Sum] = {}
        self.same: dict[str, Array] = {}

    def matches(self) -> tuple[WeightMatch, ...]:
        self.by_uses({"values", "nearly", "transposed"}, lambda t, j: BY_POSITION if self._among_copies(t, j) else BY_VALUES)
        self.mark_transposed()
        self.by_pairs()
        self.by_fingerprints()
        self.by_blocks()
        self.by_numbers()
        self.by_sums()
        self.same = {name: self.source(name).copy() for name in self.jax.names}
        self.by_uses({"order"}, lambda t, j: BY_POSITION)
        return self.listed()

    def owners(self, name: str) -> set[str]:
        """torch's arrays whose numbers an array of JAX holds."""
        if name in self.whole:
            return {form.torch for form in self.whole[name]}
        places = self.source(name)
        return {owner for owner, *_ in self.places.split(places[places >= 0])}

    def _among_copies(self, torch_name: str, jax_name: str) -> bool:
        """Whether two arrays hold the same numbers, and another array on either side holds them too."""
        several = torch_name in self.prints[0].copied or jax_name in self.prints[1].copied
        return several and self.prints[0][torch_name] == self.prints[1][jax_name]

    def left(self) -> list[str]:
        """JAX's arrays without a match so far."""
        return [name for name in self.jax_weights if name not in self.known[1] and not self._explained(name)]

    def _telling(self) -> list[str]:
        """Those of them whose numbers are not all equal."""
        return [name for name in self.left() if not is_plain(self.jax_weights[name])]

    def _explained(self, name: str) -> bool:
        return any(match.jax == name for match in self.extra)

    def put(self, name: str, sources: Array, how: Worded, *torch: str) -> None:
        """Record that all numbers of an array of JAX come from these places of torch."""
        self.source(name)[...] = sources
        self.known[0].update(torch)
        self.known[1].add(name)
        for owner in torch:
            self.how[owner, name] = how

    def source(self, name: str) -> Array:
        """The place in torch's arrays of each number of an array of JAX."""
        start, shape = self.jax.start(name), self.jax.shapes[name]
        return self.sources[start : start + prod(shape)].reshape(shape)

    def taken(self) -> set[str]:
        """torch's arrays that have a partner."""
        return self.known[0] | {match.torch for match in self.extra if match.torch}

    def by_uses(self, hows: set[str], how: Callable[[str, str], Worded]) -> None:
        """Match arrays whose numbers paired uses apply unchanged."""
        if not self.jax.names or not any((pair.how or "values") in hows for pair in self.pairs):
            return
        places = JaxPlaces(self.model, self.flat, self.jax)
        where = [places.seen(use.operation.index) for use in self.uses]
        taken, unknown = self.taken(), set(self.left())
        for pair in self.pairs:
            use, other = self.torch.uses[pair.torch[0]], self.uses[pair.jax[0]]
            name = use.names[pair.torch[1]]
            if (pair.how or "values") not in hows or "+" in name or pair.jax[1] >= len(where[pair.jax[0]]):
                continue
            targets = where[pair.jax[0]][pair.jax[1]]
            known = "order" in hows and (name in taken or not set(other.names[pair.jax[1]].split("+")) <= unknown)
            if known or targets is None:
                continue
            sources = self.places.seen(name, use.matrices[pair.torch[1]])
            if sources is None:
                continue
            if pair.how == "transposed":
                sources = sources.T
            elif pair.inputs is not None:
                sources = sources[pair.inputs]
            sources, targets = _columns(sources, pair.torch_features), _columns(targets, pair.jax_features)
            if sources.shape != targets.shape:
                continue
            if sources.size < self.torch_weights[name].size and (owner := self._whole(name, targets)):
                self._arranged(name, owner, how(name, owner))
                continue
            if (targets < 0).any():  # beside numbers of an array that has a match as a whole
                sources, targets = sources[targets >= 0], targets[targets >= 0]
            view = self.consecutive(targets)
            free = (self.sources[targets] if view is None else view) < 0
            if not free.all():
                sources, targets, view = sources[free], targets[free], None
            for owner, *_ in self.jax.split(targets):
                self.how.setdefault((name, owner), how(name, owner))
                self.known[0].add(name)
                self.known[1].add(owner)
                if pair.how == "transposed":
                    self.transposed.add((name, owner))
            if view is None:
                self.sources[targets] = sources
            else:
                view[...] = sources

    def by_pairs(self) -> None:
        """Match arrays of equal numbers that paired uses apply changed, such as the negative mean of a norm."""
        for pair in self.pairs:
            torch_name = self.torch.uses[pair.torch[0]].names[pair.torch[1]]
            jax_name = self.uses[pair.jax[0]].names[pair.jax[1]]
            left = (
                torch_name in self.torch_weights
                and torch_name not in self.known[0]
                and jax_name in self.jax_weights
                and jax_name not in self.known[1]
            )
            if pair.how == "values" and left and is_plain(self.jax_weights[jax_name]):
                self._arranged(torch_name, jax_name, BY_POSITION)

    def mark_transposed(self) -> None:
        """Note which arrays that were matched as a whole are then applied transposed."""
        for pair in self.pairs:
            if pair.how == "transposed":
                torch_name = self.torch.uses[pair.torch[0]].names[pair.torch[1]]
                jax_name = self.uses[pair.jax[0]].names[pair.jax[1]]
                if any(form.torch == torch_name for form in self.whole.get(jax_name, ())):
                    self.transposed.add((torch_name, jax_name))

    def _whole(self, name: str, places: Array) -> str | None:
        """JAX's array with these places, if it holds all numbers of a weight, of which both sides apply a part."""
        owner, *others = (owner for owner, *_ in self.jax.split(places))
        alike = not others and self.jax_weights[owner].size == self.torch_weights[name].size
        return owner if alike and self.prints[0][name] == self.prints[1][owner] else None

    def consecutive(self, places: Array) -> Array | None:
        """A view of the sources of the numbers at these places, if they follow each other along the rows or the columns."""
        for along in (places, places.T) if places.size else ():
            start, size = int(along[0, 0]), along.size
            near = along[0, -1] - start == along.shape[1] - 1  # the other numbers are looked at only then
            if near and np.array_equal(along.reshape(-1), np.arange(start, start + size)):
                view = self.sources[start : start + size].reshape(along.shape)
                return view if along is places else view.T
        return None

    def by_fingerprints(self) -> None:
        """Match whole arrays that hold the same numbers."""
        alike: dict[Hashable, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
        taken = self.taken()
        for name in self.torch_weights:
            if name not in taken:
                alike[self.prints[0][name]][0].append(name)
        for name in self.left():
            alike[self.prints[1][name]][1].append(name)
        for torch_names, jax_names in alike.values():
            for name in jax_names if len(torch_names) == 1 else ():
                self._arranged(torch_names[0], name, BY_VALUES)
        for torch_names, jax_names in alike.values():
            if len(torch_names) > 1:  # as in norms that were just made
                self._told_apart(torch_names, jax_names)
        for name in self._telling():  # untied in JAX, or used twice: its partner is matched already
            size = self.jax_weights[name].size
            same = [
                owner
                for owner, array in self.torch_weights.items()
                if array.size == size and self.prints[0][owner] == self.prints[1][name]
            ]
            if len(same) == 1:
                self._arranged(same[0], name, BY_VALUES)

    def _arranged(self, torch_name: str, jax_name: str, how: Worded) -> None:
        array, other = self.torch_weights[torch_name], self.jax_weights[jax_name]
        places = self.places.of(torch_name)
        table = self.places.lookup(torch_name)
        if table is not None:
            source = table[1][np.searchsorted(table[0], other).clip(0, len(table[0]) - 1)]
        else:
            fits = [seen for seen in shaped(places, other.shape) if np.array_equal(self.places.numbers(seen), other)]
            if not fits:
                return
            source = fits[0]
        if np.array_equal(self.places.numbers(source), other) and array.size == other.size:
            self.put(jax_name, source, how, torch_name)

    def _told_apart(self, torch_names: list[str], jax_names: list[str]) -> None:
        """Match arrays that all hold the same numbers: first by the arrays beside them, then by their names."""
        modules_of = Counter(name.rpartition(".")[0] for name in torch_names)
        # of two in one module, such as the biases of a recurrent layer, the names decide
        by_module = {module: name for name in torch_names if modules_of[module := name.rpartition(".")[0]] == 1}
        for name in jax_names:
            # ``mean`` is beside ``scale``, and the partner of one shows the module of the other
            beside = [neighbour for neighbour in self.known[1] if layer_of(neighbour) == layer_of(name) != ""]
            owners = {owner for neighbour in beside for owner in self.owners(neighbour)}
            modules = {owner.rpartition(".")[0] for owner in owners} & by_module.keys()
            if len(modules) == 1:
                self._arranged(by_module[modules.pop()], name, BESIDE)
        taken = self.known[0] | self.known[1]
        for torch_name, jax_name in best(
            *([name for name in names if name not in taken] for names in (torch_names, jax_names))
        ):
            self._arranged(torch_name, jax_name, BY_NAME)

    def by_blocks(self) -> None:
        """Match arrays that hold all of a weight beside other numbers, as a padded table does, or only a block of it."""
        for name in self._telling():
            array = self.jax_weights[name]
            fits = {owner: fit for owner, weight in self.torch_weights.items() if (fit := beside_others(weight, array))}
            if len(fits) == 1:
                ((owner, (order, there, here)),) = fits.items()
                sources = np.full(array.shape, -1, self.places.dtype)
                sources[there] = self.places.of(owner).transpose(order)[here]
                self.put(name, sources, BY_VALUES, owner)

    def by_numbers(self) -> None:
        """Match arrays that hold parts of torch's, or several of them, number by number."""
        taken = self.taken()
        names = [name for name in self.torch_weights if name not in taken and self.places.lookup(name) is not None]
        if not names or not self.left():
            return
        values = np.concatenate([self.torch_weights[name].reshape(-1) for name in names])
        places = np.concatenate([self.places.of(name).reshape(-1) for name in names])
        order = np.argsort(values, kind="stable")
        values, places = values[order], places[order]
        alone = np.concatenate([[True], np.diff(values) > 0]) & np.concatenate([np.diff(values) > 0, [True]])
        for name in self.left():
            at = np.searchsorted(values, self.jax_weights[name]).clip(0, len(values) - 1)
            if np.array_equal(values[at], self.jax_weights[name]) and alone[at].all():
                self.put(name, places[at], BY_VALUES, *(owner for owner, *_ in self.places.split(places[at])))

    def by_sums(self) -> None:
        """Match biases whose sum JAX has."""
        for jax_name in self._telling():
            whole = {form.torch for forms in self.whole.values() for form in forms}
            bias_sum = summed(self.jax_weights[jax_name], self.torch_weights, self.places, self.sources, whole)
            if bias_sum is not None:
                self.sums[jax_name] = bias_sum
                self.extra += [
                    WeightMatch(name, jax_name, bias_sum.said, BY_VALUES, bias_sum.apart) for name in bias_sum.names
                ]

    def listed(self) -> tuple[WeightMatch, ...]:
        """All matches, torch's first."""
        alike = self._alike()
        matches: list[WeightMatch] = []
        for name, form in ((name, form) for name, forms in self.whole.items() for form in forms):
            used = [USED_TRANSPOSED] * ((form.torch, name) in self.transposed)
            matches.append(WeightMatch(form.torch, name, in_words(form.steps, *used), BY_VALUES, 0.0))
        reasons = dict.fromkeys(alike, UNIDENTIFIABLE)
        sources = {name: self.source(name) for name in self.jax.names}
        for region in regions(sources, self.places):
            name, place = region.torch, region.jax
            if name in alike:
                reasons[place] = UNIDENTIFIABLE
                continue
            same = region.where is ... and not region.steps
            numbers = self.torch_weights[name] if same else self.places.numbers(sources[place][region.where])
            apart = self.jax_weights[place][region.where] - numbers.astype(np.float64, copy=False)
            largest = np.maximum(apart.max(initial=0.0), -apart.min(initial=0.0))
            words = in_words(region.steps, *[USED_TRANSPOSED] * ((name, place) in self.transposed))
            how = self.how.get((name, place), BY_VALUES)
            matches.append(WeightMatch(name, place, words, how, float(largest)))
        for name, places in sources.items():
            missing = int((places < 0).sum())
            if missing and not self._explained(name) and missing < places.size:
                reasons[name] = unmatched(missing, places.size)
        return listing(self.torch, self.model, self.flat, [*matches, *self.extra], reasons)

    def _alike(self) -> set[str]:
        """Weights of equal values that are applied to the same values in the same way: nothing distinguishes them."""
        uses: dict[str, list[tuple[Use, int]]] = defaultdict(list)
        for use in self.torch.uses:
            for slot, names in enumerate(use.names):
                for name in names.split("+"):
                    uses[name].append((use, slot))
        # only the few weights of one shape with the same numbers are worth the digests of what they are applied to
        copied = [name for name in self.torch_weights if name in uses and name in self.prints[0].copied]
        likely = groups({name: (self.torch_weights[name].shape, self.prints[0][name]) for name in copied})
        around = neighbours(self.torch.uses, self.torch.operations)
        keys: dict[str, Hashable] = {}
        for name in (name for names in likely for name in names):
            # equal numbers are matched by the products next to them, which differ although all else is alike
            beside = [around[use.index] for use, _ in uses[name]] if is_plain(self.torch_weights[name]) else []
            keys[name] = (digest(self.torch_weights[name]), *beside, *starmap(self._applied, uses[name]))
        return {name for names in likely for group in groups({name: keys[name] for name in names}) for name in group}

    def _applied(self, use: Use, slot: int) -> Hashable:
        """How a use applies a weight, and to what."""
        index = use.operation.index
        around = [self.torch.values[number].wide for number in (*use.operation.inputs, index) if number in self.torch.values]
        given = digest(use.given.wide) if use.given is not None else None
        return use.kind, slot, given, tuple(map(digest, around))


def _columns(matrix: Array, features: Array) -> Array:
    """Some columns of a matrix, which is not copied if they are all of them in order."""
    return matrix if np.array_equal(features, np.arange(matrix.shape[1])) else matrix[:, features]
