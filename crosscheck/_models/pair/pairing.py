"""Match the uses of weights in torch and in JAX: by the values of the weights there, then by the neighbouring uses.

Equal numbers, such as the zeros of a new bias, show nothing: the products next to them match them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.pair.neighbours import Neighbours, neighbours
from crosscheck._models.values.names import role
from crosscheck._models.values.uses import Operation, Use, fingerprint

SAME = 1e-6
"""The largest difference of weights that are computed from others, relative to the largest number."""
COMPUTED = 1e-12
"""Both sides compute them in float64 if the difference is smaller; otherwise one side holds what was computed before."""
NORM_SLOTS = ("scale", "sum", "sum", "other")
_CLASS = {"convolution": "product", "gather": "gather", "product": "product", "scale": "scale", "sum": "sum"}


@dataclass(frozen=True)
class Entry:
    """One weight of a use."""

    use: int
    slot: int
    name: str
    matrix: Array
    kind: str
    shape: tuple[int, int]
    rows: int
    """The number of rows of the result."""
    next: Neighbours

    @property
    def place(self) -> tuple[int, int]:
        """The number of the use, and the position of the weight in it."""
        return self.use, self.slot

    @cached_property
    def plain(self) -> bool:
        """Whether it is one row of equal numbers, which do not show what it is."""
        return self.shape[0] == 1 < self.shape[1] and bool((self.matrix == self.matrix[0, 0]).all())

    @cached_property
    def numbers(self) -> Hashable:
        """A key of its numbers, in any order."""
        return fingerprint(self.matrix)


@dataclass(frozen=True)
class WeightPair:
    """A weight of a use in torch, and its partner in JAX.

    Attributes:
        torch: The number of the use, and the position of the weight in it.
        jax: The same in JAX.
        torch_features: Which outputs of the torch weight these are.
        jax_features: Which outputs of the JAX weight are these, in the same order.
        inputs: For each input of the JAX weight, its place in torch's; None if the order is the same.
        part: Which part of torch's rows these are, and of how many: torch may apply a weight to all steps at once, and JAX
            to each.
        how: ``values`` if both hold the same values, ``transposed`` if they are applied transposed, ``nearly`` if they were
            rounded in another way, and ``order`` if only the neighbouring uses match them.
    """

    torch: tuple[int, int]
    jax: tuple[int, int]
    torch_features: Array
    jax_features: Array
    inputs: Array | None
    how: str
    part: tuple[int, int] = (0, 1)


def entries(uses: Sequence[Use], operations: Sequence[Operation]) -> list[Entry]:
    """Every weight of every use."""
    weights = []
    around = neighbours(uses, operations)
    for use in uses:
        for slot, matrix in enumerate(use.matrices):
            kind = _CLASS.get(use.kind, "other")
            if use.kind == "norm":
                kind = NORM_SLOTS[min(slot, 3)]
            elif slot > 0 and use.kind in ("product", "convolution"):
                kind = "sum"
            shape = (int(matrix.shape[0]), int(matrix.shape[1]))
            rows = use.result.size[0]
            weights.append(Entry(use.index, slot, use.names[slot], matrix, kind, shape, rows, around[use.index]))
    return weights


def pair(
    torch_uses: Sequence[Use], torch: Sequence[Operation], jax_uses: Sequence[Use], jax: Sequence[Operation]
) -> list[WeightPair]:
    """Every weight of a use that has a partner, with it; ``torch`` and ``jax`` are all operations."""
    matching = _Matching(entries(torch_uses, torch), entries(jax_uses, jax))
    matching.by_values()
    matching.by_pieces()
    matching.by_features()
    matching.plain = True
    matching.by_products()
    matching.by_values()
    matching.by_order()
    return sorted(matching.pairs, key=lambda weight_pair: (weight_pair.torch, weight_pair.jax))


def in_order(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest chain of points that increase on both sides."""
    best: list[list[tuple[int, int]]] = []
    for point in sorted(set(points)):
        at = next((k for k, chain in enumerate(best) if chain[-1][1] >= point[1]), len(best))
        best[at : at + 1] = [[*(best[at - 1] if at else []), point]]
    return best[-1] if best else []


