"""The weights of torch that a weight of JAX may be, and the order of its numbers, likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, permutations
from math import isclose
from typing import TYPE_CHECKING, Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.copy.candidate import Assignment, Candidate, Made, of_columns
from crosscheck._models.copy.value_matching import FOUND, PRODUCTS, OtherWeight, Product, Rows, alike, size_of
from crosscheck._models.record.jax_recording import Step
from crosscheck._models.run.places import shaped
from crosscheck._models.values.distances import distance
from crosscheck._models.values.names import are_of_one_direction, likeness, tokens
from crosscheck._models.values.output_orders import divisors, features, part_of
from crosscheck._models.values.uses import DATA, MOVES, Use

if TYPE_CHECKING:
    from crosscheck._models.copy.number_tracing import NumberTracer
    from crosscheck._models.copy.state import State

MOST = 48
"""The most candidates that are kept for a matrix."""
MOST_ORDERS = 24
"""The most orders that are tried of several weights in one."""
MOST_ROWS = 8
"""The most candidates that are kept for a scale or a bias."""
AROUND = 40
"""The number of earlier operations among which the data of a scale is searched."""
ATTACHED = 14.0
"""The score of a bias that torch adds to the same product."""
SURE = 3.0
"""The best candidate excludes the others if its score is larger by this."""
UNUSUAL = 4.0
"""The score is less by this for a convolution's weight that is flipped where that is unusual."""
UNLIKELY = 12.0
"""A candidate whose score is less than the best one by this is not tried."""


