"""The weights of torch that a scale, a bias, a running statistic or a table of JAX may be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from functools import cached_property
from math import isclose, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.copy.candidate import Assignment, Candidate, CandidateSearch, Made
from crosscheck._models.copy.state import NONE_FITS
from crosscheck._models.copy.value_matching import OtherWeight, alike, size_of
from crosscheck._models.record.jax_recording import Step
from crosscheck._models.run.places import shaped
from crosscheck._models.values.names import are_of_one_direction, likeness, tokens
from crosscheck._models.values.output_orders import part_of
from crosscheck._models.values.uses import DATA, MOVES, Use

if TYPE_CHECKING:
    from crosscheck._models.copy.number_tracing import NumberTracer
    from crosscheck._models.copy.state import State

COMPUTED = 2.0
"""How much likelier a weight is for one that meets no data by itself if it meets none in torch either."""
MOST_ROWS = 8
"""The most candidates that are kept for a scale or a bias."""
AROUND = 40
"""The number of earlier operations among which the data of a scale is searched."""
ATTACHED = 14.0
"""The score of a bias that torch adds to the same product."""
SURE = 3.0
"""The best candidate excludes the others if its score is larger by this."""
UNLIKELY = 12.0
"""A candidate whose score is less than the best one by this is not tried."""


class VectorCandidates(CandidateSearch):
    """The candidates for weights that are not the matrix of a product."""

    def __init__(self, tracer: NumberTracer) -> None:
        super().__init__(tracer)
        self._given: dict[str, list[tuple[Array, float]]] = {}

    def table(self, state: State, places: Array) -> Array:
        """The places of a whole array of which these are a part, if torch applies a part of a weight of the same shape.

        For example, the inputs need only the first rows of a table of positions. The same places otherwise.
        """
        (name, *_), *others = self.of_run.jax_places.split(places)
        shape = self.of_run.jax_places.shapes[name]
        if others or prod(shape) == places.size or state.sources[name].known:
            return places
        rows, shapes = self.of_run.rows, self.of_run.torch_places.shapes
        cut = [shapes.get(row.name, ()) for row in rows if row.use.matrices[row.slot].size == places.size]
        fits = any([n for n in shape if n > 1] == [n for n in other if n > 1] for other in cut)
        return self.of_run.jax_places.of(name) if fits else places

    def tables(self, state: State, step: Step, places: Array) -> list[Candidate]:
        name = self.names(places)
        candidates = []
        for row in self.of_run.rows:
            if row.role == "table" and self.of_run.torch_places.shapes[row.name] == places.shape:
                seen = self.of_run.torch_places.of(row.name)
                score = likeness(row.name, name) - 4 * self.used_of(state, row.name) - 1e-3 * row.order
                candidates.append(Candidate((Assignment(places.reshape(-1), seen.reshape(-1)),), (row.name,), None, score))
        candidates.sort(key=lambda candidate: -candidate.score)
        return [candidate for candidate in candidates if self._looked_up(state, step, candidate)] or candidates

    def _looked_up(self, state: State, step: Step, candidate: Candidate) -> bool:
        result = self.result(state, step, candidate)
        torch = self.of_run.torch
        return any(
            alike(result, torch.values[use.operation.index].wide)
            for use in torch.uses
            if use.kind == "gather" and use.names[0] == candidate.names[0]
        )

    def candidates(
        self, state: State, step: Step, use: Use | None, places: Array, among: Set[str] = frozenset()
    ) -> list[Candidate]:
        """The weights of torch that an array may be, only these if any of them fits."""
        name = self.names(places)
        role = self._role(step, use, places)
        data = [number for number in step.inputs if isinstance(number, int) and self.of_run.flat.kinds[number] == DATA]
        near = self._near(state, data)
        added = [] if step.operation.name == "dot_general" else data
        candidates = [candidate for number in added for candidate in self._biases(state, number, places)]
        bare = step.operation.name == "add" and any(self._is_bare(state, number) for number in added)
        unused = [row.order for row in self.of_run.rows if self.used_of(state, row.name) < 1]
        following = min(unused, default=0)
        for row in self.of_run.rows:
            if bare and (row.use.kind == "norm" or row.name in self._attached):
                continue
            size = prod(self.of_run.torch_places.shapes[row.name])
            for k, seen in enumerate(self._seen(row.name, places)):
                said = part_of(name, size // places.size, k)
                score = 4 * likeness(row.name, name) - 8 * self.used(state, seen) - 0.01 * abs(row.order - following)
                score -= 3 * (1 - said) if said else 3 * k
                if role is not None and row.role is not None:
                    score += 3 if role == row.role else -3
                if self._flows(row, near):
                    score += 6
                candidates.append(Candidate((Assignment(places.reshape(-1), seen.reshape(-1)),), (row.name,), None, score))
        candidates += self._stacks(state, name, places)
        if among:
            own = [*candidates, *self._anything(state, name, places, among)]
            candidates = [candidate for candidate in own if among >= set(candidate.names)] or candidates
        if bare:  # JAX then keeps its own numbers
            nothing = Assignment(places.reshape(-1), np.full(places.size, NONE_FITS))
            candidates.append(Candidate((nothing,), ()))
        elif not candidates:
            candidates = self._anything(state, name, places)
        if step.operation.index in self.of_run.updates:  # torch changes the partner too
            candidates = [
                candidate for candidate in candidates if self.of_run.torch.buffers.keys() >= set(candidate.names)
            ] or candidates
        candidates.sort(key=lambda candidate: -candidate.score)
        different = {candidate.key(): candidate for candidate in reversed(candidates)}
        candidates = [
            candidate
            for candidate in candidates
            if different[candidate.key()] is candidate and candidate.score > candidates[0].score - UNLIKELY
        ]
        candidates = candidates[:MOST_ROWS]
        if (
            candidates
            and candidates[0].score >= ATTACHED
            and all(candidate.score < candidates[0].score - SURE for candidate in candidates[1:])
        ):
            candidates[0] = replace(candidates[0], sure=True)
        return candidates

    def _seen(self, name: str, places: Array) -> Iterator[Array]:
        """The ways in which a weight of torch may fill these places."""
        shape = self.of_run.torch_places.shapes[name]
        if prod(shape) == places.size:
            sources = self.of_run.torch_places.of(name)
            either = max(sources.ndim, places.ndim) > 1
            yield from shaped(sources, places.shape) if either else [sources.reshape(places.shape)]
            if sources.ndim > 2:
                yield np.moveaxis(sources, 0, -1).reshape(places.shape)
        elif len(shape) == 1 and shape[0] > places.size and shape[0] % places.size == 0:
            parts = self.of_run.torch_places.of(name).reshape(-1, places.size)
            yield from (part.reshape(places.shape) for part in parts)

    @cached_property
    def _attached(self) -> set[str | None]:
        """torch's weights that it adds to the result of a product."""
        return {product.bias for product in self.of_run.products}

    def _is_bare(self, state: State, number: int) -> bool:
        """Whether a value is the result of a product to which torch adds nothing, as keys of attention without a bias."""
        behind = self._behind(state, number)
        return len(behind) == 1 and bool(behind[0][0]) and all(product.bias is None for product, *_ in behind[0][0])

    @cached_property
    def _computed(self) -> set[str]:
        """torch's weights that it applies in a value computed from several, as JAX may a query that is learned."""
        return {name for use in self.of_run.torch.uses for names in use.names if "+" in names for name in names.split("+")}

    def _anything(self, state: State, name: str, places: Array, among: Set[str] = frozenset()) -> list[Candidate]:
        """Any of these weights with as many numbers, or one of the equal parts, along the first axis, of a larger one."""
        torch_places = self.of_run.torch_places
        likely: list[tuple[float, str, int, int]] = []
        for own in torch_places.names:
            if among and own not in among:
                continue
            whole = np.atleast_1d(torch_places.of(own))
            parts, rest = divmod(whole.size, places.size)
            if parts and not rest and not len(whole) % parts:
                for number, part in enumerate(np.split(whole, parts)):
                    score = likeness(own, name) + part_of(name, parts, number) - 4 * self.used(state, part)
                    score += COMPUTED * (own in self._computed)
                    likely.append((score, own, number, parts))
        likely.sort(key=lambda part: -part[0])
        candidates = []
        for score, own, number, parts in likely[:MOST_ROWS]:  # their places are as many as their numbers
            part = np.split(np.atleast_1d(torch_places.of(own)), parts)[number]
            for k, seen in enumerate(shaped(part, places.shape)):
                candidates.append(Candidate((Assignment(places.reshape(-1), seen.reshape(-1)),), (own,), None, score - k))
        return candidates

    def _stacks(self, state: State, name: str, places: Array) -> list[Candidate]:
        """Weights whose names differ only in one number, one after the other."""
        torch_places = self.of_run.torch_places
        groups: dict[tuple[str, str, tuple[int, ...]], list[tuple[int, str]]] = {}
        for own, shape in torch_places.shapes.items():
            for match in re.finditer(r"\d+", own):
                key = (own[: match.start()], own[match.end() :], shape)
                groups.setdefault(key, []).append((int(match[0]), own))
        candidates = []
        for group in groups.values():
            names = [own for _, own in sorted(group)]
            size = prod(torch_places.shapes[names[0]])
            if len(names) < 2 or len(names) * size != places.size:
                continue
            inner = places.shape[1:] if places.shape[0] == len(names) else (size,)
            for k, seen in enumerate(zip(*(shaped(torch_places.of(own), inner) for own in names), strict=True)):
                stacked = np.concatenate([part.reshape(-1) for part in seen])
                score = 4 * likeness(names[0], name) - 8 * self.used(state, stacked) - k
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
        left, seen, values = list(data), set[int](), []
        while left and len(seen) < AROUND:
            number = left.pop(0)
            if number in seen or flat.kinds[number] != DATA:
                continue
            seen.add(number)
            value = np.asarray(self.of_run.value(state, number))
            if value.dtype.kind == "f" and value.size > 1:
                values.append((value, size_of(value)))
            maker = flat.maker.get(number)
            if maker is not None:
                left += [other for other in flat.steps[maker].inputs if isinstance(other, int)]
        return values

    def _flows(self, row: OtherWeight, near: Sequence[tuple[Array, float]]) -> bool:
        """Whether JAX has just computed the operand to which torch applies a weight."""
        if row.name not in self._given:
            torch = self.of_run.torch
            given = [row.use.given.wide] if row.use.given is not None else []
            given += [torch.values[index].wide for index in row.use.operation.inputs if index in torch.values]
            self._given[row.name] = [(array, size_of(array)) for array in given if array.dtype.kind == "f"]
        return any(
            value.size == operand.size and isclose(length, other, rel_tol=1e-3) and alike(value, operand)
            for operand, length in self._given[row.name]
            for value, other in near
        )

    def _biases(self, state: State, number: int, places: Array) -> list[Candidate]:
        """The biases of the products whose sum a value is."""
        behind = self._behind(state, number)
        torch_places = self.of_run.torch_places
        sums: list[tuple[list[Array], list[str]]] = []
        for made, columns in behind:
            whole = np.full(columns, -1)
            names = []
            for product, torch_columns, jax_columns in made:
                if product.bias is None or product.added is None or jax_columns.max(initial=0) >= columns:
                    return []
                part = torch_places.seen(product.bias, product.added)  # torch may add a part of an array
                bias = (torch_places.of(product.bias) if part is None else part).reshape(-1)
                if torch_columns.max(initial=0) >= bias.size:  # torch adds it to some of the columns, or to one
                    return []
                whole[jax_columns] = bias[torch_columns]
                names.append(product.bias)
            sums.append(([whole[start : start + places.size] for start in range(0, columns, places.size)], names))
        candidates = []
        flat = places.reshape(-1)
        for parts, names in sums:
            for k, part in enumerate(parts):
                if len(part) == flat.size and (part >= 0).all():
                    score = ATTACHED - 8 * self.used(state, part) - (k > 0)
                    candidates.append(Candidate((Assignment(flat, part),), tuple(names), None, score))
                    if len(sums) == 1:
                        candidates += self._summed(flat, part, names, score)
        if len(sums) == 2 and all(len(parts) == 1 and len(parts[0]) == flat.size for parts, _ in sums):
            (first,), (second,) = sums[0][0], sums[1][0]
            if (first >= 0).all() and (second >= 0).all():
                candidates.append(
                    Candidate((Assignment(flat, first, second),), (*sums[0][1], *sums[1][1]), None, ATTACHED + 1)
                )
        return candidates

    def _summed(self, flat: Array, first: Array, names: list[str], score: float) -> Iterator[Candidate]:
        """Candidates with the layer's other bias added, in all numbers or in two thirds; of both a part, as of one gate."""
        torch_places = self.of_run.torch_places
        whole = np.concatenate([torch_places.of(name).reshape(-1) for name in names])
        order = np.argsort(whole)
        own = order[np.searchsorted(whole, first, sorter=order)]
        for row in self.of_run.rows:
            module = row.name.rpartition(".")[0] == names[0].rpartition(".")[0]
            if row.role != "bias" or row.name in names or not module or prod(torch_places.shapes[row.name]) != whole.size:
                continue
            second = torch_places.of(row.name).reshape(-1)[own]
            near = likeness(row.name, names[0]) + are_of_one_direction(row.name, names[0])
            yield Candidate((Assignment(flat, first, second),), (*names, row.name), None, score - 2 + near)
            if first.size % 3 == 0 and first.size == whole.size:
                most = np.where(np.arange(first.size) < first.size * 2 // 3, second, -1)
                yield Candidate((Assignment(flat, first, most),), (*names, row.name), None, score - 2.1 + near)

    def _behind(self, state: State, number: int) -> list[tuple[list[Made], int]]:
        """The products with weights whose sum a value is, and the number of outputs of each."""
        flat = self.of_run.flat
        left, products = [number], []
        while left:
            number = left.pop()
            maker = flat.maker.get(number)
            if maker is None:
                continue
            step: Any = flat.steps[maker]
            if maker in state.made:
                width = self.of_run.seen(maker)[0]
                products.append((state.made[maker], 0 if width is None else width.shape[1]))
            elif step.operation.name in MOVES or step.operation.name in ("add", "add_any", "split"):
                left += [other for other in step.inputs if isinstance(other, int) and flat.kinds[other] == DATA]
        return products