class _Matching:
    def __init__(self, torch: list[Entry], jax: list[Entry]) -> None:
        self.torch, self.jax = torch, jax
        self.pairs: list[WeightPair] = []
        self._taken: tuple[set[int], set[int]] = (set(), set())
        self.plain = False
        """Whether equal numbers are paired too: first, their neighbours must have a partner."""

    def left(self) -> tuple[list[int], list[int]]:
        """The weights without a partner so far."""
        sides = zip((self.torch, self.jax), self._taken, strict=True)
        torch, jax = (
            [k for k, entry in enumerate(side) if k not in taken and (self.plain or not entry.plain)]
            for side, taken in sides
        )
        return torch, jax

    def by_values(self) -> None:
        """Pair weights that have the same numbers, or nearly."""
        self.in_step()
        self.by(lambda entry: (entry.kind, entry.numbers))
        self.by(lambda entry: entry.numbers)
        self.nearly()

    def by_products(self) -> None:
        """Pair equal numbers next to the same products, or to the same part of one product."""
        products = [pair for pair in self.pairs if not pair.torch[1] and not pair.jax[1]]
        places = self._next_to(products)
        for torch, jax in places.values():
            if len(torch) == len(jax):
                self._by_role(torch, jax)
        added: tuple[dict[int, list[int]], ...] = (defaultdict(list), defaultdict(list))
        for items, numbers, sums in zip((self.torch, self.jax), self.left(), added, strict=True):
            for k in numbers:
                if items[k].plain and items[k].kind == "sum" and len(items[k].next.before) == 1:
                    sums[min(items[k].next.before)].append(k)
        for pair in products:
            torch_sums, jax_sums = added[0][pair.torch[0]], added[1][pair.jax[0]]
            if len(torch_sums) == len(jax_sums) == 1 and pair.part == (0, 1):
                torch_matrix, jax_matrix = self.torch[torch_sums[0]].matrix, self.jax[jax_sums[0]].matrix
                fits = pair.torch_features.max() < torch_matrix.size and pair.jax_features.max() < jax_matrix.size
                if fits and torch_matrix[0, 0] == jax_matrix[0, 0]:
                    self._part(torch_sums[0], jax_sums[0], pair.torch_features, pair.jax_features)

    def _by_role(self, torch: Sequence[int], jax: Sequence[int]) -> None:
        """Pair them in order; first those whose names say the same role, such as the bias, but not the mean, of a norm."""
        both = (self.torch, torch), (self.jax, jax)
        torch_roles, jax_roles = ({k: role(items[k].name) for k in numbers} for items, numbers in both)
        counts = Counter(torch_roles.values()), Counter(jax_roles.values())
        said = [word for word, count in counts[0].items() if word is not None and count == counts[1][word]]
        for word in (*said, None):
            here, there = (
                [k for k, own in names.items() if own == word or (word is None and own not in said)]
                for names in (torch_roles, jax_roles)
            )
            self._zip(here, there)

    def _next_to(self, products: Sequence[WeightPair]) -> Mapping[Hashable, tuple[list[int], list[int]]]:
        """The weights of equal numbers that have the same ones, and are next to the same products of torch."""
        torchs: dict[int, set[int]] = defaultdict(set)
        for pair in products:
            torchs[pair.jax[0]].add(pair.torch[0])
        alike = {use: {use} for use in set().union(*torchs.values())}, torchs
        groups: dict[Hashable, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for side, (items, numbers) in enumerate(zip((self.torch, self.jax), self.left(), strict=True)):
            for k in numbers:
                uses = items[k].next.before, items[k].next.behind
                around = tuple(frozenset(partner for use in some for partner in alike[side].get(use, ())) for some in uses)
                if items[k].plain and any(around):
                    groups[items[k].kind, items[k].numbers, around][side].append(k)
        return groups

    def _groups(self, key: Callable[[Entry], Hashable]) -> Iterable[tuple[list[int], list[int]]]:
        """The weights without a partner that have the same key, on both sides."""
        groups: dict[Hashable, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for side, (numbers, items) in enumerate(zip(self.left(), (self.torch, self.jax), strict=True)):
            for k in numbers:
                groups[key(items[k])][side].append(k)
        return groups.values()

    def in_step(self) -> None:
        """Pair what both sides apply in the same order, as ``by`` would by the numbers, but without their fingerprints."""
        for torch, jax in self._groups(lambda entry: (entry.kind, entry.matrix.size)):
            both = list(zip(torch, jax, strict=False))
            if len(torch) == len(jax) and all(np.array_equal(self.torch[t].matrix, self.jax[j].matrix) for t, j in both):
                for t, j in both:
                    self._join(t, j, "values", arranged=(None, None, None))

    def by(self, key: Callable[[Entry], Hashable]) -> None:
        """Pair weights with the same key: in order if both sides have equally many, else between the same neighbours."""
        uneven = []
        for torch, jax in self._groups(key):
            if len(torch) == len(jax):
                self._zip(torch, jax)
            elif len(torch) == 1 and self._in_parts(torch[0], jax):
                backward = self.torch[torch[0]].name.endswith("_reverse")  # torch applies it to the steps in forward order
                for number, j in enumerate(reversed(jax) if backward else jax):
                    self._join(torch[0], j, "values", (number, len(jax)))
            elif torch and jax and not self.torch[torch[0]].plain:
                uneven.append((torch, jax))
        for torch, jax in uneven:
            self._between(torch, jax)

    def _in_parts(self, t: int, jax: Sequence[int]) -> bool:
        """Whether torch applies a weight to all steps at once, and JAX to each."""
        torch_entry = self.torch[t]
        return torch_entry.kind == "product" and torch_entry.rows == sum(self.jax[j].rows for j in jax)

    def _zip(self, torch: Iterable[int], jax: Iterable[int], how: str = "values") -> None:
        for t, j in zip(torch, jax, strict=True):
            self._join(t, j, how)

    def _join(self, t: int, j: int, how: str, part: tuple[int, int] = (0, 1), *, arranged: Arranged | None = None) -> None:
        torch_entry, jax_entry = self.torch[t], self.jax[j]
        inputs, outputs, layout = arranged or arrange(torch_entry.matrix, jax_entry.matrix) or (None, None, None)
        torch_features = np.arange(torch_entry.shape[1]) if outputs is None else outputs
        self._add(t, j, torch_features, np.arange(jax_entry.shape[1]), inputs, layout or how, part)

    def _add(
        self,
        t: int,
        j: int,
        torch_features: Array,
        jax_features: Array,
        inputs: Array | None,
        how: str = "values",
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self._taken[0].add(t)
        self._taken[1].add(j)
        places = self.torch[t].place, self.jax[j].place
        self.pairs.append(WeightPair(*places, torch_features, jax_features, inputs, how, part))

    def _between(self, torch: list[int], jax: list[int], how: str = "values") -> None:
        """Pair the weights between the same pairs, if both sides have equally many there."""
        gaps: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        anchors = self._anchors()
        for side, numbers in enumerate((torch, jax)):
            ends = [anchor[side] for anchor in anchors]
            for k in numbers:
                gaps[sum(end < k for end in ends)][side].append(k)
        for here, there in gaps.values():
            if len(here) == len(there):
                self._zip(here, there, how)

    def _anchors(self) -> list[tuple[int, int]]:
        """Pairs in the same order on both sides."""
        torch, jax = ({entry.place: k for k, entry in enumerate(side)} for side in (self.torch, self.jax))
        return in_order((torch[pair.torch], jax[pair.jax]) for pair in self.pairs)

    def nearly(self) -> None:
        """Pair values that were computed from weights, and so are only nearly the same."""
        torch, jax = self.left()
        sizes: dict[int, list[tuple[int, Array]]] = defaultdict(list)
        for j in jax:
            sizes[self.jax[j].matrix.size].append((j, np.sort(self.jax[j].matrix, axis=None)))
        for t in torch:
            torch_numbers = np.sort(self.torch[t].matrix, axis=None)
            limit = SAME * float(np.abs(torch_numbers).max(initial=0.0))
            for j, jax_numbers in sizes[torch_numbers.size]:
                apart = float(np.abs(torch_numbers - jax_numbers).max()) if j not in self._taken[1] and limit > 0 else np.inf
                if apart <= limit:
                    self._join(t, j, "values" if apart * SAME <= limit * COMPUTED else "nearly")
                    break

    def by_pieces(self) -> None:
        """Pair rows of numbers of which one is a piece of the other; single numbers prove little, as many are equal."""
        torch, jax = ([k for k in numbers if self._row(side, k)] for side, numbers in enumerate(self.left()))
        free = {(side, k): np.ones(self._row(side, k), bool) for side, numbers in enumerate((torch, jax)) for k in numbers}
        for t in torch:
            for j in jax:
                torch_row, jax_row = self.torch[t].matrix[0], self.jax[j].matrix[0]
                within = len(torch_row) <= len(jax_row)
                at = _piece(torch_row, jax_row, free[1, j]) if within else _piece(jax_row, torch_row, free[0, t])
                torch_slice, jax_slice = (slice(None), at) if within else (at, slice(None))
                if at is None or not free[0, t][torch_slice].all() or not free[1, j][jax_slice].all():
                    continue
                free[0, t][torch_slice], free[1, j][jax_slice] = False, False
                self._part(t, j, np.arange(len(torch_row))[torch_slice], np.arange(len(jax_row))[jax_slice])

    def _row(self, side: int, k: int) -> int:
        """The length of a weight that is one row of numbers, not all of them equal."""
        matrix = (self.torch, self.jax)[side][k].matrix
        return matrix.shape[1] if matrix.shape[0] == 1 and (matrix != matrix[:, :1]).any() else 0

    def by_features(self) -> None:
        """Pair weights that are split on one side and joined on the other, output by output."""
        torch, jax = self.left()
        where: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
        for t in torch:
            for feature, mark in enumerate(_marks(self.torch[t].matrix)):
                where[mark].append((t, feature))
        taken: set[tuple[int, int]] = set()
        for j in jax:
            overlaps: dict[int, list[tuple[int, int]]] = defaultdict(list)
            for feature, mark in enumerate(_marks(self.jax[j].matrix)):
                place = next((candidate for candidate in where.get(mark, []) if candidate not in taken), None)
                if place is not None:
                    taken.add(place)  # repeated uses of a weight have the same order on both sides
                    overlaps[place[0]].append((feature, place[1]))
            total = sum(map(len, overlaps.values()))
            if total < self.jax[j].shape[1] and not any(len(some) == self.torch[t].shape[1] for t, some in overlaps.items()):
                continue
            for t, some in overlaps.items():
                self._part(t, j, np.array([b for _, b in some]), np.array([a for a, _ in some]))

    def _part(self, t: int, j: int, torch_features: Array, jax_features: Array) -> None:
        torch_entry, jax_entry = self.torch[t], self.jax[j]
        if torch_entry.shape[0] != jax_entry.shape[0]:
            return
        parts = torch_entry.matrix[:, torch_features], jax_entry.matrix[:, jax_features]
        self._add(t, j, torch_features, jax_features, None if _close(*parts) else _matched(*parts))

    def by_order(self) -> None:
        """Pair the remaining weights of one shape between the same neighbours: their values differ."""
        sides = list(zip((self.torch, self.jax), self.left(), strict=True))
        for shape in sorted({(self.torch[t].kind, self.torch[t].shape) for t in sides[0][1]}):
            torch, jax = ([k for k in numbers if (items[k].kind, items[k].shape) == shape] for items, numbers in sides)
            self._between(torch, jax, "order")


def _piece(row: Array, whole: Array, free: Array) -> slice | None:
    """The place of a row in a longer one, among numbers that are free."""
    starts = np.flatnonzero(whole[: len(whole) - len(row) + 1] == row[0])
    pieces = (slice(start, start + len(row)) for start in starts)
    return next((piece for piece in pieces if free[piece].all() and np.array_equal(whole[piece], row)), None)


def _marks(matrix: Array) -> list[Hashable]:
    """A key for each output of a weight: its values, in any order."""
    if matrix.shape[0] == 1 and matrix.shape[1] > 1 and len(np.unique(matrix)) < matrix.shape[1]:
        return [(matrix.shape[0], float(value), k) for k, value in enumerate(matrix[0])]
    columns = np.sort(matrix, axis=0)
    columns = columns.astype(np.result_type(columns, np.float64))
    return [(matrix.shape[0], columns[:, k].tobytes()) for k in range(matrix.shape[1])]


def _close(torch: Array, jax: Array) -> bool:
    if torch.shape != jax.shape:
        return False
    if np.array_equal(torch, jax):  # the usual case
        return True
    scale = float(np.abs(torch).max(initial=0.0))
    return bool(np.all(np.abs(torch - jax) <= SAME * scale))


Arranged = tuple[Array | None, Array | None, str | None]


def arrange(torch: Array, jax: Array) -> Arranged | None:
    """How JAX's matrix follows from torch's: ``jax == torch[inputs][:, outputs]``; None if it does not."""
    if torch.shape != jax.shape:
        return None
    if _close(torch, jax):
        return None, None, None
    if torch.shape[0] == torch.shape[1] and _close(torch.T, jax):
        return None, None, "transposed"
    outputs = _matched(np.sort(torch, axis=0).T, np.sort(jax, axis=0).T)
    if outputs is None:
        return None
    inputs = _matched(torch[:, outputs], jax)
    if inputs is None:
        return None
    same = np.array_equal(outputs, np.arange(len(outputs)))
    return (None if np.array_equal(inputs, np.arange(len(inputs))) else inputs), (None if same else outputs), None


def _matched(torch: Array, jax: Array) -> Array | None:
    """The place of each row of one matrix in another with the same rows; equal rows keep their order."""
    torch, jax = (np.asarray(matrix, np.float64) for matrix in (torch, jax))
    order = np.lexsort(np.round(torch, 12).T[::-1]), np.lexsort(np.round(jax, 12).T[::-1])
    if not _close(torch[order[0]], jax[order[1]]):
        return None
    places = np.empty(len(torch), np.int64)
    places[order[1]] = order[0]
    return places