class Candidates:
    """The candidates of one search."""

    def __init__(self, tracer: NumberTracer) -> None:
        self.of_run = tracer
        self._given: dict[str, list[tuple[Array, float]]] = {}

    def of(self, state: State, step: Step, slot: int, unknown: Array) -> list[Candidate]:
        """The candidates for the unknown weights of a step: all of a matrix, or one array."""
        entry = self.of_run.uses.get(step.operation.index)
        if entry is not None and slot == 0 and entry[2][0] is unknown:
            use = entry[0]
            if use.kind in PRODUCTS:
                return self._products(state, step, use, unknown)
            if use.kind == "gather":
                found = self._tables(state, step, unknown)
                if found:
                    return found
        return self._rows(state, step, entry[0] if entry is not None else None, unknown)

    def names(self, places: Array) -> str:
        """The arrays of JAX that contain these numbers."""
        return " ".join(name for name, *_ in self.of_run.theirs.split(places))

    def _used(self, state: State, places: Array) -> float:
        """The share of torch's numbers that have a partner."""
        parts = self.of_run.mine.split(places)
        return (
            sum(int(state.used[name].reshape(-1)[own].sum()) for name, _, own in parts if name in state.used) / places.size
        )

    def _used_columns(self, state: State, seen: Array) -> Array:
        """For each output of a weight of torch, the share of its numbers that have a partner."""
        mine = self.of_run.mine
        [(name, *_)] = mine.split(seen[:1, :1])
        if name not in state.used:
            return np.zeros(seen.shape[1])
        return np.asarray(state.used[name].reshape(-1)[seen - mine.start(name)].mean(0))

    # matrices

    def _products(self, state: State, step: Step, use: Use, places: Array) -> list[Candidate]:
        matrix = self.of_run.operand(state, step)
        assert matrix is not None
        found = self.of_run.found(matrix)
        known = bool(found) and bool(np.any(matrix))
        if not found:  # torch has no such data: names and shapes decide
            found = [(product, Rows(None, None)) for product in self.likely(state, step, places)]
        parts: list[tuple[Product, Array]] = []
        for product, rows in found:
            parts += [(product, seen) for seen in self._arranged(product, rows, use, places.shape[0])]
        name = self.names(places)
        grouped: list[list[Candidate]] = []
        for k, (product, seen) in enumerate(parts):
            # of two arrangements of one weight the second is unlikely
            again = k > 0 and parts[k - 1][0] is product
            grouped.append([])
            used = self._used_columns(state, seen)
            for columns, bonus in features(seen.shape[1], places.shape[1], name):
                score = likeness(product.name, name) + bonus - 4 * float(used[columns].mean()) - 1e-4 * product.order
                score -= UNUSUAL * again
                made = ((product, columns, np.arange(len(columns))),)
                make = partial(of_columns, places, seen, columns)
                grouped[-1].append(Candidate(make, (product.name,), made, score))
        grouped = [own for own in [*grouped, self._joined(state, parts, places)] if own]
        if use.kind == "convolution" and len(grouped) > 1:  # the result does not show the order of its outputs
            agree = [self._agrees(state, step, use, own[0]) for own in grouped]
            grouped = [own for own, found in zip(grouped, agree, strict=True) if found == max(agree)]
        candidates = sorted((one for own in grouped for one in own), key=lambda one: -one.score)
        if known and candidates and all(candidates[0].score - one.score > SURE for one in candidates[1:2]):
            candidates[0] = replace(candidates[0], sure=True)
        return candidates[:MOST]

    def _arranged(self, product: Product, rows: Rows, use: Use, inputs: int) -> Iterator[Array]:
        """torch's matrix with the inputs in JAX's order; for a convolution also flipped in space."""
        if "+" in product.name:
            return
        seen = self.of_run.mine.seen(product.name, product.matrix)
        if seen is None or seen.shape[0] != inputs:
            return
        if rows.inputs is not None:
            if len(seen) % len(rows.inputs):
                return
            seen = seen.reshape(len(rows.inputs), -1, seen.shape[1])[rows.inputs].reshape(seen.shape)
        channels = product.operands[0].shape[1]
        if use.kind != "convolution" or len(seen) % channels or len(seen) == channels:
            yield seen
            return
        flipped = seen.reshape(channels, -1, seen.shape[1])[:, ::-1].reshape(seen.shape)
        # If no result shows it, as the port is wrong here: only torch's transposed convolutions, inputs first, are flipped.
        transposed = seen.shape[1] > 1 and seen[0, 1] - seen[0, 0] < len(seen)
        yield from (flipped, seen) if transposed else (seen, flipped)

    def _agrees(self, state: State, step: Step, use: Use, candidate: Candidate) -> int:
        """Whether torch has the result of this candidate: 2 if in its place, 1 if somewhere, 0 if not."""
        value = self._result(state, step, candidate)
        found = 0
        for product, mine, theirs in candidate.made or ():
            for whole in product.results:
                if alike(use.result.matrix(value)[:, theirs], whole[:, mine]):
                    orders = permutations(range(len(use.result.rows)))
                    placed = any(
                        distance(use.result.matrix(value, order)[:, theirs], whole[:, mine]) < FOUND for order in orders
                    )
                    found = max(found, 1 + placed)
        return found

    def _result(self, state: State, step: Step, candidate: Candidate) -> Array:
        """The result of a step with a candidate."""
        trial = state.copy()
        self.of_run.apply(trial, candidate)
        given = [self.of_run.value(trial, one) for one in step.inputs]
        return np.asarray(self.of_run.run.results(step, given)[0])

    def _joined(self, state: State, parts: Sequence[tuple[Product, Array]], places: Array) -> list[Candidate]:
        """The candidates in which one weight of JAX consists of several of torch's."""
        total = places.shape[1]
        free = [(product, seen) for product, seen in parts if seen.shape[1] < total and self._used(state, seen) < 1]
        if sum(seen.shape[1] for _, seen in free) != total:  # the data has other uses too
            alike_ones = [[one for one in free if one[1].shape[1] == width] for width in {seen.shape[1] for _, seen in free}]
            free = next((own for own in alike_ones if sum(seen.shape[1] for _, seen in own) == total), [])
        if len(free) < 2:
            return []
        known = ("query", "key", "value")
        free.sort(key=lambda one: ([known.index(w) for w in tokens(one[0].name) if w in known], one[0].order))
        candidates = []
        for k, order in enumerate(islice(permutations(free), MOST_ORDERS)):
            widths = {seen.shape[1] for _, seen in order}
            arrangements = [np.arange(total)]
            if len(widths) == 1:
                width = widths.pop()
                arrangements += [
                    np.arange(total).reshape(-1, len(order), size).transpose(1, 0, 2).reshape(-1) for size in divisors(width)
                ]
            for number, columns in enumerate(arrangements):
                assignments, made, start = [], [], 0
                for product, seen in order:
                    own = columns[start : start + seen.shape[1]]
                    start += seen.shape[1]
                    assignments.append(Assignment(places[:, own].reshape(-1), seen.reshape(-1)))
                    made.append((product, np.arange(seen.shape[1]), own))
                names = tuple(product.name for product, _ in order)
                candidates.append(Candidate(tuple(assignments), names, tuple(made), -0.01 * k - 0.1 * number))
        return candidates

    def likely(self, state: State, step: Step, places: Array | None) -> list[Product]:
        """The weights of torch that one of JAX's may be by its shape; only the right one, if that is known."""
        made = state.made.get(step.operation.index)
        if made is None and places is not None:
            self.remember(state, step, places)
            made = state.made.get(step.operation.index)
        if made:
            return [one[0] for one in made]
        found = []
        for product in self.of_run.products:
            if places is not None and "+" not in product.name and product.matrix.shape[0] == places.shape[0]:
                fits = product.matrix.shape[1] >= places.shape[1]
                if fits and self.of_run.mine.seen(product.name, product.matrix) is not None:
                    found.append(product)
        return found

    def score(self, state: State, product: Product, places: Array | None) -> float:
        """The score of one of these, by its name, its shape and its place."""
        seen = self.of_run.mine.seen(product.name, product.matrix)
        if places is None or seen is None:
            return 0.0
        split = 0.5 * (seen.shape != places.shape)
        return likeness(product.name, self.names(places)) - split - 4 * self._used(state, seen) - 1e-3 * product.order

    def remember(self, state: State, step: Step, places: Array | None) -> None:
        """Record the parts of a product whose weight was known already."""
        if places is None:
            return
        sources = self.of_run.flat_sources(state, places)
        for product in self.of_run.products:
            if "+" in product.name or (sources < 0).any():
                continue
            seen = self.of_run.mine.seen(product.name, product.matrix)
            if seen is None or not np.isin(sources, seen).all():
                continue
            columns = np.argsort(seen, axis=None)
            at = columns[np.searchsorted(seen.reshape(-1)[columns], sources[0])] % seen.shape[1]
            state.made[step.operation.index] = [(product, at, np.arange(len(at)))]
            return

    # tables, scales, biases

    def table(self, state: State, places: Array) -> Array:
        """The places of a whole array of which these are a part, if torch applies a part of a weight of the same shape.

        For example, the inputs need only the first rows of a table of positions. The same places otherwise.
        """
        (name, *_), *others = self.of_run.theirs.split(places)
        whole = self.of_run.theirs.of(name)
        if others or whole.size == places.size or (state.sources[name][0] >= 0).any():
            return places
        rows, shapes = self.of_run.rows, self.of_run.mine.shapes
        cut = [shapes.get(row.name, ()) for row in rows if row.use.matrices[row.slot].size == places.size]
        return whole if any(np.squeeze(whole).shape == tuple(n for n in one if n > 1) for one in cut) else places

    def _tables(self, state: State, step: Step, places: Array) -> list[Candidate]:
        name = self.names(places)
        candidates = []
        for row in self.of_run.rows:
            seen = self.of_run.mine.of(row.name)
            if row.role == "table" and seen.shape == places.shape:
                score = likeness(row.name, name) - 4 * self._used(state, seen) - 1e-3 * row.order
                candidates.append(Candidate((Assignment(places.reshape(-1), seen.reshape(-1)),), (row.name,), None, score))
        candidates.sort(key=lambda one: -one.score)
        return [one for one in candidates if self._looked_up(state, step, one)] or candidates

    def _looked_up(self, state: State, step: Step, candidate: Candidate) -> bool:
        result = self._result(state, step, candidate)
        torch = self.of_run.torch
        return any(
            alike(result, torch.values[one.operation.index].wide)
            for one in torch.uses
            if one.kind == "gather" and one.names[0] == candidate.names[0]
        )

    def _rows(self, state: State, step: Step, use: Use | None, places: Array) -> list[Candidate]:
        name = self.names(places)
        role = self._role(step, use, places)
        data = [one for one in step.inputs if isinstance(one, int) and self.of_run.flat.kinds[one] == DATA]
        near = self._near(state, data)
        candidates = [one for number in data for one in self._biases(state, number, places)]
        unused = [row.order for row in self.of_run.rows if self._used(state, self.of_run.mine.of(row.name)) < 1]
        following = min(unused, default=0)
        for row in self.of_run.rows:
            size = self.of_run.mine.of(row.name).size
            for k, seen in enumerate(self._seen(row.name, places)):
                said = part_of(name, size // places.size, k)
                score = 4 * likeness(row.name, name) - 8 * self._used(state, seen) - 0.01 * abs(row.order - following)
                score -= 3 * (1 - said) if said else 3 * k
                if role is not None and row.role is not None:
                    score += 3 if role == row.role else -3
                if self._flows(row, near):
                    score += 6
                candidates.append(Candidate((Assignment(places.reshape(-1), seen.reshape(-1)),), (row.name,), None, score))
        candidates += self._stacks(state, name, places)
        if not candidates:
            candidates = self._anything(state, name, places)
        if step.operation.index in self.of_run.updates:  # torch changes the partner too
            candidates = [one for one in candidates if self.of_run.torch.buffers.keys() >= set(one.names)] or candidates
        candidates.sort(key=lambda one: -one.score)
        different = {candidate.key(): candidate for candidate in reversed(candidates)}
        candidates = [
            one for one in candidates if different[one.key()] is one and one.score > candidates[0].score - UNLIKELY
        ]
        candidates = candidates[:MOST_ROWS]
        if (
            candidates
            and candidates[0].score >= ATTACHED
            and all(one.score < candidates[0].score - SURE for one in candidates[1:])
        ):
            candidates[0] = replace(candidates[0], sure=True)
        return candidates

    def _seen(self, name: str, places: Array) -> Iterator[Array]:
        """The ways in which a weight of torch may fill these places."""
        mine = self.of_run.mine.of(name)
        if mine.size == places.size:
            yield from (shaped(mine, places.shape) if places.ndim > 2 else [mine.reshape(places.shape)])
            if mine.ndim > 2:
                yield np.moveaxis(mine, 0, -1).reshape(places.shape)
        elif mine.size > places.size and mine.size % places.size == 0 and mine.ndim == 1:
            yield from (part.reshape(places.shape) for part in mine.reshape(-1, places.size))

    def _anything(self, state: State, name: str, places: Array) -> list[Candidate]:
        """Any weight with the same number of numbers."""
        mine = self.of_run.mine
        candidates = []
        for own in mine.names:
            for k, seen in enumerate(shaped(mine.of(own), places.shape)):
                score = likeness(own, name) - 4 * self._used(state, seen) - k
                candidates.append(Candidate((Assignment(places.reshape(-1), seen.reshape(-1)),), (own,), None, score))
        return candidates

    def _stacks(self, state: State, name: str, places: Array) -> list[Candidate]:
        """Weights whose names differ only in one number, one after the other."""
        mine = self.of_run.mine
        groups: dict[tuple[str, str, tuple[int, ...]], list[tuple[int, str]]] = {}
        for own, shape in mine.shapes.items():
            for found in re.finditer(r"\d+", own):
                key = (own[: found.start()], own[found.end() :], shape)
                groups.setdefault(key, []).append((int(found[0]), own))
        candidates = []
        for group in groups.values():
            names = [own for _, own in sorted(group)]
            size = mine.of(names[0]).size
            if len(names) < 2 or len(names) * size != places.size:
                continue
            inner = places.shape[1:] if places.shape[0] == len(names) else (size,)
            for k, seen in enumerate(zip(*(shaped(mine.of(own), inner) for own in names), strict=True)):
                stacked = np.concatenate([one.reshape(-1) for one in seen])
                score = 4 * likeness(names[0], name) - 8 * self._used(state, stacked) - k
                candidates.append(Candidate((Assignment(places.reshape(-1), stacked),), tuple(names), None, score))
        return candidates

    def _role(self, step: Step, use: Use | None, places: Array) -> str | None:
        """The role of an array, by the operation that uses it and by its name."""
        stated = [word for word in tokens(self.names(places)) if word in ("mean", "var")]
        if stated:
            return stated[-1]
        if step.operation.name == "sub":
            return "mean"
        if step.operation.name in ("mul", "div"):
            return "weight"
        return "bias" if use is not None and use.kind == "sum" else None

    def _near(self, state: State, data: Sequence[int]) -> list[tuple[Array, float]]:
        """The values that were computed shortly before, with the root mean square of each."""
        flat = self.of_run.flat
        left, seen, found = list(data), set[int](), []
        while left and len(seen) < AROUND:
            one = left.pop(0)
            if one in seen or flat.kinds[one] != DATA:
                continue
            seen.add(one)
            value = np.asarray(self.of_run.value(state, one))
            if value.dtype.kind == "f" and value.size > 1:
                found.append((value, size_of(value)))
            maker = flat.maker.get(one)
            if maker is not None:
                left += [other for other in flat.steps[maker].inputs if isinstance(other, int)]
        return found

    def _flows(self, row: OtherWeight, near: Sequence[tuple[Array, float]]) -> bool:
        """Whether JAX has just computed the operand to which torch applies a weight."""
        if row.name not in self._given:
            torch = self.of_run.torch
            given = [row.use.given.wide] if row.use.given is not None else []
            given += [torch.values[one].wide for one in row.use.operation.inputs if one in torch.values]
            self._given[row.name] = [(one, size_of(one)) for one in given if one.dtype.kind == "f"]
        return any(
            value.size == one.size and isclose(length, other, rel_tol=1e-3) and alike(value, one)
            for one, length in self._given[row.name]
            for value, other in near
        )

    def _biases(self, state: State, number: int, places: Array) -> list[Candidate]:
        """The biases of the products whose sum a value is."""
        behind = self._behind(state, number)
        mine = self.of_run.mine
        sums: list[tuple[list[Array], list[str]]] = []
        for made, columns in behind:
            whole = np.full(columns, -1)
            names = []
            for product, columns_of, theirs in made:
                if product.bias is None or theirs.max(initial=0) >= columns:
                    return []
                bias = mine.of(product.bias).reshape(-1)
                if columns_of.max(initial=0) >= bias.size:  # torch adds it to some of the columns, or to one
                    return []
                whole[theirs] = bias[columns_of]
                names.append(product.bias)
            sums.append(([whole[start : start + places.size] for start in range(0, columns, places.size)], names))
        candidates = []
        flat = places.reshape(-1)
        for parts, names in sums:
            for k, one in enumerate(parts):
                if len(one) == flat.size and (one >= 0).all():
                    score = ATTACHED - 8 * self._used(state, one) - (k > 0)
                    candidates.append(Candidate((Assignment(flat, one),), tuple(names), None, score))
                    if len(sums) == 1:
                        candidates += self._summed(flat, one, names, score)
        if len(sums) == 2 and all(len(parts) == 1 and len(parts[0]) == flat.size for parts, _ in sums):
            (one,), (other,) = sums[0][0], sums[1][0]
            if (one >= 0).all() and (other >= 0).all():
                candidates.append(Candidate((Assignment(flat, one, other),), (*sums[0][1], *sums[1][1]), None, ATTACHED + 1))
        return candidates

    def _summed(self, flat: Array, one: Array, names: list[str], score: float) -> Iterator[Candidate]:
        """Candidates with the layer's other bias added, in all numbers or in two thirds; of both a part, as of one gate."""
        mine = self.of_run.mine
        whole = np.concatenate([mine.of(name).reshape(-1) for name in names])
        order = np.argsort(whole)
        own = order[np.searchsorted(whole, one, sorter=order)]
        for row in self.of_run.rows:
            other = mine.of(row.name).reshape(-1)
            near = likeness(row.name, names[0])
            module = row.name.rpartition(".")[0] == names[0].rpartition(".")[0]
            if row.role != "bias" or row.name in names or other.size != whole.size or not module:
                continue
            other = other[own]
            near += are_of_one_direction(row.name, names[0])
            yield Candidate((Assignment(flat, one, other),), (*names, row.name), None, score - 2 + near)
            if one.size % 3 == 0 and one.size == whole.size:
                most = np.where(np.arange(one.size) < one.size * 2 // 3, other, -1)
                yield Candidate((Assignment(flat, one, most),), (*names, row.name), None, score - 2.1 + near)

    def _behind(self, state: State, number: int) -> list[tuple[list[Made], int]]:
        """The products with weights whose sum a value is, and the number of outputs of each."""
        flat = self.of_run.flat
        left, found = [number], []
        while left:
            one = left.pop()
            maker = flat.maker.get(one)
            if maker is None:
                continue
            step: Any = flat.steps[maker]
            if maker in state.made:
                width = self.of_run.uses[maker][2][0]
                found.append((state.made[maker], 0 if width is None else width.shape[1]))
            elif step.operation.name in MOVES or step.operation.name in ("add", "add_any", "split"):
                left += [other for other in step.inputs if isinstance(other, int) and flat.kinds[other] == DATA]
        return found
